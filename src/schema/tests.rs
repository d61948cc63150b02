//! The promises of the schema floor.

mod columns;
mod differences;
pub mod differential;
mod neighbours;
pub mod oracle;
pub mod random;
mod resolution;
mod types;

use std::collections::BTreeSet;

use arrow::array::{ArrayRef, RecordBatch};
use proptest::prelude::*;

use super::{Decoder, Schema, SchemaError, WriterSchema};

/// A record of the given fields, as JSON: `"name": "a", "type": ...` each.
fn record(fields: &[&str]) -> String {
    let fields = fields.iter().map(|field| format!("{{{field}}}")).collect::<Vec<_>>().join(",");
    format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
}

/// A record of one field `v`.
fn of(avro: &str) -> String {
    record(&[&format!(r#""name":"v","type":{avro}"#)])
}

/// A decoder of every column.
fn decoder(writer: &str, reader: &str) -> Result<Decoder, SchemaError> {
    let reader = Schema::parse(reader)?;
    let every: BTreeSet<String> = reader.columns.iter().map(|column| column.name.clone()).collect();
    Decoder::new(&WriterSchema::parse(writer)?, &reader, &every)
}

fn batch(writer: &str, reader: &str, bodies: &[&[u8]]) -> RecordBatch {
    let mut decoder = decoder(writer, reader).unwrap();
    bodies.iter().for_each(|body| decoder.push(body).unwrap());
    decoder.flush().batch
}

fn column(writer: &str, reader: &str, bodies: &[&[u8]]) -> ArrayRef {
    batch(writer, reader, bodies).column(0).clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn we_accept_and_read_what_apache_avro_accepts_and_reads(seed in any::<u64>()) {
        differential::case(seed, 24).map_err(TestCaseError::fail)?;
    }
}
