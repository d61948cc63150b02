//! Offsets without records: transaction markers, aborted and compacted records, and records that
//! retention removed.
//!
//! The client never delivers them, but its read position moves past them. That position is
//! committed like a record's, so that the table shows how far was read. A position counts only if
//! it belongs to the partition's present assignment.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ProductIngest;
use crate::batch_coverage::PartitionCoverage;
use ebbtide_base::ids::{Offset, TopicPartition};

impl ProductIngest {
    /// Returns true if the read positions of all partitions certainly belong to their present
    /// assignment.
    #[must_use]
    pub fn is_anchored(&self) -> bool {
        self.partitions.values().all(|owned| owned.anchored)
    }

    /// Records which partitions have a read position that certainly belongs to their present
    /// assignment, given the client's read positions.
    ///
    /// Called right after an assignment and a seek. The client forgets the position then; once it
    /// was seen without a position, or a record was delivered, the position it reports is current.
    pub fn anchor(&mut self, positions: &BTreeMap<TopicPartition, Offset>) {
        for (partition, owned) in &mut self.partitions {
            owned.anchored |= !positions.contains_key(partition);
        }
    }

    /// Adds offsets that were passed and have no record to the batch, to be committed with it.
    pub fn pass_gaps(&mut self, positions: &BTreeMap<TopicPartition, Offset>, now: Duration) {
        let coverage = &mut self.pipeline.batch.coverage;
        for (partition, owned) in &mut self.partitions {
            let committing = self
                .pending
                .as_ref()
                .is_some_and(|pending| pending.covers(partition));
            if !owned.buffer.is_empty() || committing {
                continue;
            }
            owned.read_to = owned.passed(positions.get(partition).copied());
            let so_far = coverage
                .partitions
                .get(partition)
                .map(|covered| covered.next)
                .or(owned.committed);
            let Some(next) = owned
                .read_to
                .filter(|next| so_far.is_none_or(|so_far| *next > so_far))
            else {
                continue;
            };
            let passed = PartitionCoverage {
                from: owned.committed,
                next,
                topic: owned.topic,
                records: 0,
                oldest: None,
            };
            coverage.extend(partition, passed, now);
        }
    }
}
