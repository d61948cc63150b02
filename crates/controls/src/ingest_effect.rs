//! The effect of new controls on a batch that was made before them.

use super::shared::SharedControls;
use ebbtide_base::ids::PolicyVersion;
use ebbtide_table::{ControlsVersion, StoreError};

/// The effect on a batch of the controls that came after it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlsEffect {
    /// The controls change nothing for ingest: the batch is valid as it is.
    Unchanged,
    /// The batch must be made again.
    Remake,
    /// Another policy is active, with this version: no batch may be made under the old one any
    /// more.
    Policy(PolicyVersion),
}

/// Returns the effect of the controls after `since` on a batch that was made under `policy`. Errors
/// if the control log cannot be read or ends before `known`.
pub async fn changes_ingest(
    controls: &SharedControls,
    since: ControlsVersion,
    known: ControlsVersion,
    policy: &PolicyVersion,
) -> Result<ControlsEffect, StoreError> {
    let controls = controls.newest(known).await?;
    if let Some((_, active)) = controls.active()
        && active.version != *policy
    {
        return Ok(ControlsEffect::Policy(active.version.clone()));
    }
    let changed = controls
        .iter()
        .filter(|(version, _)| *version > since)
        .any(|(_, control)| control.changes_ingest());
    Ok(if changed {
        ControlsEffect::Remake
    } else {
        ControlsEffect::Unchanged
    })
}
