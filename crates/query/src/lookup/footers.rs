//! The footers of recently used segments, kept in memory between look-ups.
//!
//! The memory is bounded: footers that were not used lately are removed first. The only values of rows
//! in it are the bounds in footers and page indexes, and they are never stored outside the process.

use std::sync::Arc;

use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use ebbtide_table::scan::BloomPlaces;

/// The approximate size of a bloom filter's place in memory, in bytes.
const PLACE_BYTES: usize = 64;

/// The number of footers that the cache is planned for. The cache has one part for so few, so that
/// one footer may be as large as the limit.
const ITEMS: usize = 32;

/// The identity of a segment: the number of its table, and its path there.
pub(super) type SegmentKey = (usize, Arc<str>);

/// The known metadata of a segment's file.
pub(super) struct CachedFooter {
    pub(super) metadata: ArrowReaderMetadata,
    /// The size of the file in bytes.
    pub(super) size: u64,
    /// True if the page index was read too.
    pub(super) paged: bool,
    /// The size in memory, in bytes.
    memory: u64,
    /// The places of bloom filters, from their own headers.
    pub(super) blooms: BloomPlaces,
}

impl CachedFooter {
    pub(super) fn new(metadata: ArrowReaderMetadata, size: u64, paged: bool) -> Self {
        Self {
            memory: memory(&metadata),
            metadata,
            size,
            paged,
            blooms: BloomPlaces::default(),
        }
    }

    /// Returns the footer with the page index, and with the known places of bloom filters.
    pub(super) fn with_pages(&self, metadata: ArrowReaderMetadata) -> Self {
        Self {
            memory: memory(&metadata),
            metadata,
            size: self.size,
            paged: true,
            blooms: self.blooms.clone(),
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
}

/// Returns the size of a footer in memory, in bytes.
fn memory(metadata: &ArrowReaderMetadata) -> u64 {
    let file = metadata.metadata();
    let groups = file.row_groups().iter().flat_map(|group| group.columns());
    let filters = groups.filter(|chunk| chunk.bloom_filter_offset().is_some());
    let bytes = file.memory_size() + PLACE_BYTES * filters.count();
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// The cache of footers.
pub(super) struct FooterCache(Cache<SegmentKey, Arc<CachedFooter>, FooterWeight>);

/// Counts a footer by its size in memory, in bytes.
#[derive(Clone)]
struct FooterWeight;

impl Weighter<SegmentKey, Arc<CachedFooter>> for FooterWeight {
    fn weight(&self, _: &SegmentKey, footer: &Arc<CachedFooter>) -> u64 {
        footer.memory
    }
}

impl FooterCache {
    /// Creates a cache of up to `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        Self(Cache::with_weighter(ITEMS, limit, FooterWeight))
    }

    pub(super) fn get(&self, key: &SegmentKey) -> Option<Arc<CachedFooter>> {
        self.0.get(key)
    }

    /// Adds a footer, or replaces an older one of the same segment. A footer larger than the limit
    /// is not kept.
    pub(super) fn put(&self, key: SegmentKey, footer: Arc<CachedFooter>) {
        self.0.insert(key, footer);
    }

    /// Removes the footer of a segment that no longer exists.
    pub(super) fn forget(&self, key: &SegmentKey) {
        self.0.remove(key);
    }

    /// Returns the size of the footers in bytes.
    pub(super) fn bytes(&self) -> usize {
        usize::try_from(self.0.weight()).unwrap_or(usize::MAX)
    }
}
