//! Partitions that are not read because records would be skipped. A lane finds them, reports them
//! and resumes them.
//!
//! Only the partition concerned is refused; the others continue. Records that may not be read are
//! never in a commit: before each commit, the topics' ids are compared with the ids under which the
//! records were read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;

use super::{Lane, LaneRestart};
use crate::brokers::{self, TopicState};
use crate::position::{PartitionRefusal, TablePosition, judge};
use crate::source::PositionSource;
use ebbtide_base::health::Component;
use ebbtide_base::ids::{Offset, Topic, TopicPartition};
use ebbtide_table::LossCause;

/// The time that the brokers may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

impl Lane {
    /// Reports a partition that is not read.
    pub(super) fn refuse(&mut self, refusal: PartitionRefusal) {
        let partition = refusal.partition.clone();
        let number = partition.partition.to_string();
        self.shared
            .metrics
            .refused_partitions
            .with_label_values(&[partition.topic.as_str(), &number])
            .set(1);
        let why = refusal.to_string();
        // Records that arrive meanwhile move the end; that is not reported again.
        let reported = self.refused.get(&partition).is_some_and(|before| {
            (before.cause, before.table, before.kafka.first)
                == (refusal.cause, refusal.table, refusal.kafka.first)
        });
        if !reported {
            tracing::error!(
                source.topic = %partition.topic,
                source.partition = partition.partition.0,
                table.next = refusal.table.0,
                kafka.first = refusal.kafka.first.0,
                kafka.end = refusal.kafka.end.0,
                "{why}"
            );
        }
        self.shared
            .health
            .trouble(Component::Partition(partition.clone()), why);
        self.refused.insert(partition, refusal);
    }

    /// Reports a partition that is not read, because the brokers do not report its topic or its
    /// offsets. It is read once they do.
    pub(super) fn set_aside(&mut self, partition: TopicPartition, why: &str) {
        if self.shared.health.trouble(
            Component::Partition(partition.clone()),
            format!("{partition} is not read: {why}"),
        ) {
            tracing::error!(source.partition = %partition, "a partition is not read: {why}");
        }
        self.unavailable.insert(partition);
    }

    /// Forgets that a partition is refused or set aside: it is no longer this lane's, or is read
    /// again.
    pub(super) fn forget_refusal(&mut self, partition: &TopicPartition) {
        self.refused.remove(partition);
        self.unavailable.remove(partition);
        self.shared.metrics.forget_partition(partition);
        self.shared
            .health
            .over(&Component::Partition(partition.clone()));
    }

    /// Finds the partition for which the client reports a missing offset, and refuses it.
    ///
    /// The client does not name the partition. Errors if none is found: a partition would then stop
    /// unnoticed, and joining again helps.
    pub(super) fn refuse_lost(&mut self, error: &KafkaError) -> Result<(), LaneRestart> {
        let mut reading = Vec::new();
        let positions = self.read_positions().unwrap_or_default();
        for owned in self
            .owned
            .iter()
            .filter(|owned| owned.live && !self.refused.contains_key(&owned.partition))
        {
            let position = positions
                .get(&owned.partition)
                .copied()
                .filter(|_| owned.anchored);
            if let Some(next) = position.max(owned.wanted) {
                let table = TablePosition {
                    next,
                    topic: owned.topic.map(ebbtide_base::ids::TopicId::mark),
                };
                reading.push((owned.partition.clone(), table));
            }
        }
        let partitions: Vec<TopicPartition> = reading
            .iter()
            .map(|(partition, _)| partition.clone())
            .collect();
        let found = brokers::positions(&self.consumer, &partitions, PATIENCE)
            .map_err(LaneRestart::because)?;
        let mut refused = false;
        for (partition, table) in reading {
            let Some(kafka) = found.found.get(&partition) else {
                log_unanswered(&partition, found.failed.get(&partition));
                continue;
            };
            if let Err(refusal) = judge(&partition, Some(table), *kafka) {
                refused = true;
                self.stop_reading(refusal)?;
            }
        }
        if refused {
            Ok(())
        } else {
            Err(LaneRestart::because(error))
        }
    }

    /// Refuses a partition that was being read. Records that were read before are kept and
    /// committed, unless they may belong to another topic.
    fn stop_reading(&mut self, mut refusal: PartitionRefusal) -> Result<(), LaneRestart> {
        let partition = refusal.partition.clone();
        let Some(slot) = self.slots.get(&partition).copied() else {
            return Ok(());
        };
        self.stop_fetching(&partition);
        let broken = if refusal.cause == LossCause::Recreated {
            refusal.table = self.owned[slot].committed.unwrap_or(Offset::ZERO);
            self.let_go(&partition)
        } else {
            None
        };
        self.refuse(refusal);
        broken.map_or(Ok(()), |work| self.go_back(work))
    }

    fn stop_fetching(&self, partition: &TopicPartition) {
        let mut list = TopicPartitionList::new();
        list.add_partition(partition.topic.as_str(), partition.partition.0);
        // A partition that the client has already lost cannot be paused, and sends nothing.
        if let Err(error) = self.consumer.pause(&list) {
            tracing::debug!(%error, source.partition = %partition, "the partition could not be paused");
        }
    }

    /// Reports the topics that cannot be read, refuses every partition whose topic was recreated
    /// since it was assigned, and checks whether partitions that are not read may be read now.
    ///
    /// Errors if some may: joining again resumes them.
    pub(super) fn check_partitions(&mut self) -> Result<(), LaneRestart> {
        if self.consumer.context().brokers_down() {
            return Ok(());
        }
        match brokers::topic_rights(&self.consumer, self.shared.topics.names(), PATIENCE) {
            Ok(states) => {
                self.brokers_answer();
                self.shared.topics.report(&states);
                self.refuse_recreated(&states)?;
                self.look_again()
            }
            Err(error) => {
                if self.brokers_fail(error.to_string()) {
                    tracing::warn!(%error, "the topics were not checked");
                }
                Ok(())
            }
        }
    }

    /// Checks the partitions that are refused or set aside. Errors, with all that may be read
    /// again, if some may.
    fn look_again(&mut self) -> Result<(), LaneRestart> {
        let partitions: Vec<TopicPartition> = self
            .refused
            .keys()
            .chain(&self.unavailable)
            .cloned()
            .collect();
        if partitions.is_empty() {
            return Ok(());
        }
        let found = match brokers::positions(&self.consumer, &partitions, PATIENCE) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "refused partitions were not checked again");
                return Ok(());
            }
        };
        let mut readable = Vec::new();
        for partition in partitions {
            let Some(kafka) = found.found.get(&partition) else {
                log_unanswered(&partition, found.failed.get(&partition));
                continue;
            };
            let table = match self.tables.position(&partition) {
                Ok(table) => table,
                Err(error) => {
                    tracing::warn!(%error, "a refused partition was not checked again");
                    continue;
                }
            };
            match judge(&partition, table, *kafka) {
                Err(refusal) => self.refuse(refusal),
                Ok(()) => readable.push(partition.to_string()),
            }
        }
        // Records read before a loss are not committed yet, and Kafka may not have them any more.
        if readable.is_empty()
            || self
                .refused
                .keys()
                .any(|partition| self.is_pending(partition))
        {
            return Ok(());
        }
        Err(LaneRestart::wanted(format_args!(
            "{} may be read again",
            readable.join(", ")
        )))
    }

    fn is_pending(&self, partition: &TopicPartition) -> bool {
        let owned = self
            .slots
            .get(partition)
            .map(|slot| &self.owned[*slot])
            .filter(|owned| owned.live);
        owned.is_some_and(|owned| {
            !owned.intake.is_empty() || self.works[owned.work].touches(partition)
        })
    }

    /// Compares the topics of a gathering with those that it was read from. The product waits if
    /// the brokers do not answer.
    ///
    /// All its records were read earlier: a topic that has its old id now had it then, since an id
    /// is never reused. Returns false if the gathering was dropped or must wait. Errors if the lane
    /// must join again.
    pub(super) fn topics_unchanged(&mut self, index: usize) -> Result<bool, LaneRestart> {
        self.pass_gaps();
        let topics = self.live_topics(index);
        match brokers::topic_states(&self.consumer, topics.iter(), PATIENCE) {
            Ok(states) => {
                self.brokers_answer();
                Ok(!self.refuse_recreated(&states)? && !self.set_hidden_aside(index, &states)?)
            }
            Err(error) => {
                if self.brokers_fail(error.to_string()) {
                    tracing::warn!(%error, "waiting for the brokers before a commit");
                }
                self.hold_product(index)?;
                Ok(false)
            }
        }
    }

    /// Returns the topics, with known ids, of the live partitions of a product.
    fn live_topics(&self, index: usize) -> BTreeSet<Topic> {
        let live = self
            .owned
            .iter()
            .filter(|owned| owned.live && owned.topic.is_some() && owned.work == index);
        live.map(|owned| owned.partition.topic.clone()).collect()
    }

    /// Drops the gathered data of a product if some of it is from topics that the brokers no longer
    /// show, and sets their partitions aside: those records may belong to another topic than the
    /// assigned one. The product's other partitions are read again. Returns true if there was such
    /// a topic.
    fn set_hidden_aside(
        &mut self,
        index: usize,
        states: &BTreeMap<Topic, TopicState>,
    ) -> Result<bool, LaneRestart> {
        let mut hidden = Vec::new();
        for owned in self
            .owned
            .iter()
            .filter(|owned| owned.live && owned.topic.is_some() && owned.work == index)
        {
            let topic = &owned.partition.topic;
            if let Some(state @ (TopicState::Hidden | TopicState::Failed(_))) = states.get(topic)
                && self.works[index].touches(&owned.partition)
            {
                hidden.push((
                    owned.partition.clone(),
                    state.fault(topic).unwrap_or_default(),
                ));
            }
        }
        for (partition, why) in &hidden {
            self.stop_fetching(partition);
            self.let_go(partition);
            self.set_aside(partition.clone(), why);
        }
        if !hidden.is_empty() {
            self.go_back(index)?;
        }
        Ok(!hidden.is_empty())
    }

    /// Refuses the live partitions of topics that have another id than when they were assigned.
    /// Returns true if there were any. A missing topic was deleted: the records read from it belong
    /// to the topic that was assigned.
    fn refuse_recreated(
        &mut self,
        states: &BTreeMap<Topic, TopicState>,
    ) -> Result<bool, LaneRestart> {
        let mut changed = Vec::new();
        for owned in self.owned.iter().filter(|owned| owned.live) {
            let now = states
                .get(&owned.partition.topic)
                .and_then(|state| state.id());
            if let Some((was, now)) = owned.topic.zip(now)
                && was != now
            {
                let next = owned.committed.unwrap_or(Offset::ZERO);
                changed.push((
                    owned.partition.clone(),
                    TablePosition {
                        next,
                        topic: Some(was.mark()),
                    },
                ));
            }
        }
        if changed.is_empty() {
            return Ok(false);
        }
        let partitions: Vec<TopicPartition> = changed
            .iter()
            .map(|(partition, _)| partition.clone())
            .collect();
        let found = brokers::positions(&self.consumer, &partitions, PATIENCE)
            .map_err(LaneRestart::because)?;
        for (partition, table) in changed {
            match found.found.get(&partition) {
                Some(kafka) => {
                    if let Err(refusal) = judge(&partition, Some(table), *kafka) {
                        self.stop_reading(refusal)?;
                    }
                }
                // Nothing of it is committed before the brokers answer.
                None => {
                    log_unanswered(&partition, found.failed.get(&partition));
                    if let Some(slot) = self.slots.get(&partition) {
                        self.hold_product(self.owned[*slot].work)?;
                    }
                }
            }
        }
        Ok(true)
    }
}

fn log_unanswered(partition: &TopicPartition, why: Option<&String>) {
    tracing::debug!(source.partition = %partition, why, "the brokers do not report a partition's offsets");
}
