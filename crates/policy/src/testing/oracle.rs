//! The result of apache-avro for the same bodies, and the comparison of a row with it.
//!
//! It differs from apache-avro only as the module's list of differences states. It never uses
//! internals of our decoder.

use std::io::{Error, ErrorKind, Read};

use apache_avro::Schema as Avro;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use arrow::array::{Array, RecordBatch, StructArray};
use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};

/// A reader whose end is an error: apache-avro takes a plain end for null, false or empty in some
/// places.
struct Strict<'a>(&'a [u8]);

impl Read for Strict<'_> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        if self.0.is_empty() && !to.is_empty() {
            return Err(Error::from(ErrorKind::Other));
        }
        self.0.read(to)
    }
}

/// The result of apache-avro for one body.
pub enum OracleResult {
    /// Not a body of the writer's schema.
    Refused,
    /// A body of the writer's schema that the product's schema cannot read.
    Unresolved,
    /// The value, as the product's schema reads it.
    Read(Value),
}

/// The reference for a pair of schemas: apache-avro.
pub struct Oracle {
    writer: Avro,
    reader: Avro,
}

impl Oracle {
    /// Creates the oracle. Errors if apache-avro cannot parse one of the two.
    pub fn new(writer: &str, reader: &str) -> Result<Self, apache_avro::Error> {
        Ok(Self {
            writer: Avro::parse_str(writer)?,
            reader: Avro::parse_str(reader)?,
        })
    }

    /// Returns the verdict on one body.
    pub fn read(&self, body: &[u8]) -> OracleResult {
        let mut rest = Strict(body);
        let read = GenericDatumReader::builder(&self.writer)
            .build()
            .and_then(|reader| reader.read_value(&mut rest));
        match read {
            Ok(value) if rest.0.is_empty() && items(&value) <= 65_536 => value
                .resolve(&self.reader)
                .map_or(OracleResult::Unresolved, OracleResult::Read),
            _ => OracleResult::Refused,
        }
    }
}

/// Returns the total number of items in the lists of a value.
fn items(of: &Value) -> usize {
    match of {
        Value::Array(of) => of.len() + of.iter().map(items).sum::<usize>(),
        Value::Map(of) => of.values().map(items).sum(),
        Value::Record(of) => of.iter().map(|(_, value)| items(value)).sum(),
        Value::Union(_, of) => items(of),
        _ => 0,
    }
}

/// The comparison of a row with the value that the oracle read.
#[derive(Debug, PartialEq, Eq)]
pub enum Comparison {
    /// They are equal.
    Equal,
    /// They differ at this path.
    Differs(String),
}

/// Compares a row with a record of the product's schema, by the position of its fields.
pub fn compare(
    value: &Value,
    of: &serde_json::Value,
    batch: &RecordBatch,
    row: usize,
) -> Comparison {
    let mut columns = batch.columns().iter();
    match flat(value, of, &mut columns, row, "") {
        None => Comparison::Equal,
        Some(path) => Comparison::Differs(path),
    }
}

type Columns<'a> = std::slice::Iter<'a, arrow::array::ArrayRef>;

/// Compares a value with the next columns. Records are flattened: they use one column for each
/// leaf, null if the record is. Returns the path of a difference.
fn flat(
    value: &Value,
    of: &serde_json::Value,
    columns: &mut Columns<'_>,
    row: usize,
    path: &str,
) -> Option<String> {
    let inner = of
        .as_array()
        .and_then(|branches| branches.iter().find(|branch| *branch != "null"));
    let of = inner.unwrap_or(of);
    let fields = of["fields"].as_array();
    match (value, fields) {
        (Value::Union(_, inner), _) => flat(inner, of, columns, row, path),
        (Value::Null, Some(fields)) => fields
            .iter()
            .find_map(|field| flat(&Value::Null, &field["type"], columns, row, path)),
        (Value::Record(values), Some(fields)) => {
            values
                .iter()
                .zip(fields)
                .find_map(|((name, value), field)| {
                    flat(
                        value,
                        &field["type"],
                        columns,
                        row,
                        &format!("{path}.{name}"),
                    )
                })
        }
        (value, _) => {
            let equal = columns
                .next()
                .is_some_and(|column| equal(value, column, row));
            (!equal).then(|| path.to_owned())
        }
    }
}

/// Returns true if one value of an array equals the oracle's.
pub fn equal(value: &Value, array: &dyn Array, row: usize) -> bool {
    if let Value::Union(_, inner) = value {
        return equal(inner, array, row);
    }
    if let Value::Null = value {
        return array.is_null(row);
    }
    if array.is_null(row) {
        return false;
    }
    let micros = || array.as_primitive::<TimestampMicrosecondType>().value(row);
    let long = || array.as_primitive::<Int64Type>().value(row);
    match (value, array.data_type()) {
        (Value::Boolean(v), DataType::Boolean) => array
            .as_any()
            .downcast_ref::<BooleanArray>()
            .is_some_and(|array| array.value(row) == *v),
        (Value::Int(v), DataType::Int32) => array.as_primitive::<Int32Type>().value(row) == *v,
        (Value::Date(v), DataType::Date32) => array.as_primitive::<Date32Type>().value(row) == *v,
        (Value::Long(v) | Value::TimeMicros(v), DataType::Int64) => long() == *v,
        (Value::TimeMillis(v), DataType::Int64) => long() == i64::from(*v) * 1000,
        (Value::TimestampMillis(v) | Value::LocalTimestampMillis(v), DataType::Timestamp(..)) => {
            v.checked_mul(1000) == Some(micros())
        }
        (Value::TimestampMicros(v) | Value::LocalTimestampMicros(v), DataType::Timestamp(..)) => {
            micros() == *v
        }
        (Value::TimestampNanos(v) | Value::LocalTimestampNanos(v), DataType::Timestamp(..)) => {
            micros() == v.div_euclid(1000)
        }
        (Value::Float(v), DataType::Float32) => {
            array.as_primitive::<Float32Type>().value(row).to_bits() == v.to_bits() || v.is_nan()
        }
        (Value::Double(v), DataType::Float64) => {
            array.as_primitive::<Float64Type>().value(row).to_bits() == v.to_bits() || v.is_nan()
        }
        (Value::Bytes(v) | Value::Fixed(_, v), DataType::Decimal128(..)) => {
            number(v) == Some(array.as_primitive::<Decimal128Type>().value(row))
        }
        (Value::Bytes(v) | Value::Fixed(_, v), DataType::Binary) => {
            array.as_binary::<i32>().value(row) == v.as_slice()
        }
        (Value::String(v) | Value::Enum(_, v), DataType::Utf8) => {
            array.as_string::<i32>().value(row) == v
        }
        (Value::Uuid(v), DataType::Utf8) => array.as_string::<i32>().value(row) == v.to_string(),
        (Value::Array(v), DataType::List(_)) => {
            let items = array.as_list::<i32>().value(row);
            items.len() == v.len()
                && v.iter()
                    .enumerate()
                    .all(|(index, value)| equal(value, &items, index))
        }
        (Value::Map(v), DataType::Map(..)) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1));
            entries.len() == v.len()
                && (0..entries.len()).all(|i| {
                    v.get(keys.value(i))
                        .is_some_and(|value| equal(value, values, i))
                })
        }
        (Value::Record(v), DataType::Struct(_)) => array
            .as_any()
            .downcast_ref::<StructArray>()
            .is_some_and(|of| {
                of.num_columns() == v.len()
                    && v.iter()
                        .zip(of.columns())
                        .all(|((_, value), column)| equal(value, column, row))
            }),
        _ => false,
    }
}

/// Reads a big-endian number in two's complement, one byte at a time; `None` if it exceeds 128
/// bits.
fn number(bytes: &[u8]) -> Option<i128> {
    let start = if bytes.first().is_some_and(|first| *first >= 0x80) {
        -1
    } else {
        0
    };
    bytes.iter().try_fold(start, |sum: i128, byte| {
        sum.checked_mul(256)?.checked_add(i128::from(*byte))
    })
}

/// Returns true if a column can contain the value that the oracle read: decimals have their digits,
/// times fit microseconds.
pub fn fits(value: &Value, of: &serde_json::Value) -> bool {
    match (value, of) {
        (Value::Union(_, inner), serde_json::Value::Array(branches)) => {
            let some = branches.iter().find(|branch| *branch != "null");
            some.is_none_or(|branch| fits(inner, branch))
        }
        (Value::Union(_, inner), of) => fits(inner, of),
        (Value::Bytes(v) | Value::Fixed(_, v), of) if of["logicalType"] == "decimal" => {
            let digits = of["precision"]
                .as_u64()
                .and_then(|digits| u32::try_from(digits).ok())
                .unwrap_or(0);
            number(v).is_some_and(|value| value.unsigned_abs() < 10_u128.pow(digits))
        }
        (Value::TimestampMillis(v) | Value::LocalTimestampMillis(v), _) => {
            v.checked_mul(1000).is_some()
        }
        (Value::Array(v), of) => v.iter().all(|value| fits(value, &of["items"])),
        (Value::Map(v), of) => v.values().all(|value| fits(value, &of["values"])),
        (Value::Record(v), of) => {
            let fields = of["fields"].as_array();
            fields.is_none_or(|fields| {
                v.iter()
                    .zip(fields)
                    .all(|((_, value), field)| fits(value, &field["type"]))
            })
        }
        _ => true,
    }
}
