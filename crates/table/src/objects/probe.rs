//! Checks that a bucket is fit for tables: it keeps no old versions of deleted objects, and of
//! several writers of one name only one wins.
//!
//! The check writes empty test objects of its own and deletes them. It never touches another
//! object.

use std::sync::Arc;

use chrono::TimeDelta;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{
    Error, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    Result,
};
use uuid::Uuid;

use crate::error::StoreError;
use crate::root::Root;

/// The age by the store's own clock from which an object of another probe was left by a crash.
const LEFT: TimeDelta = TimeDelta::hours(1);

/// A bucket that cannot be used for tables.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It keeps old versions of objects.
    #[error(
        "{place} keeps old versions of deleted objects, so nothing would ever be deleted; switch the bucket's versioning off and \
         delete the versions that are there, or use a bucket that never had it (docs/object-stores.md)"
    )]
    Versioned {
        /// The root.
        place: String,
    },
    /// Two writers of one name both win.
    #[error(
        "{place} lets a second writer take the place of the first (`If-None-Match: *` has no effect), so records would be \
         lost; take a store that has conditional writes (docs/object-stores.md)"
    )]
    Unconditional {
        /// The root.
        place: String,
    },
    /// The bucket could not be checked.
    #[error("{place} could not be tried: {why}")]
    Failed {
        /// The root.
        place: String,
        /// The answer of the store.
        #[source]
        why: StoreError,
    },
}

/// The result of a check.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ProbeResult {
    Good,
    Versioned,
    Unconditional,
}

impl Root {
    /// Checks whether tables may be stored here. A folder is always fit; in a bucket, test objects
    /// are written, read and deleted.
    pub async fn check(&self) -> std::result::Result<(), ProbeError> {
        if self.local().is_some() {
            return Ok(());
        }
        let place = self.to_string();
        match try_out(self.store(), &self.at().clone().join("_probe")).await {
            Ok(ProbeResult::Good) => match self.old_versions().await {
                Ok(false) => Ok(()),
                Ok(true) => Err(ProbeError::Versioned { place }),
                // Some accounts may write and not list versions.
                Err(error) => {
                    tracing::warn!(%error, "the bucket does not say whether it keeps old versions of deleted objects");
                    Ok(())
                }
            },
            Ok(ProbeResult::Versioned) => Err(ProbeError::Versioned { place }),
            Ok(ProbeResult::Unconditional) => Err(ProbeError::Unconditional { place }),
            Err(error) => Err(ProbeError::Failed {
                place,
                why: error.into(),
            }),
        }
    }
}

pub(super) async fn try_out(store: &Arc<dyn ObjectStore>, folder: &Path) -> Result<ProbeResult> {
    let at = folder.clone().join(Uuid::new_v4().to_string());
    let shown = shown(store.as_ref(), &at).await;
    let there = store.head(&at).await;
    // A put may have succeeded even if the check failed.
    let deleted = store.delete(&at).await;
    let shown = shown?;
    deleted?;
    sweep(store.as_ref(), folder, &there?).await?;
    Ok(shown)
}

async fn shown(store: &dyn ObjectStore, at: &Path) -> Result<ProbeResult> {
    let put = |text: &'static str, mode| {
        store.put_opts(
            at,
            PutPayload::from_static(text.as_bytes()),
            PutOptions::from(mode),
        )
    };
    put("first", PutMode::Create).await?;
    match put("other", PutMode::Create).await {
        Err(Error::AlreadyExists { .. }) => {}
        Ok(_) | Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
            return Ok(ProbeResult::Unconditional);
        }
        Err(error) => return Err(error),
    }
    // The client repeats such a put until it has the answer, which contains the version, if there
    // is one.
    let Some(version) = put("third", PutMode::Overwrite).await?.version else {
        return Ok(ProbeResult::Good);
    };
    put("fourth", PutMode::Overwrite).await?;
    let options = GetOptions {
        version: Some(version),
        ..GetOptions::default()
    };
    // Some stores return versions that they do not keep.
    let kept = match store.get_opts(at, options).await {
        Ok(kept) => kept.bytes().await?,
        Err(Error::NotFound { .. }) => return Ok(ProbeResult::Good),
        Err(error) => return Err(error),
    };
    Ok(if kept.as_ref() == b"third" {
        ProbeResult::Versioned
    } else {
        ProbeResult::Good
    })
}

/// Deletes the objects of checks that did not complete.
async fn sweep(store: &dyn ObjectStore, folder: &Path, now: &ObjectMeta) -> Result<()> {
    let left: Vec<ObjectMeta> = store.list(Some(folder)).try_collect().await?;
    for object in left
        .iter()
        .filter(|object| object.last_modified < now.last_modified - LEFT)
    {
        store.delete(&object.location).await?;
    }
    Ok(())
}
