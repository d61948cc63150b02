//! The policies that were active, and since when.

use chrono::{DateTime, Utc};
use serde::Serialize;

use ebbtide_base::ids::PolicyVersion;
use ebbtide_controls::{Controls, PolicyActivation};
use ebbtide_policy::PolicyDigest;
use ebbtide_table::{ControlsVersion, Root, StoreError};

/// A policy that is active, or was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PastPolicy {
    /// Its version.
    pub version: PolicyVersion,
    /// True if it is active now.
    pub active: bool,
    /// The time of its activation.
    pub activated_at: DateTime<Utc>,
    /// The version of the control log that activated it.
    pub control: i64,
    /// The digest of its texts.
    pub sha256: PolicyDigest,
}

/// The reason why the text of a policy is not known.
#[derive(Debug, thiserror::Error)]
pub enum PolicyTextError {
    /// No policy of this version was ever active.
    #[error("policy {0} was never activated")]
    NeverActive(PolicyVersion),
    /// The control log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Returns the policies that were activated, oldest first.
pub async fn policies(root: &Root) -> Result<Vec<PastPolicy>, StoreError> {
    let controls = Controls::load(root, ControlsVersion(0)).await?;
    let newest = controls.active().map(|(version, _)| version);
    let each = controls.activations();
    Ok(each
        .map(|(control, activation)| PastPolicy {
            version: activation.version.clone(),
            active: Some(control) == newest,
            activated_at: activation.activated_at,
            control: control.0,
            sha256: activation.sha256.clone(),
        })
        .collect())
}

/// Returns the activation of a version with the texts of the policy.
pub async fn policy_text(
    root: &Root,
    version: &PolicyVersion,
) -> Result<PolicyActivation, PolicyTextError> {
    let controls = Controls::load(root, ControlsVersion(0)).await?;
    let found = controls
        .activations()
        .find(|(_, activation)| activation.version == *version);
    found
        .map(|(_, activation)| activation.clone())
        .ok_or_else(|| PolicyTextError::NeverActive(version.clone()))
}
