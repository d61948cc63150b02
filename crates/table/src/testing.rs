//! Fixtures for the tests of this crate and of those above: a small product, rows of it, and
//! batches ready to commit.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "only tests use it"
)]

pub mod arbitrary;
#[cfg(test)]
pub mod buckets;
pub mod flaky;
pub mod hook;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use uuid::Uuid;

use futures::StreamExt;

use super::error::StoreError;
use super::log::{LogState, files};
use super::spec::{ColumnRole, TableColumn, TableSpec, instant, tags};
use super::{
    ControlsVersion, EncodedSegment, Evidence, IngestCommit, OffsetAdvance, PartitionEvidence,
    RewriteCommit, RewriteEvidence, Segment, SegmentIndex, SegmentTags, SegmentWriter,
    StoredSegment, Table,
};
use ebbtide_base::ids::{
    Bucket, BucketUnit, Category, Deadline, Offset, Partition, ProductKey, TopicPartition,
};

/// A value that is in every personal column of every row.
pub const MARKER: &str = "31699-MARKER";

/// Returns the instant that all tests use.
pub fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

/// Returns a segment of one row as a log lists it, without deadlines; no file is written.
pub fn stored_segment(path: &str) -> StoredSegment {
    StoredSegment {
        path: path.into(),
        bucket: Bucket::Day(NaiveDate::from_ymd_opt(2026, 11, 24).unwrap()),
        profile: "0123456789ab".parse().unwrap(),
        rows: 1,
        records: 1,
        size: 1,
        deadlines: Arc::default(),
        policy_version: None,
        cells: false,
    }
}

/// Returns a product with two categories, a tenant, a plain number, a list and the tags.
pub fn spec() -> Arc<TableSpec> {
    let (phone, content) = (
        Category::new("phone_number").unwrap(),
        Category::new("content").unwrap(),
    );
    let column = |name: &str, data_type: DataType, role: ColumnRole, bloom: bool| TableColumn {
        name: name.to_owned(),
        data_type,
        role,
        doc: Some(format!("What {name} means.")),
        bloom,
    };
    let list = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    let mut columns = vec![
        column(
            "recipient",
            DataType::Utf8,
            ColumnRole::Personal(phone.clone()),
            true,
        ),
        column(
            "body",
            DataType::Utf8,
            ColumnRole::Personal(content.clone()),
            false,
        ),
        column(
            "sent_at",
            instant(),
            ColumnRole::Personal(phone.clone()),
            false,
        ),
        column("media", list, ColumnRole::Personal(content.clone()), false),
        column("customer_id", DataType::Utf8, ColumnRole::Plain, true),
        column("segments", DataType::Int32, ColumnRole::Plain, false),
    ];
    columns.extend(tags(&[phone, content].into(), BucketUnit::Day));
    Arc::new(TableSpec {
        product: "sms".parse().unwrap(),
        unit: BucketUnit::Day,
        columns,
        forms: None,
    })
}

/// Returns the partition of that number of the one topic.
pub fn partition(number: i32) -> TopicPartition {
    TopicPartition {
        topic: "traffic.sms".parse().unwrap(),
        partition: Partition(number),
    }
}

/// Returns the tags of a segment: content due in 90 days, phone numbers in 180.
pub fn segment_tags() -> SegmentTags {
    let due = |days| Some(Deadline(noon() + TimeDelta::days(days)));
    SegmentTags {
        bucket: Bucket::Day(NaiveDate::from_ymd_opt(2026, 9, 21).unwrap()),
        profile: "0123456789ab".parse().unwrap(),
        profile_text: "content=90 days at_most event;phone_number=180 days at_most event"
            .to_owned(),
        deadlines: vec![
            ("content".parse().unwrap(), due(90)),
            ("phone_number".parse().unwrap(), due(180)),
        ],
        policy_version: "2026-09-01".parse().unwrap(),
    }
}

/// Returns rows of a partition with the offsets `from..next`, as the tagging of ingest returns
/// them.
pub fn rows(partition: i32, from: i64, next: i64) -> RecordBatch {
    let n = usize::try_from(next - from).unwrap();
    let text = |value: &dyn Fn(i64) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((from..next).map(value)))
    };
    let micros = |at: DateTime<Utc>| -> ArrayRef {
        Arc::new(
            TimestampMicrosecondArray::from(vec![at.timestamp_micros(); n]).with_timezone("UTC"),
        )
    };
    let mut media = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
    for offset in from..next {
        for part in 0..offset % 3 {
            media
                .values()
                .append_value(format!("{MARKER}-{offset}-{part}"));
        }
        media.append(offset % 5 != 0);
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "recipient",
            text(&|offset| format!("{MARKER}-{}", offset % 100)),
        ),
        ("body", text(&|offset| format!("{MARKER} hello {offset}"))),
        ("sent_at", micros(noon())),
        ("media", Arc::new(media.finish())),
        (
            "customer_id",
            text(&|offset| format!("customer-{}", offset % 7)),
        ),
        (
            "segments",
            Arc::new(Int32Array::from_iter(
                (from..next).map(|o| Some((o % 4) as i32)),
            )),
        ),
        (
            "jurisdiction",
            text(&|offset| {
                if offset % 2 == 0 {
                    "NL".to_owned()
                } else {
                    "IN".to_owned()
                }
            }),
        ),
        ("ingested_at", micros(noon())),
        ("source_topic", text(&|_| "traffic.sms".to_owned())),
        (
            "source_partition",
            Arc::new(Int32Array::from(vec![partition; n])),
        ),
        (
            "source_offset",
            Arc::new(Int64Array::from_iter_values(from..next)),
        ),
    ];
    let fields = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(
        schema,
        columns.into_iter().map(|(_, array)| array).collect(),
    )
    .unwrap()
}

/// Encodes one segment with those rows.
pub fn encoded(batch: &RecordBatch) -> EncodedSegment {
    let mut writer = SegmentWriter::new(spec(), segment_tags(), &[]).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap()
}

/// Writes a segment with the offsets `from..next`.
pub async fn segment(table: &Table, number: i32, from: i64, next: i64) -> Segment {
    table.put(encoded(&rows(number, from, next))).await.unwrap()
}

/// Creates a batch that moves one partition by one segment.
pub async fn batch(table: &Table, number: i32, from: Option<i64>, next: i64) -> IngestCommit {
    let start = from.unwrap_or(0);
    let segments = vec![segment(table, number, start, next).await];
    let mut evidence = Evidence::ingest(Uuid::nil(), noon(), "2026-09-01".parse().unwrap());
    evidence.read = u64::try_from(next - start).unwrap();
    evidence.stored = evidence.read;
    evidence.buckets = segments
        .iter()
        .map(|segment| segment.bucket().to_string())
        .collect();
    let (from, next) = (from.map(Offset), Offset(next));
    evidence.partitions = vec![PartitionEvidence {
        partition: partition(number),
        from,
        next,
        records: evidence.read,
    }];
    let advances = vec![OffsetAdvance {
        partition: partition(number),
        from,
        next,
        topic: None,
    }];
    IngestCommit {
        segments,
        advances,
        controls: ControlsVersion(0),
        evidence,
    }
}

/// Creates a table of `count` segments of 100 rows each, each added by a separate commit.
pub async fn filled(root: &super::Root, count: i64) -> Table {
    let mut table = Table::open(root, spec()).await.unwrap();
    for from in 0..count {
        let work = batch(
            &table,
            0,
            (from > 0).then_some(from * 100),
            from * 100 + 100,
        )
        .await;
        table.commit(work).await.unwrap();
    }
    table
}

/// Creates a root in a new folder, which is deleted when the first value is dropped.
pub fn root() -> (tempfile::TempDir, super::Root) {
    let folder = tempfile::tempdir().unwrap();
    let root = super::Root::parse(folder.path().to_str().unwrap()).unwrap();
    (folder, root)
}

/// Writes a file of rows into the one table's folder, and returns it as an index would describe it.
/// No commit names it.
pub fn put(root: &super::Root, number: usize, rows: &RecordBatch, bytes: &[u8]) -> StoredSegment {
    let path = format!("bucket=2026-09-21/profile=0123456789ab/{number}.parquet");
    let file = root.table_folder(&"sms".parse().unwrap()).join(&path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, bytes).unwrap();
    let tags = segment_tags();
    StoredSegment {
        path: path.into(),
        bucket: tags.bucket,
        profile: tags.profile,
        rows: rows.num_rows() as u64,
        records: rows.num_rows() as u64,
        size: bytes.len() as u64,
        deadlines: Arc::default(),
        policy_version: None,
        cells: false,
    }
}

/// Returns the paths of the files that the one table lists.
pub async fn paths(root: &super::Root) -> Vec<String> {
    active_paths(root, &"sms".parse().unwrap()).await.unwrap()
}

/// Returns the paths of the files that a product's table lists, relative to its folder.
pub async fn active_paths(
    root: &super::Root,
    product: &ProductKey,
) -> Result<Vec<String>, StoreError> {
    let log = root.table_log(product);
    // The kernel lists files lazily: a checkpoint that cannot be read must be hidden before it begins.
    let listed = files::list(&log).await?;
    log.is_readable(&listed, u64::MAX).await?;
    let (_, snapshot) = LogState::load_snapshot(&log, &listed)
        .await?
        .expect("the table exists");
    let files: Vec<_> = snapshot.file_views(log.as_ref(), None).collect().await;
    files
        .into_iter()
        .map(|file| Ok(file?.object_store_path().to_string()))
        .collect()
}

/// Returns the content of a file of the one table.
pub async fn read(root: &super::Root, path: &str) -> bytes::Bytes {
    let table = root.table(&"sms".parse().unwrap()).0;
    let path = Path::parse(format!("{table}/{path}")).unwrap();
    root.store()
        .get(&path)
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap()
}

/// Returns every byte of the log of the one table, and the values of its checkpoints, which zstd
/// and snappy would hide.
pub fn log_bytes(root: &super::Root) -> Vec<u8> {
    let mut bytes = Vec::new();
    for file in std::fs::read_dir(
        root.table_folder(&"sms".parse().unwrap())
            .join("_delta_log"),
    )
    .unwrap()
    {
        let path = file.unwrap().path();
        let content = std::fs::read(&path).unwrap();
        bytes.extend_from_slice(&content);
        if path
            .extension()
            .is_some_and(|extension| extension == "parquet")
        {
            let reader =
                ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(content)).unwrap();
            for batch in reader.build().unwrap() {
                let batch = batch.unwrap();
                for (column, row) in batch
                    .columns()
                    .iter()
                    .flat_map(|c| (0..c.len()).map(move |row| (c, row)))
                {
                    bytes.extend(
                        arrow::util::display::array_value_to_string(column, row)
                            .unwrap()
                            .bytes(),
                    );
                }
            }
        }
    }
    bytes
}

/// Creates a rewrite that replaces those segments by the others, with evidence that agrees.
pub fn rewrite(
    index: &SegmentIndex,
    removes: Vec<StoredSegment>,
    adds: Vec<Segment>,
) -> RewriteCommit {
    let sum = |of: &dyn Fn(&Segment) -> u64| adds.iter().map(of).sum::<u64>();
    let records_in = removes.iter().map(|segment| segment.records).sum::<u64>();
    let cells: Vec<&Segment> = adds.iter().filter(|segment| segment.cells()).collect();
    let did = RewriteEvidence {
        rows_in: removes.iter().map(|segment| segment.rows).sum(),
        records_in,
        rows_out: sum(&Segment::rows),
        records_out: sum(&Segment::records),
        removed: records_in - sum(&Segment::records),
        cells: cells.iter().map(|segment| segment.rows()).sum(),
        cell_records: cells.iter().map(|segment| segment.records()).sum(),
        ..RewriteEvidence::default()
    };
    let evidence = Evidence::rewrite(
        "drop",
        Uuid::nil(),
        noon(),
        "2026-09-01".parse().unwrap(),
        did,
    );
    RewriteCommit {
        removes,
        seen_at: index.version(),
        adds,
        controls: ControlsVersion(0),
        renewed: false,
        evidence,
    }
}
