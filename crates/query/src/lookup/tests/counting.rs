//! A store that counts its requests and the bytes that are read from it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{GetOptions, GetResult, ObjectMeta, ObjectStore, Result};

use ebbtide_table::testing::hook::StoreHook;

/// Counts reads, listings, and the bytes of ranges that are read.
#[derive(Debug, Clone)]
pub struct CountingStore {
    inner: Arc<dyn ObjectStore>,
    bytes: Arc<AtomicU64>,
    reads: Arc<AtomicU64>,
    listings: Arc<AtomicU64>,
}

impl CountingStore {
    pub fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self {
            inner,
            bytes: Arc::default(),
            reads: Arc::default(),
            listings: Arc::default(),
        }
    }

    /// Returns the number of bytes that were read since the last call.
    pub fn take(&self) -> u64 {
        self.bytes.swap(0, Ordering::SeqCst)
    }

    /// Returns the numbers of reads and of listings since the last call.
    pub fn take_requests(&self) -> (u64, u64) {
        let take = |count: &AtomicU64| count.swap(0, Ordering::SeqCst);
        (take(&self.reads), take(&self.listings))
    }
}

#[async_trait]
impl StoreHook for CountingStore {
    fn inner(&self) -> &dyn ObjectStore {
        &self.inner
    }

    async fn get(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let got = self.inner.get_opts(from, options).await?;
        self.bytes
            .fetch_add(got.range.end - got.range.start, Ordering::SeqCst);
        Ok(got)
    }

    async fn ranges(&self, from: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let got = self.inner.get_ranges(from, ranges).await?;
        self.bytes.fetch_add(
            got.iter().map(|bytes| bytes.len() as u64).sum(),
            Ordering::SeqCst,
        );
        Ok(got)
    }

    fn listed(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listings.fetch_add(1, Ordering::SeqCst);
        self.inner.list(prefix)
    }
}
