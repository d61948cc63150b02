//! Records in the form that decoding gives them, built from the records of a history.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{DataType, Field, Schema};
use ebbtide_base::ids::ProductKey;
use ebbtide_policy::Policy;
use serde_json::{Map, Value};

/// One record: the value of each field of its schema.
pub type Record = Map<String, Value>;

/// Returns the one product.
pub fn sms() -> ProductKey {
    "sms".parse().unwrap()
}

/// Returns the records in the types of the policy's schema; a field that they lack is null.
pub fn batch(policy: &Policy, records: &[Record]) -> RecordBatch {
    let schema = &policy.products[&sms()].records.as_ref().unwrap().schema;
    let columns = schema.columns.iter().map(|column| {
        (
            column.name.as_str(),
            values(&column.name, &column.data_type, records),
        )
    });
    let (names, columns): (Vec<&str>, Vec<ArrayRef>) = columns.unzip();
    let fields: Vec<Field> = names
        .iter()
        .zip(&columns)
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn values(name: &str, of: &DataType, records: &[Record]) -> ArrayRef {
    let values = records.iter().map(|record| record.get(name));
    match of {
        DataType::Utf8 => Arc::new(StringArray::from_iter(
            values.map(|value| value.and_then(Value::as_str)),
        )),
        DataType::Int32 => {
            let number = |value: Option<&Value>| Some(i32::try_from(value?.as_i64()?).unwrap());
            Arc::new(Int32Array::from_iter(values.map(number)))
        }
        DataType::Timestamp(..) => {
            let times = TimestampMicrosecondArray::from_iter(
                values.map(|value| value.and_then(Value::as_i64)),
            );
            Arc::new(times.with_timezone("UTC"))
        }
        DataType::List(item) => {
            let mut lists = ListBuilder::new(StringBuilder::new()).with_field(Arc::clone(item));
            for value in values {
                let parts = value.and_then(Value::as_array);
                parts
                    .into_iter()
                    .flatten()
                    .for_each(|part| lists.values().append_value(part.as_str().unwrap()));
                lists.append(parts.is_some());
            }
            Arc::new(lists.finish())
        }
        other => panic!("no history has a field of {other}"),
    }
}
