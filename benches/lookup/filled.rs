//! A table of text messages as compaction leaves it: a segment a day, sorted by recipient, each person with about fifty rows.
//!
//! Half of the rows are of guests, who write for four days in a row and are not heard of before or after: their rows do not grow
//! with the table. The other half are of regulars, who write on any day: theirs do.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, TimeDelta, Utc};
use ebbtide::ids::{Bucket, BucketUnit, Deadline, Offset, Partition, PolicyVersion, ProductKey, TopicPartition};
use ebbtide::store::{
    Advance, COMPACT, Evidence, IngestCommit, Merging, PartitionProgress, RewriteCommit, RewriteEvidence, Role, Root,
    SegmentIndex, SegmentTags, SegmentWriter, Table, TableColumn, TableSpec, Upkeep,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

/// Rows that are made at once.
const ROWS: usize = 50_000;

/// Rows that each person has at the end, about.
const EACH: u64 = 50;

/// Days that a guest stays.
const STAY: u64 = 4;

/// Bytes that a compaction takes where nothing else is configured.
const MEMORY: usize = 256 << 20;

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

/// How large a table is to become.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub days: u64,
    /// Rows of a day.
    pub rows: u64,
}

impl Size {
    /// Guests of one stay.
    fn guests(self) -> u64 {
        (self.rows * STAY / 2 / EACH).max(1)
    }

    fn regulars(self) -> u64 {
        (self.rows * self.days / 2 / EACH).max(1)
    }

    /// A guest of the first days.
    pub fn guest(self, number: u64) -> String {
        person(number % self.guests())
    }

    /// Somebody who writes on any day.
    pub fn regular(self, number: u64) -> String {
        person(50_000_000 + number % self.regulars())
    }

    fn somebody(self, day: u64, random: &mut StdRng) -> String {
        match random.random_bool(0.5) {
            true => person(day / STAY * self.guests() + random.random_range(0..self.guests())),
            false => person(50_000_000 + random.random_range(0..self.regulars())),
        }
    }
}

/// Somebody who is not there.
pub fn nobody(number: u64) -> String {
    format!("{}x", person(number))
}

/// The number of a person.
fn person(number: u64) -> String {
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
    Arc::new(TableSpec { product: product(), unit: BucketUnit::Day, columns, forms: None })
}

/// Adds days to the table, up to so many, each as ingest leaves it and then compacted. Without that, rows stay
/// as they came.
pub async fn grow(table: &mut Table, root: &Root, (size, days): (Size, u64), compacted: bool) {
    let index = SegmentIndex::load(table).await.expect("the segments");
    for day in index.len() as u64..days {
        let at = day_at(day);
        put(table, size, day, at).await;
        if compacted {
            compact(table, root, at).await;
        }
    }
    // Checkpoints, as the janitor makes them.
    table.maintain(day(), &Upkeep::default()).await.expect("an upkept table");
}

fn day_at(number: u64) -> DateTime<Utc> {
    day() + TimeDelta::days(i64::try_from(number).expect("few days"))
}

async fn put(table: &mut Table, size: Size, day_number: u64, at: DateTime<Utc>) {
    let mut random = StdRng::seed_from_u64(day_number);
    let partition = TopicPartition { topic: "bench".parse().expect("a topic"), partition: Partition(0) };
    let offset_of = |row: u64| Offset(i64::try_from(row).expect("a small table"));
    let (from, next) = (day_number * size.rows, (day_number + 1) * size.rows);
    let mut writer = SegmentWriter::new(Arc::clone(table.spec()), tags(at), &[]).expect("a segment");
    let mut made = from;
    while made < next {
        let some = (next - made).min(ROWS as u64);
        let whose: Vec<String> = (0..some).map(|_| size.somebody(day_number, &mut random)).collect();
        writer.write(&batch(&whose, offset_of(made).0, at, &mut random)).expect("rows of the table");
        made += some;
    }
    let segment = table.put(writer.finish().expect("an encoded segment")).await.expect("a written segment");
    let (before, after, records) = ((from > 0).then(|| offset_of(from)), offset_of(next), size.rows);
    let mut evidence = Evidence::ingest(Uuid::new_v4(), day(), policy());
    (evidence.read, evidence.stored) = (records, records);
    evidence.partitions = vec![PartitionProgress { partition: partition.clone(), from: before, next: after, records }];
    let advances = vec![Advance { partition, from: before, next: after, topic: None }];
    let commit = IngestCommit { segments: vec![segment], advances, controls: table.controls(), evidence };
    table.commit(commit).await.expect("a commit");
}

/// What compaction does with a closed day.
async fn compact(table: &mut Table, root: &Root, at: DateTime<Utc>) {
    let index = SegmentIndex::load(table).await.expect("the segments");
    let bucket = Bucket::Day(at.date_naive());
    let old: Vec<_> = index.iter().filter(|segment| segment.bucket == bucket).cloned().collect();
    let how = Merging { sort_by: vec!["recipient".to_owned()], memory: MEMORY };
    let merged = table.merge(&old, &how).await.expect("a merge");
    let rows = merged.rows();
    let did = RewriteEvidence {
        rows_in: rows,
        records_in: rows,
        rows_out: rows,
        records_out: rows,
        ..RewriteEvidence::default()
    };
    let evidence = Evidence::rewrite(COMPACT, Uuid::new_v4(), day(), policy(), did);
    let place = folder(root);
    let gone: Vec<PathBuf> = old.iter().map(|segment| place.join(&*segment.path)).collect();
    let (controls, adds) = (table.controls(), vec![merged]);
    let rewrite = RewriteCommit { removes: old, seen_at: index.version(), adds, controls, renewed: false, evidence };
    table.commit_rewrite(rewrite).await.expect("a commit");
    // What the janitor does once no reader can want it.
    gone.iter().for_each(|file| std::fs::remove_file(file).expect("a file that goes"));
}

/// The table's files, and their bytes.
pub async fn files(table: &Table, root: &Root) -> (Vec<PathBuf>, u64) {
    let index = SegmentIndex::load(table).await.expect("the segments");
    let place = folder(root);
    let files = index.iter().map(|segment| place.join(&*segment.path)).collect();
    (files, index.iter().map(|segment| segment.size).sum())
}

fn folder(root: &Root) -> PathBuf {
    root.local().expect("a folder").join("tables").join(product().as_str())
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
