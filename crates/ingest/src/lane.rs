//! A lane: one thread, one consumer of the group, and everything between Kafka and the commit for
//! the partitions it owns.
//!
//! Each lane has its own consumer, tables and buffers, so an instance with two lanes works like two
//! small instances. A lane is a plain loop: poll, gather, commit. On every failure that it cannot
//! wait out, it drops uncommitted records and joins the group again. This is always right, because
//! reading starts at the tables' offsets. Must never pass a record that is in no commit.

mod changed_topics;
mod checks;
mod commits;
mod gauges;
mod observe;
mod ownership;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::types::RDKafkaErrorCode;

use crate::lane_io::{LaneDeps, LaneIo, LaneRestart};
use crate::lane_partition::LanePartition;
use crate::product_ingest::{ProcessingPass, ProductIngest};
use crate::source::{self, LaneContext};
use crate::tables::LaneTables;
use crate::watch::LaneWatch;
use ebbtide_base::ids::{Topic, TopicPartition};

use changed_topics::ChangedTopics;
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

/// One lane.
pub struct Lane {
    io: LaneIo,
    watch: Arc<LaneWatch>,
    /// The products. Each owns its partitions.
    products: Vec<ProductIngest>,
    /// The time since which messages wait to be processed; `None` if none waits, or if those that
    /// wait were looked at a moment ago.
    waiting_since: Option<Duration>,
    /// True if partitions were assigned since paused products last stopped fetching.
    fresh: bool,
    changed: ChangedTopics,
    gauges: Arc<LaneGauges>,
    sampled: Duration,
    published: Duration,
    checked: Duration,
}

impl Lane {
    /// Creates a lane that works on `products` with `consumer` and reports to `watch`, and
    /// subscribes the consumer, which so joins its group.
    ///
    /// Errors if librdkafka refuses the subscription.
    pub fn join(
        deps: Arc<LaneDeps>,
        watch: Arc<LaneWatch>,
        tables: Arc<LaneTables>,
        consumer: Arc<BaseConsumer<LaneContext>>,
        products: Vec<ProductIngest>,
    ) -> KafkaResult<Self> {
        let topics: Vec<Topic> = products
            .iter()
            .flat_map(|product| product.topics.iter().cloned())
            .collect();
        let changed = ChangedTopics::since_now(&consumer, &topics);
        source::subscribe(&consumer, &topics)?;
        let gauges = Arc::new(LaneGauges::new(deps.metrics.clone()));
        gauges::keep(&deps.runtime, &gauges, &consumer, Arc::clone(&deps.clock));
        Ok(Self {
            io: LaneIo::new(deps, tables, consumer),
            watch,
            products,
            waiting_since: None,
            fresh: false,
            changed,
            gauges,
            sampled: Duration::ZERO,
            published: Duration::ZERO,
            checked: Duration::ZERO,
        })
    }

    /// Runs until the instance is asked to stop. Then it commits the gathered data and leaves the
    /// group.
    ///
    /// Errors if the lane must join again. In either case nothing is lost: uncommitted records are
    /// read again.
    pub fn run(&mut self) -> Result<(), LaneRestart> {
        while !self.io.deps.stop.load(Ordering::Relaxed) {
            let full = self.poll_some()?;
            let now = self.io.now();
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
        for product in &self.products {
            product.forget_troubles(&self.io.deps.health);
            for partition in product.partitions.keys() {
                (self.io.deps.owning)(partition, false);
            }
        }
        self.gauges.publish(Vec::new(), 0);
        let unread: BTreeSet<_> = self
            .io
            .refused
            .keys()
            .chain(&self.io.unavailable)
            .cloned()
            .collect();
        unread
            .iter()
            .for_each(|partition| self.io.forget_refusal(partition));
    }

    /// Takes messages until a batch is full, no message is available, or [`STRIDE`] were taken.
    /// Returns true if a batch is full.
    fn poll_some(&mut self) -> Result<bool, LaneRestart> {
        let batch_bytes = self.batch_bytes();
        let (mut full, mut failed, mut wait) = (false, None, POLL);
        // Messages come in runs of one partition, which is looked up once for a run.
        let mut current: Option<(&TopicPartition, &mut LanePartition)> = None;
        for _ in 0..STRIDE {
            let message = match self.io.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    failed = Some(error);
                    break;
                }
            };
            wait = Duration::ZERO;
            if !current
                .as_ref()
                .is_some_and(|(id, _)| is_from(id, &message))
            {
                current = self
                    .products
                    .iter_mut()
                    .find_map(|product| product.partition(message.topic(), message.partition()));
            }
            // A message of a partition that the lane does not own is skipped.
            let Some((_, owned)) = &mut current else {
                continue;
            };
            if owned.take(&message) {
                full = owned.buffer.len() >= BATCH || owned.buffer.bytes() >= batch_bytes;
                if full {
                    break;
                }
            }
        }
        if self.waiting_since.is_none() && self.has_waiting() {
            self.waiting_since = Some(self.io.now());
        }
        self.ownership()?;
        if let Some(error) = failed {
            self.kafka_error(&error)?;
        }
        self.publish_sometimes();
        Ok(full)
    }

    /// Returns true if messages wait to be processed.
    fn has_waiting(&self) -> bool {
        self.products
            .iter()
            .flat_map(|product| product.partitions.values())
            .any(|owned| !owned.buffer.is_empty())
    }

    /// Gathers the messages of every partition that has at least half a batch, or with `all` of
    /// every partition that has some.
    ///
    /// Errors if the lane must join again.
    fn process_waiting(&mut self, all: bool) -> Result<(), LaneRestart> {
        let pass = ProcessingPass {
            all,
            batch_messages: BATCH,
            batch_bytes: self.batch_bytes(),
            began: self.io.now(),
        };
        for product in &mut self.products {
            product.process_waiting(&self.io, &pass)?;
        }
        // After `all`, the messages that still wait are held: they are checked again after another
        // linger time.
        if all || !self.has_waiting() {
            self.waiting_since = None;
        }
        Ok(())
    }

    /// Ends reports about schemas that no partition waits for any more.
    fn tend_schemas(&self) {
        // All products share one source of schemas.
        if let Some(product) = self.products.first() {
            product.pipeline.decoders.tend();
        }
    }

    /// Adds offsets that were passed and have no record to the batches, to be committed with them.
    fn pass_gaps(&mut self) {
        let Some(positions) = self.io.read_positions() else {
            return;
        };
        let now = self.io.now();
        for product in &mut self.products {
            product.pass_gaps(&positions, now);
        }
    }

    /// Returns the number of bytes of one partition that make a batch: fewer if many partitions
    /// share the budget.
    fn batch_bytes(&self) -> usize {
        let share = self.io.deps.lane_memory / 8;
        let owned: usize = self
            .products
            .iter()
            .map(|product| product.partitions.len())
            .sum();
        (share / owned.max(1)).clamp(64 << 10, 2 << 20)
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
                    .min(self.io.now().saturating_sub(CHECK - SAMPLE));
                Ok(())
            }
            _ => {
                if self.io.brokers_fail(error.to_string()) {
                    tracing::warn!(%error, "kafka");
                }
                Ok(())
            }
        }
    }
}

/// Returns the product that a topic feeds.
fn fed_by<'p>(products: &'p mut [ProductIngest], topic: &Topic) -> Option<&'p mut ProductIngest> {
    products
        .iter_mut()
        .find(|product| product.topics.contains(topic))
}

fn is_from(partition: &TopicPartition, message: &BorrowedMessage<'_>) -> bool {
    partition.partition.0 == message.partition() && partition.topic.as_str() == message.topic()
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
