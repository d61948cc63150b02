//! An object store with the guarantees that the tables need: `PutMode::Create` puts an object only
//! if its name is free, segments are durable once put, and nothing half-written is left.
//!
//! If the answer to a conditional put is lost, the object under the name shows the outcome. If even
//! that is unknown, the error says so, and the caller must not delete the files that the entry
//! names. No put may replace another writer's entry.

mod connect;
mod probe;
mod unfinished;
mod unique;
mod upload;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};

use self::upload::GuardedUpload;
use ebbtide_base::backoff::Backoff;
use ebbtide_base::failpoint;

pub use connect::{ConnectedStore, SCHEMES, connect, runtime};
pub use probe::ProbeError;
pub use unfinished::UnfinishedUploads;
pub use unique::{UniqueName, put_unique, upload_unique};

/// The maximum number of attempts of a conditional put that the store does not answer clearly.
const VOTES: u32 = 4;

/// The pause before the second attempt; it doubles before each further one.
const PAUSE: Duration = Duration::from_millis(200);

/// The store did not say whether it accepted an entry, and may accept it later.
#[derive(Debug, thiserror::Error)]
#[error("the store did not say whether it took the entry, and may take it still: {0}")]
pub struct CommitOutcomeUnknown(#[source] Box<Error>);

impl CommitOutcomeUnknown {
    /// Returns true if this error caused the given one.
    pub fn is_cause_of(error: &(dyn std::error::Error + 'static)) -> bool {
        std::iter::successors(Some(error), |error| error.source())
            .any(|error| error.is::<CommitOutcomeUnknown>())
    }
}

/// The store of any cloud. Paths start at the bucket's root.
#[derive(Debug, Clone)]
pub struct CloudStore {
    inner: Arc<dyn ObjectStore>,
}

impl fmt::Display for CloudStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for CloudStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        match opts.mode {
            PutMode::Create if !UniqueName::is_set(&opts.extensions) => {
                self.put_if_absent(location, &payload, opts).await
            }
            // No one else writes under the name: a repeated put after a lost answer writes the same
            // bytes.
            PutMode::Create => {
                let put = self
                    .inner
                    .put_opts(
                        location,
                        payload,
                        PutOptions {
                            mode: PutMode::Overwrite,
                            ..opts
                        },
                    )
                    .await?;
                failpoint::reach("segment-written");
                failpoint::reach("segment-synced");
                Ok(put)
            }
            _ => self.inner.put_opts(location, payload, opts).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.inner.put_multipart_opts(at, opts).await?;
        Ok(Box::new(GuardedUpload::new(
            upload,
            Arc::clone(&self.inner),
            at.clone(),
        )))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[cfg(any(test, feature = "testing"))]
impl CloudStore {
    /// Gives a store in memory the guarantees of this module.
    pub fn new(inner: Arc<dyn ObjectStore>) -> CloudStore {
        CloudStore { inner }
    }
}

/// The content under a name after a conditional put.
enum PutState {
    /// Our entry.
    Ours,
    /// Another writer's entry.
    Anothers,
    /// Nothing.
    Nothing,
}

impl CloudStore {
    /// Puts an entry under a name that must be free. Repeats the put after an unclear answer: once
    /// the name is taken, an earlier put that is still on its way has no effect.
    async fn put_if_absent(
        &self,
        location: &Path,
        payload: &PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let mut backoff = Backoff::new(PAUSE, PAUSE * (1 << VOTES));
        let mut votes = 1;
        loop {
            let error = match self
                .inner
                .put_opts(location, payload.clone(), opts.clone())
                .await
            {
                Ok(put) => {
                    failpoint::reach("commit-written");
                    failpoint::reach("commit-synced");
                    return Ok(put);
                }
                Err(error) => error,
            };
            // An earlier put may still land, whatever became of this one.
            if votes == 1 && is_refusal(&error) {
                return Err(error);
            }
            let taken = |source: Error| Error::AlreadyExists {
                path: location.to_string(),
                source: Box::new(source),
            };
            match self.stands(location, payload).await {
                Ok(PutState::Ours) => {
                    return Ok(PutResult {
                        e_tag: None,
                        version: None,
                    });
                }
                Ok(PutState::Anothers) => return Err(taken(error)),
                // Nothing yet: the store was still deciding, or never received the put, or will
                // receive it later.
                Ok(PutState::Nothing) | Err(_) if votes < VOTES => {}
                Ok(PutState::Nothing) | Err(_) => {
                    return Err(Error::Generic {
                        store: "bucket",
                        source: Box::new(CommitOutcomeUnknown(Box::new(error))),
                    });
                }
            }
            votes += 1;
            tokio::time::sleep(backoff.next_limit()).await;
        }
    }

    async fn stands(&self, location: &Path, payload: &PutPayload) -> Result<PutState> {
        let there = match self.inner.get(location).await {
            Ok(there) => there,
            Err(Error::NotFound { .. }) => return Ok(PutState::Nothing),
            Err(error) => return Err(error),
        };
        if there.meta.size != payload.content_length() as u64 {
            return Ok(PutState::Anothers);
        }
        let bytes = there.bytes().await?;
        let ours = payload.iter().flat_map(|part| part.iter());
        Ok(if bytes.iter().eq(ours) {
            PutState::Ours
        } else {
            PutState::Anothers
        })
    }
}

/// Returns true if the store refused the put for good, whatever is stored under the name.
fn is_refusal(error: &Error) -> bool {
    matches!(
        error,
        Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::NotImplemented { .. }
            | Error::NotSupported { .. }
            | Error::InvalidPath { .. }
            | Error::UnknownConfigurationKey { .. }
    )
}

#[cfg(test)]
mod tests;
