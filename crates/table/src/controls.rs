//! The control log: one file for each control under `<root>/_controls/`, numbered from 1 without a
//! gap.
//!
//! An appended control is on the disk, and no other control has its number. A control that cannot
//! be read whole is an error: a caller that deletes or commits without all controls may violate an
//! order. This module does not interpret controls.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use serde_json::Value;

use super::deletions::{Deletions, delete_files};
use super::error::StoreError;
use super::log::files::LogFileKind;
use super::root::Root;
use super::table::ControlsVersion;

/// The control log of a root.
#[derive(Debug, Clone)]
pub struct ControlLog {
    store: Arc<dyn ObjectStore>,
    folder: Path,
}

/// The reason why a control was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another control has the number. Read it and decide again.
    #[error("another control took its place in the log")]
    Lost,
    /// It may have been appended: read the log before trying again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ControlsVersion {
    /// Returns the version after this one.
    #[must_use]
    pub fn next(self) -> ControlsVersion {
        ControlsVersion(self.0.saturating_add(1))
    }
}

impl ControlLog {
    /// Opens the control log under `root`. A missing folder counts as an empty log.
    #[must_use]
    pub fn open(root: &Root) -> ControlLog {
        ControlLog {
            store: Arc::clone(root.store()),
            folder: root.controls(),
        }
    }

    /// Returns the version of the newest control; 0 if no control exists. Errors if an earlier one
    /// is missing.
    pub async fn newest(&self) -> Result<ControlsVersion, StoreError> {
        let listed: BTreeSet<i64> = self.list().await?.iter().filter_map(version_of).collect();
        let newest = listed.last().copied().unwrap_or(0);
        for version in (1..newest).filter(|version| !listed.contains(version)) {
            // A listing that runs while files are added may show a later file and not an earlier
            // one: ask for it by name.
            match self.store.head(&self.path(ControlsVersion(version))).await {
                Ok(_) => {}
                Err(object_store::Error::NotFound { .. }) => {
                    return Err(unreadable(version, "it is missing"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(ControlsVersion(newest))
    }

    /// Returns every control from `version` on, oldest first. Errors if any control is missing or
    /// not JSON, whatever its version.
    pub async fn load_from(
        &self,
        version: ControlsVersion,
    ) -> Result<Vec<(ControlsVersion, Value)>, StoreError> {
        let newest = self.newest().await?;
        let mut controls = Vec::new();
        for version in version.0.max(1)..=newest.0 {
            let version = ControlsVersion(version);
            controls.push((version, self.read(version).await?));
        }
        Ok(controls)
    }

    /// Appends a control as version `expected_next`, if every version before it exists and no other
    /// control has this version.
    pub async fn append(
        &self,
        expected_next: ControlsVersion,
        control: &Value,
    ) -> Result<ControlsVersion, AppendError> {
        let newest = self.newest().await?;
        if newest.next() < expected_next {
            return Err(StoreError::Refused(format!(
                "control {} would leave a gap",
                expected_next.0
            ))
            .into());
        }
        let options = PutOptions::from(PutMode::Create);
        match self
            .store
            .put_opts(&self.path(expected_next), whole(control).into(), options)
            .await
        {
            Ok(_) => Ok(expected_next),
            Err(object_store::Error::AlreadyExists { .. }) => Err(AppendError::Lost),
            Err(error) => Err(StoreError::from(error).into()),
        }
    }

    /// Replaces the control of that version by `control`, whole and synced: no file contains the
    /// old bytes afterwards. Returns false if the log has the same control already.
    ///
    /// Only for erasing data that is no longer needed: an instance that has read the old control
    /// does not read it again.
    pub async fn replace(
        &self,
        version: ControlsVersion,
        control: &Value,
    ) -> Result<bool, StoreError> {
        if self.read(version).await? == *control {
            return Ok(false);
        }
        let options = PutOptions::from(PutMode::Overwrite);
        self.store
            .put_opts(&self.path(version), whole(control).into(), options)
            .await?;
        Ok(true)
    }

    /// Deletes files under temporary names that a crash left in the folder, if they were written
    /// before `old`.
    pub async fn sweep_staged(&self, old: DateTime<Utc>) -> Result<Deletions, StoreError> {
        let listed = self.list().await?;
        let staged = listed
            .iter()
            .filter(|file| kind_of(file) == LogFileKind::Staged && file.last_modified < old);
        let paths = staged.map(|file| file.location.to_string()).collect();
        Ok(delete_files(self.store.as_ref(), paths).await)
    }

    async fn list(&self) -> Result<Vec<ObjectMeta>, StoreError> {
        Ok(self.store.list(Some(&self.folder)).try_collect().await?)
    }

    async fn read(&self, version: ControlsVersion) -> Result<Value, StoreError> {
        let got = match self.store.get(&self.path(version)).await {
            Ok(got) => got,
            Err(object_store::Error::NotFound { .. }) => {
                return Err(unreadable(version.0, "it is missing"));
            }
            Err(error) => return Err(error.into()),
        };
        let bytes: Bytes = got.bytes().await?;
        // Controls contain personal values, and the parser's message would quote them.
        serde_json::from_slice(&bytes).map_err(|_| unreadable(version.0, "it is no JSON"))
    }

    fn path(&self, version: ControlsVersion) -> Path {
        self.folder.clone().join(format!("{:020}.json", version.0))
    }
}

fn kind_of(file: &ObjectMeta) -> LogFileKind {
    file.location
        .filename()
        .map_or(LogFileKind::Other, LogFileKind::of)
}

fn version_of(file: &ObjectMeta) -> Option<i64> {
    match kind_of(file) {
        LogFileKind::Entry(version) => i64::try_from(version).ok().filter(|version| *version > 0),
        _ => None,
    }
}

fn whole(control: &Value) -> Vec<u8> {
    let mut bytes = control.to_string().into_bytes();
    bytes.push(b'\n');
    bytes
}

/// Creates the error for a control that cannot be read.
pub fn unreadable(version: i64, what: &str) -> StoreError {
    StoreError::ControlsUnreadable {
        version: u64::try_from(version).unwrap_or(0),
        what: what.to_owned(),
    }
}

#[cfg(test)]
mod tests;
