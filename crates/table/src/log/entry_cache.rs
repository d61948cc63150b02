//! A cache of recently read log entries: several readers of a process follow each log, and each
//! entry is parsed once.
//!
//! Memory is bounded. An entry never changes once it exists, so the cache is always correct. It
//! must not be used to find out which entries still exist.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::LogEntry;
use ebbtide_base::ids::ProductKey;

/// The maximum size of the entries in the cache, in bytes as stored in the log.
const MOST: usize = 4 << 20;

/// An entry by its product's table and its version.
type Key = (ProductKey, u64);

/// Recently read entries.
#[derive(Debug, Default)]
pub struct EntryCache(Mutex<CachedEntries>);

#[derive(Debug, Default)]
struct CachedEntries {
    entries: HashMap<Key, Arc<LogEntry>>,
    /// The keys and sizes in bytes, oldest first.
    order: VecDeque<(Key, usize)>,
    bytes: usize,
}

impl EntryCache {
    /// Returns an entry, if the cache has it.
    pub fn get(&self, key: &Key) -> Option<Arc<LogEntry>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entries
            .get(key)
            .cloned()
    }

    /// Adds an entry of `bytes` bytes.
    pub fn keep(&self, key: Key, entry: Arc<LogEntry>, bytes: usize) {
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
    fn oldest_entry_is_dropped_first_and_memory_is_bounded() {
        let recent = EntryCache::default();
        let sms: ProductKey = "sms".parse().unwrap();
        let entry = Arc::new(LogEntry::parse(0, &bytes::Bytes::from_static(b"{}")).unwrap());
        for version in 0..10 {
            recent.keep((sms.clone(), version), Arc::clone(&entry), MOST / 4);
            recent.keep((sms.clone(), version), Arc::clone(&entry), MOST / 4);
        }
        let there: Vec<u64> = (0..10)
            .filter(|version| recent.get(&(sms.clone(), *version)).is_some())
            .collect();
        assert_eq!(there, [6, 7, 8, 9]);
        // An entry above the bound is not kept, and all others are dropped for it.
        recent.keep((sms.clone(), 10), entry, MOST + 1);
        assert!((0..11).all(|version| recent.get(&(sms.clone(), version)).is_none()));
    }
}
