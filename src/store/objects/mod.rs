//! An object store as the tables need it: entries of logs are votes, segments are durable once put, nothing half is left.
//!
//! Promises that a vote whose answer was lost is counted right: what stands under the name tells. Where even that cannot be
//! told, the error says so, and whoever gets it must not take away what the entry names. Must never put an entry that could
//! take another's place.

mod connect;
mod probe;
mod unfinished;
mod upload;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use self::upload::Watched;
use crate::failpoint;

pub use connect::{Connected, SCHEMES, connect, runtime};
pub use probe::UnfitError;
pub use unfinished::Uploads;

/// How often a vote is cast again that the store did not answer clearly.
const VOTES: u32 = 4;

/// How long is waited before the second time; twice that before the third.
const PAUSE: Duration = Duration::from_millis(200);

/// The store did not say whether it took an entry, and may take it still.
#[derive(Debug, thiserror::Error)]
#[error("the store did not say whether it took the entry, and may take it still: {0}")]
pub struct MayLand(#[source] Box<Error>);

impl MayLand {
    /// Whether that is what lies behind an error.
    pub fn is_behind(error: &(dyn std::error::Error + 'static)) -> bool {
        std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<MayLand>())
    }
}

/// The store, of whatever cloud. Paths are those from the bucket's root.
#[derive(Debug, Clone)]
pub struct Objects {
    inner: Arc<dyn ObjectStore>,
}

impl fmt::Display for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Objects {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        match opts.mode {
            PutMode::Create if is_log(location) => self.vote(location, &payload, opts).await,
            // Nobody else writes under a segment's name: put again after a lost answer, it is the same.
            PutMode::Create => {
                let put =
                    self.inner.put_opts(location, payload, PutOptions { mode: PutMode::Overwrite, ..opts }).await?;
                failpoint::reach("segment-written");
                failpoint::reach("segment-synced");
                Ok(put)
            }
            _ => self.inner.put_opts(location, payload, opts).await,
        }
    }

    async fn put_multipart_opts(&self, at: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.inner.put_multipart_opts(at, opts).await?;
        Ok(Box::new(Watched::new(upload, Arc::clone(&self.inner), at.clone())))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// What stands under a name that was voted on.
enum Stands {
    /// What we put there.
    Ours,
    /// What another put there.
    Anothers,
    /// Nothing.
    Nothing,
}

impl Objects {
    /// Puts an entry under a name if nobody has it. Cast again after an answer that is none: under a name that is taken, a
    /// vote that is still on its way no longer counts.
    async fn vote(&self, location: &Path, payload: &PutPayload, opts: PutOptions) -> Result<PutResult> {
        let mut pause = PAUSE;
        let mut votes = 1;
        loop {
            let error = match self.inner.put_opts(location, payload.clone(), opts.clone()).await {
                Ok(put) => {
                    failpoint::reach("commit-written");
                    failpoint::reach("commit-synced");
                    return Ok(put);
                }
                Err(error) => error,
            };
            if is_refusal(&error) {
                return Err(error);
            }
            let taken = |source: Error| Error::AlreadyExists { path: location.to_string(), source: Box::new(source) };
            match self.stands(location, payload).await {
                Ok(Stands::Ours) => return Ok(PutResult { e_tag: None, version: None }),
                Ok(Stands::Anothers) => return Err(taken(error)),
                // Nothing yet: the store was deciding between several, or never got it, or gets it later.
                Ok(Stands::Nothing) | Err(_) if votes < VOTES => {}
                Ok(Stands::Nothing) | Err(_) => {
                    return Err(Error::Generic { store: "bucket", source: Box::new(MayLand(Box::new(error))) });
                }
            }
            votes += 1;
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    async fn stands(&self, location: &Path, payload: &PutPayload) -> Result<Stands> {
        let there = match self.inner.get(location).await {
            Ok(there) => there,
            Err(Error::NotFound { .. }) => return Ok(Stands::Nothing),
            Err(error) => return Err(error),
        };
        if there.meta.size != payload.content_length() as u64 {
            return Ok(Stands::Anothers);
        }
        let bytes = there.bytes().await?;
        let ours = payload.iter().flat_map(|part| part.iter());
        Ok(if bytes.iter().eq(ours) { Stands::Ours } else { Stands::Anothers })
    }
}

/// Whether the store said no for good, whatever stands under the name.
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

/// Whether the name of an object there is a vote: a table's log, the control log.
fn is_log(location: &Path) -> bool {
    let above = location.parts().rev().nth(1);
    above.is_some_and(|folder| matches!(folder.as_ref(), "_delta_log" | "_controls"))
}

#[cfg(test)]
mod tests;
