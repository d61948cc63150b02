//! Activates a policy: appends it to the control log, then commits it in every table.
//!
//! Invariants: no table accepts a commit under another policy once this returns. An interrupted
//! call is finished by the next call or by [`settle`](super::settle()). A policy that the caller
//! has not seen is never replaced.

use super::activation::PolicyActivation;
use super::append::{ControlDraft, append_draft};
use super::apply::{ApplyControlsError, NotInForceError, put_in_force};
use super::commit_identity::CommitIdentity;
use super::control::Control;
use super::log::Controls;
use super::policy_mismatch::{PolicyMismatchError, check_terms};
use ebbtide_base::failpoint;
use ebbtide_base::ids::{PolicyVersion, ProductKey};
use ebbtide_policy::{CheckedPolicy, Policy, PolicyText};
use ebbtide_table::{CommitFailure, ControlsVersion, Root, StoreError};

/// A policy that is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivatedPolicy {
    /// Its version.
    pub version: PolicyVersion,
    /// The version of its control.
    pub control: ControlsVersion,
    /// The tables in which it is in force.
    pub tables: Vec<ProductKey>,
}

/// The reason why a policy is not active.
#[derive(Debug, thiserror::Error)]
pub enum ActivateError {
    /// The policy has errors.
    #[error("the policy has errors; see `ebbtide policy check`")]
    Faulty,
    /// The version of the policy was active before.
    #[error("version {0} was active before; going back is a new version: give it one")]
    Used(PolicyVersion),
    /// Another policy became active since the caller looked.
    #[error("policy {0} became active meanwhile; look at `ebbtide policy plan` again")]
    Moved(PolicyVersion),
    /// The tables were written under a policy that is neither of the two.
    #[error(transparent)]
    Stored(#[from] PolicyMismatchError),
    /// The control log cannot be read or written. `policy history` shows if the policy is in it.
    #[error(transparent)]
    Log(#[from] StoreError),
    /// The policy is in the log, but is not in force in every table.
    #[error(transparent)]
    NotInForce(#[from] NotInForceError),
}

impl From<CommitFailure> for ActivateError {
    fn from(failure: CommitFailure) -> Self {
        ActivateError::Log(failure.into())
    }
}

impl From<ApplyControlsError> for ActivateError {
    fn from(error: ApplyControlsError) -> Self {
        match error {
            ApplyControlsError::Log(error) => ActivateError::Log(error),
            ApplyControlsError::NotInForce(error) => ActivateError::NotInForce(error),
        }
    }
}

/// Activates `new` in place of `old`, which the caller compared it with. May be called again after
/// any error.
pub async fn activate(
    root: &Root,
    old: &CheckedPolicy,
    new: &CheckedPolicy,
    by: &CommitIdentity,
) -> Result<ActivatedPolicy, ActivateError> {
    let (Some(before), Some(policy)) = (&old.policy, &new.policy) else {
        return Err(ActivateError::Faulty);
    };
    let mut controls = Controls::load(root, ControlsVersion(0)).await?;
    if controls.active().is_none() {
        check_terms::<ActivateError>(root, &[before, policy]).await?;
    }
    let activation = PolicyActivation {
        instead_of: Some(old.text.clone()),
        ..activation(policy, &new.text, by)
    };
    let check = |controls: &Controls| -> Result<(), ActivateError> {
        unused(controls, before, policy)?;
        match controls.active() {
            Some((_, active)) if active.version != before.version => {
                Err(ActivateError::Moved(active.version.clone()))
            }
            _ => Ok(()),
        }
    };
    let draft = ActivationDraft { activation, check };
    let (version, control) = append_draft(root, &mut controls, &draft).await?;
    failpoint::reach("control-appended");
    let tables = put_in_force(root, version, &control, by).await?;
    Ok(ActivatedPolicy {
        version: policy.version.clone(),
        control: version,
        tables,
    })
}

/// An activation to append to the control log, unless it is the newest activation already: an
/// interrupted call may have appended it. The policy that it replaces is left out if a control has
/// it.
pub(super) struct ActivationDraft<F> {
    /// The activation.
    pub(super) activation: PolicyActivation,
    /// May refuse it, given all controls so far.
    pub(super) check: F,
}

impl<E, F> ControlDraft for ActivationDraft<F>
where
    E: From<StoreError> + From<CommitFailure> + Send,
    F: Fn(&Controls) -> Result<(), E> + Send + Sync,
{
    type Error = E;

    fn find(&self, controls: &Controls) -> Option<(ControlsVersion, Control)> {
        let (version, active) = controls.active()?;
        let same =
            active.version == self.activation.version && active.sha256 == self.activation.sha256;
        same.then(|| (version, Control::PolicyActivation(active.clone())))
    }

    fn draft(&self, controls: &Controls) -> Result<Control, E> {
        (self.check)(controls)?;
        let instead_of = self
            .activation
            .instead_of
            .clone()
            .filter(|_| controls.active().is_none());
        Ok(Control::PolicyActivation(PolicyActivation {
            instead_of,
            ..self.activation.clone()
        }))
    }
}

/// Returns the activation of a policy.
pub(super) fn activation(
    policy: &Policy,
    text: &PolicyText,
    by: &CommitIdentity,
) -> PolicyActivation {
    PolicyActivation {
        version: policy.version.clone(),
        sha256: policy.digest.clone(),
        activated_at: by.at,
        text: text.clone(),
        instead_of: None,
    }
}

/// Refuses a version that was active before.
fn unused(controls: &Controls, before: &Policy, new: &Policy) -> Result<(), ActivateError> {
    match before.version == new.version || controls.was_active(&new.version) {
        true => Err(ActivateError::Used(new.version.clone())),
        false => Ok(()),
    }
}
