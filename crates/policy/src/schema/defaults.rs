//! Defaults of the product's fields, as steps that write them if a writer's schema lacks the field.
//!
//! A default has its field's type, otherwise the schema is refused.

use serde_json::Value as Json;
use uuid::Uuid;

use super::error::SchemaProblem;
use super::model::{Field, Model, Tick, Type, TypeId};
use super::program::{Op, decimal};
use super::sinks::{SinkIndex, Sinks};
use super::target::{self, ValueTarget};

/// The problem, and the fix.
pub(super) type DefaultProblem = (String, String);

/// Returns all defaults of a product's schema that do not have their fields' types. Its records
/// must not contain themselves.
pub(super) fn misfits(model: &Model) -> Vec<SchemaProblem> {
    let records = model.ids().filter_map(|id| match model.get(id) {
        Type::Record { fields } => Some(fields),
        _ => None,
    });
    let mut found = Vec::new();
    for field in records.flatten() {
        let fits = |default: &Json| {
            let target = target::of_type(model, field.of, &mut Sinks::default());
            put(model, field.of, default, &target, &mut Vec::new()).is_some()
        };
        if field.default.as_ref().is_some_and(|default| !fits(default)) {
            let (what, help) = misfit();
            found.push(SchemaProblem {
                path: field.name.clone(),
                what,
                help,
            });
        }
    }
    found
}

fn misfit() -> DefaultProblem {
    let what = "the default is not of the field's type".to_owned();
    (
        what,
        "write a value of the type (bytes as text of one character a byte)".to_owned(),
    )
}

/// Adds the steps that write the default of a field that the writer lacks. Errors if it has no
/// default, unless no column keeps the field.
pub(super) fn of_field(
    reader: &Model,
    field: &Field,
    target: &ValueTarget,
    to: &mut Vec<Op>,
) -> Result<(), DefaultProblem> {
    let mut sinks = Vec::new();
    target.nulls(&mut sinks);
    if sinks.is_empty() {
        return Ok(());
    }
    let Some(default) = &field.default else {
        let what =
            "the writer's schema lacks the field and the product's gives no default".to_owned();
        return Err((
            what,
            "give it a default: null, where it is nullable".to_owned(),
        ));
    };
    put(reader, field.of, default, target, to).ok_or_else(misfit)
}

fn put(
    reader: &Model,
    id: TypeId,
    json: &Json,
    target: &ValueTarget,
    to: &mut Vec<Op>,
) -> Option<()> {
    let (nullable, id) = reader.optional(id)?;
    let of = reader.get(id);
    if json.is_null() && nullable {
        let mut sinks = Vec::new();
        target.nulls(&mut sinks);
        to.extend(sinks.into_iter().map(Op::Null));
        return Some(());
    }
    match (of, target) {
        (_, ValueTarget::Skip) => {}
        (Type::Record { fields, .. }, ValueTarget::Flat(children)) => {
            record(reader, fields, json, children, to)?
        }
        (Type::Record { fields, .. }, ValueTarget::Struct(own, children)) => {
            to.push(Op::Struct(*own));
            record(reader, fields, json, children, to)?;
        }
        (Type::Array(item), ValueTarget::List(own, target)) => {
            let items = json.as_array()?;
            items
                .iter()
                .try_for_each(|json| put(reader, *item, json, target, to).ok_or(()))
                .ok()?;
            to.push(Op::PutList(*own, items.len()));
        }
        (Type::Map(value), ValueTarget::Map(own, keys, target)) => {
            let entries = json.as_object()?;
            for (key, json) in entries {
                to.push(Op::PutBlob(*keys, key.clone().into_bytes()));
                put(reader, *value, json, target, to)?;
            }
            to.push(Op::PutList(*own, entries.len()));
        }
        (of, ValueTarget::Leaf(at)) => to.push(leaf(of, json, *at)?),
        _ => return None,
    }
    Some(())
}

fn record(
    reader: &Model,
    fields: &[Field],
    json: &Json,
    targets: &[ValueTarget],
    to: &mut Vec<Op>,
) -> Option<()> {
    let given = json.as_object()?;
    for (field, target) in fields.iter().zip(targets) {
        match given.get(&field.name) {
            Some(json) => put(reader, field.of, json, target, to)?,
            None => of_field(reader, field, target, to).ok()?,
        }
    }
    Some(())
}

fn leaf(of: &Type, json: &Json, at: SinkIndex) -> Option<Op> {
    Some(match (of, at) {
        (Type::Boolean, SinkIndex::Bool(to)) => Op::PutBool(to, json.as_bool()?),
        (Type::Int | Type::Date, SinkIndex::Int(to)) => {
            Op::PutInt(to, i32::try_from(json.as_i64()?).ok()?)
        }
        (
            Type::Time(Tick::Millis)
            | Type::Timestamp(Tick::Millis)
            | Type::LocalTimestamp(Tick::Millis),
            SinkIndex::Long(to),
        ) => Op::PutLong(to, json.as_i64()?.checked_mul(1000)?),
        (Type::Timestamp(Tick::Nanos) | Type::LocalTimestamp(Tick::Nanos), SinkIndex::Long(to)) => {
            Op::PutLong(to, json.as_i64()?.div_euclid(1000))
        }
        (
            Type::Long | Type::Time(_) | Type::Timestamp(_) | Type::LocalTimestamp(_),
            SinkIndex::Long(to),
        ) => Op::PutLong(to, json.as_i64()?),
        (Type::Float, SinkIndex::Float(to)) => Op::PutFloat(to, number(json)? as f32),
        (Type::Double, SinkIndex::Double(to)) => Op::PutDouble(to, number(json)?),
        (Type::Decimal { precision, .. }, SinkIndex::Decimal(to)) => {
            let most = 10_u128.checked_pow(u32::try_from(*precision).ok()?)?;
            let value = decimal(&bytes(json)?).filter(|value| value.unsigned_abs() < most)?;
            Op::PutDecimal(to, value)
        }
        (Type::Text, SinkIndex::Blob(to)) => Op::PutBlob(to, json.as_str()?.as_bytes().to_vec()),
        (Type::Enum { symbols, .. }, SinkIndex::Blob(to)) => {
            let symbol = json
                .as_str()
                .filter(|text| symbols.iter().any(|symbol| symbol == text))?;
            Op::PutBlob(to, symbol.as_bytes().to_vec())
        }
        (Type::Uuid(_), SinkIndex::Blob(to)) => {
            let text = json.as_str()?;
            let uuid = Uuid::parse_str(text)
                .ok()
                .or_else(|| Uuid::from_slice(&bytes(json)?).ok())?;
            Op::PutBlob(to, uuid.to_string().into_bytes())
        }
        (Type::Bytes, SinkIndex::Blob(to)) => Op::PutBlob(to, bytes(json)?),
        (Type::Fixed(size), SinkIndex::Blob(to)) => {
            Op::PutBlob(to, bytes(json).filter(|bytes| bytes.len() == *size)?)
        }
        _ => return None,
    })
}

/// Returns a number. Numbers that JSON cannot express are written as text.
fn number(json: &Json) -> Option<f64> {
    json.as_f64().or_else(|| match json.as_str()? {
        "NaN" => Some(f64::NAN),
        "INF" | "Infinity" => Some(f64::INFINITY),
        "-INF" | "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    })
}

/// Returns bytes, which JSON contains as text with one character per byte.
fn bytes(json: &Json) -> Option<Vec<u8>> {
    json.as_str()?
        .chars()
        .map(|c| u8::try_from(u32::from(c)).ok())
        .collect()
}
