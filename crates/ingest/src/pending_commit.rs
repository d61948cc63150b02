//! A batch of one product between its segments and its commit.

use std::time::Duration;

use tokio::task::JoinHandle;

use crate::batch_coverage::{BatchCoverage, CommitStamp};
use crate::dead_letters::{DeadLetter, DeliveryOutcome};
use ebbtide_base::ids::TopicPartition;
use ebbtide_table::{ControlsVersion, IngestCommit, Segment};

/// A batch whose segments are written, or are being written.
pub struct PendingCommit {
    /// The offsets and counts of the batch.
    pub coverage: BatchCoverage,
    /// Its segments.
    pub segments: Vec<Segment>,
    /// The controls under which it was made.
    pub controls: ControlsVersion,
    /// The author and time of the commit.
    pub stamp: CommitStamp,
    /// The dead letters that must be delivered before the commit.
    pub letters: Vec<DeadLetter>,
    /// Their delivery, while it runs.
    pub delivery: Option<JoinHandle<DeliveryOutcome>>,
    /// The start of the commit, on the monotonic clock.
    pub began: Duration,
    /// True if an attempt to commit may have succeeded: its files must not be deleted then.
    pub may_have_landed: bool,
}

impl PendingCommit {
    /// Returns the commit for one attempt. All attempts have the same id.
    #[must_use]
    pub fn attempt(&self) -> IngestCommit {
        self.coverage
            .commit(&self.stamp, self.segments.clone(), self.controls)
    }

    /// Returns true if records or gaps of `partition` are being committed.
    #[must_use]
    pub fn covers(&self, partition: &TopicPartition) -> bool {
        self.coverage.covers(partition)
    }
}
