//! The number of distinct subjects that a cell represents, as far as it matters: fewer than `k`, or
//! enough.
//!
//! Keeps fewer than `k` hashes, and none once there are enough. Must never count a subject twice.

use std::collections::HashSet;
use std::mem::size_of;

use super::hash::IdentityHasher;

/// The maximum number of hashes in a list that is searched one by one. More hashes are stored in a
/// table.
const LISTED: usize = 32;

/// The distinct subjects seen so far.
#[derive(Debug)]
pub(super) enum DistinctSubjects {
    Listed(Vec<u64>),
    Many(HashSet<u64, IdentityHasher>),
    /// `k` or more.
    Enough,
}

impl Default for DistinctSubjects {
    fn default() -> Self {
        DistinctSubjects::Listed(Vec::new())
    }
}

impl DistinctSubjects {
    /// Adds a subject. Returns the growth of the memory in bytes.
    #[inline]
    pub(super) fn add(&mut self, subject: u64, k: usize) -> usize {
        let before = match self {
            DistinctSubjects::Enough => return 0,
            DistinctSubjects::Listed(list) if list.contains(&subject) => return 0,
            DistinctSubjects::Many(set) if set.contains(&subject) => return 0,
            _ => self.memory(),
        };
        self.insert(subject, k);
        self.memory().saturating_sub(before)
    }

    fn insert(&mut self, subject: u64, k: usize) {
        let count = match self {
            DistinctSubjects::Listed(list) if list.len() < LISTED => {
                list.push(subject);
                list.len()
            }
            DistinctSubjects::Listed(list) => {
                let set: HashSet<u64, IdentityHasher> = list.drain(..).chain([subject]).collect();
                let count = set.len();
                *self = DistinctSubjects::Many(set);
                count
            }
            DistinctSubjects::Many(set) => {
                set.insert(subject);
                set.len()
            }
            DistinctSubjects::Enough => return,
        };
        if count >= k {
            *self = DistinctSubjects::Enough;
        }
    }

    /// Returns true if there are `k` or more.
    pub(super) fn enough(&self) -> bool {
        matches!(self, DistinctSubjects::Enough)
    }

    /// Adds the subjects of another set.
    pub(super) fn absorb(&mut self, other: DistinctSubjects, k: usize) {
        match other {
            DistinctSubjects::Enough => *self = DistinctSubjects::Enough,
            DistinctSubjects::Listed(list) => list
                .into_iter()
                .for_each(|subject| _ = self.add(subject, k)),
            DistinctSubjects::Many(set) => {
                set.into_iter().for_each(|subject| _ = self.add(subject, k))
            }
        }
    }

    /// Returns the memory on the heap in bytes.
    pub(super) fn memory(&self) -> usize {
        match self {
            DistinctSubjects::Listed(list) => list.capacity() * size_of::<u64>(),
            // A table has one more byte for each place, and some places are free.
            DistinctSubjects::Many(set) => set.capacity() * (size_of::<u64>() + 1) * 8 / 7,
            DistinctSubjects::Enough => 0,
        }
    }
}
