//! A cache of computed answers.
//!
//! Its memory is bounded. It must only be used for questions whose answer never changes.

use std::collections::HashMap;
use std::hash::Hash;

/// The maximum number of cached answers: some tens of megabytes.
const MOST: usize = 200_000;

/// The answers, by the keys that they were computed from.
#[derive(Debug, Clone)]
pub struct BoundedCache<K, V>(HashMap<K, V>);

impl<K, V> Default for BoundedCache<K, V> {
    fn default() -> Self {
        BoundedCache(HashMap::new())
    }
}

impl<K: Eq + Hash, V> BoundedCache<K, V> {
    /// Returns the answer to `key`, computed by `work_out` if it is not cached.
    pub fn of(&mut self, key: K, work_out: impl FnOnce() -> V) -> &V {
        // Unused entries are not tracked: when the cache is full, it is emptied and filled again.
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            self.0.clear();
        }
        self.0.entry(key).or_insert_with(work_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_worked_out_once_and_memory_is_bounded() {
        let mut memo = BoundedCache::default();
        assert_eq!(*memo.of(1, || "one"), "one");
        assert_eq!(*memo.of(1, || panic!("it is known")), "one");
        for key in 0..=MOST {
            memo.of(key, || "some");
            assert!(memo.0.len() <= MOST);
        }
        assert_eq!(*memo.of(1, || "again"), "again");
    }
}
