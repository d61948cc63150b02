//! The parts that a lane and all its products use: the consumer, the tables, the dependencies of
//! the instance, and the reports of brokers and of partitions that are not read.

mod unread;

pub use unread::log_unanswered;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::dead_letters::DeadLetters;
use crate::position::PartitionRefusal;
use crate::source::LaneContext;
use crate::tables::LaneTables;
use crate::topics::TopicWatch;
use ebbtide_base::clock::SharedClock;
use ebbtide_base::health::{Component, Health};
use ebbtide_base::ids::{Offset, Partition, Topic, TopicPartition};
use ebbtide_base::metrics::Metrics;
use ebbtide_config::IngestConfig;

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
    /// Creates a restart after a failure.
    pub fn because(why: impl std::fmt::Display) -> Self {
        Self {
            why: why.to_string(),
            kind: LaneRestartKind::Failed,
        }
    }

    /// Creates a restart of a lane that works.
    pub fn wanted(why: impl std::fmt::Display) -> Self {
        Self {
            why: why.to_string(),
            kind: LaneRestartKind::Wanted,
        }
    }

    /// Creates the end of a lane that may store nothing any more.
    pub fn for_good(why: impl std::fmt::Display) -> Self {
        Self {
            why: why.to_string(),
            kind: LaneRestartKind::ForGood,
        }
    }
}

/// The consumer, tables, dependencies and reports of one lane.
pub struct LaneIo {
    /// The lane's member of the group.
    pub consumer: Arc<BaseConsumer<LaneContext>>,
    /// The dependencies of all lanes.
    pub deps: Arc<LaneDeps>,
    /// The lane's tables.
    pub tables: Arc<LaneTables>,
    /// Partitions of this lane that are not read, because records would be skipped.
    pub refused: BTreeMap<TopicPartition, PartitionRefusal>,
    /// Partitions of this lane that are not read, because the brokers do not report their topic or
    /// their offsets.
    pub unavailable: BTreeSet<TopicPartition>,
    /// True if this lane, or the one before it, may have reported a problem of
    /// [`Component::Broker`].
    broker_trouble: bool,
}

impl LaneIo {
    /// Creates the parts of a lane that has refused no partition.
    #[must_use]
    pub fn new(
        deps: Arc<LaneDeps>,
        tables: Arc<LaneTables>,
        consumer: Arc<BaseConsumer<LaneContext>>,
    ) -> Self {
        Self {
            consumer,
            deps,
            tables,
            refused: BTreeMap::new(),
            unavailable: BTreeSet::new(),
            broker_trouble: true,
        }
    }

    /// Returns the monotonic time.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.deps.clock.monotonic()
    }

    /// Stops fetching `partitions`.
    pub fn pause<'p>(
        &self,
        partitions: impl IntoIterator<Item = &'p TopicPartition>,
    ) -> Result<(), LaneRestart> {
        match list(partitions) {
            Some(list) => self.consumer.pause(&list).map_err(LaneRestart::because),
            None => Ok(()),
        }
    }

    /// Fetches `partitions` again.
    pub fn resume<'p>(
        &self,
        partitions: impl IntoIterator<Item = &'p TopicPartition>,
    ) -> Result<(), LaneRestart> {
        match list(partitions) {
            Some(list) => self.consumer.resume(&list).map_err(LaneRestart::because),
            None => Ok(()),
        }
    }

    /// Returns the client's read position of each partition that has one; `None` if the client does
    /// not report them.
    #[must_use]
    pub fn read_positions(&self) -> Option<BTreeMap<TopicPartition, Offset>> {
        let list = self.consumer.position().ok()?;
        let mut positions = BTreeMap::new();
        for element in list.elements() {
            if let (KafkaOffset::Offset(offset), Ok(topic)) =
                (element.offset(), Topic::new(element.topic()))
            {
                positions.insert(
                    TopicPartition {
                        topic,
                        partition: Partition(element.partition()),
                    },
                    Offset(offset),
                );
            }
        }
        Some(positions)
    }

    /// Reports that the brokers do not answer. Returns true if that was not reported before.
    ///
    /// The report stays until the brokers answer a request of this lane: a connection alone proves
    /// nothing.
    pub fn brokers_fail(&mut self, why: impl Into<String>) -> bool {
        self.broker_trouble = true;
        self.deps.health.trouble(Component::Broker, why)
    }

    /// Records that the brokers answered a request. Clears the report of this lane, and no report
    /// of another lane.
    pub fn brokers_answer(&mut self) {
        if std::mem::take(&mut self.broker_trouble) {
            self.deps.health.over(&Component::Broker);
        }
    }
}

/// Returns `partitions` as the client takes them; `None` if there are none.
fn list<'p>(
    partitions: impl IntoIterator<Item = &'p TopicPartition>,
) -> Option<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(partition.topic.as_str(), partition.partition.0);
    }
    (list.count() > 0).then_some(list)
}
