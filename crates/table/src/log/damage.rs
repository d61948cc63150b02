//! Damaged files of a table's log: reported with their table and the fix, and skipped if an older
//! checkpoint and the entries after it have the same content.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::files::{
    Checkpoint, LogFile, LogFileKind, checkpoints, list, newest, newest_checkpoint,
};
use super::{LogEntry, TableLog, checkpoint, read_entry};
use crate::error::StoreError;

const LAST_CHECKPOINT: &str = "_last_checkpoint";
const RESTORE_LOG: &str = "restore `_delta_log` from a backup or a copy of the table; until then nothing is committed to the table or deleted from it";
const RESTORE_ENTRY: &str = "restore the file from a backup or a copy of the table; until then nothing is committed to the table or deleted from it";
const RESTORE_CHECKPOINT: &str = "if an older checkpoint and all entries after that are there, move it away; otherwise restore it from a backup";

/// The content of the hint at the newest checkpoint.
#[derive(serde::Deserialize)]
struct LastCheckpoint {
    version: u64,
}

/// The search for the file because of which no snapshot of a log can be made.
#[derive(Debug, Default)]
pub(super) struct Repair {
    /// The damage of the first checkpoint that was skipped.
    unreadable: Option<StoreError>,
    /// The checkpoint that can be read completely and of which no snapshot could be made: a second
    /// failure in a row is not an accident.
    suspect: Option<u64>,
}

impl Repair {
    /// Skips the file that is damaged, so that the snapshot can be tried again. Errors with the
    /// damage that has no substitute: it names the file and the fix.
    pub(super) async fn skip_damage(
        &mut self,
        log: &TableLog,
        error: StoreError,
    ) -> Result<(), StoreError> {
        if is_unsupported(&error) {
            return Err(error);
        }
        let listed = list(log).await?;
        if log.skip_wrong_hint(&listed).await? {
            return Ok(());
        }
        let Some(checkpoint) = newest_checkpoint(&listed, u64::MAX) else {
            let entry = log.first_damaged(&listed, 0).await?;
            return Err(self
                .unreadable
                .take()
                .or(entry)
                .unwrap_or_else(|| log.damaged_log(&error)));
        };
        if let Err(damaged @ StoreError::Damaged { .. }) = checkpoint::check(log, &checkpoint).await
        {
            return self.skip(log, &listed, &checkpoint, damaged);
        }
        // A checkpoint to be restored is reported before missing entries, because it replaced them.
        if let Some(entry) = log.first_damaged(&listed, checkpoint.version + 1).await? {
            return Err(self.unreadable.take().unwrap_or(entry));
        }
        if self.suspect.replace(checkpoint.version) != Some(checkpoint.version) {
            return Ok(());
        }
        let damaged = log.damaged_contents(&checkpoint, &error);
        let older = checkpoint
            .version
            .checked_sub(1)
            .and_then(|before| newest_checkpoint(&listed, before));
        if log
            .first_damaged(&listed, older.map_or(0, |older| older.version + 1))
            .await?
            .is_some()
        {
            return Err(self.unreadable.take().unwrap_or(damaged));
        }
        self.skip(log, &listed, &checkpoint, damaged)
    }

    /// Skips a checkpoint. Errors with its damage if the entry of its version is not there: the log
    /// without it would end before it.
    fn skip(
        &mut self,
        log: &TableLog,
        listed: &[LogFile],
        checkpoint: &Checkpoint,
        damaged: StoreError,
    ) -> Result<(), StoreError> {
        if !has_entry(listed, checkpoint.version) {
            return Err(self.unreadable.take().unwrap_or(damaged));
        }
        log.hide(checkpoint, &damaged);
        self.unreadable.get_or_insert(damaged);
        Ok(())
    }
}

fn has_entry(listed: &[LogFile], version: u64) -> bool {
    listed
        .iter()
        .any(|file| file.kind == LogFileKind::Entry(version))
}

/// Returns true if a snapshot failed because the table needs what the library does not have: no
/// file is damaged then.
fn is_unsupported(error: &StoreError) -> bool {
    error.to_string().contains("Unsupported: ")
}

impl TableLog {
    /// Parses an entry of this log.
    pub fn parse(&self, version: u64, bytes: &bytes::Bytes) -> Result<LogEntry, StoreError> {
        LogEntry::parse(version, bytes).map_err(|what| self.damaged_entry(version, what))
    }

    /// Returns the error for the entry of a version that cannot be read, or is missing.
    pub fn damaged_entry(&self, version: u64, what: String) -> StoreError {
        self.damaged(
            format!("_delta_log/{version:020}.json"),
            what,
            RESTORE_ENTRY,
        )
    }

    /// Returns the error for a file of a checkpoint that cannot be read.
    pub fn damaged_checkpoint(&self, file: &Path, what: String) -> StoreError {
        let what = what.lines().next().unwrap_or_default().to_owned();
        self.damaged(file.to_string(), what, RESTORE_CHECKPOINT)
    }

    /// Returns the error for a log that ends before a version that was read from it.
    pub fn cut_short(&self, version: u64) -> StoreError {
        self.damaged_entry(
            version,
            "it was read before and is missing, with all after it".to_owned(),
        )
    }

    /// Returns the error for a checkpoint whose pages can be read, but not their content.
    fn damaged_contents(&self, checkpoint: &Checkpoint, error: &StoreError) -> StoreError {
        let file = checkpoint
            .files
            .first()
            .map_or_else(String::new, ToString::to_string);
        self.damaged(file, error.to_string(), RESTORE_CHECKPOINT)
    }

    /// Returns the error for a log that cannot be read although each of its files can.
    fn damaged_log(&self, error: &StoreError) -> StoreError {
        self.damaged("_delta_log".to_owned(), error.to_string(), RESTORE_LOG)
    }

    fn damaged(&self, file: String, what: String, fix: &'static str) -> StoreError {
        StoreError::Damaged {
            table: self.product.to_string(),
            file,
            what,
            fix,
        }
    }

    /// Skips a checkpoint from now on, and the hint at the newest one with it.
    pub(super) fn hide(&self, checkpoint: &Checkpoint, why: &StoreError) {
        let mut new = false;
        for file in &checkpoint.files {
            new |= self.hidden.add(self.in_root(file), why.to_string());
        }
        self.hide_hint();
        if new {
            tracing::error!("an older checkpoint is used: {why}");
        }
    }

    /// Skips the hint at the newest checkpoint until it is written again. False if it is skipped
    /// already.
    fn hide_hint(&self) -> bool {
        self.hidden.add(self.in_root(&self.hint()), String::new())
    }

    fn hint(&self) -> Path {
        self.log_path().clone().join(LAST_CHECKPOINT)
    }

    /// Skips the hint at the newest checkpoint if it names one that is not there, or cannot be
    /// read; true if it was not skipped before. Errors if the log without that checkpoint ends
    /// before it.
    async fn skip_wrong_hint(&self, listed: &[LogFile]) -> Result<bool, StoreError> {
        let bytes = match self.object_store(None).get(&self.hint()).await {
            Ok(hint) => hint.bytes().await?,
            Err(object_store::Error::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if let Ok(LastCheckpoint { version }) = serde_json::from_slice(&bytes) {
            if checkpoints(listed)
                .iter()
                .any(|checkpoint| checkpoint.version == version)
            {
                return Ok(false);
            }
            if newest(listed).is_none_or(|newest| newest < version) {
                let file = format!("_delta_log/{version:020}.checkpoint.parquet");
                return Err(self.damaged(
                    file,
                    "it is missing, and so is the entry of its version".to_owned(),
                    RESTORE_LOG,
                ));
            }
        }
        let is_new = self.hide_hint();
        if is_new {
            tracing::warn!(
                "table {}: _delta_log/{LAST_CHECKPOINT} names a checkpoint that is not there; it is ignored",
                self.product
            );
        }
        Ok(is_new)
    }

    /// Returns true if the newest checkpoint up to a version can be read completely, so that the
    /// files before it may be deleted. A checkpoint that cannot be read is skipped from now on.
    pub async fn is_readable(&self, listed: &[LogFile], until: u64) -> Result<bool, StoreError> {
        let Some(checkpoint) = newest_checkpoint(listed, until) else {
            return Ok(false);
        };
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
    pub(super) async fn first_damaged(
        &self,
        listed: &[LogFile],
        from: u64,
    ) -> Result<Option<StoreError>, StoreError> {
        let entries = listed.iter().filter_map(|file| match file.kind {
            LogFileKind::Entry(version) => Some(version),
            _ => None,
        });
        let Some(newest) = entries.max() else {
            return Ok(None);
        };
        for version in from..=newest {
            match read_entry(self, version).await {
                Ok(Some(entry))
                    if entry
                        .metadata
                        .as_ref()
                        .is_some_and(|metadata| metadata.parse_schema().is_err()) =>
                {
                    return Ok(Some(
                        self.damaged_entry(version, "its schema cannot be read".to_owned()),
                    ));
                }
                Ok(Some(_)) => {}
                Ok(None) => {
                    return Ok(Some(
                        self.damaged_entry(version, "it is missing".to_owned()),
                    ));
                }
                Err(error @ StoreError::Damaged { .. }) => return Ok(Some(error)),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
