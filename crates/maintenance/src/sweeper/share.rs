//! The segments that this instance sweeps: those whose bucket and profile hash to a topic partition
//! that it owns.
//!
//! Any instance may do work that is still undone some minutes after it was due. So an instance that
//! died, a consumer group that stalls or a partition without an owner does not stop deletion. Two
//! sweepers of one segment waste work, but lose no data; [`ScopeSelector`] make this rare.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use ebbtide_base::ids::{ProductKey, TopicPartition};
use ebbtide_table::StoredSegment;

/// The partitions that this instance owns, as reported by the task that reads them.
#[derive(Debug, Clone, Default)]
pub struct OwnedPartitions(Arc<RwLock<BTreeSet<TopicPartition>>>);

impl OwnedPartitions {
    /// Records that this instance owns a partition.
    pub fn add(&self, partition: TopicPartition) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(partition);
    }

    /// Records that this instance no longer owns a partition.
    pub fn remove(&self, partition: &TopicPartition) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(partition);
    }

    fn is_empty(&self) -> bool {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    fn has(&self, partition: &TopicPartition) -> bool {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(partition)
    }
}

/// The reach of a round beyond the share that an instance owns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RoundScope {
    /// Only the own share.
    Own,
    /// Also all late work.
    #[default]
    Late,
    /// Also the late work in one of [`PARTS`] parts of the buckets and profiles: the one with this
    /// number.
    Part(u64),
}

/// The number of parts into which late work is divided among instances that raced for it.
const PARTS: u64 = 8;
/// The maximum number of consecutive rounds that cover only an instance's own share.
const OWN_ROUNDS: u32 = 3;

/// The reach of each round, decided by the results of the rounds before it.
///
/// When everything is late, as for hours after a new policy, every instance may do all of it, in
/// the same order. Of three instances that all began with the longest overdue work, two would lose
/// every race. So an instance does its own share first. It reaches beyond its share when it has
/// nothing to do, and in every fourth round. After it lost a race there, it takes only one part of
/// the late work. The same is true at the start: instances that were started together own nothing
/// until their consumer group has formed, and can only do late work.
#[derive(Debug, Clone)]
pub struct ScopeSelector {
    reach: RoundScope,
    busy: bool,
    own_rounds: u32,
    /// True if other instances are expected to work on late work.
    raced: bool,
}

impl Default for ScopeSelector {
    fn default() -> Self {
        ScopeSelector {
            reach: RoundScope::default(),
            busy: false,
            own_rounds: 0,
            raced: true,
        }
    }
}

impl ScopeSelector {
    /// Returns the reach of the next round; `owns` is true if the instance has a share of its own.
    fn next(&mut self, number: u64, owns: bool) -> RoundScope {
        self.reach = match (
            owns && self.busy && self.own_rounds < OWN_ROUNDS,
            self.raced,
        ) {
            (true, _) => RoundScope::Own,
            (false, true) => RoundScope::Part(number % PARTS),
            (false, false) => RoundScope::Late,
        };
        self.own_rounds = if self.reach == RoundScope::Own {
            self.own_rounds + 1
        } else {
            0
        };
        self.reach
    }

    /// Records the result of a round: the pieces of work done, the pieces that another instance did
    /// first, and whether any was of another instance's share.
    pub fn record_round(&mut self, done: u64, raced: u64, others: bool) {
        self.busy = done > 0;
        if self.reach != RoundScope::Own {
            self.raced = raced > 0 || (self.raced && others);
        }
    }
}

/// The share of the work that this instance does.
#[derive(Debug, Clone)]
pub enum WorkShare {
    /// Everything.
    All,
    /// The segments that hash to the partitions that it owns, and work that is still undone this
    /// long after it was due.
    Of(OwnedPartitions, TimeDelta),
}

impl WorkShare {
    /// Returns the reach of its next round. `number` should differ between instances and rounds.
    pub fn next_reach(&self, turns: &mut ScopeSelector, number: u64) -> RoundScope {
        match self {
            WorkShare::All => RoundScope::Late,
            WorkShare::Of(owned, _) => turns.next(number, !owned.is_empty()),
        }
    }

    /// Returns this share of a product's work at `now`, within the reach of a round. `partitions`
    /// are the product's, in order.
    #[must_use]
    pub fn of<'s>(
        &'s self,
        partitions: &'s [TopicPartition],
        reach: RoundScope,
        now: DateTime<Utc>,
    ) -> ProductShare<'s> {
        ProductShare {
            share: self,
            partitions,
            reach,
            now,
        }
    }

    /// Returns true if this instance does the work on a table as a whole; `product` and
    /// `partitions` are the table's.
    #[must_use]
    pub fn has_table(&self, product: &ProductKey, partitions: &[TopicPartition]) -> bool {
        let WorkShare::Of(owned, _) = self else {
            return true;
        };
        partition_at(partitions, hash(product.as_str()))
            .is_none_or(|partition| owned.has(partition))
    }
}

/// This instance's part of one product's work.
#[derive(Debug, Clone, Copy)]
pub struct ProductShare<'s> {
    share: &'s WorkShare,
    partitions: &'s [TopicPartition],
    reach: RoundScope,
    now: DateTime<Utc>,
}

impl ProductShare<'_> {
    /// Returns true if it includes a segment whose work can be done from the first of its deadlines
    /// on.
    #[must_use]
    pub fn has(&self, segment: &StoredSegment) -> bool {
        self.has_since(
            segment,
            segment.deadlines.values().min().map(|deadline| deadline.0),
        )
    }

    /// Returns true if it includes a segment whose work can be done from `since` on; `None` means
    /// not yet.
    #[must_use]
    pub fn has_since(&self, segment: &StoredSegment, since: Option<DateTime<Utc>>) -> bool {
        let WorkShare::Of(owned, takeover) = self.share else {
            return true;
        };
        // A bucket and profile stay together: people are counted over all segments of them.
        let hash = hash(&format!("{}/{}", segment.bucket, segment.profile));
        let late = || since.is_some_and(|since| self.now - since >= *takeover);
        let reached = match self.reach {
            RoundScope::Own => false,
            RoundScope::Late => late(),
            // The part uses the half of the hash that does not select the partition, so that it is
            // independent of the owner.
            RoundScope::Part(part) => (hash & u64::from(u32::MAX)) % PARTS == part && late(),
        };
        reached || partition_at(self.partitions, hash).is_none_or(|partition| owned.has(partition))
    }
}

/// Returns a hash that is the same in every process and version.
fn hash(text: &str) -> u64 {
    Sha256::digest(text.as_bytes())
        .iter()
        .take(8)
        .fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
}

/// Returns the partition that a hash selects; `None` if there are no partitions.
fn partition_at(partitions: &[TopicPartition], hash: u64) -> Option<&TopicPartition> {
    partitions.get(usize::try_from((hash >> 32).checked_rem(partitions.len() as u64)?).ok()?)
}

#[cfg(test)]
mod tests;
