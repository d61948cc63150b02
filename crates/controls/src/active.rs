//! The policy that a process is started with, compared with the active one of the root. The first
//! start records its own.
//!
//! Invariant: a root has at most one active policy, and no data is stored or deleted under another
//! one.

use std::fmt;

use super::activate::{ActivationDraft, activation};
use super::active_policy::InactivePolicy;
use super::append::append_draft;
use super::apply::{ApplyControlsError, NotInForceError, put_in_force};
use super::commit_identity::CommitIdentity;
use super::log::Controls;
use super::policy_mismatch::{PolicyMismatchError, check_stored};
use super::shared::SharedControls;
use ebbtide_base::failpoint;
use ebbtide_policy::{LoadedPolicy, differences};
use ebbtide_query::newest_commit;
use ebbtide_table::{CommitFailure, ControlsVersion, Root, StoreError};

/// The reason why a process may not use its policy.
#[derive(Debug, thiserror::Error)]
pub enum UsePolicyError {
    /// Another policy is active.
    #[error(transparent)]
    NotActive(#[from] InactivePolicyError),
    /// No policy is active, and the tables were written under another one.
    #[error(transparent)]
    Stored(#[from] PolicyMismatchError),
    /// The policy is recorded as active but is not in force in every table.
    #[error(transparent)]
    NotInForce(#[from] NotInForceError),
    /// The control log or a table cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl UsePolicyError {
    /// Returns true if another policy, or another text, would be accepted.
    #[must_use]
    pub fn is_other_policy(&self) -> bool {
        matches!(
            self,
            UsePolicyError::NotActive(_) | UsePolicyError::Stored(_)
        )
    }
}

impl From<CommitFailure> for UsePolicyError {
    fn from(failure: CommitFailure) -> Self {
        UsePolicyError::Store(failure.into())
    }
}

impl From<ApplyControlsError> for UsePolicyError {
    fn from(error: ApplyControlsError) -> Self {
        match error {
            ApplyControlsError::Log(error) => UsePolicyError::Store(error),
            ApplyControlsError::NotInForce(error) => UsePolicyError::NotInForce(error),
        }
    }
}

/// A policy that is not the active one, with the differences.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InactivePolicyError {
    /// The reason why it may not be used.
    pub why: InactivePolicy,
    /// The differences from the active one, one line each.
    pub differences: Vec<String>,
}

impl fmt::Display for InactivePolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.why)?;
        if !self.differences.is_empty() {
            write!(f, "; what differs (active -> this one):")?;
        }
        self.differences
            .iter()
            .try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl Controls {
    /// Refuses a policy that is not the active one, with the differences.
    pub fn check_loaded(&self, loaded: &LoadedPolicy) -> Result<(), InactivePolicyError> {
        let Err(why) = self.check_active(&loaded.policy) else {
            return Ok(());
        };
        let active = self
            .active()
            .and_then(|(_, active)| active.text.checked("").loaded());
        let differences = active
            .map(|active| differences(&active, loaded))
            .unwrap_or_default();
        Err(InactivePolicyError { why, differences })
    }
}

/// Refuses a policy that is not the active one of the root. If none is active yet, the policy is
/// compared with those that the tables were written under. Changes nothing.
pub async fn require_active(
    root: &Root,
    controls: &SharedControls,
    loaded: &LoadedPolicy,
) -> Result<(), UsePolicyError> {
    let controls = controls.newest(ControlsVersion(0)).await?;
    controls.check_loaded(loaded)?;
    match controls.active() {
        Some(_) => Ok(()),
        None => check_stored(root, &loaded.policy).await,
    }
}

/// Checks like [`require_active`], and records the policy as the active one of a root that has
/// none: in the control log with its texts, and in every table. If several processes do so at the
/// same time, one succeeds; the others compare theirs.
pub async fn record_active(
    root: &Root,
    controls: &SharedControls,
    loaded: &LoadedPolicy,
    by: &CommitIdentity,
) -> Result<(), UsePolicyError> {
    require_active(root, controls, loaded).await?;
    let mut known = controls.newest(ControlsVersion(0)).await?.as_ref().clone();
    if known.active().is_some() {
        return Ok(());
    }
    // The time of the newest commit, if there is one: such times reveal a wrong clock.
    let by = CommitIdentity {
        at: newest_commit(root).await?.unwrap_or(by.at),
        ..by.clone()
    };
    let activation = activation(&loaded.policy, &loaded.text, &by);
    let check = |controls: &Controls| controls.check_loaded(loaded).map_err(UsePolicyError::from);
    let draft = ActivationDraft { activation, check };
    let (version, control) = append_draft(root, &mut known, &draft).await?;
    failpoint::reach("control-appended");
    put_in_force(root, version, &control, &by).await?;
    tracing::info!(policy.version = %loaded.policy.version, "policy recorded as the active one of this root");
    Ok(())
}
