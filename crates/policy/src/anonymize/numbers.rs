//! Numbers whose sum does not depend on the order: every numeric column as 128-bit integers.
//!
//! Sums of integers and decimals are exact. Floats are fixed-point numbers with 64 binary places,
//! and each is rounded separately. A sum that does not fit its column must never wrap, saturate or
//! be rounded: it has no value then.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Float32Array, Float64Array, Int32Array, Int64Array,
};
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type};
use arrow::error::ArrowError;

/// 2^64: the factor between the fixed-point form of a float and the float.
const SCALE: f64 = 18_446_744_073_709_551_616.0;

/// 2^63: a float has no fixed-point form from this absolute value on.
const BEYOND: f64 = 9_223_372_036_854_775_808.0;

/// A type of numbers that can be summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumericType {
    Int32,
    Int64,
    Float32,
    Float64,
    /// Precision and scale.
    Decimal(u8, i8),
}

impl NumericType {
    /// Returns the number type of an Arrow type; `None` if the type is not numeric or no table has
    /// such a column.
    pub(super) fn from_data_type(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Int32 => NumericType::Int32,
            DataType::Int64 => NumericType::Int64,
            DataType::Float32 => NumericType::Float32,
            DataType::Float64 => NumericType::Float64,
            DataType::Decimal128(precision, scale) => NumericType::Decimal(*precision, *scale),
            _ => return None,
        })
    }

    pub(super) fn data_type(self) -> DataType {
        match self {
            NumericType::Int32 => DataType::Int32,
            NumericType::Int64 => DataType::Int64,
            NumericType::Float32 => DataType::Float32,
            NumericType::Float64 => DataType::Float64,
            NumericType::Decimal(precision, scale) => DataType::Decimal128(precision, scale),
        }
    }

    /// Returns true if a sum fits a column of these numbers.
    pub(super) fn holds(self, sum: i128) -> bool {
        match self {
            NumericType::Int32 => i32::try_from(sum).is_ok(),
            NumericType::Int64 => i64::try_from(sum).is_ok(),
            NumericType::Float32 | NumericType::Float64 => true,
            NumericType::Decimal(precision, _) => 10_u128
                .checked_pow(u32::from(precision))
                .is_some_and(|beyond| sum.unsigned_abs() < beyond),
        }
    }

    /// Returns a column of sums. Each sum must [fit](NumericType::holds) the column.
    pub(super) fn column(
        self,
        sums: impl Iterator<Item = Option<i128>>,
    ) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            NumericType::Int32 => Arc::new(
                sums.map(|sum| sum.and_then(|sum| i32::try_from(sum).ok()))
                    .collect::<Int32Array>(),
            ),
            NumericType::Int64 => Arc::new(
                sums.map(|sum| sum.and_then(|sum| i64::try_from(sum).ok()))
                    .collect::<Int64Array>(),
            ),
            NumericType::Float32 => Arc::new(
                sums.map(|sum| sum.map(|sum| float(sum) as f32))
                    .collect::<Float32Array>(),
            ),
            NumericType::Float64 => {
                Arc::new(sums.map(|sum| sum.map(float)).collect::<Float64Array>())
            }
            NumericType::Decimal(precision, scale) => Arc::new(
                sums.collect::<Decimal128Array>()
                    .with_precision_and_scale(precision, scale)?,
            ),
        })
    }
}

fn float(sum: i128) -> f64 {
    sum as f64 / SCALE
}

/// The contribution of a row to a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Addend {
    /// Null, which adds nothing.
    Nothing,
    /// A number.
    Of(i128),
    /// A number that cannot be added.
    Unfit,
}

/// A column of numbers.
pub(super) enum NumericColumn<'a> {
    Absent,
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Float32(&'a Float32Array),
    Float64(&'a Float64Array),
    Decimal(&'a Decimal128Array),
}

impl<'a> NumericColumn<'a> {
    /// Returns the numbers of a column of the plan's type.
    pub(super) fn new(column: Option<&'a ArrayRef>) -> Self {
        let Some(column) = column else {
            return NumericColumn::Absent;
        };
        match column.data_type() {
            DataType::Int32 => NumericColumn::Int32(column.as_primitive::<Int32Type>()),
            DataType::Int64 => NumericColumn::Int64(column.as_primitive::<Int64Type>()),
            DataType::Float32 => NumericColumn::Float32(column.as_primitive::<Float32Type>()),
            DataType::Float64 => NumericColumn::Float64(column.as_primitive::<Float64Type>()),
            DataType::Decimal128(..) => {
                NumericColumn::Decimal(column.as_primitive::<Decimal128Type>())
            }
            _ => NumericColumn::Absent,
        }
    }

    /// Returns the contribution of a row.
    #[inline]
    pub(super) fn at(&self, row: usize) -> Addend {
        match self {
            NumericColumn::Absent => Addend::Nothing,
            NumericColumn::Int32(numbers) if numbers.is_valid(row) => {
                Addend::Of(i128::from(numbers.value(row)))
            }
            NumericColumn::Int64(numbers) if numbers.is_valid(row) => {
                Addend::Of(i128::from(numbers.value(row)))
            }
            NumericColumn::Float32(numbers) if numbers.is_valid(row) => {
                fixed(f64::from(numbers.value(row)))
            }
            NumericColumn::Float64(numbers) if numbers.is_valid(row) => fixed(numbers.value(row)),
            NumericColumn::Decimal(numbers) if numbers.is_valid(row) => {
                Addend::Of(numbers.value(row))
            }
            _ => Addend::Nothing,
        }
    }
}

fn fixed(number: f64) -> Addend {
    if number.abs() < BEYOND {
        Addend::Of((number * SCALE).round() as i128)
    } else {
        Addend::Unfit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_that_is_not_too_fine_comes_back_as_it_was() {
        for number in [
            0.0,
            0.1,
            -12.5,
            1e-3,
            3.0e18,
            f64::from(f32::MIN_POSITIVE),
            1.0 / 3.0,
        ] {
            let Addend::Of(sum) = fixed(number) else {
                panic!("{number}")
            };
            assert!((float(sum) - number).abs() <= 1e-19, "{number}");
        }
    }

    #[test]
    fn values_that_cannot_be_added_are_reported() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e19, -9.3e18] {
            assert_eq!(fixed(number), Addend::Unfit);
        }
    }

    #[test]
    fn column_holds_numbers_that_fit_and_no_others() {
        assert!(
            NumericType::Int32.holds(i128::from(i32::MAX))
                && !NumericType::Int32.holds(i128::from(i32::MAX) + 1)
        );
        assert!(
            NumericType::Int64.holds(i128::from(i64::MIN))
                && !NumericType::Int64.holds(i128::from(i64::MIN) - 1)
        );
        assert!(
            NumericType::Decimal(4, 2).holds(-9999) && !NumericType::Decimal(4, 2).holds(10_000)
        );
        assert!(!NumericType::Decimal(38, 0).holds(i128::MAX));
    }
}
