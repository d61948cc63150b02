//! A bucket of one profile with four categories of about the same size, in segments as ingest
//! writes them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::DataType;
use chrono::{DateTime, TimeDelta, Utc};
use ebbtide_base::ids::{
    Bucket, BucketUnit, Deadline, Offset, Partition, PolicyVersion, TopicPartition,
};
use ebbtide_policy::expires_column;
use ebbtide_table::{
    ColumnRole, Evidence, SegmentTags, SegmentWriter, Table, TableColumn, TableSpec,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use super::{StoredOffsets, column, commit, instant, personal};

/// The categories. Each has one column with its name.
pub const CATEGORIES: [&str; 4] = ["phone_number", "traffic_data", "location_data", "content"];

/// The number of rows that are made together.
const ROWS: usize = 50_000;

/// Returns a day that is the same for all runs.
pub fn day() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).expect("an instant")
}

/// Returns the version of the policy.
pub fn policy() -> PolicyVersion {
    "2026-09-01".parse().expect("a version")
}

/// Returns the specification of the table: one column per category, a plain column, and the tags.
pub fn spec() -> Arc<TableSpec> {
    let mut columns: Vec<TableColumn> = CATEGORIES
        .iter()
        .map(|name| {
            column(
                name,
                DataType::Utf8,
                personal(name),
                *name == "phone_number",
            )
        })
        .collect();
    columns.push(column(
        "segments",
        DataType::Int32,
        ColumnRole::Plain,
        false,
    ));
    columns.extend(
        CATEGORIES
            .iter()
            .map(|name| column(&expires_column(name), instant(), ColumnRole::Tag, false)),
    );
    for (name, data_type) in [
        ("policy_version", DataType::Utf8),
        ("ingested_at", instant()),
        ("records", DataType::Int64),
        ("source_offset", DataType::Int64),
        ("bucket", DataType::Date32),
        ("profile", DataType::Utf8),
    ] {
        columns.push(column(name, data_type, ColumnRole::Tag, false));
    }
    Arc::new(TableSpec {
        product: "bench".parse().expect("a product"),
        unit: BucketUnit::Day,
        columns,
        forms: None,
    })
}

/// Returns some rows. The first has the offset `from`.
pub fn rows(from: i64, random: &mut StdRng) -> RecordBatch {
    let mut text = || -> ArrayRef {
        let one = |random: &mut StdRng| {
            (0..4)
                .map(|_| format!("{:x}", random.random::<u64>()))
                .collect::<String>()
        };
        Arc::new(StringArray::from_iter_values(
            (0..ROWS).map(|_| one(random)),
        ))
    };
    let mut columns: Vec<(&str, ArrayRef)> =
        CATEGORIES.iter().map(|name| (*name, text())).collect();
    columns.push((
        "segments",
        Arc::new(Int32Array::from_iter_values(
            (0..ROWS).map(|row| row as i32 % 4),
        )),
    ));
    let at =
        TimestampMicrosecondArray::from(vec![day().timestamp_micros(); ROWS]).with_timezone("UTC");
    columns.push(("ingested_at", Arc::new(at)));
    columns.push((
        "source_offset",
        Arc::new(Int64Array::from_iter_values(from..from + ROWS as i64)),
    ));
    RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
    .expect("columns of one length")
}

/// Returns the tags that all rows of the bucket share.
pub fn tags() -> SegmentTags {
    SegmentTags {
        bucket: Bucket::Day(day().date_naive()),
        profile: "0123456789ab".parse().expect("a profile"),
        profile_text: "four categories".to_owned(),
        deadlines: CATEGORIES
            .iter()
            .zip(1..)
            .map(|(name, months)| {
                (
                    name.parse().expect("a category"),
                    Some(Deadline(day() + TimeDelta::days(30 * months))),
                )
            })
            .collect(),
        policy_version: policy(),
    }
}

/// Fills the table's one bucket with about `bytes` bytes, in segments of about `each` bytes.
pub async fn fill(table: &mut Table, bytes: u64, each: u64) {
    let partition = TopicPartition {
        topic: "bench".parse().expect("a topic"),
        partition: Partition(0),
    };
    let mut random = StdRng::seed_from_u64(7);
    let (mut from, mut written) = (0i64, 0);
    while written < bytes {
        let start = from;
        let mut writer =
            SegmentWriter::new(Arc::clone(table.spec()), tags(), &[]).expect("a segment");
        while (writer.memory() as u64) < each.min(bytes - written) {
            writer
                .write(&rows(from, &mut random))
                .expect("rows of the table");
            from += ROWS as i64;
        }
        let segment = table
            .put(writer.finish().expect("an encoded segment"))
            .await
            .expect("a written segment");
        written += segment.size();
        let offsets = StoredOffsets {
            partition: partition.clone(),
            from: (start > 0).then_some(Offset(start)),
            next: Offset(from),
        };
        let mut evidence = Evidence::ingest(Uuid::new_v4(), day(), policy());
        evidence.stored = offsets.records();
        commit(table, vec![segment], offsets, evidence).await;
    }
}
