//! A store that counts the bytes that are read from it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, GetResult, ObjectStore, Result};

use ebbtide_table::testing::hook::StoreHook;

/// Counts the bytes of ranges that are read.
#[derive(Debug, Clone)]
pub struct CountingStore {
    inner: Arc<dyn ObjectStore>,
    bytes: Arc<AtomicU64>,
}

impl CountingStore {
    pub fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self {
            inner,
            bytes: Arc::default(),
        }
    }

    /// Returns the number of bytes that were read since the last call.
    pub fn take(&self) -> u64 {
        self.bytes.swap(0, Ordering::SeqCst)
    }
}

#[async_trait]
impl StoreHook for CountingStore {
    fn inner(&self) -> &dyn ObjectStore {
        &self.inner
    }

    async fn get(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
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
}
