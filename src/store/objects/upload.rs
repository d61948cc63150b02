//! A large object on its way to the store, in parts.
//!
//! Promises that what was begun and not finished is given up at the store too, where no listing would ever show it, and that an
//! object whose last answer was lost is taken for what it is.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, PutResult, Result, UploadPart};

use super::connect;
use crate::failpoint;

/// An upload that is given up when it is dropped unfinished.
#[derive(Debug)]
pub struct Watched {
    /// `None` once it is finished or given up.
    upload: Option<Box<dyn MultipartUpload>>,
    store: Arc<dyn ObjectStore>,
    at: Path,
    size: u64,
}

impl Watched {
    /// Watches over an upload of the object at `at`.
    pub fn new(upload: Box<dyn MultipartUpload>, store: Arc<dyn ObjectStore>, at: Path) -> Watched {
        Watched { upload: Some(upload), store, at, size: 0 }
    }
}

#[async_trait]
impl MultipartUpload for Watched {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.size += data.content_length() as u64;
        let Some(upload) = &mut self.upload else { return Box::pin(async { Err(over()) }) };
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
            // Told twice to finish, a store knows of no such upload any more.
            Err(error) => match self.store.head(&self.at).await {
                Ok(there) if there.size == self.size => PutResult { e_tag: there.e_tag, version: there.version },
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

impl Drop for Watched {
    fn drop(&mut self) {
        let (Some(mut upload), Ok(runtime)) = (self.upload.take(), connect::runtime()) else { return };
        runtime.spawn(async move {
            if let Err(error) = upload.abort().await {
                tracing::debug!(store.error = %error, "an unfinished upload was left to the janitor");
            }
        });
    }
}

fn over() -> object_store::Error {
    object_store::Error::Generic { store: "bucket", source: "the upload is over".into() }
}
