//! Evidence of one commit, in counts and names of rules, stored in the commit's own log entry.
//!
//! It contains no value of any record. It contains running totals, so that an audit can begin at
//! the oldest entry that still exists.

mod rewrite;

pub use rewrite::RewriteEvidence;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use ebbtide_base::ids::{Category, Offset, PolicyVersion, TopicPartition};

/// The operation of a commit of ingest.
const INGEST: &str = "ingest";

/// The operation of a decision about lost offsets.
pub const ACCEPT_LOSS: &str = "accept-loss";

/// The operation of a rewrite that merges segments and changes no row.
pub const COMPACT: &str = "compact";

/// The operations of the commits that this version makes.
pub const OPERATIONS: [&str; 14] = [
    INGEST,
    "drop",
    "split",
    "remove",
    "anonymize",
    "retag",
    COMPACT,
    ACCEPT_LOSS,
    "hold",
    "release",
    "activate",
    "contract_end",
    "consent_withdrawn",
    "notices",
];

/// Evidence of one commit. The caller fills in the counts; the commit checks them and adds the
/// totals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The kind of the commit: `ingest`, `hold`, `release`, `activate`, `notices`, or the purpose
    /// of the rewrite.
    pub operation: String,
    /// The commit's unique id, by which a writer finds its commit again after an error.
    pub commit: Uuid,
    /// A random id of the process that made it.
    pub writer: Uuid,
    /// The time at which it was made.
    pub at: DateTime<Utc>,
    /// The version of the policy it was made under.
    pub policy_version: PolicyVersion,
    /// Records taken from the source.
    pub read: u64,
    /// Records stored.
    pub stored: u64,
    /// Records that were past all their deadlines on arrival, counted and not stored.
    pub expired: u64,
    /// Records that are not the product's and that the policy skips.
    #[serde(default)]
    pub skipped: u64,
    /// Records in the dead letters, by reason code.
    pub dead_letters: BTreeMap<String, u64>,
    /// Fields that were past their deadline on arrival and left out, by category.
    pub late_fields: BTreeMap<Category, u64>,
    /// Fields that the policy does not name and that were therefore not stored.
    pub unclassified: u64,
    /// The buckets that the stored records are in, as written in the table.
    pub buckets: BTreeSet<String>,
    /// The offsets that the commit moved, by partition.
    pub partitions: Vec<PartitionEvidence>,
    /// Offsets that an operator gave up as lost; empty for every other commit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<OffsetLoss>,
    /// The counts of a rewrite; `None` for an ingest commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<RewriteEvidence>,
    /// The sums over this and all earlier commits of the table. Set by the commit.
    #[serde(default)]
    pub totals: TableTotals,
}

/// The offsets of one topic partition before and after one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionEvidence {
    /// The partition.
    #[serde(flatten)]
    pub partition: TopicPartition,
    /// The table's next offset before the commit; `None` if it had none.
    pub from: Option<Offset>,
    /// The table's next offset after the commit.
    pub next: Offset,
    /// Records read between the two. Less than their difference where the topic has gaps
    /// (transactions, compaction).
    pub records: u64,
}

/// Offsets of one partition that an operator gave up as lost, so that reading could continue after
/// them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetLoss {
    /// The partition.
    #[serde(flatten)]
    pub partition: TopicPartition,
    /// The reason why they could not be read.
    pub cause: LossCause,
    /// The number of offsets that are known to be lost: at least the number of records, since some
    /// offsets are not records.
    pub offsets: u64,
}

/// The reason why offsets of a partition can never be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossCause {
    /// Kafka deleted them before they were read.
    Deleted,
    /// The topic was deleted and created again. Unread records of the old topic are lost too, in an
    /// unknown number.
    Recreated,
    /// The topic ends before the table's offset: Kafka lost records that the table has.
    Truncated,
}

/// Sums over all commits of a table up to one of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableTotals {
    /// Records taken from the source.
    pub read: u64,
    /// Records stored.
    pub stored: u64,
    /// Records past all their deadlines on arrival.
    pub expired: u64,
    /// Records that are not the product's, skipped.
    #[serde(default)]
    pub skipped: u64,
    /// Records in the dead letters.
    pub dead_letters: u64,
    /// Records that rewrites removed without a cell.
    #[serde(default)]
    pub removed: u64,
    /// Records of cells that were not kept because they stood for too few subjects.
    #[serde(default)]
    pub suppressed: u64,
    /// Rows that other engines added, as stated by their commits between two commits of this
    /// program.
    #[serde(default)]
    pub foreign: u64,
    /// Offsets that operators gave up as lost.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost_offsets: u64,
    /// Commits with evidence.
    pub commits: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Evidence {
    /// Creates evidence of an ingest commit with a new id and nothing counted yet.
    #[must_use]
    pub fn ingest(writer: Uuid, at: DateTime<Utc>, policy_version: PolicyVersion) -> Evidence {
        Evidence::of(INGEST, writer, at, policy_version)
    }

    /// Creates evidence, with a new id and no counts, of a commit that puts a control in force
    /// (`hold`, `release`, `activate`) or that records that the tags reflect all notices
    /// (`notices`).
    #[must_use]
    pub fn control(
        operation: &str,
        writer: Uuid,
        at: DateTime<Utc>,
        policy_version: PolicyVersion,
    ) -> Evidence {
        Evidence::of(operation, writer, at, policy_version)
    }

    fn of(
        operation: &str,
        writer: Uuid,
        at: DateTime<Utc>,
        policy_version: PolicyVersion,
    ) -> Evidence {
        Evidence {
            operation: operation.to_owned(),
            commit: Uuid::new_v4(),
            writer,
            at,
            policy_version,
            read: 0,
            stored: 0,
            expired: 0,
            skipped: 0,
            dead_letters: BTreeMap::new(),
            late_fields: BTreeMap::new(),
            unclassified: 0,
            buckets: BTreeSet::new(),
            partitions: Vec::new(),
            losses: Vec::new(),
            rewrite: None,
            totals: TableTotals::default(),
        }
    }

    /// Creates evidence of a rewrite with a new id. `operation` is its purpose, in the terms of the
    /// design: `drop`, `anonymize`, `remove`, `retag`, or [`COMPACT`].
    #[must_use]
    pub fn rewrite(
        operation: &str,
        writer: Uuid,
        at: DateTime<Utc>,
        policy_version: PolicyVersion,
        did: RewriteEvidence,
    ) -> Evidence {
        let operation = operation.to_owned();
        Evidence {
            operation,
            rewrite: Some(did),
            ..Evidence::ingest(writer, at, policy_version)
        }
    }

    /// Creates evidence of a decision about lost offsets, with a new id. Counts no records.
    #[must_use]
    pub fn accept_loss(
        writer: Uuid,
        at: DateTime<Utc>,
        policy_version: PolicyVersion,
        moved: PartitionEvidence,
        loss: OffsetLoss,
    ) -> Evidence {
        let counted = Evidence::of(ACCEPT_LOSS, writer, at, policy_version);
        Evidence {
            partitions: vec![moved],
            losses: vec![loss],
            ..counted
        }
    }

    /// Returns true for an ingest commit.
    #[must_use]
    pub fn is_ingest(&self) -> bool {
        self.operation == INGEST
    }

    /// Returns true if the commit changes the content of the table's rows. A compaction does not,
    /// and its log entry says so to every Delta reader: a reader that follows the table as a stream
    /// must not take its rows for new ones.
    #[must_use]
    pub fn changes_data(&self) -> bool {
        self.operation != COMPACT
    }

    /// Returns the number of records in the dead letters, of all codes.
    #[must_use]
    pub fn dead(&self) -> u64 {
        self.dead_letters.values().sum()
    }

    /// Returns the records whose outcome is known: stored, expired, skipped, or in the dead
    /// letters.
    #[must_use]
    pub fn accounted(&self) -> u64 {
        self.stored + self.expired + self.skipped + self.dead()
    }

    /// Returns true if every record that was read or rewritten is accounted for.
    #[must_use]
    pub fn conserves(&self) -> bool {
        self.rewrite.as_ref().is_none_or(RewriteEvidence::conserves)
            && self.read == self.accounted()
            && self.read
                == self
                    .partitions
                    .iter()
                    .map(|partition| partition.records)
                    .sum::<u64>()
    }
}

impl TableTotals {
    /// Returns the number of records that the table must contain: stored or added by another
    /// engine, and neither removed nor suppressed.
    #[must_use]
    pub fn kept(&self) -> u64 {
        (self.stored + self.foreign)
            .saturating_sub(self.removed)
            .saturating_sub(self.suppressed)
    }

    /// Returns the sums with `evidence` added.
    #[must_use]
    pub fn plus(self, evidence: &Evidence) -> TableTotals {
        TableTotals {
            read: self.read + evidence.read,
            stored: self.stored + evidence.stored,
            expired: self.expired + evidence.expired,
            skipped: self.skipped + evidence.skipped,
            dead_letters: self.dead_letters + evidence.dead(),
            removed: self.removed + evidence.rewrite.as_ref().map_or(0, |did| did.removed),
            suppressed: self.suppressed + evidence.rewrite.as_ref().map_or(0, |did| did.suppressed),
            foreign: self.foreign,
            lost_offsets: self.lost_offsets
                + evidence.losses.iter().map(|loss| loss.offsets).sum::<u64>(),
            commits: self.commits + 1,
        }
    }
}
