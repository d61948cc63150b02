//! The topics of a product: before each commit, their ids are compared with the ids under which the
//! records were read.
//!
//! Only the partition concerned is refused; the others continue. Records that may not be read are
//! never in a commit.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::ProductIngest;
use crate::brokers::{self, TopicState};
use crate::lane_io::{LaneIo, LaneRestart, log_unanswered};
use crate::position::{PartitionRefusal, TablePosition, check_position};
use ebbtide_base::ids::{Offset, Topic, TopicPartition};
use ebbtide_table::LossCause;

/// The time that the brokers may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

impl ProductIngest {
    /// Compares the topics of the batch with those that it was read from. The product is paused if
    /// the brokers do not answer.
    ///
    /// All its records were read earlier: a topic that has its old id now had it then, since an id
    /// is never reused. Returns false if the batch was dropped or must wait. Errors if the lane must
    /// join again.
    pub(super) fn topics_unchanged(&mut self, io: &mut LaneIo) -> Result<bool, LaneRestart> {
        if let Some(positions) = io.read_positions() {
            self.pass_gaps(&positions, io.now());
        }
        let topics = self.topics_with_ids();
        match brokers::topic_states(&io.consumer, topics.iter(), PATIENCE) {
            Ok(states) => {
                io.brokers_answer();
                Ok(!self.refuse_recreated(io, &states)? && !self.set_hidden_aside(io, &states)?)
            }
            Err(error) => {
                if io.brokers_fail(error.to_string()) {
                    tracing::warn!(%error, "waiting for the brokers before a commit");
                }
                self.pause_after_failure(io)?;
                Ok(false)
            }
        }
    }

    /// Returns the topics, with known ids, of the product's partitions.
    fn topics_with_ids(&self) -> BTreeSet<Topic> {
        let known = self
            .partitions
            .iter()
            .filter(|(_, owned)| owned.topic.is_some());
        known.map(|(id, _)| id.topic.clone()).collect()
    }

    /// Drops the uncommitted data of the product if some of it is from topics that the brokers no
    /// longer show, and sets their partitions aside: those records may belong to another topic than
    /// the assigned one. The product's other partitions are read again. Returns true if there was
    /// such a topic.
    fn set_hidden_aside(
        &mut self,
        io: &mut LaneIo,
        states: &BTreeMap<Topic, TopicState>,
    ) -> Result<bool, LaneRestart> {
        let mut hidden = Vec::new();
        for (partition, owned) in &self.partitions {
            let topic = &partition.topic;
            if owned.topic.is_some()
                && let Some(state @ (TopicState::Hidden | TopicState::Failed(_))) =
                    states.get(topic)
                && self.touches(partition)
            {
                hidden.push((partition.clone(), state.fault(topic).unwrap_or_default()));
            }
        }
        let found = !hidden.is_empty();
        for (partition, why) in hidden {
            io.stop_fetching(&partition);
            self.release(io, &partition);
            io.set_aside(partition, &why);
        }
        if found {
            self.go_back(io)?;
        }
        Ok(found)
    }

    /// Refuses the partitions of topics that have another id than when they were assigned. Returns
    /// true if there were any. A missing topic was deleted: the records read from it belong to the
    /// topic that was assigned.
    pub fn refuse_recreated(
        &mut self,
        io: &mut LaneIo,
        states: &BTreeMap<Topic, TopicState>,
    ) -> Result<bool, LaneRestart> {
        let mut changed = BTreeMap::new();
        for (partition, owned) in &self.partitions {
            let now = states.get(&partition.topic).and_then(|state| state.id());
            if let Some((was, now)) = owned.topic.zip(now)
                && was != now
            {
                let table = TablePosition {
                    next: owned.committed.unwrap_or(Offset::ZERO),
                    topic: Some(was.mark()),
                };
                changed.insert(partition.clone(), table);
            }
        }
        if changed.is_empty() {
            return Ok(false);
        }
        let partitions: Vec<TopicPartition> = changed.keys().cloned().collect();
        let found = brokers::positions(&io.consumer, &partitions, PATIENCE)
            .map_err(LaneRestart::because)?;
        for (partition, table) in changed {
            match found.found.get(&partition) {
                Some(kafka) => {
                    if let Err(refusal) = check_position(&partition, Some(table), *kafka) {
                        self.stop_reading(io, refusal)?;
                    }
                }
                // Nothing of it is committed before the brokers answer.
                None => {
                    log_unanswered(&partition, found.failed.get(&partition));
                    self.pause_after_failure(io)?;
                }
            }
        }
        Ok(true)
    }

    /// Refuses a partition that was being read. Records that were read before are kept and
    /// committed, unless they may belong to another topic.
    pub fn stop_reading(
        &mut self,
        io: &mut LaneIo,
        mut refusal: PartitionRefusal,
    ) -> Result<(), LaneRestart> {
        let Some(owned) = self.partitions.get(&refusal.partition) else {
            return Ok(());
        };
        io.stop_fetching(&refusal.partition);
        let mut is_broken = false;
        if refusal.cause == LossCause::Recreated {
            refusal.table = owned.committed.unwrap_or(Offset::ZERO);
            is_broken = self.release(io, &refusal.partition);
        }
        io.refuse(refusal);
        if is_broken { self.go_back(io) } else { Ok(()) }
    }
}
