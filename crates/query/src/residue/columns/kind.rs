//! The types of a column's numbers and bytes, and the searched values that they match.
//!
//! A decoded value and a bound of a column, whose bytes are in `PLAIN` encoding, give the same
//! result.

use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type};
use parquet::data_type::Int96;
use parquet::schema::types::ColumnDescriptor;

use super::super::escapes;
use super::super::list_line::ListLine;
use super::super::typed::DecimalValue;
use super::super::values::SearchValues;

/// The type of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// Text or bytes.
    Bytes,
    /// Integers and floating-point numbers.
    Integer,
    /// Decimals, with the number of digits after the decimal point.
    Decimal(u32),
    /// Instants in milliseconds.
    Millis,
    /// Instants in microseconds.
    Micros,
    /// Instants in nanoseconds.
    Nanos,
    /// Days since 1970-01-01.
    Day,
    /// Booleans, which match no searched value.
    Boolean,
}

impl ValueType {
    /// Returns the type of a column's values from its descriptor.
    pub fn from_descriptor(column: &ColumnDescriptor) -> ValueType {
        let scale = || u32::try_from(column.type_scale()).unwrap_or(0);
        match (
            column.logical_type_ref(),
            column.converted_type(),
            column.physical_type(),
        ) {
            (_, _, Type::BOOLEAN) => ValueType::Boolean,
            (Some(LogicalType::Decimal(_)), ..) | (_, ConvertedType::DECIMAL, _) => {
                ValueType::Decimal(scale())
            }
            (_, _, Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY) => ValueType::Bytes,
            (Some(LogicalType::Timestamp(at)), ..) => match at.unit {
                TimeUnit::MILLIS => ValueType::Millis,
                TimeUnit::MICROS => ValueType::Micros,
                TimeUnit::NANOS => ValueType::Nanos,
            },
            (_, ConvertedType::TIMESTAMP_MILLIS, _) => ValueType::Millis,
            (_, ConvertedType::TIMESTAMP_MICROS, _) | (_, _, Type::INT96) => ValueType::Micros,
            (Some(LogicalType::Date), ..) | (_, ConvertedType::DATE, _) => ValueType::Day,
            _ => ValueType::Integer,
        }
    }

    /// Returns true if a column of this kind can contain any of the values.
    pub fn may_hold(self, values: &SearchValues) -> bool {
        match self {
            ValueType::Bytes => true,
            ValueType::Boolean => false,
            _ => !values.typed.is_empty(),
        }
    }

    /// Calls `hit` with each value that equals an integer.
    pub fn integer(self, number: i64, values: &SearchValues, mut hit: impl FnMut(ListLine)) {
        let typed = &values.typed;
        let lines = match self {
            ValueType::Bytes | ValueType::Boolean => &[],
            ValueType::Integer => {
                typed.instant(number).iter().for_each(|line| hit(*line));
                typed.integer(number)
            }
            ValueType::Decimal(scale) => typed.decimal(DecimalValue::new(number.into(), scale)),
            ValueType::Millis => typed.instant(number.saturating_mul(1000)),
            ValueType::Micros => typed.instant(number),
            ValueType::Nanos => typed.instant(number.div_euclid(1000)),
            ValueType::Day => typed.day(number),
        };
        lines.iter().for_each(|line| hit(*line));
    }

    /// Calls `hit` with each value that is in the bytes.
    pub fn bytes(self, bytes: &[u8], values: &SearchValues, mut hit: impl FnMut(ListLine)) {
        if let (ValueType::Decimal(scale), 1..=16) = (self, bytes.len()) {
            let start: i128 = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
            let digits = bytes
                .iter()
                .fold(start, |digits, byte| digits << 8 | i128::from(*byte));
            values
                .typed
                .decimal(DecimalValue::new(digits, scale))
                .iter()
                .for_each(|line| hit(*line));
        }
        values.automaton.search(bytes, |line, _| hit(line));
        let _: Option<()> = escapes::search(bytes, |layer| {
            values.automaton.search(layer, |line, _| hit(line));
            None
        });
    }

    /// Returns the values that a bound equals or contains.
    pub fn bound(self, physical: Type, bytes: &[u8], values: &SearchValues) -> Vec<ListLine> {
        let mut lines = Vec::new();
        let hit = |line| lines.push(line);
        match (physical, bytes) {
            (Type::INT32, [a, b, c, d]) => {
                self.integer(i32::from_le_bytes([*a, *b, *c, *d]).into(), values, hit)
            }
            (Type::FLOAT, [a, b, c, d]) => {
                lines.extend(values.typed.single(f32::from_le_bytes([*a, *b, *c, *d])))
            }
            (Type::INT64 | Type::DOUBLE, bytes) if bytes.len() == 8 => {
                let bits = bytes
                    .iter()
                    .rev()
                    .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
                if physical == Type::INT64 {
                    self.integer(bits.cast_signed(), values, hit);
                } else {
                    lines.extend(values.typed.real(f64::from_bits(bits)));
                }
            }
            (Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY, bytes) => {
                self.bytes(bytes, values, hit)
            }
            _ => {}
        }
        lines.sort_unstable();
        lines.dedup();
        lines
    }
}

/// Returns an INT96 instant in microseconds.
pub fn micros(at: &Int96) -> i64 {
    at.to_micros()
}
