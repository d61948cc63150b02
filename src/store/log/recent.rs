//! The entries of logs that were read a moment ago: a process has several who read each log on, and each entry is parsed once.
//!
//! Promises a bound on memory, and nothing that the log did not say: an entry never changes once it is there. Must not be asked
//! by who wants to know what is still there.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::Entry;
use crate::ids::ProductKey;

/// Bytes of entries, as they stand in the log, that are kept together.
const MOST: usize = 4 << 20;

/// Which entry: that of a product's table, and its version.
type Key = (ProductKey, u64);

/// Entries that were read a moment ago.
#[derive(Debug, Default)]
pub struct Recent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    entries: HashMap<Key, Arc<Entry>>,
    /// What was kept first in front, with its bytes.
    order: VecDeque<(Key, usize)>,
    bytes: usize,
}

impl Recent {
    /// An entry, if it is kept.
    pub fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entries.get(key).cloned()
    }

    /// Keeps an entry of so many bytes for a while.
    pub fn keep(&self, key: Key, entry: Arc<Entry>, bytes: usize) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.entries.insert(key.clone(), entry).is_some() {
            return;
        }
        kept.order.push_back((key, bytes));
        kept.bytes += bytes;
        while kept.bytes > MOST
            && let Some((oldest, bytes)) = kept.order.pop_front()
        {
            kept.entries.remove(&oldest);
            kept.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_first_goes_first_and_memory_is_bounded() {
        let recent = Recent::default();
        let sms: ProductKey = "sms".parse().unwrap();
        let entry = Arc::new(Entry::parse(0, &bytes::Bytes::from_static(b"{}")).unwrap());
        for version in 0..10 {
            recent.keep((sms.clone(), version), Arc::clone(&entry), MOST / 4);
            recent.keep((sms.clone(), version), Arc::clone(&entry), MOST / 4);
        }
        let there: Vec<u64> = (0..10).filter(|version| recent.get(&(sms.clone(), *version)).is_some()).collect();
        assert_eq!(there, [6, 7, 8, 9]);
        // One that is over the bound by itself is not kept, and neither is what was.
        recent.keep((sms.clone(), 10), entry, MOST + 1);
        assert!((0..11).all(|version| recent.get(&(sms.clone(), version)).is_none()));
    }
}
