//! The commit that puts a control in force in a table: it raises the `txn` app id `controls`, and
//! changes no file.
//!
//! A writer that acted on older controls cannot commit after it. A table's controls are never
//! lowered. No policy is needed: controls also apply to a table whose product is in no policy.

use deltalake_core::kernel::{Action, Transaction};

use super::requirement::Requirement;
use super::transaction::{LogHead, TableTransaction};
use super::{ControlsVersion, Table};
use crate::error::{CommitError, StoreError};
use crate::evidence::Evidence;
use crate::log::{CONTROLS_APP, LogState};
use crate::root::Root;
use ebbtide_base::ids::ProductKey;

impl Table {
    /// Raises the table's controls to at least `version` and returns the table version that has
    /// them. Commits nothing if they are that high already. May be called again after any error.
    pub async fn commit_controls(
        &mut self,
        version: ControlsVersion,
        evidence: Evidence,
    ) -> Result<u64, CommitError> {
        let head = LogHead {
            log: &self.log,
            state: &mut self.state,
            segments: None,
            lost_races: &mut self.lost_races,
        };
        raise(head, version, evidence).await
    }
}

/// Raises the controls of a product's table like [`Table::commit_controls`], without its columns.
/// `None` if there is no table, or its first entry is not written yet: the process that creates it
/// reads the control log after that entry.
pub async fn raise_controls(
    root: &Root,
    product: &ProductKey,
    version: ControlsVersion,
    evidence: Evidence,
) -> Result<Option<u64>, CommitError> {
    let log = root.table_log(product);
    let Some(mut state) = LogState::load(&log).await.map_err(CommitError::Store)? else {
        return Ok(None);
    };
    let head = LogHead {
        log: &log,
        state: &mut state,
        segments: None,
        lost_races: &mut 0,
    };
    raise(head, version, evidence).await.map(Some)
}

/// Returns the version of the controls of a product's table, by its newest version. `None` as in
/// [`raise_controls`].
pub async fn controls_of(
    root: &Root,
    product: &ProductKey,
) -> Result<Option<ControlsVersion>, StoreError> {
    let state = LogState::load(&root.table_log(product)).await?;
    Ok(state.map(|state| ControlsVersion(state.controls())))
}

async fn raise(
    head: LogHead<'_>,
    version: ControlsVersion,
    evidence: Evidence,
) -> Result<u64, CommitError> {
    let at = Some(evidence.at.timestamp_millis());
    let app = CONTROLS_APP.to_owned();
    let txn = Transaction::new_with_last_update(app, version.0, at);
    let transaction = TableTransaction {
        requirements: vec![Requirement::ControlsBefore(version)],
        rows: None,
        actions: vec![Action::Txn(txn)],
        evidence: &evidence,
    };
    transaction.commit(head).await
}
