//! Activating a policy: append it to the control log, then commit it in every table.
//!
//! Promises that no table takes a commit under another policy once this returns, and that a call cut short is finished by the
//! next of these calls or by [`settle`](super::settle()). Must never activate over a policy that the caller has not seen.

use super::activation::PolicyActivation;
use super::control::Control;
use super::log::Controls;
use super::service::Signature;
use super::settle::{NotInForce, SettleError, put_in_force};
use crate::failpoint;
use crate::ids::{PolicyVersion, ProductKey};
use crate::policy::{Checked, Policy, PolicyText};
use crate::store::{AppendError, ControlLog, ControlsVersion, Root, StoreError};

/// A policy that is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activated {
    /// Its version.
    pub version: PolicyVersion,
    /// The version of its control.
    pub control: ControlsVersion,
    /// The tables in which it is in force.
    pub tables: Vec<ProductKey>,
}

/// Why a policy is not active.
#[derive(Debug, thiserror::Error)]
pub enum ActivateError {
    /// It has errors of its own.
    #[error("the policy has errors; see `ebbtide policy check`")]
    Faulty,
    /// Its version was active before.
    #[error("version {0} was active before; going back is a new version: give it one")]
    Used(PolicyVersion),
    /// Another policy became active since the caller looked.
    #[error("policy {0} became active meanwhile; look at `ebbtide policy plan` again")]
    Moved(PolicyVersion),
    /// The control log cannot be read or written. Whether the policy is in it, `policy history` tells.
    #[error(transparent)]
    Log(#[from] StoreError),
    /// It is in the log and not in force everywhere.
    #[error(transparent)]
    NotInForce(#[from] NotInForce),
}

impl From<SettleError> for ActivateError {
    fn from(error: SettleError) -> Self {
        match error {
            SettleError::Log(error) => ActivateError::Log(error),
            SettleError::NotInForce(error) => ActivateError::NotInForce(error),
        }
    }
}

/// Activates `new` in the place of `old`, which the caller held it against. May be called again after any error.
pub async fn activate(
    root: &Root,
    (old, new): (&Checked, &Checked),
    by: &Signature,
) -> Result<Activated, ActivateError> {
    let (Some(before), Some(policy)) = (&old.policy, &new.policy) else { return Err(ActivateError::Faulty) };
    let log = ControlLog::open(root);
    let mut controls = Controls::load(root, ControlsVersion(0)).await?;
    let mut failed: Option<StoreError> = None;
    let (version, control) = loop {
        let active = controls.active().map(|(version, activation)| (version, activation.clone()));
        if let Some((version, activation)) = &active
            && (&activation.version, &activation.sha256) == (&policy.version, &policy.digest)
        {
            // By a call that was cut short, or by this one behind an error.
            break (*version, Control::PolicyActivation(activation.clone()));
        }
        if let Some(error) = failed.take() {
            return Err(error.into());
        }
        unused(&controls, before, policy)?;
        let instead_of = match active {
            Some((_, active)) if active.version != before.version => return Err(ActivateError::Moved(active.version)),
            Some(_) => None,
            None => Some(old.text.clone()),
        };
        let control = Control::PolicyActivation(activation(policy, (&new.text, instead_of), by));
        match log.append(controls.version().next(), &control.to_value()?).await {
            Ok(version) => break (version, control),
            Err(AppendError::Lost) => {}
            Err(AppendError::Store(error)) => failed = Some(error),
        }
        controls.refresh(root, ControlsVersion(0)).await?;
    };
    failpoint::reach("control-appended");
    let tables = put_in_force(root, version, &control, by).await?;
    Ok(Activated { version: policy.version.clone(), control: version, tables })
}

fn activation(
    policy: &Policy,
    (text, instead_of): (&PolicyText, Option<PolicyText>),
    by: &Signature,
) -> PolicyActivation {
    PolicyActivation {
        version: policy.version.clone(),
        sha256: policy.digest.clone(),
        activated_at: by.at,
        text: text.clone(),
        instead_of,
    }
}

/// Refuses a version that was active before.
fn unused(controls: &Controls, before: &Policy, new: &Policy) -> Result<(), ActivateError> {
    match before.version == new.version || controls.was_active(&new.version) {
        true => Err(ActivateError::Used(new.version.clone())),
        false => Ok(()),
    }
}
