//! A table's folder without the checkpoints that cannot be read: a listing finds an older
//! checkpoint and the entries after it, which have the same content. The files themselves are not
//! changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, future};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// The files that are skipped. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct HiddenFiles(Arc<RwLock<BTreeMap<Path, String>>>);

impl HiddenFiles {
    /// Skips a file from now on, for that reason. False if it is skipped already.
    pub fn add(&self, path: Path, why: String) -> bool {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(path, why)
            .is_none()
    }

    /// Returns the reasons why files are skipped, each once. A file that is skipped for an empty
    /// reason is not damaged.
    pub fn reasons(&self) -> BTreeSet<String> {
        let hidden = self.0.read().unwrap_or_else(PoisonError::into_inner);
        hidden
            .values()
            .filter(|why| !why.is_empty())
            .cloned()
            .collect()
    }

    /// Returns true if a file is skipped.
    pub fn has(&self, path: &Path) -> bool {
        let hidden = self.0.read().unwrap_or_else(PoisonError::into_inner);
        !hidden.is_empty() && hidden.contains_key(path)
    }

    /// Stops skipping a file that is written again: its content is new.
    fn remove(&self, path: &Path) {
        if self.has(path) {
            self.0
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(path);
        }
    }
}

/// A store without the hidden files.
#[derive(Debug, Clone)]
pub struct HidingStore {
    inner: Arc<dyn ObjectStore>,
    hidden: HiddenFiles,
}

impl HidingStore {
    /// Creates a store of the files of `inner` except the hidden ones.
    pub fn new(inner: Arc<dyn ObjectStore>, hidden: HiddenFiles) -> HidingStore {
        HidingStore { inner, hidden }
    }
}

impl fmt::Display for HidingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for HidingStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let put = self.inner.put_opts(location, payload, opts).await?;
        self.hidden.remove(location);
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if self.hidden.has(location) {
            let source = "it cannot be read and is passed over".into();
            return Err(Error::NotFound {
                path: location.to_string(),
                source,
            });
        }
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let hidden = self.hidden.clone();
        let shown = move |file: &Result<ObjectMeta>| {
            !file.as_ref().is_ok_and(|file| hidden.has(&file.location))
        };
        self.inner
            .list(prefix)
            .filter(move |file| future::ready(shown(file)))
            .boxed()
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let hidden = self.hidden.clone();
        let shown = move |file: &Result<ObjectMeta>| {
            !file.as_ref().is_ok_and(|file| hidden.has(&file.location))
        };
        self.inner
            .list_with_offset(prefix, offset)
            .filter(move |file| future::ready(shown(file)))
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut listed = self.inner.list_with_delimiter(prefix).await?;
        listed
            .objects
            .retain(|file| !self.hidden.has(&file.location));
        Ok(listed)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
