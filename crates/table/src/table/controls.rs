//! The commit that puts a control in force in a table: it raises the `txn` app id `controls`, and
//! changes no file.
//!
//! A writer that acted on older controls cannot commit after it. A table's controls are never
//! lowered. No policy is needed: controls also apply to a table whose product is in no policy.

use deltalake_core::kernel::{Action, Transaction};

use super::attempt::{CommitAttempt, attempt};
use super::commit::not_there;
use super::{ControlsVersion, Table};
use crate::error::{CommitError, StoreError};
use crate::evidence::Evidence;
use crate::log::{CONTROLS_APP, LogState, TableLog};
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
        raise(&self.log, &mut self.state, version, evidence).await
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
    let log = TableLog::of(root, product);
    match LogState::load(&log).await.map_err(CommitError::Store)? {
        Some(mut state) => raise(&log, &mut state, version, evidence).await.map(Some),
        None => Ok(None),
    }
}

/// Returns the version of the controls of a product's table, by its newest version. `None` as in
/// [`raise_controls`].
pub async fn controls_of(
    root: &Root,
    product: &ProductKey,
) -> Result<Option<ControlsVersion>, StoreError> {
    let state = LogState::load(&TableLog::of(root, product)).await?;
    Ok(state.map(|state| ControlsVersion(state.controls())))
}

async fn raise(
    log: &TableLog,
    state: &mut LogState,
    version: ControlsVersion,
    evidence: Evidence,
) -> Result<u64, CommitError> {
    let mut failed: Option<StoreError> = None;
    loop {
        state.read_on(log).await.map_err(CommitError::Unknown)?;
        // Another process may have raised them: they are in force.
        if state.controls() >= version.0 {
            return Ok(state.version);
        }
        // The log was checked: the commit is not in it.
        if let Some(error) = failed {
            return Err(not_there(error));
        }
        let at = Some(evidence.at.timestamp_millis());
        let txn = Action::Txn(Transaction::new_with_last_update(
            CONTROLS_APP.to_owned(),
            version.0,
            at,
        ));
        match attempt(log, state, &evidence, vec![txn])
            .await
            .map_err(CommitError::Store)?
        {
            CommitAttempt::Landed(version) => return Ok(version),
            CommitAttempt::Lost => {}
            CommitAttempt::Failed(error) => failed = Some(error),
        }
    }
}
