//! Values of columns, as JSON and as text.
//!
//! No value is rounded: a number that JSON cannot represent exactly is text.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::util::display::array_value_to_string;
use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta};
use serde_json::{Map, Value};

/// Returns one value as JSON: instants and days as text, lists as arrays, maps and records as
/// objects.
#[must_use]
pub fn value(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::Boolean => array.as_boolean().value(row).into(),
        // The fewest digits that mean the number, not the digits of its double.
        DataType::Float32 => number(&array.as_primitive::<Float32Type>().value(row).to_string()),
        DataType::Float64 => number(&array.as_primitive::<Float64Type>().value(row).to_string()),
        DataType::Date32 => day(array.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            instant(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::List(_) => {
            let parts = array.as_list::<i32>().value(row);
            (0..parts.len()).map(|at| value(&parts, at)).collect()
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let entry = |at| (text(&value(keys, at)), value(values, at));
            Value::Object((0..entries.len()).map(entry).collect())
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns().iter();
            let members = fields
                .iter()
                .zip(columns)
                .map(|(field, column)| (field.name().clone(), value(column, row)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        // Decimals with all their digits, bytes in hexadecimal.
        _ => array_value_to_string(array, row).map_or(Value::Null, Value::String),
    }
}

/// Returns the value of a column by its name; null if there is no such column.
#[must_use]
pub fn of(rows: &RecordBatch, column: &str, row: usize) -> Value {
    rows.column_by_name(column)
        .map_or(Value::Null, |array| value(array, row))
}

/// Returns a value as plain text: empty for null, JSON for a value that has parts.
#[must_use]
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn number(text: &str) -> Value {
    // NaN and infinity are not numbers in JSON.
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

fn day(days: i32) -> Value {
    let day = NaiveDate::default().checked_add_signed(TimeDelta::days(i64::from(days)));
    day.map_or_else(|| days.into(), |day| day.to_string().into())
}

fn instant(micros: i64) -> Value {
    let at = DateTime::from_timestamp_micros(micros);
    at.map_or_else(
        || micros.into(),
        |at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true).into(),
    )
}
