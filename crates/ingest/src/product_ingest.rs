//! One product's work in one lane: its decoders and tagger, the gathered data, and the time of its
//! commit.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;

use crate::decode::Decoders;
use crate::pending::{PendingCommit, ProductWait};
use crate::pending_batch::PendingBatch;
use ebbtide_base::health::{Component, Health};
use ebbtide_base::ids::{PolicyVersion, ProductKey, Topic, TopicPartition};
use ebbtide_controls::{Controls, ProductNotices};
use ebbtide_policy::tag::Tagger;
use ebbtide_table::{ControlsVersion, TableSpec};

/// One product's work in one lane.
pub struct ProductIngest {
    /// The product.
    pub product: ProductKey,
    /// The topics that it is read from.
    pub topics: Vec<Topic>,
    /// The layout of its table.
    pub spec: Arc<TableSpec>,
    /// The policy by which its records are tagged.
    pub version: PolicyVersion,
    /// Decodes bytes to batches.
    pub decoders: Decoders,
    /// Turns batches into tagged groups.
    pub tagger: Tagger,
    /// The data gathered since the last commit.
    pub gathering: PendingBatch,
    /// The partitions of a gathering that is being committed.
    pub in_flight: BTreeSet<TopicPartition>,
    /// The version of the controls under which the data was gathered.
    pub controls: ControlsVersion,
    /// A batch that is written and not committed yet. Meanwhile no record is gathered.
    pub pending: Option<PendingCommit>,
    /// The wait after a step that failed.
    pub hold: ProductWait,
    /// The conditions of a commit.
    pub pace: CommitTrigger,
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
    /// Creates a pace that commits at `bytes`, or at an age of about `age`.
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

    /// Returns true if a gathering of `bytes` that began at `since` is to be committed at `now`.
    #[must_use]
    pub fn is_due(&self, bytes: usize, since: Duration, now: Duration) -> bool {
        bytes >= self.bytes || now.saturating_sub(since) >= self.limit
    }
}

impl ProductIngest {
    /// Returns true if the gathering is to be committed at `now`, on the monotonic clock.
    #[must_use]
    pub fn is_due(&self, now: Duration) -> bool {
        self.gathering
            .since
            .is_some_and(|since| self.pace.is_due(self.gathering.memory(), since, now))
    }

    /// Returns true if no record may be gathered: a batch is being committed, or the product waits.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.pending.is_some() || self.hold.is_waiting()
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
        self.gathering.reached.contains_key(partition) || self.in_flight.contains(partition)
    }

    /// Acts on `controls` from now on: records are tagged by the triggers in them. `version` is the
    /// version of the controls that the table has.
    pub fn act_on(&mut self, version: ControlsVersion, controls: &Controls) {
        self.controls = version;
        let notices = ProductNotices::of(controls, &self.product, self.tagger.calendar());
        self.tagger.know(notices.triggers(self.tagger.records()));
    }

    /// Clears the reported problems of the product's commits.
    pub fn forget_troubles(&self, health: &Health) {
        health.over(&Component::Table(self.product.clone()));
        health.over(&Component::Letters(self.product.clone()));
    }

    /// Drops gathered data that is not committed. Returns the partitions that must be read again.
    pub fn drop_gathering(&mut self) -> BTreeSet<TopicPartition> {
        let mut partitions = std::mem::take(&mut self.in_flight);
        partitions.extend(std::mem::take(&mut self.gathering).reached.into_keys());
        partitions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gathering_is_due_by_its_bytes_or_by_its_age_whichever_is_first() {
        let mut pace = CommitTrigger::new(1000, Duration::from_secs(10));
        let at = Duration::from_secs;
        assert!(!pace.is_due(999, at(0), at(9)));
        assert!(pace.is_due(1000, at(0), at(0)));
        assert!(pace.is_due(0, at(5), at(15)));
        for _ in 0..100 {
            pace.jitter();
            assert!(!pace.is_due(0, at(0), at(7)));
            assert!(pace.is_due(0, at(0), at(12)));
        }
    }
}
