//! Measures the cost per record of each stage between Kafka and the commit, on one core, without
//! Kafka.
//!
//! `cargo bench --bench stages -- [--records N]`. The stages are those of `docs/architecture.md`.
//! Each works on the output of the one before it. The bare consumer of the bench `ingest` measures
//! the reading from Kafka.

// A command-line program that uses the real clock. Any error ends it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark measures time, prints, and ends at the first error"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use ebbtide_base::clock::{Clock, SystemClock};
use ebbtide_base::ids::{Offset, Partition, ProductKey, Topic, TopicPartition};
use ebbtide_demo::traffic::{Framing, Traffic, TrafficSettings, TrafficSource};
use ebbtide_policy::Policy;
use ebbtide_policy::schema::{Decoder, Frame, WriterSchema, frame};
use ebbtide_policy::tag::{Arrivals, Tagger};
use ebbtide_table::{EncodedSegment, Evidence, Root, SegmentWriter, Table, TableSpec};
use ebbtide_testkit::tables::{StoredOffsets, commit, shipped_policy};
use uuid::Uuid;

/// The number of messages that a lane decodes together.
const BATCH: usize = 8192;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let records = std::env::args()
        .skip_while(|argument| argument != "--records")
        .nth(1);
    let records: usize =
        records.map_or(2_000_000, |text| text.parse().expect("a number of records"));
    let bench = Bench::new(ProductKey::new("sms").expect("a product"));
    let messages = bench.messages(records);
    println!(
        "{records} SMS of {} bytes on average, one core",
        messages.len() / records
    );
    let mut times = Times::default();
    let segments = bench.ingest(&messages, &mut times);
    let bytes: usize = segments.iter().map(|segment| segment.bytes().len()).sum();
    let files = segments.len();
    times.commit = bench.commit(segments, records);
    println!("stage             ns a record");
    let per = |time: Duration| time.as_nanos() as f64 / records as f64;
    let Times {
        decode,
        tag,
        encode,
        commit,
    } = times;
    for (name, time) in [
        ("check and decode", decode),
        ("tag", tag),
        ("encode", encode),
        ("write and commit", commit),
    ] {
        println!("{name:<18} {:>10.0}", per(time));
    }
    println!(
        "{:<18} {:>10.0}",
        "all",
        per(decode + tag + encode + commit)
    );
    println!(
        "{files} segments, {:.1} bytes a record",
        bytes as f64 / records as f64
    );
}

/// The time of each stage over all records.
#[derive(Default)]
struct Times {
    decode: Duration,
    tag: Duration,
    encode: Duration,
    commit: Duration,
}

/// Messages one after the other, as in a lane's intake.
struct Messages {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Messages {
    fn len(&self) -> usize {
        self.bytes.len()
    }
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
        let policy = shipped_policy();
        let topic = Topic::new("traffic.sms").expect("a topic");
        Self {
            tagger: Tagger::new(&policy, &product).expect("a product with records"),
            spec: Arc::new(TableSpec::of(&policy, &product).expect("a product with records")),
            source: TopicPartition {
                topic,
                partition: Partition(0),
            },
            now: SystemClock::new().now(),
            policy,
            product,
        }
    }

    fn schema(&self) -> &Arc<ebbtide_policy::schema::Schema> {
        &self.policy.products[&self.product]
            .records
            .as_ref()
            .expect("records")
            .schema
    }

    fn messages(&self, records: usize) -> Messages {
        let source = TrafficSource {
            product: self.product.clone(),
            topic: self.source.topic.clone(),
            schema: self.schema().text().to_owned(),
            framing: Framing::SingleObject,
        };
        let mut traffic = Traffic::new(7, TrafficSettings::STEADY, &[source]).expect("traffic");
        let mut messages = Messages {
            bytes: Vec::with_capacity(records * 192),
            ends: Vec::with_capacity(records),
        };
        let mut one = Vec::with_capacity(256);
        for _ in 0..records {
            one.clear();
            traffic.append(self.now, &mut one);
            messages.bytes.extend_from_slice(&one);
            messages.ends.push(messages.bytes.len());
        }
        messages
    }

    /// Runs all stages except the last, a batch at a time as a lane does: each stage finds the
    /// output of the one before it in the caches, and memory is reused.
    fn ingest(&self, messages: &Messages, times: &mut Times) -> Vec<EncodedSegment> {
        let writer = WriterSchema::parse(self.schema().text()).expect("the shipped schema");
        let mut decoder =
            Decoder::new(&writer, self.schema(), self.tagger.columns()).expect("it reads itself");
        let offsets: Vec<i64> = (0..BATCH as i64).collect();
        let (mut open, mut at, mut clock) = (BTreeMap::new(), 0, Instant::now());
        let mut lap = |time: &mut Duration| {
            let now = Instant::now();
            *time += now - std::mem::replace(&mut clock, now);
        };
        for ends in messages.ends.chunks(BATCH) {
            for end in ends {
                let message = &messages.bytes[std::mem::replace(&mut at, *end)..*end];
                let Ok(Frame::SingleObject { body, .. }) = frame(Some(message)) else {
                    panic!("a frame")
                };
                decoder.push(body).expect("a good message");
            }
            let batch = decoder.flush().batch;
            lap(&mut times.decode);
            let from = Arrivals {
                source: &self.source,
                offsets: &offsets[..batch.num_rows()],
                at: self.now,
            };
            let groups = self
                .tagger
                .tag(&batch, &from, TimeDelta::hours(1))
                .expect("a tagged batch")
                .groups;
            drop(batch);
            lap(&mut times.tag);
            for group in groups {
                let writer = open
                    .entry((group.bucket, group.profile.id.clone()))
                    .or_insert_with(|| {
                        SegmentWriter::of_group(&self.spec, &group, &self.policy.version)
                            .expect("a segment")
                    });
                writer.write(&group.rows).expect("rows of the table");
            }
            lap(&mut times.encode);
        }
        let segments = open
            .into_values()
            .map(|writer: SegmentWriter| writer.finish().expect("an encoded segment"));
        let segments = segments.collect();
        lap(&mut times.encode);
        segments
    }

    fn commit(&self, segments: Vec<EncodedSegment>, records: usize) -> Duration {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = Root::parse(folder.path().to_str().expect("a text path")).expect("a root");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let mut table = Table::open(&root, Arc::clone(&self.spec))
                .await
                .expect("a new table");
            let started = Instant::now();
            let mut written = Vec::new();
            for segment in segments {
                written.push(table.put(segment).await.expect("a written segment"));
            }
            let mut evidence =
                Evidence::ingest(Uuid::new_v4(), self.now, self.policy.version.clone());
            evidence.stored = records as u64;
            let offsets = StoredOffsets {
                partition: self.source.clone(),
                from: None,
                next: Offset(records as i64),
            };
            commit(&mut table, written, offsets, evidence).await;
            started.elapsed()
        })
    }
}
