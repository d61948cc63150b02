//! The data of one product that a lane has gathered since its last commit: open segments, dead
//! letters, and the description of what they cover.
//!
//! All of it is committed in one step or dropped in one step; nothing here is durable.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::batch_coverage::BatchCoverage;
use crate::dead_letters::DeadLetter;
use ebbtide_base::ids::{Bucket, PolicyVersion, ProfileId};
use ebbtide_base::record::Fault;
use ebbtide_policy::tag::TaggedGroup;
use ebbtide_table::{SegmentError, SegmentWriter, TableSpec};

/// The key of a segment: the bucket, the profile and the omitted categories of its rows.
type GroupKey = (Bucket, ProfileId, Vec<usize>);

/// The gathered data of one product.
#[derive(Default)]
pub struct PendingBatch {
    /// Open segments.
    pub segments: BTreeMap<GroupKey, SegmentWriter>,
    /// Dead letters that are not delivered yet.
    pub letters: Vec<DeadLetter>,
    /// The offsets and counts.
    pub coverage: BatchCoverage,
    letters_memory: usize,
}

impl PendingBatch {
    /// Returns the memory that it takes, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.letters_memory
            + self
                .segments
                .values()
                .map(SegmentWriter::memory)
                .sum::<usize>()
    }

    /// Adds the rows of one group to its segment, and opens the segment if necessary.
    pub fn store(
        &mut self,
        spec: &Arc<TableSpec>,
        version: &PolicyVersion,
        group: TaggedGroup,
    ) -> Result<(), SegmentError> {
        self.coverage.stored += group.rows.num_rows() as u64;
        let key = (group.bucket, group.profile.id.clone(), group.absent.clone());
        let segment = match self.segments.entry(key) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => {
                self.coverage.buckets.insert(group.bucket);
                place.insert(SegmentWriter::of_group(spec, &group, version)?)
            }
        };
        segment.write(&group.rows)
    }

    /// Adds a dead letter.
    pub fn refuse(&mut self, letter: DeadLetter, fault: Fault) {
        self.letters_memory += letter.memory();
        self.letters.push(letter);
        *self.coverage.faults.entry(fault).or_default() += 1;
    }
}
