//! Records of the small product, and how a writer stores them.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Field, Schema as ArrowSchema};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use ebbtide_base::ids::{Offset, Partition, ProductKey, Topic, TopicPartition};
use ebbtide_controls::{Controls, ProductNotices};
use ebbtide_policy::Policy;
use ebbtide_policy::tag::{Arrivals, Tagger};
use ebbtide_table::{
    Evidence, IngestCommit, OffsetAdvance, PartitionEvidence, Root, SegmentWriter, Table,
};

/// One record.
#[derive(Debug, Clone)]
pub struct SmsRecord {
    /// The recipient's number.
    pub recipient: String,
    /// The text.
    pub body: String,
    /// The time of sending.
    pub sent_at: DateTime<Utc>,
    /// The customer.
    pub customer: String,
    /// The delivery status.
    pub status: String,
}

/// Returns the number of that person.
pub fn number(person: u32) -> String {
    format!("316{:08}", 10_000_000 + person)
}

/// Returns `count` records of one customer at `at`, each of another person.
pub fn texts(at: DateTime<Utc>, count: u32) -> Vec<SmsRecord> {
    let one = |person| SmsRecord {
        recipient: number(person),
        body: format!("what {person} reads"),
        sent_at: at,
        customer: "acme".to_owned(),
        status: if person % 2 == 0 {
            "delivered"
        } else {
            "failed"
        }
        .to_owned(),
    };
    (0..count).map(one).collect()
}

/// Records that a writer read from the one partition.
pub struct ReadBatch<'r> {
    /// The table's next offset; `None` if it had none.
    pub from: Option<i64>,
    /// The records from that offset on.
    pub records: &'r [SmsRecord],
    /// The time at which they arrived.
    pub at: DateTime<Utc>,
}

/// Returns the one partition.
pub fn source() -> TopicPartition {
    TopicPartition {
        topic: Topic::new("traffic.sms").unwrap(),
        partition: Partition(0),
    }
}

/// Tags and writes the records that were read, as ingest does, and returns the commit to make.
pub async fn written(
    table: &Table,
    policy: &Policy,
    tagger: &Tagger,
    read: ReadBatch<'_>,
) -> IngestCommit {
    let source = source();
    let from = read.from.unwrap_or(0);
    let next = from + i64::try_from(read.records.len()).unwrap();
    let offsets: Vec<i64> = (from..next).collect();
    let arrivals = Arrivals {
        source: &source,
        offsets: &offsets,
        at: read.at,
    };
    let tagged = tagger
        .tag(&batch(read.records), &arrivals, TimeDelta::hours(1))
        .unwrap();
    let (mut segments, mut stored) = (Vec::new(), 0);
    for group in tagged.groups {
        let mut writer = SegmentWriter::of_group(table.spec(), &group, &policy.version).unwrap();
        writer.write(&group.rows).unwrap();
        stored += group.rows.num_rows() as u64;
        segments.push(table.put(writer.finish().unwrap()).await.unwrap());
    }
    let mut evidence = Evidence::ingest(Uuid::nil(), read.at, policy.version.clone());
    (evidence.read, evidence.stored) = (read.records.len() as u64, stored);
    evidence.expired = evidence.read - stored;
    let (was, next, records) = (read.from.map(Offset), Offset(next), evidence.read);
    evidence.partitions = vec![PartitionEvidence {
        partition: source.clone(),
        from: was,
        next,
        records,
    }];
    let advances = vec![OffsetAdvance {
        partition: source,
        from: was,
        next,
        topic: None,
    }];
    IngestCommit {
        segments,
        advances,
        controls: table.controls(),
        evidence,
    }
}

/// Returns a tagger that uses the controls of a table.
pub async fn knowing(root: &Root, policy: &Policy, table: &Table) -> Tagger {
    let mut tagger = Tagger::new(policy, &sms()).unwrap();
    let controls = Controls::load(root, table.controls()).await.unwrap();
    tagger
        .know(ProductNotices::of(&controls, &sms(), tagger.calendar()).triggers(tagger.records()));
    tagger
}

/// Returns the one product.
pub fn sms() -> ProductKey {
    "sms".parse().unwrap()
}

fn batch(records: &[SmsRecord]) -> RecordBatch {
    let text = |of: fn(&SmsRecord) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(records.iter().map(of)))
    };
    let at = TimestampMicrosecondArray::from_iter_values(
        records.iter().map(|sms| sms.sent_at.timestamp_micros()),
    );
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("recipient", text(|sms| &sms.recipient)),
        ("body", text(|sms| &sms.body)),
        ("sent_at", Arc::new(at.with_timezone("UTC"))),
        ("customer_id", text(|sms| &sms.customer)),
        ("status", text(|sms| &sms.status)),
        (
            "segments",
            Arc::new(Int32Array::from_iter_values((0..records.len()).map(|_| 1))),
        ),
    ];
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
        .collect();
    RecordBatch::try_new(
        Arc::new(ArrowSchema::new(fields)),
        columns.into_iter().map(|(_, column)| column).collect(),
    )
    .unwrap()
}
