//! The consumer: joins the group, starts each partition at its table's next offset, and reports
//! changes of ownership to its lane.
//!
//! Kafka's committed offsets are written for lag dashboards and never read. Everything here runs on
//! the lane's own thread, inside `poll`: the lane receives each event before the first message
//! after a change of ownership.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{Offset as Start, TopicPartitionList};

use crate::position::{KafkaPosition, PartitionRefusal, TablePosition, check_position};
use crate::{brokers, kafka};
use ebbtide_base::ids::{Offset, Partition, Topic, TopicPartition};

/// The time that a request to the brokers may take inside a rebalance.
const PATIENCE: Duration = Duration::from_secs(10);

/// The table's position of each partition. Requested at every assignment.
pub trait PositionSource: Send + Sync {
    /// Returns the table's recorded position of `partition`, read again from the store; `None` if
    /// it has none yet.
    fn position(&self, partition: &TopicPartition) -> Result<Option<TablePosition>, PositionError>;
}

/// The error of a table position that could not be read from the store.
#[derive(Debug, thiserror::Error)]
#[error("the position in {partition} could not be read: {why}")]
pub struct PositionError {
    /// The partition.
    pub partition: TopicPartition,
    /// The store's reason.
    pub why: String,
}

/// A change of the lane's partitions. Events are kept in their order.
#[derive(Debug)]
pub enum OwnershipEvent {
    /// The partition belongs to the lane from now on; its first message is at the table's next
    /// offset, or the oldest in Kafka.
    Assigned {
        /// The partition.
        partition: TopicPartition,
        /// The table's next offset; `None` if it has no offset of the partition.
        next: Option<Offset>,
        /// Kafka's position of it.
        kafka: KafkaPosition,
    },
    /// The group gave the lane its share of the partitions, even if it is empty.
    Joined,
    /// The lane does not own the partition any more: its uncommitted records must be dropped.
    Revoked(TopicPartition),
    /// The partition is not read, because records would be skipped.
    Refused(PartitionRefusal),
    /// The partition is not read, because the brokers do not report its offsets.
    Unavailable {
        /// The partition.
        partition: TopicPartition,
        /// The reason.
        why: String,
    },
    /// The assignment could not be carried out. The lane must join again.
    Failed(String),
}

/// The lane's side of the consumer: events that wait for the lane, and the client's read progress.
pub struct LaneContext {
    positions: Arc<dyn PositionSource>,
    events: Mutex<Vec<OwnershipEvent>>,
    drained: Mutex<DrainedPartitions>,
    brokers_down: Mutex<bool>,
}

/// The partitions that were read to their end, by the client's statistics.
#[derive(Default)]
struct DrainedPartitions {
    ends: BTreeMap<TopicPartition, Offset>,
    /// Partitions that are read again from an earlier offset since the last statistics. The next
    /// statistics may be older than that.
    reread: BTreeSet<TopicPartition>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LaneContext {
    /// Creates a context that starts partitions at the offsets of `positions`.
    #[must_use]
    pub fn new(positions: Arc<dyn PositionSource>) -> Self {
        Self {
            positions,
            events: Mutex::default(),
            drained: Mutex::default(),
            brokers_down: Mutex::default(),
        }
    }

    /// Takes the events since the last call.
    pub fn take_events(&self) -> Vec<OwnershipEvent> {
        std::mem::take(&mut *lock(&self.events))
    }

    /// Returns the offset up to which each partition was read to its end, by the client's newest
    /// statistics: no record of it waits in the client's queue. Suitable for a gauge only; it is
    /// not ordered with the messages, so reading must never continue from it.
    pub fn drained(&self) -> BTreeMap<TopicPartition, Offset> {
        lock(&self.drained).ends.clone()
    }

    /// Forgets that `partitions` were read to their end: they are read again from an earlier
    /// offset.
    pub fn forget_drained(&self, partitions: &BTreeSet<TopicPartition>) {
        let mut drained = lock(&self.drained);
        drained
            .ends
            .retain(|partition, _| !partitions.contains(partition));
        drained.reread.extend(partitions.iter().cloned());
    }

    /// Returns true if no broker can be reached.
    pub fn brokers_down(&self) -> bool {
        *lock(&self.brokers_down)
    }

    fn record(&self, event: OwnershipEvent) {
        lock(&self.events).push(event);
    }

    /// Returns the partitions of `list`, each with the offset at which it starts. Partitions that
    /// must not be read are left out, and are reported to the lane.
    fn place(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
    ) -> Result<TopicPartitionList, String> {
        let partitions = named(list)?;
        let found = brokers::positions(consumer, &partitions, PATIENCE)
            .map_err(|error| error.to_string())?;
        let mut placed = TopicPartitionList::new();
        for partition in partitions {
            let Some(kafka) = found.found.get(&partition) else {
                let why = found.failed.get(&partition).cloned().unwrap_or_default();
                self.record(OwnershipEvent::Unavailable { partition, why });
                continue;
            };
            let table = self
                .positions
                .position(&partition)
                .map_err(|error| error.to_string())?;
            if let Err(refusal) = check_position(&partition, table, *kafka) {
                self.record(OwnershipEvent::Refused(refusal));
                continue;
            }
            let next = table.map(|table| table.next);
            let start = next.map_or(Start::Beginning, |next| Start::Offset(next.0));
            let (topic, number) = (partition.topic.as_str(), partition.partition.0);
            placed
                .add_partition_offset(topic, number, start)
                .map_err(|error| error.to_string())?;
            self.record(OwnershipEvent::Assigned {
                partition,
                next,
                kafka: *kafka,
            });
        }
        Ok(placed)
    }

    fn assign(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
    ) -> Result<(), String> {
        self.record(OwnershipEvent::Joined);
        let placed = self.place(consumer, list)?;
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&placed),
            _ => consumer.assign(&placed),
        }
        // If a partition was paused when it was revoked, the client silently keeps it paused when
        // it is assigned again.
        .and_then(|()| consumer.resume(&placed))
        .map_err(|error| error.to_string())
    }

    fn revoke(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
    ) -> Result<(), String> {
        for partition in named(list)? {
            self.record(OwnershipEvent::Revoked(partition));
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => {
                // Refused partitions were never assigned, and librdkafka refuses to unassign such
                // partitions.
                let assigned = consumer.assignment().map_err(|error| error.to_string())?;
                let mut ours = TopicPartitionList::new();
                for element in list.elements() {
                    if assigned
                        .find_partition(element.topic(), element.partition())
                        .is_some()
                    {
                        ours.add_partition(element.topic(), element.partition());
                    }
                }
                consumer.incremental_unassign(&ours)
            }
            _ => consumer.unassign(),
        }
        .map_err(|error| error.to_string())
    }
}

impl ClientContext for LaneContext {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        kafka::log(level, fac, message);
    }

    fn stats(&self, statistics: Statistics) {
        let mut drained = lock(&self.drained);
        drained.ends.clear();
        let reread = std::mem::take(&mut drained.reread);
        for (topic, stats) in &statistics.topics {
            let Ok(topic) = Topic::new(topic) else {
                continue;
            };
            for (number, partition) in &stats.partitions {
                // A negative offset means that librdkafka does not know it yet.
                let at_end =
                    partition.eof_offset >= 0 && partition.eof_offset == partition.next_offset;
                if *number >= 0 && at_end && partition.fetchq_cnt == 0 {
                    let partition_id = TopicPartition {
                        topic: topic.clone(),
                        partition: Partition(*number),
                    };
                    if !reread.contains(&partition_id) {
                        let end = Offset(partition.eof_offset);
                        drained.ends.insert(partition_id, end);
                    }
                }
            }
        }
        drop(drained);
        if !statistics.brokers.is_empty() {
            let up = statistics
                .brokers
                .values()
                .any(|broker| broker.state == "UP");
            *lock(&self.brokers_down) = !up;
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let all_down = matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::AllBrokersDown)
        );
        // The client repeats the error several times a second: only the first is logged as a
        // warning.
        if all_down && !std::mem::replace(&mut *lock(&self.brokers_down), true) {
            tracing::warn!(target: "librdkafka", %error, "{reason}");
        } else {
            tracing::debug!(target: "librdkafka", %error, "{reason}");
        }
    }
}

impl ConsumerContext for LaneContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        err: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let done = match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.revoke(consumer, list),
        };
        if let Err(why) = done {
            self.record(OwnershipEvent::Failed(why));
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            // Only dashboards read these offsets; the next commit brings them up to date.
            tracing::debug!(%error, "kafka offset commit failed");
        }
    }
}

/// Creates a consumer with a lane's `config`, which joins the group when it subscribes.
///
/// Errors if librdkafka refuses the configuration.
pub fn consumer(
    config: &ClientConfig,
    context: LaneContext,
) -> KafkaResult<BaseConsumer<LaneContext>> {
    config.create_with_context(context)
}

/// Subscribes a lane's consumer to `topics`, and so joins the group.
///
/// Errors if librdkafka refuses the subscription.
pub fn subscribe(consumer: &BaseConsumer<LaneContext>, topics: &[Topic]) -> KafkaResult<()> {
    let topics: Vec<&str> = topics.iter().map(Topic::as_str).collect();
    consumer.subscribe(&topics)
}

fn named(list: &TopicPartitionList) -> Result<Vec<TopicPartition>, String> {
    list.elements()
        .iter()
        .map(|element| {
            let topic = Topic::new(element.topic()).map_err(|error| error.to_string())?;
            Ok(TopicPartition {
                topic,
                partition: Partition(element.partition()),
            })
        })
        .collect()
}
