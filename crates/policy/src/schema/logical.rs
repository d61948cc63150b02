//! Logical types: the types that they turn the annotated types into. A logical type that does not
//! fit the annotated type, or that is unknown, is ignored, as Avro requires.

use serde_json::{Map, Value as Json};

use super::json::whole;
use super::model::{Tick, Type, UuidForm};

/// Returns the type that the logical type of `object` turns `base` into; `None` if there is no
/// logical type to apply.
pub(super) fn logical(base: &Type, object: &Map<String, Json>) -> Option<Type> {
    Some(match (object.get("logicalType")?.as_str()?, base) {
        ("decimal", Type::Bytes) => return decimal(None, object),
        ("decimal", Type::Fixed(size)) => return decimal(Some(*size), object),
        ("big-decimal", Type::Bytes) => Type::BigDecimal,
        ("uuid", Type::Text) => Type::Uuid(UuidForm::Text),
        ("uuid", Type::Bytes) => Type::Uuid(UuidForm::Bytes),
        ("uuid", Type::Fixed(16)) => Type::Uuid(UuidForm::Fixed),
        ("date", Type::Int) => Type::Date,
        ("time-millis", Type::Int) => Type::Time(Tick::Millis),
        ("time-micros", Type::Long) => Type::Time(Tick::Micros),
        ("timestamp-millis", Type::Long) => Type::Timestamp(Tick::Millis),
        ("timestamp-micros", Type::Long) => Type::Timestamp(Tick::Micros),
        ("timestamp-nanos", Type::Long) => Type::Timestamp(Tick::Nanos),
        ("local-timestamp-millis", Type::Long) => Type::LocalTimestamp(Tick::Millis),
        ("local-timestamp-micros", Type::Long) => Type::LocalTimestamp(Tick::Micros),
        ("local-timestamp-nanos", Type::Long) => Type::LocalTimestamp(Tick::Nanos),
        ("duration", Type::Fixed(12)) => Type::Duration,
        _ => return None,
    })
}

/// Reads a decimal. One with a scale is a decimal even if its precision is invalid: its values have
/// that scale, and must not be read with another.
fn decimal(size: Option<usize>, object: &Map<String, Json>) -> Option<Type> {
    let precision = object
        .get("precision")
        .and_then(whole)
        .filter(|digits| *digits > 0);
    let scale = match object.get("scale") {
        None | Some(Json::Null) => None,
        Some(scale) => Some(whole(scale)?),
    };
    if precision.is_none() && scale.is_none() {
        return None;
    }
    Some(Type::Decimal {
        precision: precision.unwrap_or_default(),
        scale: scale.unwrap_or_default(),
        size,
    })
}
