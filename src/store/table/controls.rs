//! The commit by which a control takes force in a table: it raises the `txn` app id `controls`, and adds and removes nothing.
//!
//! Promises that no writer that acted on older controls commits after it. Must never lower a table's controls, and needs no
//! policy: a table of a product that no policy names any more is held too.

use deltalake_core::kernel::{Action, Transaction};

use super::attempt::{Attempt, attempt};
use super::commit::not_there;
use super::{ControlsVersion, Table};
use crate::ids::ProductKey;
use crate::store::error::{CommitError, StoreError};
use crate::store::evidence::Evidence;
use crate::store::log::{CONTROLS_APP, Log, LogState};
use crate::store::root::Root;

impl Table {
    /// Raises the table's controls to at least `version` and gives the table version at which they are. Nothing is
    /// committed if they are that high already. May be called again after any error.
    pub async fn commit_controls(&mut self, version: ControlsVersion, evidence: Evidence) -> Result<u64, CommitError> {
        raise(&self.log, &mut self.state, version, evidence).await
    }
}

/// Raises the controls of a product's table as [`Table::commit_controls`] does, without its columns. `None` if there is no
/// table, or its first entry is not written yet: then whoever makes it reads the control log behind that entry.
pub async fn raise_controls(
    root: &Root,
    product: &ProductKey,
    version: ControlsVersion,
    evidence: Evidence,
) -> Result<Option<u64>, CommitError> {
    let log = Log::of(root, product);
    match LogState::load(&log).await.map_err(CommitError::Store)? {
        Some(mut state) => raise(&log, &mut state, version, evidence).await.map(Some),
        None => Ok(None),
    }
}

/// The version of the controls of a product's table, by its newest version. `None` as [`raise_controls`].
pub async fn controls_of(root: &Root, product: &ProductKey) -> Result<Option<ControlsVersion>, StoreError> {
    let state = LogState::load(&Log::of(root, product)).await?;
    Ok(state.map(|state| ControlsVersion(state.controls())))
}

async fn raise(
    log: &Log,
    state: &mut LogState,
    version: ControlsVersion,
    evidence: Evidence,
) -> Result<u64, CommitError> {
    let mut failed: Option<StoreError> = None;
    loop {
        state.read_on(log).await.map_err(CommitError::Unknown)?;
        // Whoever raised them: that high is in force.
        if state.controls() >= version.0 {
            return Ok(state.version);
        }
        // Looked: it is not there.
        if let Some(error) = failed {
            return Err(not_there(error));
        }
        let at = Some(evidence.at.timestamp_millis());
        let txn = Action::Txn(Transaction::new_with_last_update(CONTROLS_APP.to_owned(), version.0, at));
        match attempt(log, state, &evidence, vec![txn]).await.map_err(CommitError::Store)? {
            Attempt::Landed(version) => return Ok(version),
            Attempt::Lost => {}
            Attempt::Failed(error) => failed = Some(error),
        }
    }
}
