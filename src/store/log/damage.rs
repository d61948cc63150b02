//! Damaged files of a table's log: reported with their table and the fix, and skipped if an older checkpoint and the
//! entries after it have the same content.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use object_store::path::Path;

use super::files::{Checkpoint, LogFile, LogKind, newest_checkpoint};
use super::{Entry, Log, checkpoint, read_entry};
use crate::store::error::StoreError;

const RESTORE_ENTRY: &str = "restore the file from a backup or a copy of the table; until then nothing is committed to the table or deleted from it";
const RESTORE_CHECKPOINT: &str =
    "if an older checkpoint and all entries after that are there, move it away; otherwise restore it from a backup";

impl Log {
    /// Parses an entry of this log.
    pub fn parse(&self, version: u64, bytes: &bytes::Bytes) -> Result<Entry, StoreError> {
        Entry::parse(version, bytes).map_err(|what| self.damaged_entry(version, what))
    }

    /// Returns the error for the entry of a version that cannot be read, or is missing.
    pub fn damaged_entry(&self, version: u64, what: String) -> StoreError {
        self.damaged(format!("_delta_log/{version:020}.json"), what, RESTORE_ENTRY)
    }

    /// Returns the error for a file of a checkpoint that cannot be read.
    pub fn damaged_checkpoint(&self, file: &Path, what: String) -> StoreError {
        let what = what.lines().next().unwrap_or_default().to_owned();
        self.damaged(file.to_string(), what, RESTORE_CHECKPOINT)
    }

    /// Returns the error for a log that ends before a version that was read from it.
    pub fn cut_short(&self, version: u64) -> StoreError {
        self.damaged_entry(version, "it was read before and is missing, with all after it".to_owned())
    }

    fn damaged(&self, file: String, what: String, fix: &'static str) -> StoreError {
        StoreError::Damaged { table: self.product.to_string(), file, what, fix }
    }

    /// Skips a checkpoint from now on, and the hint at the newest one with it.
    pub(super) fn hide(&self, checkpoint: &Checkpoint, why: &StoreError) {
        let mut new = false;
        for file in &checkpoint.files {
            new |= self.hidden.add(self.in_root(file), why.to_string());
        }
        self.hidden.add(self.in_root(&self.log_path().clone().join("_last_checkpoint")), why.to_string());
        if new {
            tracing::error!("an older checkpoint is used: {why}");
        }
    }

    /// Returns true if the newest checkpoint up to a version can be read completely, so that the files before it may be
    /// deleted. A checkpoint that cannot be read is skipped from now on.
    pub async fn is_readable(&self, listed: &[LogFile], until: u64) -> Result<bool, StoreError> {
        let Some(checkpoint) = newest_checkpoint(listed, until) else { return Ok(false) };
        if self.readable.load(Ordering::Relaxed) == checkpoint.version {
            return Ok(true);
        }
        match checkpoint::check(self, &checkpoint).await {
            Ok(()) => self.readable.store(checkpoint.version, Ordering::Relaxed),
            Err(error @ StoreError::Damaged { .. }) => {
                self.hide(&checkpoint, &error);
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Returns true if a file of the log is skipped.
    pub fn hides(&self, file: &Path) -> bool {
        self.hidden.has(&self.in_root(file))
    }

    /// Returns the damage of the skipped checkpoints, one line each.
    pub fn passed_over(&self) -> BTreeSet<String> {
        self.hidden.reasons()
    }

    fn in_root(&self, file: &Path) -> Path {
        self.at.parts().chain(file.parts()).collect()
    }

    /// Returns the error for the first entry from `from` on that is missing or cannot be read.
    pub(super) async fn first_damaged(&self, listed: &[LogFile], from: u64) -> Result<Option<StoreError>, StoreError> {
        let entries = listed.iter().filter_map(|file| match file.kind {
            LogKind::Entry(version) => Some(version),
            _ => None,
        });
        let Some(newest) = entries.max() else { return Ok(None) };
        for version in from..=newest {
            match read_entry(self, version).await {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(Some(self.damaged_entry(version, "it is missing".to_owned()))),
                Err(error @ StoreError::Damaged { .. }) => return Ok(Some(error)),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
