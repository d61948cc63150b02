//! Notices that wait for a person: parked in the control log, then confirmed or rejected.
//!
//! A parked notice is not in force in any table. It is parked once, however often it is repeated,
//! and it still waits after a restart. A confirmation applies the notice first and records the
//! decision after it. After a crash between the two steps the notice is applied and still waits;
//! confirming it again finishes.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::control::Control;
use super::log::Controls;
use super::notice::{ConsentWithdrawal, ContractEnd, Notice, NoticeError};
use super::notify::{NoticeOutcome, NotifyError, notify};
use super::recent_counts::RecordCounts;
use super::service::{CommitIdentity, append};
use ebbtide_base::failpoint;
use ebbtide_base::ids::ProductKey;
use ebbtide_policy::Policy;
use ebbtide_table::{ControlsVersion, Root, StoreError};

/// A notice as the control that it would become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerNotice {
    /// The end of a contract.
    ContractEnd(ContractEnd),
    /// A withdrawal of consent.
    ConsentWithdrawal(ConsentWithdrawal),
}

/// A notice that is not applied until a person confirms it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParkedNotice {
    /// The notice.
    pub notice: TriggerNotice,
    /// The time at which it was parked.
    pub parked_at: DateTime<Utc>,
    /// The product in which it would have made too many records due immediately.
    pub product: ProductKey,
    /// The number of records found that would be due immediately. There may be more: counting ended
    /// at the limit.
    pub due: u64,
    /// The number of records of the product at that time.
    pub records: u64,
    /// The number of records that the notices of the 24 hours before it made due.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub before: u64,
}

/// The remainder of a parked notice that names a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastParkedNotice {
    /// The time at which it was parked.
    pub parked_at: DateTime<Utc>,
    /// The product in which it would have made too many records due immediately.
    pub product: ProductKey,
}

/// The decision of a person about a parked notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeDecision {
    /// The version of the control that parked it.
    pub parked: i64,
    /// The decision.
    pub decision: ParkedDecision,
    /// The time of the decision.
    pub decided_at: DateTime<Utc>,
    /// The reason, in the words of the person who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParkedDecision {
    /// The notice is applied.
    Confirmed,
    /// It is never applied.
    Rejected,
}

/// The state of a parked notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParkedState {
    /// It waits for a person.
    Waiting,
    /// It was decided.
    Decided(ParkedDecision),
    /// It needs no decision: every record that it could concern is past its window.
    Over,
}

/// A parked notice of the log.
#[derive(Debug, Clone, Copy)]
pub struct LoggedNotice<'a> {
    /// The version of its control: its number in commands.
    pub version: ControlsVersion,
    /// The notice.
    pub notice: &'a ParkedNotice,
    /// The state of the notice.
    pub state: ParkedState,
    /// The decision, if there is one.
    pub decision: Option<&'a NoticeDecision>,
}

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

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl TriggerNotice {
    /// Returns the control that the notice becomes when it is applied.
    #[must_use]
    pub fn control(&self) -> Control {
        match self {
            TriggerNotice::ContractEnd(end) => Control::ContractEnd(end.clone()),
            TriggerNotice::ConsentWithdrawal(withdrawal) => {
                Control::ConsentWithdrawal(withdrawal.clone())
            }
        }
    }

    /// Returns the same notice with the records that it makes due.
    #[must_use]
    pub(super) fn with_made_due(mut self, made_due: RecordCounts) -> TriggerNotice {
        match &mut self {
            TriggerNotice::ContractEnd(end) => end.made_due = made_due,
            TriggerNotice::ConsentWithdrawal(withdrawal) => withdrawal.made_due = made_due,
        }
        self
    }

    /// Returns the notice as it was received.
    #[must_use]
    pub fn notice(&self) -> Notice {
        match self.clone() {
            TriggerNotice::ContractEnd(ContractEnd {
                tenant,
                ended_at,
                reason,
                products,
                ..
            }) => Notice::ContractEnd {
                tenant,
                ended_at,
                reason,
                products,
            },
            TriggerNotice::ConsentWithdrawal(withdrawal) => {
                let ConsentWithdrawal {
                    subject,
                    tenant,
                    withdrawn_at,
                    products,
                    ..
                } = withdrawal;
                Notice::ConsentWithdrawal {
                    subject,
                    tenant,
                    withdrawn_at,
                    products,
                }
            }
        }
    }

    /// Returns true if two notices have the same content.
    pub(super) fn same(&self, other: &TriggerNotice) -> bool {
        match (self, other) {
            (TriggerNotice::ContractEnd(one), TriggerNotice::ContractEnd(other)) => one.same(other),
            (TriggerNotice::ConsentWithdrawal(one), TriggerNotice::ConsentWithdrawal(other)) => {
                one.same(other)
            }
            _ => false,
        }
    }
}

impl ParkedNotice {
    /// Returns its remainder once it needs no decision; `None` if it names no person.
    pub(super) fn past(&self) -> Option<PastParkedNotice> {
        match &self.notice {
            TriggerNotice::ContractEnd(_) => None,
            TriggerNotice::ConsentWithdrawal(_) => Some(PastParkedNotice {
                parked_at: self.parked_at,
                product: self.product.clone(),
            }),
        }
    }
}

impl Controls {
    /// Returns every parked notice whose content is known, in the order in which they were parked.
    #[must_use]
    pub fn parked(&self, now: DateTime<Utc>) -> Vec<LoggedNotice<'_>> {
        let parked = self.iter().filter_map(|(version, control)| match control {
            Control::ParkedNotice(notice) => Some((*version, notice)),
            _ => None,
        });
        let known = parked.map(|(version, notice)| {
            let decision = self.decision_of(version);
            let over =
                matches!(&notice.notice, TriggerNotice::ConsentWithdrawal(withdrawal) if withdrawal.until <= now);
            let state = match decision {
                Some(decision) => ParkedState::Decided(decision.decision),
                None if over => ParkedState::Over,
                None => ParkedState::Waiting,
            };
            LoggedNotice { version, notice, state, decision }
        });
        known.collect()
    }

    fn decision_of(&self, parked: ControlsVersion) -> Option<&NoticeDecision> {
        self.iter().find_map(|(_, control)| match control {
            Control::NoticeDecision(decision) if decision.parked == parked.0 => Some(decision),
            _ => None,
        })
    }
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
        .any(|(_, control)| super::service::same(control, &notice.control()));
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
