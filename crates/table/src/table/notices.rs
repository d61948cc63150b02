//! The commit that records that the tags of all rows reflect the notices so far, so that a process
//! that starts later need not check again.
//!
//! It lands only if no commit since that check could make the record wrong, by adding rows under
//! another policy. Rows stored by ingest meanwhile reflect the notices, since a commit under older
//! controls is refused.

use deltalake_core::kernel::{Action, Transaction};

use super::attempt::{CommitAttempt, attempt};
use super::{ControlsVersion, Table};
use crate::error::CommitError;
use crate::evidence::Evidence;
use crate::log::{NOTICES_APP, next_entry};

impl Table {
    /// Returns the newest notice that the tags of all rows reflect, except those of an earlier
    /// policy; 0 if that is not known.
    #[must_use]
    pub fn noted(&self) -> ControlsVersion {
        ControlsVersion(self.state.txn(NOTICES_APP).unwrap_or(0))
    }

    /// Records that the tags of all rows of version `seen_at` reflect the notices up to `newest`.
    /// Returns false if a commit since requires another check, or if another writer was faster. May
    /// be called again after any error.
    pub async fn note_notices(
        &mut self,
        newest: ControlsVersion,
        seen_at: u64,
        evidence: Evidence,
    ) -> Result<bool, CommitError> {
        self.refresh().await.map_err(CommitError::Unknown)?;
        for version in seen_at + 1..=self.state.version {
            let entry = next_entry(&self.log, version)
                .await
                .map_err(CommitError::Unknown)?;
            if entry.is_none_or(|entry| entry.txns.iter().any(|(app, _)| app == NOTICES_APP)) {
                return Ok(false);
            }
        }
        self.goes_by(&evidence.policy_version)?;
        match attempt(&self.log, &mut self.state, &evidence, vec![noted(newest)])
            .await
            .map_err(CommitError::Store)?
        {
            CommitAttempt::Landed(_) => Ok(true),
            CommitAttempt::Lost => Ok(false),
            CommitAttempt::Failed(error) => Err(CommitError::Unknown(error)),
        }
    }
}

/// Creates the action for that record.
pub(super) fn noted(newest: ControlsVersion) -> Action {
    Action::Txn(Transaction::new(NOTICES_APP.to_owned(), newest.0))
}
