//! Logical types: what they make of the type that they annotate. One that does not fit it, or that is unknown, is ignored, as
//! Avro demands.

use serde_json::{Map, Value as Json};

use super::model::{Tick, Type, UuidForm};
use super::parse::whole;

/// Returns what the logical type of `object` makes of `base`; `None` where there is none to heed.
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

/// A decimal with a scale is one even where its precision is odd: its values have that scale, and must not be read in another.
fn decimal(size: Option<usize>, object: &Map<String, Json>) -> Option<Type> {
    let precision = object.get("precision").and_then(whole).filter(|digits| *digits > 0);
    let scale = match object.get("scale") {
        None | Some(Json::Null) => None,
        Some(scale) => Some(whole(scale)?),
    };
    if precision.is_none() && scale.is_none() {
        return None;
    }
    Some(Type::Decimal { precision: precision.unwrap_or_default(), scale: scale.unwrap_or_default(), size })
}
