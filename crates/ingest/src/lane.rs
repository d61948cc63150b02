//! A lane: one thread, one consumer of the group, and everything between Kafka and the commit for
//! the partitions it owns.
//!
//! Each lane has its own consumer, tables and buffers, so an instance with two lanes works like two
//! small instances. A lane is a plain loop: poll, gather, commit. On every failure that it cannot
//! wait out, it drops uncommitted records and joins the group again. This is always right, because
//! reading starts at the tables' offsets. Must never pass a record that is in no commit.

mod commit;
mod gaps;
mod gauges;
mod observe;
mod ownership;
mod process;
mod product_wait;
mod refusals;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::types::RDKafkaErrorCode;
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::dead_letters::DeadLetters;
use crate::partition_buffer::PartitionBuffer;
use crate::position::PartitionRefusal;
use crate::product_ingest::ProductIngest;
use crate::schema_search::SchemaSearch;
use crate::source::LaneContext;
use crate::tables::LaneTables;
use crate::topics::TopicWatch;
use crate::watch::LaneWatch;
use ebbtide_base::clock::SharedClock;
use ebbtide_base::health::Health;
use ebbtide_base::ids::{Offset, Topic, TopicId, TopicPartition};
use ebbtide_base::metrics::Metrics;
use ebbtide_config::IngestConfig;

use gauges::LaneGauges;

/// The time that one poll waits for a message.
const POLL: Duration = Duration::from_millis(50);
/// The number of messages that are taken between two checks of the clock.
const STRIDE: u32 = 512;
/// The time that messages may wait before they are decoded, if there are too few for a batch.
const LINGER: Duration = Duration::from_millis(200);
/// The interval at which the brokers' state and the offsets without records are checked.
const SAMPLE: Duration = Duration::from_secs(1);
/// The interval at which the lane's progress is published for the gauges.
const PUBLISH: Duration = Duration::from_millis(250);
/// The interval at which topics and refused partitions are checked again.
const CHECK: Duration = Duration::from_secs(5);
/// The maximum number of messages that are decoded as one batch.
const BATCH: usize = 8192;

/// A callback for each partition that the instance gains (true) or loses (false).
pub type OwnershipCallback = Arc<dyn Fn(&TopicPartition, bool) + Send + Sync>;

/// The dependencies that all lanes of an instance share.
pub struct LaneDeps {
    /// Sizes and times.
    pub settings: IngestConfig,
    /// One lane's share of the memory, in bytes.
    pub lane_memory: usize,
    /// The source of time.
    pub clock: SharedClock,
    /// The metrics in which everything is counted.
    pub metrics: Metrics,
    /// The current problems, for `/readyz`.
    pub health: Arc<Health>,
    /// The topics that the lanes read, for `/readyz`.
    pub topics: TopicWatch,
    /// The sender of dead letters.
    pub dead_letters: Arc<DeadLetters>,
    /// The longest time that a written batch may wait for its commit: well below the age at which
    /// its files count as orphans.
    pub pending_limit: Duration,
    /// The runtime of the lanes' I/O.
    pub runtime: Handle,
    /// Set when the instance is asked to stop.
    pub stop: Arc<AtomicBool>,
    /// The instance's random id, for evidence.
    pub instance: Uuid,
    /// Is called for each partition that this instance gains or loses.
    pub owning: OwnershipCallback,
}

/// The reason why a lane drops uncommitted records and joins the group again.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct LaneRestart {
    /// The reason.
    pub why: String,
    /// The consequence.
    pub kind: LaneRestartKind,
}

/// The consequence of the reason why a lane joins the group again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneRestartKind {
    /// The lane failed. It joins again after a wait.
    Failed,
    /// The lane works. It joins again immediately, to be given partitions that may be read again.
    Wanted,
    /// Joining again does not help: nothing may be stored under this policy any more.
    ForGood,
}

impl LaneRestart {
    fn because(why: impl std::fmt::Display) -> Self {
        Self {
            why: why.to_string(),
            kind: LaneRestartKind::Failed,
        }
    }

    fn wanted(why: impl std::fmt::Display) -> Self {
        Self {
            why: why.to_string(),
            kind: LaneRestartKind::Wanted,
        }
    }

    fn for_good(why: impl std::fmt::Display) -> Self {
        Self {
            why: why.to_string(),
            kind: LaneRestartKind::ForGood,
        }
    }
}

/// A partition that the lane owns.
struct LanePartition {
    partition: TopicPartition,
    /// Index of its product's [`ProductIngest`].
    work: usize,
    intake: PartitionBuffer,
    /// The search for the schemas of the intake.
    search: SchemaSearch,
    /// The table's next offset, as far as this lane knows.
    committed: Option<Offset>,
    /// The lowest offset that is still to be read.
    wanted: Option<Offset>,
    /// The first offset that Kafka had at the time of the assignment.
    first: Offset,
    /// The id of the topic at the time of the assignment; `None` if the brokers do not report ids.
    topic: Option<TopicId>,
    /// True once the client's read position certainly belongs to this assignment.
    anchored: bool,
    /// Everything readable below this offset was delivered, as of the last check while no record
    /// waited.
    read_to: Option<Offset>,
    /// The monotonic time until which the partition waits for a schema; it is not fetched until
    /// then.
    held: Option<Duration>,
    /// True while the lane owns the partition.
    live: bool,
}

/// One lane.
pub struct Lane {
    consumer: Arc<BaseConsumer<LaneContext>>,
    shared: Arc<LaneDeps>,
    watch: Arc<LaneWatch>,
    tables: Arc<LaneTables>,
    works: Vec<ProductIngest>,
    work_of: HashMap<Topic, usize>,
    owned: Vec<LanePartition>,
    slots: HashMap<TopicPartition, usize>,
    last: Option<usize>,
    waiting: usize,
    waiting_since: Option<Duration>,
    /// True if partitions were assigned since products that wait were last paused.
    fresh: bool,
    /// Partitions of this lane that are not read, because records would be skipped.
    refused: BTreeMap<TopicPartition, PartitionRefusal>,
    /// Partitions of this lane that are not read, because the brokers do not report their topic or
    /// their offsets.
    unavailable: BTreeSet<TopicPartition>,
    /// True if this lane, or the one before it, may have reported a problem of [`Part::Broker`].
    broker_trouble: bool,
    gauges: Arc<LaneGauges>,
    sampled: Duration,
    published: Duration,
    checked: Duration,
}

impl Lane {
    /// Creates a lane that works on `works` with `consumer`, and reports to `watch`.
    pub fn new(
        shared: Arc<LaneDeps>,
        watch: Arc<LaneWatch>,
        tables: Arc<LaneTables>,
        consumer: Arc<BaseConsumer<LaneContext>>,
        works: Vec<ProductIngest>,
    ) -> Self {
        let gauges = Arc::new(LaneGauges::new(shared.metrics.clone()));
        gauges::keep(
            &shared.runtime,
            &gauges,
            &consumer,
            Arc::clone(&shared.clock),
        );
        let work_of = works
            .iter()
            .enumerate()
            .flat_map(|(index, work)| work.topics.iter().map(move |topic| (topic.clone(), index)))
            .collect();
        Self {
            consumer,
            shared,
            watch,
            tables,
            works,
            work_of,
            owned: Vec::new(),
            slots: HashMap::new(),
            last: None,
            waiting: 0,
            waiting_since: None,
            fresh: false,
            refused: BTreeMap::new(),
            unavailable: BTreeSet::new(),
            broker_trouble: true,
            gauges,
            sampled: Duration::ZERO,
            published: Duration::ZERO,
            checked: Duration::ZERO,
        }
    }

    /// Runs until the instance is asked to stop. Then it commits the gathered data and leaves the
    /// group.
    ///
    /// Errors if the lane must join again. In either case nothing is lost: uncommitted records are
    /// read again.
    pub fn run(&mut self) -> Result<(), LaneRestart> {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let full = self.poll_some()?;
            let now = self.shared.clock.monotonic();
            let lingered = self
                .waiting_since
                .is_some_and(|since| now.saturating_sub(since) >= LINGER);
            if full || lingered {
                self.process_waiting(lingered)?;
            }
            self.commit_due(now)?;
            self.look_around(now)?;
        }
        self.finish()
    }

    /// Checks the brokers, the topics and the partitions, each at its interval.
    fn look_around(&mut self, now: Duration) -> Result<(), LaneRestart> {
        if now.saturating_sub(self.sampled) >= SAMPLE {
            self.sampled = now;
            self.sample();
            self.tend_schemas();
            self.pass_gaps();
        }
        if now.saturating_sub(self.checked) >= CHECK {
            self.checked = now;
            self.check_partitions()?;
        }
        Ok(())
    }

    /// Reports that the lane no longer owns any partition.
    pub fn own_nothing(&mut self) {
        self.works
            .iter()
            .for_each(|work| work.forget_troubles(&self.shared.health));
        for owned in self.owned.iter().filter(|owned| owned.live) {
            (self.shared.owning)(&owned.partition, false);
        }
        self.gauges.publish(Vec::new(), 0);
        let unread: BTreeSet<_> = self
            .refused
            .keys()
            .chain(&self.unavailable)
            .cloned()
            .collect();
        unread
            .iter()
            .for_each(|partition| self.forget_refusal(partition));
    }

    /// Takes messages until a batch is full, no message is available, or [`STRIDE`] were taken.
    /// Returns true if a batch is full.
    fn poll_some(&mut self) -> Result<bool, LaneRestart> {
        let (mut full, mut failed) = (false, None);
        let mut wait = POLL;
        for _ in 0..STRIDE {
            let taken = match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => take(
                    &mut MessageTaker {
                        owned: &mut self.owned,
                        slots: &self.slots,
                        last: &mut self.last,
                    },
                    &message,
                ),
                Some(Err(error)) => {
                    failed = Some(error);
                    break;
                }
            };
            wait = Duration::ZERO;
            match taken {
                TakeOutcome::Skipped => {}
                TakeOutcome::Kept {
                    messages,
                    bytes,
                    taken,
                } => {
                    self.waiting += taken;
                    full |= messages >= BATCH || bytes >= self.batch_bytes();
                    if full {
                        break;
                    }
                }
            }
        }
        if self.waiting > 0 && self.waiting_since.is_none() {
            self.waiting_since = Some(self.shared.clock.monotonic());
        }
        self.ownership()?;
        if let Some(error) = failed {
            self.kafka_error(&error)?;
        }
        self.publish_sometimes();
        Ok(full)
    }

    /// Returns the number of bytes of one partition that make a batch: fewer if many partitions
    /// share the budget.
    fn batch_bytes(&self) -> usize {
        let share = self.shared.lane_memory / 8;
        (share / self.owned.len().max(1)).clamp(64 << 10, 2 << 20)
    }

    fn kafka_error(&mut self, error: &KafkaError) -> Result<(), LaneRestart> {
        match (error, error.rdkafka_error_code()) {
            (KafkaError::MessageConsumptionFatal(_), _) => Err(LaneRestart::because(error)),
            (_, Some(code)) if LOST.contains(&code) => self.refuse_lost(error),
            (_, Some(code)) if refuses_the_consumer(code) => {
                self.watch
                    .refuse(&format!("the consumer is refused: {error}"));
                tracing::error!(%error, "the consumer is refused");
                Ok(())
            }
            (_, Some(code)) if concerns_a_topic(code) => {
                // The client does not name the topic; the check of all topics does.
                tracing::debug!(%error, "the topics are checked");
                self.checked = self
                    .checked
                    .min(self.shared.clock.monotonic().saturating_sub(CHECK - SAMPLE));
                Ok(())
            }
            _ => {
                if self.brokers_fail(error.to_string()) {
                    tracing::warn!(%error, "kafka");
                }
                Ok(())
            }
        }
    }
}

/// The client's errors for an offset that is to be read but is not in Kafka.
const LOST: [RDKafkaErrorCode; 3] = [
    RDKafkaErrorCode::AutoOffsetReset,
    RDKafkaErrorCode::OffsetOutOfRange,
    RDKafkaErrorCode::LogTruncation,
];

/// Returns true if an error of the consumer keeps it out of the group until a setting is changed.
fn refuses_the_consumer(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::InconsistentGroupProtocol
            | RDKafkaErrorCode::UnsupportedAssignor
            | RDKafkaErrorCode::UnsupportedVersion
            | RDKafkaErrorCode::InvalidGroupId
            | RDKafkaErrorCode::InvalidSessionTimeout
            | RDKafkaErrorCode::GroupMaxSizeReached
            | RDKafkaErrorCode::FencedInstanceId
            | RDKafkaErrorCode::UnreleasedInstanceId
    )
}

/// Returns true if an error of the consumer is about one topic or its partitions.
fn concerns_a_topic(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::UnknownTopicId
    )
}

struct MessageTaker<'l> {
    owned: &'l mut [LanePartition],
    slots: &'l HashMap<TopicPartition, usize>,
    last: &'l mut Option<usize>,
}

enum TakeOutcome {
    /// The message is of a partition that the lane does not own, or was read already.
    Skipped,
    /// The message is in the intake of its partition, which now has this many messages and bytes.
    Kept {
        messages: usize,
        bytes: usize,
        taken: usize,
    },
}

fn take(lane: &mut MessageTaker<'_>, message: &BorrowedMessage<'_>) -> TakeOutcome {
    let slot = match *lane.last {
        Some(slot) if lane.owned.get(slot).is_some_and(|owned| is(owned, message)) => slot,
        _ => {
            let Ok(topic) = Topic::new(message.topic()) else {
                return TakeOutcome::Skipped;
            };
            let partition = TopicPartition {
                topic,
                partition: ebbtide_base::ids::Partition(message.partition()),
            };
            let Some(slot) = lane.slots.get(&partition) else {
                return TakeOutcome::Skipped;
            };
            *lane.last = Some(*slot);
            *slot
        }
    };
    let owned = &mut lane.owned[slot];
    let offset = Offset(message.offset());
    if !owned.live || owned.wanted.is_some_and(|wanted| offset < wanted) {
        return TakeOutcome::Skipped;
    }
    owned.anchored = true;
    owned.wanted = Some(offset.next());
    owned.intake.push(message);
    TakeOutcome::Kept {
        messages: owned.intake.len(),
        bytes: owned.intake.bytes(),
        taken: 1,
    }
}

fn is(owned: &LanePartition, message: &BorrowedMessage<'_>) -> bool {
    owned.partition.partition.0 == message.partition()
        && owned.partition.topic.as_str() == message.topic()
}
