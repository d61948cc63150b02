//! One attempt to make an entry with evidence the next of a log: what every kind of commit does once it has looked.
//!
//! Promises that the entry's totals are those of the version before it and its own, and that it follows that very version or
//! none. Must never try twice: whether it may is for the commit to say, after another look.

use deltalake_core::kernel::Action;
use deltalake_core::kernel::transaction::TransactionError;

use super::actions::{evidence_info, own_entry};
use super::open::write_entry;
use crate::failpoint;
use crate::store::error::StoreError;
use crate::store::evidence::Evidence;
use crate::store::log::{Log, LogState};

/// How an attempt went.
#[derive(Debug)]
pub(super) enum Attempt {
    /// It landed at that version, which the state tells of now.
    Landed(u64),
    /// Another entry was faster.
    Lost,
    /// The store failed: whether it landed must be looked for.
    Failed(StoreError),
}

/// Tries to write what `actions` say, with `evidence`, behind the version that `state` tells of. An error: nothing was tried.
pub(super) async fn attempt(
    log: &Log,
    state: &mut LogState,
    evidence: &Evidence,
    actions: Vec<Action>,
) -> Result<Attempt, StoreError> {
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
            Attempt::Landed(version)
        }
        Err(TransactionError::VersionAlreadyExists(_)) => Attempt::Lost,
        Err(error) => Attempt::Failed(error.into()),
    })
}
