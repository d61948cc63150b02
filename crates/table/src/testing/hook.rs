//! A store that forwards calls, except those that a test replaces: to fail, to count, or to run an
//! action in between.

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::try_join_all;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// The calls of a store that a test may replace.
#[async_trait]
pub trait StoreHook: fmt::Debug + Send + Sync + 'static {
    /// Returns the store that calls are forwarded to.
    fn inner(&self) -> &dyn ObjectStore;

    /// Writes an object.
    async fn put(&self, to: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner().put_opts(to, payload, options).await
    }

    /// Reads a file.
    async fn get(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner().get_opts(from, options).await
    }

    /// Reads ranges of a file.
    async fn ranges(&self, from: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let of_one = |range: Range<u64>| async move {
            let options = GetOptions {
                range: Some(range.into()),
                ..GetOptions::default()
            };
            self.get(from, options).await?.bytes().await
        };
        try_join_all(ranges.iter().cloned().map(of_one)).await
    }

    /// Lists the objects.
    fn listed(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner().list(prefix)
    }
}

/// The store whose calls go through `B`.
#[derive(Debug)]
pub struct HookedStore<B>(pub B);

impl<B> fmt::Display for HookedStore<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookedStore")
    }
}

#[async_trait]
impl<B: StoreHook> ObjectStore for HookedStore<B> {
    async fn put_opts(
        &self,
        to: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.0.put(to, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.inner().put_multipart_opts(to, options).await
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get(from, options).await
    }

    async fn get_ranges(&self, from: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.0.ranges(from, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.0.inner().delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.listed(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.inner().list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.inner().copy_opts(from, to, options).await
    }
}
