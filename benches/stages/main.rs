//! What each stage between Kafka and the commit costs one record, on one core, without Kafka.
//!
//! `cargo bench --bench stages -- [--records N]`. The stages are those of `docs/architecture.md`; each works on what the one
//! before it made. Reading from Kafka is measured by the bare consumer of the bench `ingest`.

// A program for the terminal, run by the clock; whatever goes wrong ends it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::disallowed_methods)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use ebbtide::app::read_policy;
use ebbtide::clock::{Clock, SystemClock};
use ebbtide::demo::traffic::{Framing, Habits, Source, Traffic};
use ebbtide::ids::{Offset, Partition, ProductKey, Topic, TopicPartition};
use ebbtide::policy::Policy;
use ebbtide::schema::{Decoder, Frame, WriterSchema, frame};
use ebbtide::store::{Advance, Evidence, IngestCommit, Root, SegmentTags, SegmentWriter, Table, TableSpec};
use ebbtide::tag::{Arrivals, Group, Tagger};
use uuid::Uuid;

/// How many messages a lane decodes at once.
const BATCH: usize = 8192;

fn main() {
    let records = std::env::args().skip_while(|argument| argument != "--records").nth(1);
    let records: usize = records.map_or(2_000_000, |text| text.parse().expect("a number of records"));
    let bench = Bench::new(ProductKey::new("sms").expect("a product"));
    let messages = bench.messages(records);
    println!("{records} SMS of {} bytes on average, one core", messages.iter().map(Vec::len).sum::<usize>() / records);
    let (decode, batches) = bench.decode(&messages);
    let (tag, groups) = bench.tag(&batches);
    let (encode, segments) = bench.encode(groups);
    let bytes: usize = segments.iter().map(|segment| segment.bytes().len()).sum();
    let files = segments.len();
    let commit = bench.commit(segments, records);
    println!("stage             ns a record");
    let per = |time: Duration| time.as_nanos() as f64 / records as f64;
    for (name, time) in [("check and decode", decode), ("tag", tag), ("encode", encode), ("write and commit", commit)] {
        println!("{name:<18} {:>10.0}", per(time));
    }
    println!("{:<18} {:>10.0}", "all", per(decode + tag + encode + commit));
    println!("{files} segments, {:.1} bytes a record", bytes as f64 / records as f64);
}

struct Bench {
    product: ProductKey,
    policy: Policy,
    tagger: Tagger,
    spec: Arc<TableSpec>,
    source: TopicPartition,
    now: DateTime<Utc>,
}

impl Bench {
    fn new(product: ProductKey) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/policy.yaml");
        let policy = read_policy(&path).expect("the shipped policy").policy.expect("a clean policy");
        let topic = Topic::new("traffic.sms").expect("a topic");
        Self {
            tagger: Tagger::new(&policy, &product).expect("a product with records"),
            spec: Arc::new(TableSpec::of(&policy, &product).expect("a product with records")),
            source: TopicPartition { topic, partition: Partition(0) },
            now: SystemClock::new().now(),
            policy,
            product,
        }
    }

    fn schema(&self) -> &Arc<ebbtide::schema::Schema> {
        &self.policy.products[&self.product].records.as_ref().expect("records").schema
    }

    fn messages(&self, records: usize) -> Vec<Vec<u8>> {
        let source = Source {
            product: self.product.clone(),
            topic: self.source.topic.clone(),
            schema: self.schema().text().to_owned(),
            framing: Framing::SingleObject,
        };
        let mut traffic = Traffic::new(7, Habits::STEADY, &[source]).expect("traffic");
        let mut one = || {
            let mut value = Vec::with_capacity(256);
            traffic.append(self.now, &mut value);
            value
        };
        (0..records).map(|_| one()).collect()
    }

    fn decode(&self, messages: &[Vec<u8>]) -> (Duration, Vec<arrow::array::RecordBatch>) {
        let writer = WriterSchema::parse(self.schema().text()).expect("the shipped schema");
        let mut decoder = Decoder::new(&writer, self.schema(), self.tagger.columns()).expect("it reads itself");
        let started = Instant::now();
        let mut batches = Vec::new();
        for batch in messages.chunks(BATCH) {
            for message in batch {
                let Ok(Frame::SingleObject { body, .. }) = frame(Some(message)) else { panic!("a frame") };
                decoder.push(body).expect("a good message");
            }
            batches.push(decoder.flush().batch);
        }
        (started.elapsed(), batches)
    }

    fn tag(&self, batches: &[arrow::array::RecordBatch]) -> (Duration, Vec<Group>) {
        let offsets: Vec<i64> = (0..BATCH as i64).collect();
        let started = Instant::now();
        let mut groups = Vec::new();
        for batch in batches {
            let from = Arrivals { source: &self.source, offsets: &offsets[..batch.num_rows()], at: self.now };
            groups.extend(self.tagger.tag(batch, &from, TimeDelta::hours(1)).expect("a tagged batch").groups);
        }
        (started.elapsed(), groups)
    }

    fn encode(&self, groups: Vec<Group>) -> (Duration, Vec<ebbtide::store::EncodedSegment>) {
        let started = Instant::now();
        let mut open = std::collections::BTreeMap::new();
        for Group { bucket, profile, deadlines, rows, .. } in groups {
            let writer = open.entry((bucket, profile.id.clone())).or_insert_with(|| {
                let categories = profile.terms.iter().map(|term| term.category.clone());
                let tags = SegmentTags {
                    bucket,
                    profile: profile.id.clone(),
                    profile_text: profile.text.clone(),
                    deadlines: categories.zip(deadlines).collect(),
                    policy_version: self.policy.version.clone(),
                };
                SegmentWriter::new(Arc::clone(&self.spec), tags, &[]).expect("a segment")
            });
            writer.write(&rows).expect("rows of the table");
        }
        let segments = open.into_values().map(|writer| writer.finish().expect("an encoded segment")).collect();
        (started.elapsed(), segments)
    }

    fn commit(&self, segments: Vec<ebbtide::store::EncodedSegment>, records: usize) -> Duration {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = Root::parse(folder.path().to_str().expect("a text path")).expect("a root");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut table = Table::open(&root, Arc::clone(&self.spec)).await.expect("a new table");
            let started = Instant::now();
            let mut written = Vec::new();
            for segment in segments {
                written.push(table.put(segment).await.expect("a written segment"));
            }
            let mut evidence = Evidence::ingest(Uuid::new_v4(), self.now, self.policy.version.clone());
            (evidence.read, evidence.stored) = (records as u64, records as u64);
            let next = Offset(records as i64);
            evidence.partitions = vec![ebbtide::store::PartitionProgress {
                partition: self.source.clone(),
                from: None,
                next,
                records: records as u64,
            }];
            let advances = vec![Advance { partition: self.source.clone(), from: None, next }];
            let batch = IngestCommit { segments: written, advances, controls: table.controls(), evidence };
            table.commit(batch).await.expect("a commit");
            started.elapsed()
        })
    }
}
