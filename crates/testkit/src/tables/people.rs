//! A table of text messages as compaction leaves it: one segment per day, sorted by recipient,
//! about fifty rows per person.
//!
//! Half of the rows belong to guests, who write on four consecutive days and never before or after:
//! the number of their rows does not grow with the table. The other half belongs to regulars, who
//! write on any day: the number of their rows grows.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::DataType;
use chrono::{DateTime, TimeDelta, Utc};
use ebbtide_base::ids::{
    Bucket, BucketUnit, Deadline, Offset, Partition, PolicyVersion, ProductKey, TopicPartition,
};
use ebbtide_table::{
    COMPACT, ColumnRole, Evidence, MaintenanceSettings, MergeSettings, RewriteCommit,
    RewriteEvidence, Root, SegmentIndex, SegmentTags, SegmentWriter, Table, TableSpec,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use super::{StoredOffsets, column, commit, instant, personal};

/// The number of rows that are made together.
const ROWS: usize = 50_000;

/// The approximate number of rows of each person at the end.
const EACH: u64 = 50;

/// The number of days that a guest stays.
const STAY: u64 = 4;

/// The memory of a compaction in bytes, if nothing else is configured.
const MEMORY: usize = 256 << 20;

/// Returns the first day, which is the same for all runs.
fn day() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).expect("an instant")
}

fn policy() -> PolicyVersion {
    "2026-09-01".parse().expect("a version")
}

/// Returns the table's product.
pub fn product() -> ProductKey {
    "bench".parse().expect("a product")
}

/// The size that a table is to reach.
#[derive(Debug, Clone, Copy)]
pub struct TableSize {
    pub days: u64,
    /// The number of rows per day.
    pub rows: u64,
}

impl TableSize {
    /// Returns the number of guests in one stay.
    fn guests(self) -> u64 {
        (self.rows * STAY / 2 / EACH).max(1)
    }

    fn regulars(self) -> u64 {
        (self.rows * self.days / 2 / EACH).max(1)
    }

    /// Returns a guest of the first days.
    pub fn guest(self, number: u64) -> String {
        person(number % self.guests())
    }

    /// Returns a person who writes on any day.
    pub fn regular(self, number: u64) -> String {
        person(50_000_000 + number % self.regulars())
    }

    fn random_person(self, day: u64, random: &mut StdRng) -> String {
        match random.random_bool(0.5) {
            true => person(day / STAY * self.guests() + random.random_range(0..self.guests())),
            false => person(50_000_000 + random.random_range(0..self.regulars())),
        }
    }
}

/// Returns a person who is not in the table.
pub fn absent_person(number: u64) -> String {
    format!("{}x", person(number))
}

/// Returns the phone number of a person.
fn person(number: u64) -> String {
    // People with consecutive indexes do not have consecutive phone numbers.
    format!("316{:08}", number.wrapping_mul(2_654_435_761) % 100_000_000)
}

/// Returns the specification of the table.
pub fn spec() -> Arc<TableSpec> {
    let columns = vec![
        column(
            "message_id",
            DataType::Utf8,
            personal("traffic_data"),
            false,
        ),
        column("recipient", DataType::Utf8, personal("phone_number"), true),
        column("body", DataType::Utf8, personal("content"), false),
        column("sent_at", instant(), personal("traffic_data"), false),
        column("customer_id", DataType::Utf8, ColumnRole::Plain, true),
        column("segments", DataType::Int32, ColumnRole::Plain, false),
        column("expires_content", instant(), ColumnRole::Tag, false),
        column("expires_phone_number", instant(), ColumnRole::Tag, false),
        column("expires_traffic_data", instant(), ColumnRole::Tag, false),
        column("jurisdiction", DataType::Utf8, ColumnRole::Tag, false),
        column("policy_version", DataType::Utf8, ColumnRole::Tag, false),
        column("ingested_at", instant(), ColumnRole::Tag, false),
        column("records", DataType::Int64, ColumnRole::Tag, false),
        column("source_offset", DataType::Int64, ColumnRole::Tag, false),
        column("bucket", DataType::Date32, ColumnRole::Tag, false),
        column("profile", DataType::Utf8, ColumnRole::Tag, false),
    ];
    Arc::new(TableSpec {
        product: product(),
        unit: BucketUnit::Day,
        columns,
        forms: None,
    })
}

/// Adds days to the table until it has `days` days, each as ingest writes it and then compacted. If
/// `compacted` is false, rows stay in the order in which they came.
pub async fn grow(table: &mut Table, root: &Root, size: TableSize, days: u64, compacted: bool) {
    let index = SegmentIndex::load(table).await.expect("the segments");
    for day in index.len() as u64..days {
        let at = day_at(day);
        put(table, size, day, at).await;
        if compacted {
            compact(table, root, at).await;
        }
    }
    // Writes checkpoints as the janitor does.
    table
        .maintain(day(), &MaintenanceSettings::default())
        .await
        .expect("an upkept table");
}

fn day_at(number: u64) -> DateTime<Utc> {
    day() + TimeDelta::days(i64::try_from(number).expect("few days"))
}

async fn put(table: &mut Table, size: TableSize, day_number: u64, at: DateTime<Utc>) {
    let mut random = StdRng::seed_from_u64(day_number);
    let partition = TopicPartition {
        topic: "bench".parse().expect("a topic"),
        partition: Partition(0),
    };
    let offset_of = |row: u64| Offset(i64::try_from(row).expect("a small table"));
    let (from, next) = (day_number * size.rows, (day_number + 1) * size.rows);
    let mut writer =
        SegmentWriter::new(Arc::clone(table.spec()), tags(at), &[]).expect("a segment");
    let mut made = from;
    while made < next {
        let some = (next - made).min(ROWS as u64);
        let whose: Vec<String> = (0..some)
            .map(|_| size.random_person(day_number, &mut random))
            .collect();
        writer
            .write(&batch(&whose, offset_of(made).0, at, &mut random))
            .expect("rows of the table");
        made += some;
    }
    let segment = table
        .put(writer.finish().expect("an encoded segment"))
        .await
        .expect("a written segment");
    let offsets = StoredOffsets {
        partition,
        from: (from > 0).then(|| offset_of(from)),
        next: offset_of(next),
    };
    let mut evidence = Evidence::ingest(Uuid::new_v4(), day(), policy());
    evidence.stored = size.rows;
    commit(table, vec![segment], offsets, evidence).await;
}

/// Compacts a closed day as the program does.
async fn compact(table: &mut Table, root: &Root, at: DateTime<Utc>) {
    let index = SegmentIndex::load(table).await.expect("the segments");
    let bucket = Bucket::Day(at.date_naive());
    let old: Vec<_> = index
        .iter()
        .filter(|segment| segment.bucket == bucket)
        .cloned()
        .collect();
    let how = MergeSettings {
        sort_by: vec!["recipient".to_owned()],
        memory: MEMORY,
    };
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
    let replaced: Vec<PathBuf> = old
        .iter()
        .map(|segment| place.join(&*segment.path))
        .collect();
    let (controls, adds) = (table.controls(), vec![merged]);
    let rewrite = RewriteCommit {
        removes: old,
        seen_at: index.version(),
        adds,
        controls,
        renewed: false,
        evidence,
    };
    table.commit_rewrite(rewrite).await.expect("a commit");
    // Deletes the replaced files, as the janitor does when no reader needs them.
    replaced
        .iter()
        .for_each(|file| std::fs::remove_file(file).expect("a file that can be deleted"));
}

/// Returns the table's files, and their total size in bytes.
pub async fn files(table: &Table, root: &Root) -> (Vec<PathBuf>, u64) {
    let index = SegmentIndex::load(table).await.expect("the segments");
    let place = folder(root);
    let files = index
        .iter()
        .map(|segment| place.join(&*segment.path))
        .collect();
    (files, index.iter().map(|segment| segment.size).sum())
}

fn folder(root: &Root) -> PathBuf {
    root.local()
        .expect("a folder")
        .join("tables")
        .join(product().as_str())
}

fn tags(at: DateTime<Utc>) -> SegmentTags {
    let due = |category: &str, days| {
        (
            category.parse().expect("a category"),
            Some(Deadline(at + TimeDelta::days(days))),
        )
    };
    SegmentTags {
        bucket: Bucket::Day(at.date_naive()),
        profile: "0123456789ab".parse().expect("a profile"),
        profile_text: "three categories".to_owned(),
        deadlines: vec![
            due("content", 180),
            due("phone_number", 720),
            due("traffic_data", 720),
        ],
        policy_version: policy(),
    }
}

fn batch(whose: &[String], from: i64, at: DateTime<Utc>, random: &mut StdRng) -> RecordBatch {
    let count = whose.len();
    let mut texts = |parts: usize| -> ArrayRef {
        let one = |random: &mut StdRng| {
            (0..parts)
                .map(|_| format!("{:x}", random.random::<u64>()))
                .collect::<String>()
        };
        Arc::new(StringArray::from_iter_values(
            (0..count).map(|_| one(random)),
        ))
    };
    let (ids, bodies) = (texts(1), texts(3));
    let micros = |of: &mut dyn FnMut() -> i64| -> ArrayRef {
        Arc::new(
            TimestampMicrosecondArray::from_iter_values((0..count).map(|_| of()))
                .with_timezone("UTC"),
        )
    };
    let start = at.timestamp_micros();
    let customers = (0..count)
        .map(|_| format!("customer-{}", random.random_range(0..500_u32)))
        .collect::<Vec<_>>();
    let sent = micros(&mut || start + random.random_range(0..86_400_000_000_i64));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("message_id", ids),
        ("recipient", Arc::new(StringArray::from_iter_values(whose))),
        ("body", bodies),
        ("sent_at", sent),
        (
            "customer_id",
            Arc::new(StringArray::from_iter_values(customers)),
        ),
        (
            "segments",
            Arc::new(Int32Array::from_iter_values(
                (0..count).map(|row| i32::from(row % 4 == 0)),
            )),
        ),
        (
            "jurisdiction",
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
                "NL", count,
            ))),
        ),
        ("ingested_at", micros(&mut || start)),
        (
            "source_offset",
            Arc::new(Int64Array::from_iter_values((from..).take(count))),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
    .expect("columns of one length")
}
