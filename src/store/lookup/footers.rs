//! The footers of segments that were looked into, kept in memory from one look-up to the next.
//!
//! Promises a bound on that memory: what was asked for the longest ago goes first. Must never keep a value of a row but the
//! bounds that a footer and its page index hold, and those no longer than the process lives.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use parquet::arrow::arrow_reader::ArrowReaderMetadata;

use super::bloom::Blocks;

/// What a bloom filter's place takes in memory, about.
const PLACE_BYTES: usize = 64;

/// Which segment: the number of its table, and its path there.
pub(super) type Key = (usize, Arc<str>);

/// What is known of a segment's file.
pub(super) struct Footer {
    pub(super) metadata: ArrowReaderMetadata,
    /// Bytes of the file.
    pub(super) size: u64,
    /// Whether the page index was read too.
    pub(super) paged: bool,
    /// Where bloom filters stand, by row group and column, as their own headers say; `None` for one that is not understood.
    blooms: Mutex<HashMap<(usize, usize), Option<Blocks>>>,
}

impl Footer {
    pub(super) fn new(metadata: ArrowReaderMetadata, size: u64, paged: bool) -> Self {
        Self { metadata, size, paged, blooms: Mutex::default() }
    }

    /// The same with the page index, and with what is known of bloom filters.
    pub(super) fn with_pages(&self, metadata: ArrowReaderMetadata) -> Self {
        let blooms = self.blooms.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self { metadata, size: self.size, paged: true, blooms: Mutex::new(blooms) }
    }

    /// The number of a column among the leaves; `None` where the file lacks it or it is nested.
    pub(super) fn leaf(&self, column: &str) -> Option<usize> {
        self.metadata.parquet_schema().columns().iter().position(|leaf| leaf.path().parts() == [column])
    }

    /// Where a bloom filter stands; `None` if its header was not read yet.
    pub(super) fn bloom(&self, group: usize, column: usize) -> Option<Option<Blocks>> {
        self.blooms.lock().unwrap_or_else(PoisonError::into_inner).get(&(group, column)).copied()
    }

    pub(super) fn note_bloom(&self, group: usize, column: usize, blocks: Option<Blocks>) {
        self.blooms.lock().unwrap_or_else(PoisonError::into_inner).insert((group, column), blocks);
    }

    fn memory(&self) -> usize {
        let file = self.metadata.metadata();
        let groups = file.row_groups().iter().flat_map(|group| group.columns());
        file.memory_size() + PLACE_BYTES * groups.filter(|chunk| chunk.bloom_filter_offset().is_some()).count()
    }
}

/// The footers in memory.
pub(super) struct Footers {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    footers: HashMap<Key, (u64, usize, Arc<Footer>)>,
    /// By when they were asked for last.
    order: BTreeMap<u64, Key>,
    bytes: usize,
    asked: u64,
}

impl Footers {
    /// Keeps up to `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, kept: Mutex::default() }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Footer>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.asked += 1;
        let now = kept.asked;
        let (last, _, footer) = kept.footers.get_mut(key)?;
        let (before, footer) = (std::mem::replace(last, now), Arc::clone(footer));
        kept.order.remove(&before);
        kept.order.insert(now, key.clone());
        Some(footer)
    }

    /// Keeps a footer in the place of an older one of the same segment. One that is over the bound by itself is not kept.
    pub(super) fn put(&self, key: Key, footer: Arc<Footer>) {
        let size = footer.memory();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(&key);
        if size > self.limit {
            return;
        }
        kept.asked += 1;
        let now = kept.asked;
        kept.bytes += size;
        kept.order.insert(now, key.clone());
        kept.footers.insert(key, (now, size, footer));
        while kept.bytes > self.limit
            && let Some((_, oldest)) = kept.order.pop_first()
        {
            kept.remove(&oldest);
        }
    }

    /// Forgets a segment that is gone.
    pub(super) fn forget(&self, key: &Key) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Bytes that the footers take.
    pub(super) fn bytes(&self) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }
}

impl Kept {
    fn remove(&mut self, key: &Key) {
        if let Some((last, size, _)) = self.footers.remove(key) {
            self.order.remove(&last);
            self.bytes -= size;
        }
    }
}
