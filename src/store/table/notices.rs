//! The commit that notes that the tags of all rows tell of the notices so far, so that who starts later need not look again.
//!
//! Promises to stand only where nothing came between what was looked at and it that could make it untrue: rows that come under
//! another policy. What ingest stores meanwhile knows the notices, since a commit under older controls is refused.

use deltalake_core::kernel::{Action, Transaction};

use super::attempt::{Attempt, attempt};
use super::{ControlsVersion, Table};
use crate::store::error::CommitError;
use crate::store::evidence::Evidence;
use crate::store::log::{NOTICES_APP, next_entry};

impl Table {
    /// The newest notice that the tags of all rows tell of, but for those of an earlier policy; 0 where that is not known.
    #[must_use]
    pub fn noted(&self) -> ControlsVersion {
        ControlsVersion(self.state.txn(NOTICES_APP).unwrap_or(0))
    }

    /// Notes that the tags of all rows of version `seen_at` tell of the notices up to `newest`. `false`: something came between
    /// and it must be looked at again, or another was faster. May be called again after any error.
    pub async fn note_notices(
        &mut self,
        newest: ControlsVersion,
        seen_at: u64,
        evidence: Evidence,
    ) -> Result<bool, CommitError> {
        self.refresh().await.map_err(CommitError::Unknown)?;
        for version in seen_at + 1..=self.state.version {
            let entry = next_entry(&self.log, version).await.map_err(CommitError::Unknown)?;
            if entry.is_none_or(|entry| entry.txns.iter().any(|(app, _)| app == NOTICES_APP)) {
                return Ok(false);
            }
        }
        self.goes_by(&evidence.policy_version)?;
        match attempt(&self.log, &mut self.state, &evidence, vec![noted(newest)]).await.map_err(CommitError::Store)? {
            Attempt::Landed(_) => Ok(true),
            Attempt::Lost => Ok(false),
            Attempt::Failed(error) => Err(CommitError::Unknown(error)),
        }
    }
}

/// The action that notes it.
pub(super) fn noted(newest: ControlsVersion) -> Action {
    Action::Txn(Transaction::new(NOTICES_APP.to_owned(), newest.0))
}
