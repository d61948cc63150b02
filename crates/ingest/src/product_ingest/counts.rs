//! The metrics of a product's commits, and its progress for the gauges. Only commits that succeeded
//! are counted, so that records that are read again count once.

use std::time::Duration;

use super::ProductIngest;
use crate::batch_coverage::BatchCoverage;
use crate::lag::LanePosition;
use crate::lane_io::LaneIo;
use crate::lane_partition::LanePartition;
use ebbtide_base::ids::{Offset, TopicPartition};

impl ProductIngest {
    /// Returns the committed progress of a partition. If no record of it waits, offsets without
    /// records count as committed.
    #[must_use]
    pub fn progress(
        &self,
        partition: &TopicPartition,
        owned: &LanePartition,
        drained: Option<Offset>,
    ) -> LanePosition {
        let covered = &self.pipeline.batch.coverage.partitions;
        let gathered = covered.get(partition).filter(|covered| covered.records > 0);
        let waiting = (!owned.buffer.is_empty())
            .then(|| owned.buffer.timestamp(0))
            .flatten();
        let idle = gathered.is_none() && owned.buffer.is_empty() && !self.is_committing(partition);
        let committed = owned.committed.unwrap_or(owned.first);
        let done = if idle {
            committed.max(owned.read_to.max(drained).unwrap_or(committed))
        } else {
            committed
        };
        let read = owned.wanted.unwrap_or(done).max(done);
        LanePosition {
            done,
            read,
            oldest: gathered.and_then(|covered| covered.oldest).or(waiting),
        }
    }

    /// Counts a commit that did not succeed.
    pub(super) fn count(&self, io: &LaneIo, outcome: &str) {
        io.deps
            .metrics
            .commits
            .with_label_values(&[self.product.as_str(), outcome])
            .inc();
    }

    /// Counts attempts of a commit that found their version taken.
    pub(super) fn count_raced(&self, io: &LaneIo, tries: u64) {
        io.deps
            .metrics
            .commits
            .with_label_values(&[self.product.as_str(), "raced"])
            .inc_by(tries);
    }

    /// Counts a commit that succeeded, of the records in `coverage`, and the time since it `began`.
    pub(super) fn count_landed(&self, io: &LaneIo, coverage: &BatchCoverage, began: Duration) {
        let (metrics, name) = (&io.deps.metrics, self.product.as_str());
        self.count(io, "landed");
        metrics
            .commit_seconds
            .with_label_values(&[name])
            .observe(io.now().saturating_sub(began).as_secs_f64());
        for (outcome, records) in [
            ("stored", coverage.stored),
            ("expired", coverage.expired),
            ("skipped", coverage.skipped),
            ("dead_letter", coverage.dead_letters()),
        ] {
            metrics
                .records
                .with_label_values(&[name, outcome])
                .inc_by(records);
        }
        for (counter, number) in [
            (&metrics.bytes, coverage.bytes),
            (&metrics.unclassified, coverage.unclassified),
            (&metrics.unparsed_subjects, coverage.unparsed),
        ] {
            counter.with_label_values(&[name]).inc_by(number);
        }
        for (fault, letters) in &coverage.faults {
            metrics
                .dead_letters
                .with_label_values(&[name, fault.code()])
                .inc_by(*letters);
        }
        for (category, fields) in &coverage.late_fields {
            metrics
                .late_fields
                .with_label_values(&[name, category.as_str()])
                .inc_by(*fields);
        }
    }
}
