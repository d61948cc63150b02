//! The number of distinct subjects that a cell represents, as far as it matters: fewer than `k`, or enough.
//!
//! Keeps fewer than `k` hashes, and none once there are enough. Must never count a subject twice.

use std::collections::HashSet;
use std::mem::size_of;

use super::hash::Hashed;

/// The maximum number of hashes in a list that is searched one by one. More hashes are stored in a table.
const LISTED: usize = 32;

/// The distinct subjects seen so far.
#[derive(Debug)]
pub(super) enum Subjects {
    Listed(Vec<u64>),
    Many(HashSet<u64, Hashed>),
    /// `k` or more.
    Enough,
}

impl Default for Subjects {
    fn default() -> Self {
        Subjects::Listed(Vec::new())
    }
}

impl Subjects {
    /// Adds a subject. Returns the growth of the memory in bytes.
    #[inline]
    pub(super) fn add(&mut self, subject: u64, k: usize) -> usize {
        let before = match self {
            Subjects::Enough => return 0,
            Subjects::Listed(list) if list.contains(&subject) => return 0,
            Subjects::Many(set) if set.contains(&subject) => return 0,
            _ => self.memory(),
        };
        self.insert(subject, k);
        self.memory().saturating_sub(before)
    }

    fn insert(&mut self, subject: u64, k: usize) {
        let count = match self {
            Subjects::Listed(list) if list.len() < LISTED => {
                list.push(subject);
                list.len()
            }
            Subjects::Listed(list) => {
                let set: HashSet<u64, Hashed> = list.drain(..).chain([subject]).collect();
                let count = set.len();
                *self = Subjects::Many(set);
                count
            }
            Subjects::Many(set) => {
                set.insert(subject);
                set.len()
            }
            Subjects::Enough => return,
        };
        if count >= k {
            *self = Subjects::Enough;
        }
    }

    /// Returns true if there are `k` or more.
    pub(super) fn enough(&self) -> bool {
        matches!(self, Subjects::Enough)
    }

    /// Adds the subjects of another set.
    pub(super) fn absorb(&mut self, other: Subjects, k: usize) {
        match other {
            Subjects::Enough => *self = Subjects::Enough,
            Subjects::Listed(list) => list.into_iter().for_each(|subject| _ = self.add(subject, k)),
            Subjects::Many(set) => set.into_iter().for_each(|subject| _ = self.add(subject, k)),
        }
    }

    /// Returns the memory on the heap in bytes.
    pub(super) fn memory(&self) -> usize {
        match self {
            Subjects::Listed(list) => list.capacity() * size_of::<u64>(),
            // A table has one more byte for each place, and some places are free.
            Subjects::Many(set) => set.capacity() * (size_of::<u64>() + 1) * 8 / 7,
            Subjects::Enough => 0,
        }
    }
}
