//! The decision of a person about a parked notice: the notice is confirmed or rejected.
//!
//! A parked notice is not in force in any table. It is parked once, however often it is repeated,
//! and it still waits after a restart. A confirmation applies the notice first and records the
//! decision after it. After a crash between the two steps the notice is applied and still waits;
//! confirming it again finishes.

use chrono::{DateTime, Utc};

use super::append::append;
use super::commit_identity::CommitIdentity;
use super::control::{Control, same};
use super::log::Controls;
use super::notice::NoticeError;
use super::notify::{NoticeOutcome, NotifyError, notify};
use super::parked::ParkedState;
use super::parked_notice::{NoticeDecision, ParkedDecision, TriggerNotice};
use ebbtide_base::failpoint;
use ebbtide_policy::Policy;
use ebbtide_table::{ControlsVersion, Root, StoreError};

/// The reason why a decision was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// No parked notice has that number, or its content is forgotten.
    #[error("no notice {} is parked; `ebbtide notice list` shows them", .0.0)]
    Unknown(ControlsVersion),
    /// The opposite was decided.
    #[error("notice {} was {} already", .0.0, match .1 { ParkedDecision::Confirmed => "confirmed", ParkedDecision::Rejected => "rejected" })]
    Decided(ControlsVersion, ParkedDecision),
    /// The notice may not be applied.
    #[error(transparent)]
    Refused(#[from] NoticeError),
    /// The notice is not in force everywhere.
    #[error(transparent)]
    Notify(#[from] NotifyError),
    /// The control log cannot be read or written.
    #[error(transparent)]
    Log(#[from] StoreError),
}

/// Applies a parked notice. It is in force in every table that it covers once this returns. May be
/// called again after any error.
pub async fn confirm(
    root: &Root,
    policy: &Policy,
    parked: ControlsVersion,
    by: &CommitIdentity,
) -> Result<ControlsVersion, DecideError> {
    let notice = undecided(root, parked, ParkedDecision::Confirmed, by.at).await?;
    let outcome = notify(root, policy, vec![notice.notice()], by).await?.pop();
    let version = match outcome {
        Some(NoticeOutcome::Taken { version, .. }) => version,
        Some(NoticeOutcome::Refused(refused)) => return Err(refused.into()),
        None => return Err(DecideError::Unknown(parked)),
    };
    failpoint::reach("parked-notice-applied");
    decide(root, parked, ParkedDecision::Confirmed, None, by).await?;
    Ok(version)
}

/// Rejects a parked notice: it is never applied, however often it is repeated.
pub async fn reject(
    root: &Root,
    parked: ControlsVersion,
    reason: Option<String>,
    by: &CommitIdentity,
) -> Result<(), DecideError> {
    let notice = undecided(root, parked, ParkedDecision::Rejected, by.at).await?;
    let controls = Controls::load(root, ControlsVersion(0)).await?;
    let applied = controls
        .iter()
        .any(|(_, control)| same(control, &notice.control()));
    if applied {
        // A confirmation was interrupted, or the same notice was applied by a command.
        return Err(DecideError::Decided(parked, ParkedDecision::Confirmed));
    }
    decide(root, parked, ParkedDecision::Rejected, reason, by).await
}

/// Returns the notice of that number, unless another decision than `wanted` was made.
async fn undecided(
    root: &Root,
    parked: ControlsVersion,
    wanted: ParkedDecision,
    now: DateTime<Utc>,
) -> Result<TriggerNotice, DecideError> {
    let controls = Controls::load(root, ControlsVersion(0)).await?;
    let known = controls
        .parked(now)
        .into_iter()
        .find(|known| known.version == parked);
    let known = known.ok_or(DecideError::Unknown(parked))?;
    match known.state {
        ParkedState::Decided(decision) if decision != wanted => {
            Err(DecideError::Decided(parked, decision))
        }
        _ => Ok(known.notice.notice.clone()),
    }
}

/// Records a decision. Errors if another decision was recorded first.
async fn decide(
    root: &Root,
    parked: ControlsVersion,
    decision: ParkedDecision,
    reason: Option<String>,
    by: &CommitIdentity,
) -> Result<(), DecideError> {
    let mut controls = Controls::load(root, ControlsVersion(0)).await?;
    let made = NoticeDecision {
        parked: parked.0,
        decision,
        decided_at: by.at,
        reason,
    };
    append(root, &mut controls, &Control::NoticeDecision(made)).await?;
    controls.refresh(root, ControlsVersion(0)).await?;
    match controls.decision_of(parked) {
        Some(valid) if valid.decision != decision => {
            Err(DecideError::Decided(parked, valid.decision))
        }
        _ => Ok(()),
    }
}
