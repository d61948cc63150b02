//! A multipart upload of a large object.
//!
//! An upload that is not completed is also aborted at the store, since no listing of objects would
//! show it. If the answer to the completion is lost, the stored object shows the outcome.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::path::Path;
use object_store::{
    MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, PutResult, Result, UploadPart,
};

use super::connect;
use ebbtide_base::failpoint;

/// An upload that is aborted if it is dropped unfinished.
#[derive(Debug)]
pub struct GuardedUpload {
    /// `None` once it is completed or aborted.
    upload: Option<Box<dyn MultipartUpload>>,
    store: Arc<dyn ObjectStore>,
    at: Path,
    size: u64,
}

impl GuardedUpload {
    /// Watches an upload of the object at `at`.
    pub fn new(
        upload: Box<dyn MultipartUpload>,
        store: Arc<dyn ObjectStore>,
        at: Path,
    ) -> GuardedUpload {
        GuardedUpload {
            upload: Some(upload),
            store,
            at,
            size: 0,
        }
    }
}

#[async_trait]
impl MultipartUpload for GuardedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.size += data.content_length() as u64;
        let Some(upload) = &mut self.upload else {
            return Box::pin(async { Err(over()) });
        };
        let part = upload.put_part(data);
        Box::pin(async move {
            part.await?;
            failpoint::reach("segment-part-written");
            Ok(())
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let upload = self.upload.as_mut().ok_or_else(over)?;
        let put = match upload.complete().await {
            Ok(put) => put,
            // A store that completed an upload no longer knows it, so a repeated completion fails.
            Err(error) => match self.store.head(&self.at).await {
                Ok(there) if there.size == self.size => PutResult {
                    e_tag: there.e_tag,
                    version: there.version,
                },
                _ => return Err(error),
            },
        };
        self.upload = None;
        failpoint::reach("segment-written");
        failpoint::reach("segment-synced");
        Ok(put)
    }

    async fn abort(&mut self) -> Result<()> {
        match self.upload.take() {
            Some(mut upload) => upload.abort().await,
            None => Ok(()),
        }
    }
}

impl Drop for GuardedUpload {
    fn drop(&mut self) {
        let (Some(mut upload), Ok(runtime)) = (self.upload.take(), connect::runtime()) else {
            return;
        };
        runtime.spawn(async move {
            if let Err(error) = upload.abort().await {
                tracing::debug!(store.error = %error, "an unfinished upload was left to the janitor");
            }
        });
    }
}

fn over() -> object_store::Error {
    object_store::Error::Generic {
        store: "bucket",
        source: "the upload is over".into(),
    }
}
