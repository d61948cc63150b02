//! The check that the segments that a rewrite removes are still in the table.
//!
//! The entries since the version at which the caller listed the segments show this, so that the
//! cost does not grow with the table.

use std::collections::HashSet;

use uuid::Uuid;

use crate::error::{CommitError, StoreError};
use crate::index::StoredSegment;
use crate::log::{TableLog, files, next_entry};

/// Reads the log from the version at which a rewrite began, and searches for commits that removed
/// the same segments.
pub struct RemovedFilesCheck<'a> {
    commit: Uuid,
    removes: HashSet<&'a str>,
    /// The version up to which the log was read.
    at: u64,
}

impl<'a> RemovedFilesCheck<'a> {
    /// Creates the check of a commit that removes segments, which were active at `seen_at`.
    pub fn new(commit: Uuid, removes: &'a [StoredSegment], seen_at: u64) -> Self {
        Self {
            commit,
            removes: removes.iter().map(|segment| &*segment.path).collect(),
            at: seen_at,
        }
    }

    /// Reads the log up to `newest`. Returns the version at which this rewrite landed, if it did.
    /// Errors if another commit removed one of its segments.
    pub async fn look(&mut self, log: &TableLog, newest: u64) -> Result<Option<u64>, CommitError> {
        while self.at < newest {
            let version = self.at + 1;
            let cleaned = || {
                StoreError::Refused(format!(
                    "entry {version} was cleaned away; read the segments again"
                ))
            };
            let entry = next_entry(log, version)
                .await
                .map_err(CommitError::Unknown)?;
            let entry = entry.ok_or_else(cleaned).map_err(CommitError::Unknown)?;
            if entry
                .evidence
                .as_ref()
                .is_some_and(|evidence| evidence.commit == self.commit)
            {
                return Ok(Some(version));
            }
            for path in &entry.removed {
                let path = files::decode(path).unwrap_or_else(|| path.clone());
                if self.removes.contains(path.as_str()) {
                    return Err(CommitError::SegmentMoved(path));
                }
            }
            self.at = version;
        }
        Ok(None)
    }
}
