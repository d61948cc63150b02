//! Puts of files under names that no other writer uses, such as those of segments.
//!
//! Without this mark, every store of this crate puts a new object whole, synced, and only if its
//! name is free: as the entry of a log.

use std::sync::Arc;

use object_store::path::Path;
use object_store::{
    Extensions, MultipartUpload, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};

/// The mark of a put whose name no other writer uses and no reader knows before a commit names it.
/// A repeated put writes the same bytes, and the file may grow under its own name.
#[derive(Debug, Clone, Copy)]
pub struct UniqueName;

impl UniqueName {
    /// Returns true if a put has the mark.
    pub(crate) fn is_set(extensions: &Extensions) -> bool {
        extensions.get::<UniqueName>().is_some()
    }
}

/// Puts a file under a unique name. It is durable once this returns.
pub async fn put_unique(
    store: &dyn ObjectStore,
    at: &Path,
    payload: PutPayload,
) -> Result<PutResult> {
    let mut options = PutOptions::from(PutMode::Create);
    options.extensions.insert(UniqueName);
    store.put_opts(at, payload, options).await
}

/// Starts the upload of a file under a unique name, in parts.
pub async fn upload_unique(
    store: &Arc<dyn ObjectStore>,
    at: &Path,
) -> Result<Box<dyn MultipartUpload>> {
    let mut options = PutMultipartOptions::default();
    options.extensions.insert(UniqueName);
    store.put_multipart_opts(at, options).await
}
