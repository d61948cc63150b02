//! The footers of recently used segments, kept in memory between look-ups.
//!
//! The memory is bounded: the least recently used footer is removed first. The only values of rows
//! in it are the bounds in footers and page indexes, and they are never stored outside the process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use parquet::arrow::arrow_reader::ArrowReaderMetadata;

use super::bloom::BloomBlocks;

/// The approximate size of a bloom filter's place in memory, in bytes.
const PLACE_BYTES: usize = 64;

/// The identity of a segment: the number of its table, and its path there.
pub(super) type SegmentKey = (usize, Arc<str>);

/// The known metadata of a segment's file.
pub(super) struct CachedFooter {
    pub(super) metadata: ArrowReaderMetadata,
    /// The size of the file in bytes.
    pub(super) size: u64,
    /// True if the page index was read too.
    pub(super) paged: bool,
    /// The places of bloom filters, by row group and column, from their own headers; `None` for a
    /// header that is not understood.
    blooms: Mutex<HashMap<(usize, usize), Option<BloomBlocks>>>,
}

impl CachedFooter {
    pub(super) fn new(metadata: ArrowReaderMetadata, size: u64, paged: bool) -> Self {
        Self {
            metadata,
            size,
            paged,
            blooms: Mutex::default(),
        }
    }

    /// Returns the footer with the page index, and with the known places of bloom filters.
    pub(super) fn with_pages(&self, metadata: ArrowReaderMetadata) -> Self {
        let blooms = self
            .blooms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Self {
            metadata,
            size: self.size,
            paged: true,
            blooms: Mutex::new(blooms),
        }
    }

    /// Returns the index of a column among the leaves; `None` if the file lacks it or it is nested.
    pub(super) fn leaf(&self, column: &str) -> Option<usize> {
        self.metadata
            .parquet_schema()
            .columns()
            .iter()
            .position(|leaf| leaf.path().parts() == [column])
    }

    /// Returns the place of a bloom filter; `None` if its header was not read yet, `Some(None)` if
    /// it was not understood.
    pub(super) fn bloom(&self, group: usize, column: usize) -> Option<Option<BloomBlocks>> {
        self.blooms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&(group, column))
            .copied()
    }

    pub(super) fn note_bloom(&self, group: usize, column: usize, blocks: Option<BloomBlocks>) {
        self.blooms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((group, column), blocks);
    }

    fn memory(&self) -> usize {
        let file = self.metadata.metadata();
        let groups = file.row_groups().iter().flat_map(|group| group.columns());
        file.memory_size()
            + PLACE_BYTES
                * groups
                    .filter(|chunk| chunk.bloom_filter_offset().is_some())
                    .count()
    }
}

/// The cache of footers.
pub(super) struct FooterCache {
    limit: usize,
    kept: Mutex<CachedFooters>,
}

#[derive(Default)]
struct CachedFooters {
    footers: HashMap<SegmentKey, (u64, usize, Arc<CachedFooter>)>,
    /// The keys in order of the last request.
    order: BTreeMap<u64, SegmentKey>,
    bytes: usize,
    asked: u64,
}

impl FooterCache {
    /// Creates a cache of up to `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            kept: Mutex::default(),
        }
    }

    pub(super) fn get(&self, key: &SegmentKey) -> Option<Arc<CachedFooter>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.asked += 1;
        let now = kept.asked;
        let (last, _, footer) = kept.footers.get_mut(key)?;
        let (before, footer) = (std::mem::replace(last, now), Arc::clone(footer));
        kept.order.remove(&before);
        kept.order.insert(now, key.clone());
        Some(footer)
    }

    /// Adds a footer, or replaces an older one of the same segment. A footer larger than the limit
    /// is not kept.
    pub(super) fn put(&self, key: SegmentKey, footer: Arc<CachedFooter>) {
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

    /// Removes the footer of a segment that no longer exists.
    pub(super) fn forget(&self, key: &SegmentKey) {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }

    /// Returns the size of the footers in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .bytes
    }
}

impl CachedFooters {
    fn remove(&mut self, key: &SegmentKey) {
        if let Some((last, size, _)) = self.footers.remove(key) {
            self.order.remove(&last);
            self.bytes -= size;
        }
    }
}
