//! One attempt to write an entry with evidence as the next of a log: the part common to all kinds
//! of commit after their checks.
//!
//! The entry's totals are those of the version before it plus its own, and it follows exactly that
//! version or does not land. An attempt is never repeated here: the commit decides that after
//! another check.

use deltalake_core::kernel::Action;
use deltalake_core::kernel::transaction::TransactionError;

use super::actions::{evidence_info, own_entry};
use super::open::write_entry;
use crate::error::StoreError;
use crate::evidence::Evidence;
use crate::log::{LogState, TableLog};
use ebbtide_base::failpoint;

/// The outcome of an attempt.
#[derive(Debug)]
pub(super) enum CommitAttempt {
    /// It landed at that version, which is now the version of the state.
    Landed(u64),
    /// Another entry was faster.
    Lost,
    /// The store failed: the log must be searched for the entry.
    Failed(StoreError),
}

/// Tries to write `actions` with `evidence` as the version after that of `state`. After an error
/// nothing was tried.
pub(super) async fn attempt(
    log: &TableLog,
    state: &mut LogState,
    evidence: &Evidence,
    actions: Vec<Action>,
) -> Result<CommitAttempt, StoreError> {
    let mut evidence = evidence.clone();
    evidence.totals = state.totals.unwrap_or_default().plus(&evidence);
    let mut entry = vec![evidence_info(&evidence, state.version)?];
    entry.extend(actions);
    let version = state.version + 1;
    failpoint::reach("before-commit");
    Ok(match write_entry(log, version, &entry).await {
        Ok(()) => {
            failpoint::reach("after-commit");
            state.apply(&own_entry(version, entry, evidence));
            CommitAttempt::Landed(version)
        }
        Err(TransactionError::VersionAlreadyExists(_)) => CommitAttempt::Lost,
        Err(error) => CommitAttempt::Failed(error.into()),
    })
}
