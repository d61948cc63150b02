//! A table of SMS as ingest would have stored them at a time in the past.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use ebbtide_base::ids::{Offset, Partition, ProductKey, Topic, TopicPartition};
use ebbtide_demo::traffic::{Framing, Traffic, TrafficSettings, TrafficSource};
use ebbtide_policy::Policy;
use ebbtide_policy::schema::{Decoder, Frame, WriterSchema, frame};
use ebbtide_policy::tag::{Arrivals, Tagger};
use ebbtide_services::policy_file::read_policy;
use ebbtide_table::{
    Evidence, IngestCommit, OffsetAdvance, PartitionEvidence, Root, Segment, SegmentWriter, Table,
    TableSpec,
};
use uuid::Uuid;

/// The number of records that are decoded together.
const BATCH: usize = 8192;

/// Returns the shipped policy.
pub fn policy() -> Policy {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/policy.yaml");
    read_policy(&path)
        .expect("the shipped policy")
        .policy
        .expect("a clean policy")
}

/// Returns the product that is measured.
pub fn sms() -> ProductKey {
    ProductKey::new("sms").expect("a product")
}

/// Returns the partition of all records. No program reads its topic.
fn source() -> TopicPartition {
    TopicPartition {
        topic: Topic::new("history.sms").expect("a topic"),
        partition: Partition(0),
    }
}

/// Stores `records` SMS that arrived at `at` after those that the table has. A segment is full at
/// about `in_segment` rows. Returns the table.
pub async fn fill(
    root: &Root,
    policy: &Policy,
    at: DateTime<Utc>,
    records: usize,
    in_segment: u64,
) -> Table {
    let spec = Arc::new(TableSpec::of(policy, &sms()).expect("a product with records"));
    let mut table = Table::open(root, Arc::clone(&spec)).await.expect("a table");
    let schema = &policy.products[&sms()]
        .records
        .as_ref()
        .expect("records")
        .schema;
    let tagger = Tagger::new(policy, &sms()).expect("a product with records");
    let writer = WriterSchema::parse(schema.text()).expect("the shipped schema");
    let mut decoder = Decoder::new(&writer, schema, tagger.columns()).expect("it reads itself");
    let of = TrafficSource {
        product: sms(),
        topic: source().topic,
        schema: schema.text().to_owned(),
        framing: Framing::SingleObject,
    };
    let mut traffic = Traffic::new(7, TrafficSettings::STEADY, &[of]).expect("traffic");
    let (mut open, mut written, mut stored) = (BTreeMap::new(), Vec::<Segment>::new(), 0);
    let from = table.next_offset(&source());
    let first = from.map_or(0, |offset| offset.0);
    let mut message = Vec::new();
    let mut done = 0;
    while done < records {
        let count = BATCH.min(records - done);
        for _ in 0..count {
            message.clear();
            traffic.append(at, &mut message);
            let Ok(Frame::SingleObject { body, .. }) = frame(Some(&message)) else {
                panic!("a frame")
            };
            decoder.push(body).expect("a good message");
        }
        let batch = decoder.flush().batch;
        let begin = first + done as i64;
        let offsets: Vec<i64> = (begin..begin + count as i64).collect();
        let partition = source();
        let arrivals = Arrivals {
            source: &partition,
            offsets: &offsets,
            at,
        };
        for group in tagger
            .tag(&batch, &arrivals, TimeDelta::hours(1))
            .expect("a tagged batch")
            .groups
        {
            let key = (group.bucket, group.profile.id.clone());
            stored += group.rows.num_rows() as u64;
            let writer = open.entry(key.clone()).or_insert_with(|| {
                SegmentWriter::of_group(&spec, &group, &policy.version).expect("a segment")
            });
            writer.write(&group.rows).expect("rows of the table");
            if writer.rows() >= in_segment
                && let Some(full) = open.remove(&key)
            {
                written.push(
                    table
                        .put(full.finish().expect("a segment"))
                        .await
                        .expect("a written segment"),
                );
            }
        }
        done += count;
    }
    for writer in open.into_values() {
        written.push(
            table
                .put(writer.finish().expect("a segment"))
                .await
                .expect("a written segment"),
        );
    }
    let next = Offset(first + records as i64);
    let mut evidence = Evidence::ingest(Uuid::new_v4(), at, policy.version.clone());
    (evidence.read, evidence.stored, evidence.expired) =
        (records as u64, stored, records as u64 - stored);
    evidence.partitions = vec![PartitionEvidence {
        partition: source(),
        from,
        next,
        records: records as u64,
    }];
    let advances = vec![OffsetAdvance {
        partition: source(),
        from,
        next,
        topic: None,
    }];
    let batch = IngestCommit {
        segments: written,
        advances,
        controls: table.controls(),
        evidence,
    };
    table.commit(batch).await.expect("a commit");
    table
}
