//! The step that reads a writer's primitive type as a product's: Avro's promotions and logical
//! types.
//!
//! A time keeps its instant, whatever its unit. One kind of time is never read as another.

use super::model::{Tick, Type, UuidForm};
use super::program::Op;
use super::sinks::SinkIndex;

/// Returns the name of a type for users.
pub(super) fn word(of: &Type) -> &'static str {
    match of {
        Type::Null => "null",
        Type::Boolean => "boolean",
        Type::Int => "int",
        Type::Long => "long",
        Type::Float => "float",
        Type::Double => "double",
        Type::Bytes => "bytes",
        Type::Text => "string",
        Type::Fixed(_) => "fixed",
        Type::Enum { .. } => "enum",
        Type::Array(_) => "array",
        Type::Map(_) => "map",
        Type::Union(_) => "union",
        Type::Record { .. } => "record",
        Type::Decimal { .. } => "decimal",
        Type::BigDecimal => "big-decimal",
        Type::Uuid(_) => "uuid",
        Type::Date => "date",
        Type::Time(_) => "time of day",
        Type::Timestamp(_) => "timestamp",
        Type::LocalTimestamp(_) => "local timestamp",
        Type::Duration => "duration",
        Type::Unreadable(_) => "unreadable type",
    }
}

/// Returns the step that reads a long in ticks as microseconds.
fn micros(tick: Tick, to: usize) -> Op {
    match tick {
        Tick::Millis => Op::LongTimes { to, times: 1000 },
        Tick::Micros => Op::Long(to),
        Tick::Nanos => Op::LongPer { to, per: 1000 },
    }
}

/// Returns the step that reads `from` as `into`; `None` if Avro's rules have none.
pub(super) fn leaf(from: &Type, into: &Type, at: SinkIndex) -> Option<Op> {
    own(from, into, at).or_else(|| match (plain(from)?, into) {
        (base, Type::Float | Type::Double) => own(&base, into, at),
        _ => None,
    })
}

/// Returns the underlying type of a logical type.
fn plain(of: &Type) -> Option<Type> {
    match of {
        Type::Date | Type::Time(Tick::Millis) => Some(Type::Int),
        Type::Time(_) | Type::Timestamp(_) | Type::LocalTimestamp(_) => Some(Type::Long),
        _ => None,
    }
}

fn own(from: &Type, into: &Type, at: SinkIndex) -> Option<Op> {
    Some(match (from, into, at) {
        (Type::Boolean, Type::Boolean, SinkIndex::Bool(to)) => Op::Bool(to),
        (Type::Int | Type::Date | Type::Time(Tick::Millis), Type::Int, SinkIndex::Int(to))
        | (Type::Int | Type::Date, Type::Date, SinkIndex::Int(to)) => Op::Int(to),
        (Type::Int | Type::Date | Type::Time(Tick::Millis), Type::Long, SinkIndex::Long(to)) => {
            Op::IntToLong { to, times: 1 }
        }
        (
            Type::Long | Type::Time(Tick::Micros) | Type::Timestamp(_) | Type::LocalTimestamp(_),
            Type::Long,
            SinkIndex::Long(to),
        ) => Op::Long(to),
        // Without a logical type, the writer's number has the reader's meaning; a writer's own
        // logical type is converted.
        (Type::Int, Type::Time(Tick::Millis), SinkIndex::Long(to))
        | (Type::Time(Tick::Millis), Type::Time(_), SinkIndex::Long(to)) => {
            Op::IntToLong { to, times: 1000 }
        }
        (Type::Int, Type::Time(_), SinkIndex::Long(to)) => Op::IntToLong { to, times: 1 },
        (Type::Long, Type::Time(Tick::Micros), SinkIndex::Long(to))
        | (Type::Time(_), Type::Time(_), SinkIndex::Long(to)) => Op::Long(to),
        (
            Type::Int,
            Type::Timestamp(Tick::Millis) | Type::LocalTimestamp(Tick::Millis),
            SinkIndex::Long(to),
        ) => Op::IntToLong { to, times: 1000 },
        (
            Type::Int,
            Type::Timestamp(Tick::Micros) | Type::LocalTimestamp(Tick::Micros),
            SinkIndex::Long(to),
        ) => Op::IntToLong { to, times: 1 },
        // A wall-clock time and an instant are never read as one another: they differ by the offset
        // of a zone.
        (Type::Long, Type::Timestamp(tick) | Type::LocalTimestamp(tick), SinkIndex::Long(to))
        | (Type::Timestamp(tick), Type::Timestamp(_), SinkIndex::Long(to))
        | (Type::LocalTimestamp(tick), Type::LocalTimestamp(_), SinkIndex::Long(to)) => {
            micros(*tick, to)
        }
        (Type::Int, Type::Float, SinkIndex::Float(to)) => Op::IntToFloat(to),
        (Type::Int, Type::Double, SinkIndex::Double(to)) => Op::IntToDouble(to),
        (Type::Long, Type::Float, SinkIndex::Float(to)) => Op::LongToFloat(to),
        (Type::Long, Type::Double, SinkIndex::Double(to)) => Op::LongToDouble(to),
        (Type::Float, Type::Float, SinkIndex::Float(to)) => Op::Float(to),
        (Type::Float, Type::Double, SinkIndex::Double(to)) => Op::FloatToDouble(to),
        (Type::Double, Type::Double, SinkIndex::Double(to)) => Op::Double(to),
        (from, into, SinkIndex::Decimal(to)) => return decimal(from, into, to),
        (from, into, SinkIndex::Blob(to)) => return blob(from, into, to),
        _ => return None,
    })
}

/// Returns the step that reads a decimal. It keeps its scale; the digits of each value are checked
/// against the reader's precision.
fn decimal(from: &Type, into: &Type, to: usize) -> Option<Op> {
    let Type::Decimal {
        precision, scale, ..
    } = into
    else {
        return None;
    };
    let size = match from {
        Type::Decimal {
            scale: own, size, ..
        } if own == scale => *size,
        Type::Bytes => None,
        Type::Fixed(size) => Some(*size),
        _ => return None,
    };
    let digits = u32::try_from(*precision).ok()?;
    Some(Op::Decimal {
        to,
        size,
        most: 10_i128.checked_pow(digits)? - 1,
    })
}

fn blob(from: &Type, into: &Type, to: usize) -> Option<Op> {
    Some(match (from, into) {
        (Type::Text, Type::Text | Type::Bytes) | (Type::Bytes, Type::Text) => Op::Text(to),
        (Type::Bytes | Type::BigDecimal | Type::Decimal { size: None, .. }, Type::Bytes) => {
            Op::Bytes(to)
        }
        (
            Type::Fixed(size)
            | Type::Decimal {
                size: Some(size), ..
            },
            Type::Fixed(same),
        ) if size == same => Op::Raw { to, size: *size },
        (Type::Duration, Type::Fixed(12)) => Op::Raw { to, size: 12 },
        (Type::Uuid(UuidForm::Fixed), Type::Fixed(16)) => Op::Raw { to, size: 16 },
        // A UUID that is read as text or bytes is its bytes, without a check: the product does not
        // request a UUID.
        (Type::Uuid(UuidForm::Text), Type::Text | Type::Bytes)
        | (Type::Uuid(UuidForm::Bytes), Type::Text) => Op::Text(to),
        (Type::Uuid(UuidForm::Bytes), Type::Bytes) => Op::Bytes(to),
        (Type::Uuid(UuidForm::Text) | Type::Text, Type::Uuid(_)) => Op::UuidText(to),
        (Type::Uuid(UuidForm::Bytes) | Type::Bytes, Type::Uuid(_)) => Op::UuidBytes(to),
        (Type::Uuid(UuidForm::Fixed) | Type::Fixed(16), Type::Uuid(_)) => Op::UuidRaw(to),
        (
            Type::Enum { symbols: from, .. },
            Type::Enum {
                symbols: into,
                default,
            },
        ) => {
            let read = |symbol: &String| {
                into.iter()
                    .find(|own| *own == symbol)
                    .or(default.as_ref())
                    .cloned()
            };
            Op::Enum {
                to,
                symbols: from.iter().map(read).collect(),
            }
        }
        _ => return None,
    })
}
