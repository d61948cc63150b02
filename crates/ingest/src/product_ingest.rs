//! One product's work in one lane: its partitions, its decoders and tagger, the gathered data, and
//! the batch that is being committed.
//!
//! A product owns its partitions and shares nothing with the lane's other products, so a pause or a
//! failure of one moves no offset of another.

mod commit;
mod counts;
mod delivery;
mod gaps;
mod ownership;
mod pauses;
mod pipeline;
mod process;
mod topics;

use std::collections::BTreeMap;
use std::time::Duration;

use rand::Rng;

use crate::lane_partition::LanePartition;
use crate::pending_commit::PendingCommit;
use crate::product_pause::ProductPause;
use ebbtide_base::health::{Component, Health};
use ebbtide_base::ids::{Partition, ProductKey, Topic, TopicPartition};
use ebbtide_controls::{Controls, ProductNotices};
use ebbtide_table::ControlsVersion;

pub use pipeline::ProductPipeline;
pub use process::ProcessingPass;

/// One product's work in one lane.
pub struct ProductIngest {
    /// The product.
    pub product: ProductKey,
    /// The topics that it is read from.
    pub topics: Vec<Topic>,
    /// Its partitions that the lane owns.
    pub partitions: BTreeMap<TopicPartition, LanePartition>,
    /// Decodes and tags its records, and gathers them.
    pub pipeline: ProductPipeline,
    /// The version of the controls under which the data was gathered.
    pub controls: ControlsVersion,
    /// A batch that is not committed yet. Meanwhile no record is gathered.
    pub pending: Option<PendingCommit>,
    /// The pause after a step that failed.
    pub pause: ProductPause,
    /// The conditions of a commit.
    pub trigger: CommitTrigger,
}

/// The conditions under which gathered data is committed: a number of bytes or an age, whichever is
/// reached first.
#[derive(Debug, Clone, Copy)]
pub struct CommitTrigger {
    bytes: usize,
    age: Duration,
    limit: Duration,
}

impl CommitTrigger {
    /// Creates a trigger that commits at `bytes`, or at an age of about `age`.
    #[must_use]
    pub fn new(bytes: usize, age: Duration) -> Self {
        Self {
            bytes,
            age,
            limit: age,
        }
    }

    /// Draws the next age: at most a fifth below or above the configured one, so that lanes and
    /// instances do not commit in step.
    pub fn jitter(&mut self) {
        self.limit = self.age.mul_f64(rand::rng().random_range(0.8..1.2));
    }

    /// Returns true if a batch of `bytes` that began at `since` is to be committed at `now`.
    #[must_use]
    pub fn is_due(&self, bytes: usize, since: Duration, now: Duration) -> bool {
        bytes >= self.bytes || now.saturating_sub(since) >= self.limit
    }
}

impl ProductIngest {
    /// Creates the work on a product without partitions, which acts on no controls yet.
    #[must_use]
    pub fn new(
        product: ProductKey,
        topics: Vec<Topic>,
        pipeline: ProductPipeline,
        trigger: CommitTrigger,
    ) -> Self {
        Self {
            product,
            topics,
            partitions: BTreeMap::new(),
            pipeline,
            controls: ControlsVersion::default(),
            pending: None,
            pause: ProductPause::default(),
            trigger,
        }
    }

    /// Returns the memory of the gathered data, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.pipeline.batch.memory()
    }

    /// Returns true if the gathered data is to be committed at `now`, on the monotonic clock.
    #[must_use]
    pub fn is_due(&self, now: Duration) -> bool {
        let since = self.pipeline.batch.coverage.since;
        since.is_some_and(|since| self.trigger.is_due(self.memory(), since, now))
    }

    /// Returns true if no record may be gathered: a batch is being committed, or the product is
    /// paused.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.pending.is_some() || self.pause.is_active()
    }

    /// Returns true if dead letters of a batch were sent and are not acknowledged yet.
    #[must_use]
    pub fn is_delivering(&self) -> bool {
        self.pending
            .as_ref()
            .is_some_and(|pending| pending.delivery.is_some())
    }

    /// Returns true if records of `partition` are gathered or being committed.
    #[must_use]
    pub fn touches(&self, partition: &TopicPartition) -> bool {
        self.pipeline.batch.coverage.covers(partition) || self.is_committing(partition)
    }

    /// Returns true if records of `partition` are being committed.
    #[must_use]
    pub fn is_committing(&self, partition: &TopicPartition) -> bool {
        self.pending
            .as_ref()
            .is_some_and(|pending| pending.covers(partition))
    }

    /// Returns true if records of `partition` wait to be processed or committed.
    #[must_use]
    pub fn has_uncommitted(&self, partition: &TopicPartition) -> bool {
        self.partitions
            .get(partition)
            .is_some_and(|owned| !owned.buffer.is_empty() || self.touches(partition))
    }

    /// Returns the partition that a message of this topic and number belongs to; `None` if the lane
    /// does not own it, or if another product reads the topic.
    pub fn partition(
        &mut self,
        topic: &str,
        number: i32,
    ) -> Option<(&TopicPartition, &mut LanePartition)> {
        let topic = self.topics.iter().find(|own| own.as_str() == topic)?;
        let id = TopicPartition {
            topic: topic.clone(),
            partition: Partition(number),
        };
        self.partitions
            .range_mut::<TopicPartition, _>(&id..=&id)
            .next()
    }

    /// Acts on `controls` from now on: records are tagged by the triggers in them. `version` is the
    /// version of the controls that the table has.
    pub fn act_on(&mut self, version: ControlsVersion, controls: &Controls) {
        self.controls = version;
        let tagger = &mut self.pipeline.tagger;
        let notices = ProductNotices::of(controls, &self.product, tagger.calendar());
        tagger.know(notices.triggers(tagger.records()));
    }

    /// Clears the reported problems of the product's commits.
    pub fn forget_troubles(&self, health: &Health) {
        health.over(&Component::Table(self.product.clone()));
        health.over(&Component::Letters(self.product.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_is_due_by_its_bytes_or_by_its_age_whichever_is_first() {
        let mut trigger = CommitTrigger::new(1000, Duration::from_secs(10));
        let at = Duration::from_secs;
        assert!(!trigger.is_due(999, at(0), at(9)));
        assert!(trigger.is_due(1000, at(0), at(0)));
        assert!(trigger.is_due(0, at(5), at(15)));
        for _ in 0..100 {
            trigger.jitter();
            assert!(!trigger.is_due(0, at(0), at(7)));
            assert!(trigger.is_due(0, at(0), at(12)));
        }
    }
}
