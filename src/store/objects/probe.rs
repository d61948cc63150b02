//! Whether a bucket keeps its word: no old versions of what is gone, and one winner of those who write one name.
//!
//! Promises to find out by doing it, with objects of its own that hold nothing and that it takes away. Must never touch another
//! object.

use std::sync::Arc;

use chrono::TimeDelta;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{
    Error, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, Result,
};
use uuid::Uuid;

use crate::store::error::StoreError;
use crate::store::root::Root;

/// How old an object of another probe is, by the store's own clock, before it is one that a crash left.
const LEFT: TimeDelta = TimeDelta::hours(1);

/// A bucket that may not hold tables.
#[derive(Debug, thiserror::Error)]
pub enum UnfitError {
    /// It keeps old versions of objects.
    #[error(
        "{place} keeps old versions of what is deleted, so nothing would ever be gone; switch the bucket's versioning off and \
         delete the versions that are there, or take a bucket that never had it (docs/object-stores.md)"
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
    /// It could not be asked.
    #[error("{place} could not be tried: {why}")]
    Failed {
        /// The root.
        place: String,
        /// What the store said.
        #[source]
        why: StoreError,
    },
}

/// What a trial showed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Good,
    Versioned,
    Unconditional,
}

impl Root {
    /// Tries whether tables may be here. A folder always will do; a bucket is written to, read and cleaned again.
    pub async fn check(&self) -> std::result::Result<(), UnfitError> {
        if self.local().is_some() {
            return Ok(());
        }
        let place = self.to_string();
        match try_out(self.store(), &self.at().clone().join("_probe")).await {
            Ok(Shown::Good) => match self.old_versions().await {
                Ok(false) => Ok(()),
                Ok(true) => Err(UnfitError::Versioned { place }),
                // Not everybody who may write may ask for that.
                Err(error) => {
                    tracing::warn!(%error, "the bucket does not say whether it has old versions of what is deleted");
                    Ok(())
                }
            },
            Ok(Shown::Versioned) => Err(UnfitError::Versioned { place }),
            Ok(Shown::Unconditional) => Err(UnfitError::Unconditional { place }),
            Err(error) => Err(UnfitError::Failed { place, why: error.into() }),
        }
    }
}

pub(super) async fn try_out(store: &Arc<dyn ObjectStore>, folder: &Path) -> Result<Shown> {
    // Under this folder's name a put is one of a log: a vote.
    let at = folder.clone().join("_delta_log").join(Uuid::new_v4().to_string());
    let shown = shown(store.as_ref(), &at).await;
    let there = store.head(&at).await;
    // Even what could not be tried may have been put.
    let gone = store.delete(&at).await;
    let shown = shown?;
    gone?;
    sweep(store.as_ref(), folder, &there?).await?;
    Ok(shown)
}

async fn shown(store: &dyn ObjectStore, at: &Path) -> Result<Shown> {
    let put =
        |text: &'static str, mode| store.put_opts(at, PutPayload::from_static(text.as_bytes()), PutOptions::from(mode));
    put("first", PutMode::Create).await?;
    match put("other", PutMode::Create).await {
        Err(Error::AlreadyExists { .. }) => {}
        Ok(_) | Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => return Ok(Shown::Unconditional),
        Err(error) => return Err(error),
    }
    // The client repeats such a put until it has its answer, and with it the version, if there is one.
    let Some(version) = put("third", PutMode::Overwrite).await?.version else { return Ok(Shown::Good) };
    put("fourth", PutMode::Overwrite).await?;
    let options = GetOptions { version: Some(version), ..GetOptions::default() };
    // Some stores number what they do not keep.
    let kept = match store.get_opts(at, options).await {
        Ok(kept) => kept.bytes().await?,
        Err(Error::NotFound { .. }) => return Ok(Shown::Good),
        Err(error) => return Err(error),
    };
    Ok(if kept.as_ref() == b"third" { Shown::Versioned } else { Shown::Good })
}

/// Takes away what trials left that did not come to their end.
async fn sweep(store: &dyn ObjectStore, folder: &Path, now: &ObjectMeta) -> Result<()> {
    let left: Vec<ObjectMeta> = store.list(Some(folder)).try_collect().await?;
    for object in left.iter().filter(|object| object.last_modified < now.last_modified - LEFT) {
        store.delete(&object.location).await?;
    }
    Ok(())
}
