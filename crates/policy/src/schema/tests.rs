//! Tests of Avro schemas and decoding.

mod columns;
mod differences;
mod lenient;
mod names;
mod neighbours;
mod resolution;
mod types;

use std::collections::BTreeSet;

use arrow::array::{ArrayRef, RecordBatch};
use proptest::prelude::*;
use serde_json::Value as Json;

use super::{Decoder, Schema, SchemaError, WriterSchema};
use crate::testing::{differential, random};

/// Returns a record of the given fields, as JSON: `"name": "a", "type": ...` each.
fn record(fields: &[&str]) -> String {
    let fields = fields
        .iter()
        .map(|field| format!("{{{field}}}"))
        .collect::<Vec<_>>()
        .join(",");
    format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
}

/// Returns a record of one field `v`.
fn of(avro: &str) -> String {
    record(&[&format!(r#""name":"v","type":{avro}"#)])
}

/// Returns a decoder of every column.
fn decoder(writer: &str, reader: &str) -> Result<Decoder, SchemaError> {
    let reader = Schema::parse(reader)?;
    let every: BTreeSet<String> = reader
        .columns
        .iter()
        .map(|column| column.name.clone())
        .collect();
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

/// Returns a schema for the oracle: a decimal is replaced by its bytes.
fn without_decimals(mut of: Json) -> Json {
    match &mut of {
        Json::Array(items) => items
            .iter_mut()
            .for_each(|item| *item = without_decimals(item.take())),
        Json::Object(map) => {
            if map
                .get("logicalType")
                .is_some_and(|logical| logical == "decimal")
            {
                map.remove("logicalType");
            }
            map.values_mut()
                .for_each(|value| *value = without_decimals(value.take()));
        }
        _ => {}
    }
    of
}

#[test]
fn every_shipped_schema_is_read_as_apache_avro_reads_it() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect::<Vec<_>>();
    assert!(files.len() >= 13);
    for file in files {
        let json: Json = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let oracle = without_decimals(json.clone());
        let (oracle_writer, oracle_reader) = (oracle.clone(), oracle);
        let pair = random::Pair {
            writer: json.clone(),
            reader: json,
            oracle_writer,
            oracle_reader,
        };
        for seed in 0..4 {
            let ran = differential::run(&pair, seed, 50).unwrap();
            assert!(ran.accepted > 0, "{}", file.display());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn we_accept_and_read_what_apache_avro_accepts_and_reads(seed in any::<u64>()) {
        differential::case(seed, 24).map_err(TestCaseError::fail)?;
    }
}
