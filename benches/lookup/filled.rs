//! A table of text messages: a segment a day, each person with about fifty of them over all days.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, TimeDelta, Utc};
use ebbtide::ids::{Bucket, BucketUnit, Deadline, Offset, Partition, PolicyVersion, ProductKey, TopicPartition};
use ebbtide::store::{
    Advance, Evidence, IngestCommit, PartitionProgress, Role, SegmentTags, SegmentWriter, Table, TableColumn, TableSpec,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

/// Rows of a segment.
const SEGMENT_ROWS: u64 = 2_500_000;

/// Rows that are made at once.
const ROWS: usize = 50_000;

/// Rows that each person has, about.
const EACH: u64 = 50;

/// A first day that all runs agree on.
fn day() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).expect("an instant")
}

fn policy() -> PolicyVersion {
    "2026-09-01".parse().expect("a version")
}

/// The table's product.
pub fn product() -> ProductKey {
    "bench".parse().expect("a product")
}

/// How many people there are in so many rows.
pub fn people(rows: u64) -> u64 {
    (rows / EACH).max(1)
}

/// The number of a person.
pub fn person(number: u64) -> String {
    // Neighbours by number are not neighbours by name.
    format!("316{:08}", number.wrapping_mul(2_654_435_761) % 100_000_000)
}

/// The table.
pub fn spec() -> Arc<TableSpec> {
    let instant = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let column = |name: &str, data_type: DataType, role: Role, bloom: bool| {
        let name = name.to_owned();
        TableColumn { name, data_type, role, doc: None, bloom }
    };
    let personal = |name: &str| Role::Personal(name.parse().expect("a category"));
    let columns = vec![
        column("message_id", DataType::Utf8, personal("traffic_data"), false),
        column("recipient", DataType::Utf8, personal("phone_number"), true),
        column("body", DataType::Utf8, personal("content"), false),
        column("sent_at", instant(), personal("traffic_data"), false),
        column("customer_id", DataType::Utf8, Role::Plain, true),
        column("segments", DataType::Int32, Role::Plain, false),
        column("expires_content", instant(), Role::Tag, false),
        column("expires_phone_number", instant(), Role::Tag, false),
        column("expires_traffic_data", instant(), Role::Tag, false),
        column("jurisdiction", DataType::Utf8, Role::Tag, false),
        column("policy_version", DataType::Utf8, Role::Tag, false),
        column("ingested_at", instant(), Role::Tag, false),
        column("records", DataType::Int64, Role::Tag, false),
        column("source_offset", DataType::Int64, Role::Tag, false),
        column("bucket", DataType::Date32, Role::Tag, false),
        column("profile", DataType::Utf8, Role::Tag, false),
    ];
    Arc::new(TableSpec { product: product(), unit: BucketUnit::Day, columns })
}

/// Fills the table; its files.
pub async fn fill(table: &mut Table, rows: u64, sorted: bool) -> Vec<PathBuf> {
    let people = people(rows);
    let mut random = StdRng::seed_from_u64(7);
    let partition = TopicPartition { topic: "bench".parse().expect("a topic"), partition: Partition(0) };
    let (mut from, mut files) = (0_u64, Vec::new());
    while from < rows {
        let next = rows.min(from + SEGMENT_ROWS);
        let mut whose: Vec<String> = (from..next).map(|_| person(random.random_range(0..people))).collect();
        if sorted {
            whose.sort_unstable();
        }
        let at = day() + TimeDelta::days(i64::try_from(files.len()).expect("few files"));
        let mut writer = SegmentWriter::new(Arc::clone(table.spec()), tags(at), &[]).expect("a segment");
        let mut offset = i64::try_from(from).expect("a small table");
        for some in whose.chunks(ROWS) {
            writer.write(&batch(some, offset, at, &mut random)).expect("rows of the table");
            offset += i64::try_from(some.len()).expect("a small batch");
        }
        let segment = table.put(writer.finish().expect("an encoded segment")).await.expect("a written segment");
        files.push(PathBuf::from(segment.path()));
        let offset_of = |row: u64| Offset(i64::try_from(row).expect("a small table"));
        let (before, after, records) = ((from > 0).then(|| offset_of(from)), offset_of(next), next - from);
        let mut evidence = Evidence::ingest(Uuid::new_v4(), day(), policy());
        (evidence.read, evidence.stored) = (records, records);
        let progress = PartitionProgress { partition: partition.clone(), from: before, next: after, records };
        evidence.partitions = vec![progress];
        let advances = vec![Advance { partition: partition.clone(), from: before, next: after }];
        let commit = IngestCommit { segments: vec![segment], advances, controls: table.controls(), evidence };
        table.commit(commit).await.expect("a commit");
        from = next;
    }
    files
}

fn tags(at: DateTime<Utc>) -> SegmentTags {
    let due =
        |category: &str, days| (category.parse().expect("a category"), Some(Deadline(at + TimeDelta::days(days))));
    SegmentTags {
        bucket: Bucket::Day(at.date_naive()),
        profile: "0123456789ab".parse().expect("a profile"),
        profile_text: "three categories".to_owned(),
        deadlines: vec![due("content", 180), due("phone_number", 720), due("traffic_data", 720)],
        policy_version: policy(),
    }
}

fn batch(whose: &[String], from: i64, at: DateTime<Utc>, random: &mut StdRng) -> RecordBatch {
    let count = whose.len();
    let mut texts = |parts: usize| -> ArrayRef {
        let one = |random: &mut StdRng| (0..parts).map(|_| format!("{:x}", random.random::<u64>())).collect::<String>();
        Arc::new(StringArray::from_iter_values((0..count).map(|_| one(random))))
    };
    let (ids, bodies) = (texts(1), texts(3));
    let micros = |of: &mut dyn FnMut() -> i64| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter_values((0..count).map(|_| of())).with_timezone("UTC"))
    };
    let start = at.timestamp_micros();
    let customers = (0..count).map(|_| format!("customer-{}", random.random_range(0..500_u32))).collect::<Vec<_>>();
    let sent = micros(&mut || start + random.random_range(0..86_400_000_000_i64));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("message_id", ids),
        ("recipient", Arc::new(StringArray::from_iter_values(whose))),
        ("body", bodies),
        ("sent_at", sent),
        ("customer_id", Arc::new(StringArray::from_iter_values(customers))),
        ("segments", Arc::new(Int32Array::from_iter_values((0..count).map(|row| i32::from(row % 4 == 0))))),
        ("jurisdiction", Arc::new(StringArray::from_iter_values(std::iter::repeat_n("NL", count)))),
        ("ingested_at", micros(&mut || start)),
        ("source_offset", Arc::new(Int64Array::from_iter_values((from..).take(count)))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .expect("columns of one length")
}
