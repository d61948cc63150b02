//! Random histories of a table: policies, traffic, late records, compaction, holds and jumps of time, judged after each step
//! by a slow model that reads the table as foreign readers do (`tests/python/history.py`). Here is what carries the steps out.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::*;
use arrow::datatypes::{DataType, Field, Schema};
use chrono::{DateTime, TimeDelta, Utc};
use ebbtide::clock::{Clock, ManualClock, SharedClock};
use ebbtide::controls::{Order, Scope, Signature, TimeRange, place, release};
use ebbtide::expiry::{Bounds, Compacting, Compaction, HeldBoard, Parts, Round, Rule, Settings, Share, Sweeper};
use ebbtide::ids::{Offset, Partition, ProductKey, TopicPartition};
use ebbtide::metrics::Metrics;
use ebbtide::policy::{Policy, SchemaSource, parse};
use ebbtide::store::{
    Advance, Evidence, IngestCommit, PartitionProgress, Root, SegmentWriter, Table, TableSpec, audit,
};
use ebbtide::tag::{Arrivals, Tagger};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Builder;
use uuid::Uuid;

use crate::support::python;

#[test]
fn after_each_step_of_two_hundred_histories_foreign_readers_see_what_an_obvious_model_says() {
    run(0, 200);
}

#[test]
#[ignore = "five thousand histories take many minutes: `make soak`"]
fn five_thousand_histories() {
    run(200, 5000);
}

/// Histories of `count` seeds from `first` on, by as many readers as there are hands.
fn run(first: u64, count: u64) {
    // Syncs cost nothing in memory, and nothing here is about power cuts.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let hands = 2;
    std::thread::scope(|scope| {
        for hand in 0..hands {
            let folder = folder.path().join(hand.to_string());
            let share = count / hands;
            scope.spawn(move || tell(&folder, first + hand * share, share));
        }
    });
}

/// Lets one reader tell its histories, and does what they say.
fn tell(folder: &Path, first: u64, count: u64) {
    let mut reader = Command::new(python::interpreter())
        .arg("-B")
        .arg(python::script("history.py"))
        .args([folder.to_str().unwrap(), &first.to_string(), &count.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut answers, said) = (reader.stdin.take().unwrap(), BufReader::new(reader.stdout.take().unwrap()));
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (mut world, mut told) = (None, 0);
    for line in said.lines() {
        let answer = match serde_json::from_str(&line.unwrap()).unwrap() {
            Step::Open { folder, policy, now } => match World::open(&folder, &policy, instant(now)) {
                Ok(opened) => {
                    world = Some(opened);
                    json!({ "refused": [] })
                }
                Err(refused) => json!({ "refused": refused }),
            },
            Step::End { histories } => {
                told = histories;
                json!({})
            }
            step => runtime.block_on(world.as_mut().unwrap().carry_out(step)),
        };
        // It may have found a fault and be gone: its end tells.
        let _ = writeln!(answers, "{answer}");
    }
    let status = reader.wait().unwrap();
    assert!(status.success() && told == count, "histories from seed {first} on: {told} of {count}, {status}");
}

/// What a history wants done.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Step {
    Open { folder: PathBuf, policy: PathBuf, now: i64 },
    Ingest { records: Vec<Record>, offset: i64 },
    Sweep { anew: bool },
    Compact,
    Wall { micros: i64 },
    Hold(Held),
    Release { id: String },
    Pass { micros: i64 },
    Audit,
    End { histories: u64 },
}

#[derive(Deserialize)]
struct Record {
    recipient: Option<String>,
    sender: Option<String>,
    body: Option<String>,
    media: Option<Vec<String>>,
    sent_at: i64,
    customer: Option<String>,
    status: Option<String>,
    segments: Option<i32>,
}

#[derive(Deserialize)]
struct Held {
    until: i64,
    subject: Option<String>,
    tenant: Option<String>,
    from: Option<i64>,
    to: Option<i64>,
}

fn instant(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap()
}

struct Beside(PathBuf);

impl SchemaSource for Beside {
    fn load(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(self.0.join(path)).map_err(|error| error.to_string())
    }
}

struct World {
    root: Root,
    policy: Arc<Policy>,
    clock: Arc<ManualClock>,
    tagger: Tagger,
    from: Option<Offset>,
    /// The one that sweeps, as long as it lives.
    sweeper: Option<Sweeper>,
}

fn sms() -> ProductKey {
    "sms".parse().unwrap()
}

impl World {
    /// An empty table under the policy; what is wrong with the policy otherwise.
    fn open(folder: &Path, policy: &Path, now: DateTime<Utc>) -> Result<World, String> {
        let text = std::fs::read_to_string(policy).unwrap();
        let checked = parse("policy.yaml", &text, &Beside(folder.to_owned()));
        let policy = Arc::new(checked.policy.ok_or_else(|| format!("{:?}", checked.problems))?);
        let root = Root::parse(folder.join("root").to_str().unwrap()).unwrap();
        let tagger = Tagger::new(&policy, &sms()).unwrap();
        Ok(World { root, policy, clock: Arc::new(ManualClock::at(now)), tagger, from: None, sweeper: None })
    }

    async fn carry_out(&mut self, step: Step) -> Value {
        match step {
            Step::Ingest { records, offset } => json!({ "expired": self.ingest(&records, offset).await }),
            Step::Sweep { anew } => {
                self.sweeper.take_if(|_| anew);
                json!({ "commits": self.sweep().await.commits })
            }
            Step::Compact => json!({ "merges": self.compact().await }),
            Step::Wall { micros } => json!({ "commits": self.sweep_by_wrong_clock(micros).await }),
            Step::Hold(held) => json!({ "id": self.hold(held).await }),
            Step::Release { id } => {
                release(&self.root, &id.parse().unwrap(), &self.signature()).await.unwrap();
                json!({})
            }
            Step::Pass { micros } => {
                self.clock.advance(Duration::from_micros(micros.try_into().unwrap()));
                json!({})
            }
            Step::Audit => json!({ "broken": broken(&self.root).await }),
            Step::Open { .. } | Step::End { .. } => unreachable!("not a step of a table"),
        }
    }

    fn signature(&self) -> Signature {
        Signature { writer: Uuid::nil(), at: self.clock.now(), policy_version: self.policy.version.clone() }
    }

    async fn hold(&self, held: Held) -> String {
        let range = TimeRange { from: held.from.map(instant), to: held.to.map(instant) };
        let scope = Scope {
            subject: held.subject.map(|number| format!("phone:+{number}").parse().unwrap()),
            tenant: held.tenant,
            products: Vec::new(),
            events: held.from.map(|_| range),
        };
        let (case, basis) = ("case".to_owned(), "order".to_owned());
        let order = Order { case, basis, until: instant(held.until), placed_by: None, scope };
        place(&self.root, order, &self.signature()).await.unwrap().id.to_string()
    }

    async fn sweeper(&mut self) -> &mut Sweeper {
        if self.sweeper.is_none() {
            let parts = Parts {
                root: self.root.clone(),
                policy: Arc::clone(&self.policy),
                clock: Arc::clone(&self.clock) as SharedClock,
                metrics: Metrics::new().unwrap(),
                settings: Settings {
                    bounds: Bounds::default(),
                    memory: 1 << 20,
                    clock_tolerance: Duration::from_secs(300),
                    clock_settle: Duration::from_secs(600),
                },
                share: Share::All,
                board: HeldBoard::default(),
            };
            self.sweeper = Some(Sweeper::open(parts, None).await.unwrap());
        }
        self.sweeper.as_mut().unwrap()
    }

    /// Sweeps until nothing is due.
    async fn sweep(&mut self) -> Round {
        let sweeper = self.sweeper().await;
        let mut all = Round::default();
        loop {
            let round = sweeper.round(None, usize::MAX).await;
            all.add(&round);
            assert_eq!((round.failed, round.clock), (0, None));
            if round.works == 0 && round.stale == 0 {
                return all;
            }
        }
    }

    /// Makes all segments of closed buckets one that may become so, by spills of a batch each; how many merges that took.
    async fn compact(&mut self) -> u64 {
        let compacting = Compacting {
            rule: Rule { target: 1 << 30, segments: 100, works: 100 },
            memory: 1,
            late: TimeDelta::zero(),
            every: Duration::ZERO,
        };
        let mut compaction = Compaction::new(compacting, Duration::ZERO);
        let did = self.sweeper().await.compact(&mut compaction, usize::MAX).await;
        assert_eq!((did.failed, did.lost, did.clock), (0, 0, None));
        did.merges
    }

    /// Sets the wall time wrong, sweeps, and sets it right; how many commits that made.
    async fn sweep_by_wrong_clock(&mut self, off: i64) -> u64 {
        let clock = Arc::clone(&self.clock);
        let right = clock.now();
        // One that begins here: the longer it has watched, the more it takes for a clock that is being disciplined.
        self.sweeper = None;
        let sweeper = self.sweeper().await;
        sweeper.look_at_clock();
        clock.set_wall(right + TimeDelta::microseconds(off));
        let round = sweeper.round(None, usize::MAX).await;
        clock.set_wall(right);
        sweeper.look_at_clock();
        round.commits
    }

    /// Stores records as ingest does; how many were past all deadlines.
    async fn ingest(&mut self, records: &[Record], offset: i64) -> u64 {
        let spec = Arc::new(TableSpec::of(&self.policy, &sms()).unwrap());
        let mut table = Table::open(&self.root, spec).await.unwrap();
        let source = TopicPartition { topic: "sms".parse().unwrap(), partition: Partition(0) };
        let next = offset + i64::try_from(records.len()).unwrap();
        let offsets: Vec<i64> = (offset..next).collect();
        let arrivals = Arrivals { source: &source, offsets: &offsets, at: self.clock.now() };
        let rows = batch(&self.policy, records);
        let tagged = self.tagger.tag(&rows, &arrivals, TimeDelta::hours(1)).unwrap();
        assert!(tagged.faults.is_empty(), "{:?}", tagged.faults);
        let (mut segments, mut stored) = (Vec::new(), 0);
        for group in tagged.groups {
            let mut writer = SegmentWriter::of_group(table.spec(), &group, &self.policy.version).unwrap();
            writer.write(&group.rows).unwrap();
            stored += group.rows.num_rows() as u64;
            segments.push(table.put(writer.finish().unwrap()).await.unwrap());
        }
        let mut evidence = Evidence::ingest(Uuid::nil(), self.clock.now(), self.policy.version.clone());
        (evidence.read, evidence.stored) = (records.len() as u64, stored);
        evidence.expired = evidence.read - stored;
        assert_eq!(evidence.expired, tagged.expired);
        let (from, next, records) = (self.from, Offset(next), evidence.read);
        evidence.partitions = vec![PartitionProgress { partition: source.clone(), from, next, records }];
        let advances = vec![Advance { partition: source, from, next }];
        let expired = evidence.expired;
        table.commit(IngestCommit { segments, advances, controls: table.controls(), evidence }).await.unwrap();
        self.from = Some(next);
        expired
    }
}

/// What does not balance in the table's books.
async fn broken(root: &Root) -> Vec<String> {
    let found = audit(root, &sms()).await.unwrap();
    found.broken.iter().map(|broken| format!("{broken:?}")).collect()
}

/// The records as decoding gives them, in the types of the policy's schema.
fn batch(policy: &Policy, records: &[Record]) -> RecordBatch {
    let schema = &policy.products[&sms()].records.as_ref().unwrap().schema;
    let type_of = |name: &str| schema.columns.iter().find(|column| column.name == name).unwrap().data_type.clone();
    let text = |of: fn(&Record) -> &Option<String>| -> ArrayRef {
        Arc::new(StringArray::from_iter(records.iter().map(|record| of(record).as_deref())))
    };
    let DataType::List(item) = type_of("media") else { panic!("media is no list") };
    let mut media = ListBuilder::new(StringBuilder::new()).with_field(item);
    for record in records {
        record.media.iter().flatten().for_each(|part| media.values().append_value(part));
        media.append(record.media.is_some());
    }
    let sent_at = TimestampMicrosecondArray::from_iter_values(records.iter().map(|record| record.sent_at));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("recipient", text(|record| &record.recipient)),
        ("sender", text(|record| &record.sender)),
        ("body", text(|record| &record.body)),
        ("media", Arc::new(media.finish())),
        ("sent_at", Arc::new(sent_at.with_timezone("UTC"))),
        ("customer", text(|record| &record.customer)),
        ("status", text(|record| &record.status)),
        ("segments", Arc::new(Int32Array::from_iter(records.iter().map(|record| record.segments)))),
    ];
    let fields: Vec<Field> =
        columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, column)| column).collect())
        .unwrap()
}
