//! Ranges of an object: they are requested together, and an object that ends too early is an error.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{GetOptions, GetResult, ObjectStore, ObjectStoreExt, Result, coalesce_ranges};

use super::{StoreFile, object_ranges};
use crate::testing::hook::{HookedStore, StoreHook};

/// A store in memory that records which ranges are requested.
#[derive(Debug, Default, Clone)]
struct RecordedStore {
    inner: Arc<InMemory>,
    requests: Arc<Mutex<Vec<Vec<Range<u64>>>>>,
}

#[async_trait]
impl StoreHook for RecordedStore {
    fn inner(&self) -> &dyn ObjectStore {
        &*self.inner
    }

    async fn get(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        let is_head = options.head;
        let got = self.inner.get_opts(from, options).await?;
        if !is_head {
            let mut requests = self.requests.lock().unwrap();
            requests.push(vec![got.range.clone()]);
        }
        Ok(got)
    }

    async fn ranges(&self, from: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.requests.lock().unwrap().push(ranges.to_vec());
        self.inner.get_ranges(from, ranges).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_of_an_object_are_requested_alone_and_together() {
    let recorded = RecordedStore::default();
    let path = Path::from("object");
    let byte = |at: u64| u8::try_from(at % 251).unwrap();
    let object: Vec<u8> = (0..5 << 20).map(byte).collect();
    recorded.inner.put(&path, object.into()).await.unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(HookedStore(recorded.clone()));
    let file = StoreFile::open(&store, path).await.unwrap();
    let taken = move || std::mem::take(&mut *recorded.requests.lock().unwrap());
    let work = move || {
        let ranges = [10..42, (3 << 20)..(3 << 20) + 32, 0..1];
        let expected = ranges
            .clone()
            .map(|range| range.map(byte).collect::<Vec<u8>>());
        assert_eq!(file.ranges(&ranges).unwrap(), expected);
        assert_eq!(taken(), [ranges.to_vec()]);
        // A block that was read before answers without a request.
        file.read_exact_at(&mut [0; 8], 100).unwrap();
        assert_eq!(taken().len(), 1);
        assert_eq!(file.ranges(&ranges[..1]).unwrap(), expected[..1]);
        assert!(taken().is_empty());
        let end = 5 << 20;
        let after_end = end - 1..end + 1;
        assert!(file.ranges(std::slice::from_ref(&after_end)).is_err());
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

/// A store of the default kind: it merges ranges that are close together.
#[derive(Debug, Clone)]
struct MergingStore(Arc<InMemory>);

#[async_trait]
impl StoreHook for MergingStore {
    fn inner(&self) -> &dyn ObjectStore {
        &*self.0
    }

    async fn ranges(&self, from: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        coalesce_ranges(ranges, |range| self.0.get_range(from, range), 1 << 20).await
    }
}

#[tokio::test]
async fn merged_ranges_after_the_end_of_an_object_are_an_error() {
    let store = MergingStore(Arc::default());
    let path = Path::from("object");
    store.0.put(&path, vec![7; 1000].into()).await.unwrap();
    let store = HookedStore(store);
    let whole = object_ranges(&store, &path, &[0..10, 900..1000]).await;
    assert_eq!(whole.unwrap().unwrap(), [vec![7; 10], vec![7; 100]]);
    for ranges in [[0..10, 990..1010], [0..10, 2000..2032]] {
        let read = object_ranges(&store, &path, &ranges).await;
        assert_eq!(read.unwrap(), None, "{ranges:?}");
    }
}
