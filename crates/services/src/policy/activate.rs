//! The activation of a new policy in every table.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::{PolicyVersion, ProductKey};
use ebbtide_config::SweepConfig;
use ebbtide_controls::{CommitIdentity, Controls, SharedControls, record_active};
use ebbtide_maintenance::{PolicyEffects, examine};
use ebbtide_policy::CheckedPolicy;
use ebbtide_query::products;
use ebbtide_table::ControlsVersion;

use super::baseline::{PolicyChange, PolicyChangeError};
use super::plan::PolicyPlan;
use crate::commit_clock::commit_time;

/// A policy that is in force everywhere.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ActivationReport {
    /// Its version.
    pub version: PolicyVersion,
    /// The version of the control log that activated it.
    pub control: i64,
    /// The tables in which it is in force.
    pub tables: Vec<ProductKey>,
}

/// The result of an activation.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum ActivationOutcome {
    /// The policy is in force everywhere.
    Active(ActivationReport),
    /// Stored data does not allow the policy; nothing was changed.
    Refused(PolicyPlan),
}

/// Puts the new policy in force in every table, unless stored data does not allow it.
///
/// Errors if the clock is not trusted. Nothing was changed then.
pub async fn activate(
    change: &PolicyChange<'_>,
    clock: &SharedClock,
    sweep: &SweepConfig,
) -> Result<ActivationOutcome, PolicyChangeError> {
    let new = change.read_new()?;
    let now = commit_time(change.root, clock, sweep).await?;
    if is_first(change, &new).await? {
        return Ok(ActivationOutcome::Active(record(change, new, now).await?));
    }
    let old = change.old().await?;
    let (before, after) = old
        .policy
        .as_ref()
        .zip(new.policy.as_ref())
        .ok_or(PolicyChangeError::NoPolicy)?;
    let diff = examine(change.root, before, after).await?;
    if !diff.refused.is_empty() {
        let effects = PolicyEffects {
            diff,
            products: Vec::new(),
        };
        return Ok(ActivationOutcome::Refused(PolicyPlan::new(
            effects, change.new, &new,
        )));
    }
    let by = identity(&after.version, now);
    let done = ebbtide_controls::activate(change.root, &old, &new, &by).await?;
    Ok(ActivationOutcome::Active(ActivationReport {
        version: done.version,
        control: done.control.0,
        tables: done.tables,
    }))
}

/// Returns true if there is no policy to compare with: none is active, and the root has no table or
/// the new policy is the configured one.
async fn is_first(
    change: &PolicyChange<'_>,
    new: &CheckedPolicy,
) -> Result<bool, PolicyChangeError> {
    if Controls::load(change.root, ControlsVersion(0))
        .await?
        .active()
        .is_some()
    {
        return Ok(false);
    }
    if products(change.root).await?.is_empty() {
        return Ok(true);
    }
    let old = change.old().await?;
    Ok(old
        .policy
        .zip(new.policy.as_ref())
        .is_some_and(|(old, new)| old.digest == new.digest))
}

/// Records the policy as the first active one, as the first start of an instance does.
async fn record(
    change: &PolicyChange<'_>,
    new: CheckedPolicy,
    now: DateTime<Utc>,
) -> Result<ActivationReport, PolicyChangeError> {
    let loaded = new.loaded().ok_or(PolicyChangeError::NoPolicy)?;
    let version = loaded.policy.version.clone();
    let controls = SharedControls::new(change.root.clone());
    record_active(change.root, &controls, &loaded, &identity(&version, now)).await?;
    let control = controls
        .newest(ControlsVersion(0))
        .await?
        .active()
        .map_or(0, |(control, _)| control.0);
    Ok(ActivationReport {
        version,
        control,
        tables: products(change.root).await?,
    })
}

fn identity(policy_version: &PolicyVersion, at: DateTime<Utc>) -> CommitIdentity {
    CommitIdentity {
        writer: Uuid::new_v4(),
        at,
        policy_version: policy_version.clone(),
    }
}
