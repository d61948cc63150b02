//! Tests that a batch of every product of the shipped policy can be tagged.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array};
use arrow::datatypes::{DataType, Field, Schema};
use chrono::TimeDelta;

use super::world::{at, source};
use crate::tag::{Arrivals, Tagger};
use crate::{Records, SchemaSource, parse};

struct Shipped;

impl SchemaSource for Shipped {
    fn load(&self, path: &str) -> Result<String, String> {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
        std::fs::read_to_string(config.join(path)).map_err(|error| error.to_string())
    }
}

/// Returns two records: one with a time and all texts, one with a time only.
fn batch(tagger: &Tagger, records: &Records) -> RecordBatch {
    let columns = records
        .schema
        .columns
        .iter()
        .filter(|column| tagger.columns().contains(&column.name));
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns
        .map(|column| {
            let array: ArrayRef = match &column.data_type {
                _ if column.name == records.event_time => {
                    let micros = at("2026-11-24T10:00:00Z").timestamp_micros();
                    Arc::new(TimestampMicrosecondArray::from_value(micros, 2).with_timezone("UTC"))
                }
                DataType::Utf8 => Arc::new(StringArray::from(vec![Some("+39 347 1234567"), None])),
                other => new_null_array(other, 2),
            };
            (
                Field::new(&column.name, column.data_type.clone(), true),
                array,
            )
        })
        .unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

#[test]
fn every_shipped_product_is_tagged_with_all_its_columns() {
    let policy = parse(
        "policy.yaml",
        &Shipped.load("policy.yaml").unwrap(),
        &Shipped,
    )
    .policy
    .unwrap();
    let mut tagged_products = 0;
    for (key, product) in &policy.products {
        let Some(records) = &product.records else {
            assert!(Tagger::new(&policy, key).is_none());
            continue;
        };
        let tagger = Tagger::new(&policy, key).unwrap();
        let source = source();
        let from = Arrivals {
            source: &source,
            offsets: &[7, 8],
            at: at("2026-11-24T10:00:01Z"),
        };
        let tagged = tagger
            .tag(&batch(&tagger, records), &from, TimeDelta::zero())
            .unwrap();
        let stored: usize = tagged
            .groups
            .iter()
            .map(|group| group.rows.num_rows())
            .sum();
        assert_eq!(
            (stored, tagged.expired, tagged.faults.len()),
            (2, 0, 0),
            "{key}"
        );
        let schema = tagged.groups[0].rows.schema();
        let names: Vec<&str> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        let in_schema = records
            .schema
            .columns
            .iter()
            .map(|column| column.name.as_str());
        let mut wanted: Vec<&str> = in_schema
            .filter(|name| records.fields.contains_key(*name))
            .collect();
        wanted.extend(records.derive.iter().map(|derived| derived.name.as_str()));
        wanted.extend([
            "jurisdiction",
            "ingested_at",
            "source_topic",
            "source_partition",
            "source_offset",
        ]);
        assert_eq!(names, wanted, "{key}");
        tagged_products += 1;
    }
    assert_eq!(tagged_products, 13);
}
