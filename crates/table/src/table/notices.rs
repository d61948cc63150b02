//! The commit that records that the tags of all rows reflect the notices so far, so that a process
//! that starts later need not check again.
//!
//! It lands only if no commit since that check could make the record wrong, by adding rows under
//! another policy. Rows stored by ingest meanwhile reflect the notices, since a commit under older
//! controls is refused.

use super::actions::notices_action;
use super::requirement::Requirement;
use super::transaction::{LogHead, TableTransaction};
use super::{ControlsVersion, Table};
use crate::error::CommitError;
use crate::evidence::Evidence;
use crate::index::SegmentIndex;
use crate::log::NOTICES_APP;

impl Table {
    /// Returns the newest notice that the tags of all rows reflect, except those of an earlier
    /// policy; 0 if that is not known.
    #[must_use]
    pub fn recorded_notice(&self) -> ControlsVersion {
        ControlsVersion(self.state.txn(NOTICES_APP).unwrap_or(0))
    }

    /// Records that the tags of all rows of version `seen_at` reflect the notices up to `newest`.
    /// Returns false if a commit since requires another check. May be called again after any error.
    pub async fn record_notices(
        &mut self,
        newest: ControlsVersion,
        seen_at: u64,
        evidence: Evidence,
    ) -> Result<bool, CommitError> {
        self.record_notices_with(None, newest, seen_at, evidence)
            .await
    }

    /// Does the same as [`Table::record_notices`], and moves `segments` on.
    pub(super) async fn record_notices_with(
        &mut self,
        segments: Option<&mut SegmentIndex>,
        newest: ControlsVersion,
        seen_at: u64,
        evidence: Evidence,
    ) -> Result<bool, CommitError> {
        let transaction = TableTransaction {
            requirements: vec![
                Requirement::TagsUnchangedSince(seen_at),
                Requirement::PolicyIs(&evidence.policy_version),
            ],
            rows: None,
            actions: vec![notices_action(newest)],
            evidence: &evidence,
        };
        let made = transaction.commit(LogHead {
            log: &self.log,
            state: &mut self.state,
            segments,
            lost_races: &mut self.lost_races,
        });
        match made.await {
            Ok(_) => Ok(true),
            Err(CommitError::TagsMoved) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
