//! Which segments are this instance's to sweep: those of the buckets and profiles that hash to a topic partition it owns.
//!
//! Promises that work which nobody has done some minutes after it was due is everybody's: an instance that died, a group that
//! stands still and a partition that nobody owns keep nothing from going. Two sweepers of one segment waste work, never data;
//! that they seldom meet is what [`Turns`] are for.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use crate::ids::{ProductKey, TopicPartition};
use crate::store::StoredSegment;

/// The partitions that this instance owns, as whoever reads them tells.
#[derive(Debug, Clone, Default)]
pub struct Owned(Arc<RwLock<BTreeSet<TopicPartition>>>);

impl Owned {
    /// Notes that a partition is this instance's.
    pub fn add(&self, partition: TopicPartition) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(partition);
    }

    /// Notes that a partition is this instance's no longer.
    pub fn remove(&self, partition: &TopicPartition) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(partition);
    }

    fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn has(&self, partition: &TopicPartition) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(partition)
    }
}

/// How far a round reaches beyond the share that an instance owns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reach {
    /// Not at all.
    Own,
    /// To all that is late.
    #[default]
    Late,
    /// To what is late in one of [`PARTS`] of the buckets and profiles: in those of this number.
    Part(u64),
}

/// In how many parts late work is parted among instances that ran into each other over it.
const PARTS: u64 = 8;
/// So many rounds at most are of an instance's own share alone, one behind the other.
const OWN_ROUNDS: u32 = 3;

/// How far each round reaches, by how those before it went.
///
/// When everything is late, as for hours after a new policy, it is everybody's, and in the same order: of three instances that
/// all began with the longest overdue, two would lose every race. So an instance does its own share first, reaches beyond it
/// when it has nothing to do and in every fourth round, and not to the same as others once it lost a race there. Nor at first:
/// instances that were started together own nothing until their group has come together, and all that they have is what is late.
#[derive(Debug, Clone)]
pub struct Turns {
    reach: Reach,
    busy: bool,
    own_rounds: u32,
    /// Whether others are to be expected at what is late.
    raced: bool,
}

impl Default for Turns {
    fn default() -> Self {
        Turns { reach: Reach::default(), busy: false, own_rounds: 0, raced: true }
    }
}

impl Turns {
    /// How far the next round reaches; `owns` tells whether the instance has a share of its own.
    fn next(&mut self, number: u64, owns: bool) -> Reach {
        self.reach = match (owns && self.busy && self.own_rounds < OWN_ROUNDS, self.raced) {
            (true, _) => Reach::Own,
            (false, true) => Reach::Part(number % PARTS),
            (false, false) => Reach::Late,
        };
        self.own_rounds = if self.reach == Reach::Own { self.own_rounds + 1 } else { 0 };
        self.reach
    }

    /// Notes how the round went: how many pieces of work were done, in how many another instance was faster, and whether any was
    /// of another's share.
    pub fn note(&mut self, done: u64, raced: u64, others: bool) {
        self.busy = done > 0;
        if self.reach != Reach::Own {
            self.raced = raced > 0 || (self.raced && others);
        }
    }
}

/// What is this instance's to sweep.
#[derive(Debug, Clone)]
pub enum Share {
    /// Everything.
    All,
    /// What hashes to the partitions that it owns, and what nobody has done so long after it was there to do.
    Of(Owned, TimeDelta),
}

impl Share {
    /// How far the next round of it reaches, in its turn. `number` should be another one in each instance and round.
    pub fn next_reach(&self, turns: &mut Turns, number: u64) -> Reach {
        match self {
            Share::All => Reach::Late,
            Share::Of(owned, _) => turns.next(number, !owned.is_empty()),
        }
    }

    /// This share of a product's work with those partitions, in order, as far as a round of it reaches at `now`.
    #[must_use]
    pub fn of<'s>(&'s self, partitions: &'s [TopicPartition], reach: Reach, now: DateTime<Utc>) -> Ours<'s> {
        Ours { share: self, partitions, reach, now }
    }

    /// Whether what belongs to a table as a whole, whose product and partitions those are, is this instance's.
    #[must_use]
    pub fn has_table(&self, product: &ProductKey, partitions: &[TopicPartition]) -> bool {
        let Share::Of(owned, _) = self else { return true };
        partition_at(partitions, hash(product.as_str())).is_none_or(|partition| owned.has(partition))
    }
}

/// What is an instance's of one product's work.
#[derive(Debug, Clone, Copy)]
pub struct Ours<'s> {
    share: &'s Share,
    partitions: &'s [TopicPartition],
    reach: Reach,
    now: DateTime<Utc>,
}

impl Ours<'_> {
    /// Whether a segment is among it, whose work is there to do from the first of its deadlines on.
    #[must_use]
    pub fn has(&self, segment: &StoredSegment) -> bool {
        self.has_since(segment, segment.deadlines.values().min().map(|deadline| deadline.0))
    }

    /// The same of work that was there to do from `since` on; `None`: it is not yet.
    #[must_use]
    pub fn has_since(&self, segment: &StoredSegment, since: Option<DateTime<Utc>>) -> bool {
        let Share::Of(owned, takeover) = self.share else { return true };
        // Of a bucket and profile together: people are counted over all segments of them.
        let hash = hash(&format!("{}/{}", segment.bucket, segment.profile));
        let late = || since.is_some_and(|since| self.now - since >= *takeover);
        let reached = match self.reach {
            Reach::Own => false,
            Reach::Late => late(),
            // Not by the half that tells the partition: that is the same for all of one owner's.
            Reach::Part(part) => (hash & u64::from(u32::MAX)) % PARTS == part && late(),
        };
        reached || partition_at(self.partitions, hash).is_none_or(|partition| owned.has(partition))
    }
}

/// A hash that is the same in every process and version.
fn hash(text: &str) -> u64 {
    Sha256::digest(text.as_bytes()).iter().take(8).fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
}

/// The partition that a hash names; `None` where there are none.
fn partition_at(partitions: &[TopicPartition], hash: u64) -> Option<&TopicPartition> {
    partitions.get(usize::try_from((hash >> 32).checked_rem(partitions.len() as u64)?).ok()?)
}

#[cfg(test)]
mod tests;
