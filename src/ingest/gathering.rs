//! What a lane has gathered of one product since its last commit: open segments, dead letters, offsets and counts.
//!
//! All of it is committed in one step or dropped in one step; nothing here is durable. Promises that its counts add up:
//! every record that was read is stored, expired, skipped or a dead letter.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use crate::ids::{Bucket, Category, Offset, PolicyVersion, ProfileId, TopicId, TopicPartition};
use crate::ingest::dead_letters::DeadLetter;
use crate::record::Fault;
use crate::store::{SegmentError, SegmentWriter, TableSpec};
use crate::tag::Group;

/// Rows of one key share a segment: one bucket, one profile, the same categories left out.
type GroupKey = (Bucket, ProfileId, Vec<usize>);

/// What was gathered of one product.
#[derive(Default)]
pub struct Gathering {
    /// Open segments.
    pub segments: BTreeMap<GroupKey, SegmentWriter>,
    /// Dead letters that are not delivered yet.
    pub letters: Vec<DeadLetter>,
    /// How far each partition was read.
    pub reached: BTreeMap<TopicPartition, Reached>,
    /// What was counted.
    pub counts: Counts,
    /// When the first record came, on the monotonic clock.
    pub since: Option<Duration>,
    letters_memory: usize,
}

/// How far one partition was read since the last commit.
#[derive(Debug, Clone, Copy)]
pub struct Reached {
    /// Where the table stood when reading began; `None` if it had nothing of the partition.
    pub from: Option<Offset>,
    /// The offset to continue from: after the last record, and after the following offsets that are known to hold no
    /// record.
    pub next: Offset,
    /// The id of the topic that was read; `None` if the brokers do not report ids.
    pub topic: Option<TopicId>,
    /// How many records were read: fewer than the offsets between, where Kafka left some out.
    pub records: u64,
    /// Kafka's timestamp of the first record, in milliseconds since 1970.
    pub oldest: Option<i64>,
}

/// What became of the records that were read.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Records read.
    pub read: u64,
    /// Records stored.
    pub stored: u64,
    /// Records past all deadlines on arrival: counted, not stored.
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

impl Gathering {
    /// Whether nothing was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reached.is_empty()
    }

    /// How much memory it takes, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.letters_memory + self.segments.values().map(SegmentWriter::memory).sum::<usize>()
    }

    /// Adds the rows of one group to its segment, opening it where needed.
    pub fn store(&mut self, spec: &Arc<TableSpec>, version: &PolicyVersion, group: Group) -> Result<(), SegmentError> {
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

    /// Notes that `records` records of `partition` were read, `first` to just before `next`. `from` is where its table stands.
    pub fn reach(&mut self, partition: &TopicPartition, reached: Reached) {
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
