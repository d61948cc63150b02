//! The description of one batch: the offsets of each partition, and the outcomes of the records
//! between them, as counts.
//!
//! Filled once, while records are processed. The commit with its evidence, the metrics, and the
//! offsets below which dead letters are settled are all made from it, so they cannot differ. It
//! never contains a value.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use ebbtide_base::ids::{Bucket, Category, Offset, PolicyVersion, TopicId, TopicPartition};
use ebbtide_base::record::Fault;
use ebbtide_table::{
    ControlsVersion, Evidence, IngestCommit, OffsetAdvance, PartitionEvidence, Segment,
};

/// The offsets and counts of one product's batch. The counts add up: every record that was read is
/// stored, expired, skipped or a dead letter.
#[derive(Debug, Default)]
pub struct BatchCoverage {
    /// The offsets that were read in each partition.
    pub partitions: BTreeMap<TopicPartition, PartitionCoverage>,
    /// The buckets of the stored records.
    pub buckets: BTreeSet<Bucket>,
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
    /// Bytes of the keys and values that were read.
    pub bytes: u64,
    /// The time at which the first record was gathered, on the monotonic clock.
    pub since: Option<Duration>,
}

/// The offsets that a batch covers in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionCoverage {
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

/// The author and time of a commit. They stay the same when the commit is attempted again.
#[derive(Debug, Clone)]
pub struct CommitStamp {
    /// The commit's unique id, by which an earlier attempt is recognised.
    pub commit: Uuid,
    /// The random id of the instance.
    pub writer: Uuid,
    /// The time at which the commit was made.
    pub at: DateTime<Utc>,
    /// The policy by which the records were tagged.
    pub policy: PolicyVersion,
}

impl BatchCoverage {
    /// Returns true if nothing was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// Returns true if records or gaps of `partition` are covered.
    #[must_use]
    pub fn covers(&self, partition: &TopicPartition) -> bool {
        self.partitions.contains_key(partition)
    }

    /// Returns the number of records that were read.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.partitions
            .values()
            .map(|covered| covered.records)
            .sum()
    }

    /// Returns the number of records that were sent to the dead letters.
    #[must_use]
    pub fn dead_letters(&self) -> u64 {
        self.faults.values().sum()
    }

    /// Extends the coverage of `partition`: adds the records that were read and moves the next
    /// offset. The start of reading, the topic and the timestamp of the first record are kept from
    /// the first call.
    pub fn extend(&mut self, partition: &TopicPartition, read: PartitionCoverage, now: Duration) {
        self.since.get_or_insert(now);
        self.partitions
            .entry(partition.clone())
            .and_modify(|so_far| {
                so_far.next = read.next;
                so_far.records += read.records;
            })
            .or_insert(read);
    }

    /// Returns the commit that adds `segments`, whose rows are the stored records, and moves the
    /// table's offsets over all that is covered.
    #[must_use]
    pub fn commit(
        &self,
        stamp: &CommitStamp,
        segments: Vec<Segment>,
        controls: ControlsVersion,
    ) -> IngestCommit {
        IngestCommit {
            segments,
            advances: self.advances(),
            controls,
            evidence: self.evidence(stamp),
        }
    }

    fn advances(&self) -> Vec<OffsetAdvance> {
        self.partitions
            .iter()
            .map(|(partition, covered)| OffsetAdvance {
                partition: partition.clone(),
                from: covered.from,
                next: covered.next,
                topic: covered.topic,
            })
            .collect()
    }

    fn evidence(&self, stamp: &CommitStamp) -> Evidence {
        let mut evidence = Evidence::ingest(stamp.writer, stamp.at, stamp.policy.clone());
        evidence.commit = stamp.commit;
        evidence.read = self.read();
        evidence.stored = self.stored;
        evidence.expired = self.expired;
        evidence.skipped = self.skipped;
        evidence.dead_letters = self
            .faults
            .iter()
            .map(|(fault, count)| (fault.code().to_owned(), *count))
            .collect();
        evidence.late_fields = self.late_fields.clone();
        evidence.unclassified = self.unclassified;
        evidence.buckets = self.buckets.iter().map(Bucket::to_string).collect();
        evidence.partitions = self
            .partitions
            .iter()
            .map(|(partition, covered)| PartitionEvidence {
                partition: partition.clone(),
                from: covered.from,
                next: covered.next,
                records: covered.records,
            })
            .collect();
        evidence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition {
            topic: "traffic.sms".parse().unwrap(),
            partition: ebbtide_base::ids::Partition(number),
        }
    }

    fn read(from: Option<i64>, next: i64, records: u64, oldest: Option<i64>) -> PartitionCoverage {
        PartitionCoverage {
            from: from.map(Offset),
            next: Offset(next),
            topic: Some(TopicId(7)),
            records,
            oldest,
        }
    }

    fn stamp() -> CommitStamp {
        CommitStamp {
            commit: Uuid::from_u128(1),
            writer: Uuid::from_u128(2),
            at: DateTime::UNIX_EPOCH,
            policy: "2026-09-01".parse().unwrap(),
        }
    }

    #[test]
    fn later_records_move_the_end_and_keep_the_start() {
        let mut coverage = BatchCoverage::default();
        assert!(coverage.is_empty() && coverage.since.is_none());
        let at = Duration::from_secs;
        coverage.extend(&partition(0), read(Some(41), 44, 3, Some(1_000)), at(5));
        // The table's offset does not move before the commit, so `from` stays the same.
        coverage.extend(&partition(0), read(Some(41), 50, 4, Some(2_000)), at(6));
        coverage.extend(&partition(0), read(Some(41), 52, 0, None), at(7));
        coverage.extend(&partition(3), read(None, 2, 2, None), at(8));
        assert_eq!(
            coverage.partitions[&partition(0)],
            read(Some(41), 52, 7, Some(1_000))
        );
        assert_eq!((coverage.read(), coverage.since), (9, Some(at(5))));
        assert!(coverage.covers(&partition(3)) && !coverage.covers(&partition(1)));
    }

    #[test]
    fn commit_and_evidence_move_the_same_offsets_and_count_the_same_records() {
        let mut coverage = BatchCoverage::default();
        coverage.extend(&partition(0), read(Some(41), 50, 7, None), Duration::ZERO);
        coverage.extend(&partition(1), read(None, 3, 3, None), Duration::ZERO);
        (coverage.stored, coverage.expired, coverage.skipped) = (4, 2, 1);
        coverage.faults = BTreeMap::from([(Fault::BadMagic, 2), (Fault::Truncated, 1)]);
        let commit = coverage.commit(&stamp(), Vec::new(), ControlsVersion(3));
        let moved: Vec<_> = commit
            .advances
            .iter()
            .map(|advance| (advance.partition.clone(), advance.from, advance.next))
            .collect();
        let proved: Vec<_> = commit
            .evidence
            .partitions
            .iter()
            .map(|proof| (proof.partition.clone(), proof.from, proof.next))
            .collect();
        assert_eq!(moved, proved);
        assert_eq!(
            moved,
            [
                (partition(0), Some(Offset(41)), Offset(50)),
                (partition(1), None, Offset(3))
            ]
        );
        assert!(commit.evidence.conserves());
        assert_eq!((commit.evidence.read, commit.evidence.dead()), (10, 3));
        assert_eq!(coverage.dead_letters(), 3);
        assert!(
            commit
                .advances
                .iter()
                .all(|to| to.topic == Some(TopicId(7)))
        );
        assert_eq!(commit.controls, ControlsVersion(3));
    }

    #[test]
    fn repeated_attempt_has_the_same_evidence() {
        let mut coverage = BatchCoverage::default();
        coverage.extend(&partition(0), read(Some(1), 2, 1, None), Duration::ZERO);
        coverage.expired = 1;
        let attempt = || {
            coverage
                .commit(&stamp(), Vec::new(), ControlsVersion(0))
                .evidence
        };
        assert_eq!(attempt(), attempt());
        assert_eq!(attempt().commit, Uuid::from_u128(1));
    }
}
