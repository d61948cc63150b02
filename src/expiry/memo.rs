//! Answers that are asked for again and again, worked out once.
//!
//! Promises a bound on memory. Must be asked only what has one answer for ever.

use std::collections::HashMap;
use std::hash::Hash;

/// How many answers are kept at most: some tens of megabytes.
const MOST: usize = 200_000;

/// What was worked out, by what it was worked out from.
#[derive(Debug, Clone)]
pub struct Memo<K, V>(HashMap<K, V>);

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Memo(HashMap::new())
    }
}

impl<K: Eq + Hash, V> Memo<K, V> {
    /// The answer to `key`, by `work_out` if it is not known.
    pub fn of(&mut self, key: K, work_out: impl FnOnce() -> V) -> &V {
        // What is no longer asked for is not told apart: now and then all of it is worked out anew.
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
        let mut memo = Memo::default();
        assert_eq!(*memo.of(1, || "one"), "one");
        assert_eq!(*memo.of(1, || panic!("it is known")), "one");
        for key in 0..=MOST {
            memo.of(key, || "some");
            assert!(memo.0.len() <= MOST);
        }
        assert_eq!(*memo.of(1, || "anew"), "anew");
    }
}
