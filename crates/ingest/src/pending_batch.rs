//! The data of one product that a lane has gathered since its last commit: open segments, dead
//! letters, offsets and counts.
//!
//! All of it is committed in one step or dropped in one step; nothing here is durable. The counts
//! add up: every record that was read is stored, expired, skipped or a dead letter.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use crate::dead_letters::DeadLetter;
use ebbtide_base::ids::{
    Bucket, Category, Offset, PolicyVersion, ProfileId, TopicId, TopicPartition,
};
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
    /// The progress of reading in each partition.
    pub reached: BTreeMap<TopicPartition, PartitionProgress>,
    /// The counts.
    pub counts: BatchCounts,
    /// The time at which the first record was gathered, on the monotonic clock.
    pub since: Option<Duration>,
    letters_memory: usize,
}

/// The progress of reading in one partition since the last commit.
#[derive(Debug, Clone, Copy)]
pub struct PartitionProgress {
    /// The table's next offset when reading began; `None` if the table had no offset of the
    /// partition.
    pub from: Option<Offset>,
    /// The offset to continue from: after the last record, and after the following offsets that are
    /// known to hold no record.
    pub next: Offset,
    /// The id of the topic that was read; `None` if the brokers do not report ids.
    pub topic: Option<TopicId>,
    /// The number of records that were read. It is less than the number of offsets if some offsets
    /// have no record.
    pub records: u64,
    /// Kafka's timestamp of the first record, in milliseconds since 1970.
    pub oldest: Option<i64>,
}

/// The outcomes of the records that were read.
#[derive(Debug, Clone, Default)]
pub struct BatchCounts {
    /// Records read.
    pub read: u64,
    /// Records stored.
    pub stored: u64,
    /// Records past all deadlines on arrival: counted and not stored.
    pub expired: u64,
    /// Records that are not the product's and that the policy skips.
    pub skipped: u64,
    /// Records sent to the dead letters, by fault.
    pub faults: BTreeMap<Fault, u64>,
    /// Fields left out because they were due on arrival, by category.
    pub late_fields: BTreeMap<Category, u64>,
    /// Fields that the policy does not classify.
    pub unclassified: u64,
    /// Values of phone columns that are not numbers.
    pub unparsed: u64,
    /// Bytes of the values that were read.
    pub bytes: u64,
}

impl PendingBatch {
    /// Returns true if nothing was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reached.is_empty()
    }

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
        self.counts.stored += group.rows.num_rows() as u64;
        let key = (group.bucket, group.profile.id.clone(), group.absent.clone());
        let segment = match self.segments.entry(key) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => place.insert(SegmentWriter::of_group(spec, &group, version)?),
        };
        segment.write(&group.rows)
    }

    /// Adds a dead letter.
    pub fn refuse(&mut self, letter: DeadLetter, fault: Fault) {
        self.letters_memory += letter.memory();
        self.letters.push(letter);
        *self.counts.faults.entry(fault).or_default() += 1;
    }

    /// Records the progress in `partition`: adds the records that were read and moves the next
    /// offset. The start of reading and the timestamp of the first record are kept from the first
    /// call.
    pub fn reach(&mut self, partition: &TopicPartition, reached: PartitionProgress) {
        self.counts.read += reached.records;
        self.reached
            .entry(partition.clone())
            .and_modify(|so_far| {
                so_far.next = reached.next;
                so_far.records += reached.records;
            })
            .or_insert(reached);
    }
}
