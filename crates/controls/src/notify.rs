//! Notices of triggers: screened, appended to the control log, then in force by one commit in every
//! table.
//!
//! Once this returns, the accepted notices are in force in every table that they cover. A repeated
//! notice changes nothing. A call that was cut short is finished by the next or by
//! [`settle`](super::settle()).

mod large_batch;

use chrono::{DateTime, Utc};

use self::large_batch::{CheckedNotices, LargeBatch};
use super::append::append;
use super::apply::{ApplyControlsError, settle};
use super::commit_identity::CommitIdentity;
use super::control::{Control, same};
use super::log::Controls;
use super::notice::{
    AHEAD, ConsentWithdrawal, ContractEnd, Notice, NoticeError, RecordCounts, over_after,
};
use super::parked::ParkedState;
use super::parked_notice::{ParkedDecision, ParkedNotice, TriggerNotice};
use super::plausible::screen_date;
use super::preview::{Preview, PreviewError, TableEffect};
use ebbtide_base::failpoint;
use ebbtide_config::NoticeLimits;
use ebbtide_policy::Policy;
use ebbtide_table::{ControlsVersion, Root, StoreError};

/// The outcome of one notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeOutcome {
    /// The notice is a control that is in force in every table that it covers.
    Taken {
        /// The control's version.
        version: ControlsVersion,
        /// True if the control existed before.
        known: bool,
    },
    /// The notice was refused; nothing changed.
    Refused(NoticeError),
}

/// The outcome of one notice that was screened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScreeningOutcome {
    /// It passed the screening.
    Passed(NoticeOutcome),
    /// It waits for a person; nothing is in force.
    Parked {
        /// The version of the control that records it.
        version: ControlsVersion,
        /// True if it was parked before.
        known: bool,
    },
    /// It was not accepted because of the number of records that would be due immediately, in this
    /// table first; nothing changed.
    TooMuch(TableEffect),
}

/// The screening of notices before they take effect.
#[derive(Debug, Clone, Copy)]
pub struct Screening {
    limits: Option<NoticeLimits>,
    parks: bool,
}

impl Screening {
    /// Returns no screening: a person has confirmed the notices.
    #[must_use]
    pub fn none() -> Screening {
        Screening {
            limits: None,
            parks: false,
        }
    }

    /// Returns a screening that parks notices that would make too many records due immediately.
    #[must_use]
    pub fn parking(limits: NoticeLimits) -> Screening {
        Screening {
            limits: Some(limits),
            parks: true,
        }
    }

    /// Returns a screening that refuses notices that would make too many records due immediately.
    #[must_use]
    pub fn refusing(limits: NoticeLimits) -> Screening {
        Screening {
            limits: Some(limits),
            parks: false,
        }
    }
}

/// The reason why notices are not in force. The next call puts those that were appended in force.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The control log cannot be read or written.
    #[error(transparent)]
    Log(#[from] StoreError),
    /// The notices are in the log, but are not in force in every table.
    #[error(transparent)]
    Settle(#[from] ApplyControlsError),
    /// The number of records that they would make due immediately is unknown, so none was accepted.
    #[error(transparent)]
    Preview(#[from] PreviewError),
}

/// The state of a notice in the control log.
enum NoticeState {
    /// It is a control already.
    Known(ControlsVersion),
    /// It was parked.
    Parked(ControlsVersion),
    /// It would be this control.
    New(TriggerNotice),
}

/// Applies notices that a person has confirmed, in order, and returns the outcome of each.
pub async fn notify(
    root: &Root,
    policy: &Policy,
    notices: Vec<Notice>,
    by: &CommitIdentity,
) -> Result<Vec<NoticeOutcome>, NotifyError> {
    let screened = notify_screened(root, policy, notices, by, &Screening::none()).await?;
    let passed = screened.into_iter().filter_map(|screened| match screened {
        ScreeningOutcome::Passed(outcome) => Some(outcome),
        // Without limits no notice is held back.
        ScreeningOutcome::Parked { .. } | ScreeningOutcome::TooMuch(_) => None,
    });
    Ok(passed.collect())
}

/// Applies notices that pass the screening, in order, and returns the outcome of each.
pub async fn notify_screened(
    root: &Root,
    policy: &Policy,
    notices: Vec<Notice>,
    by: &CommitIdentity,
    screening: &Screening,
) -> Result<Vec<ScreeningOutcome>, NotifyError> {
    let mut controls = Controls::load(root, ControlsVersion(0)).await?;
    let mut states = Vec::with_capacity(notices.len());
    for notice in &notices {
        states.push(check_notice(&controls, policy, notice, by.at, screening));
    }
    let checked = CheckedNotices {
        states,
        recent: controls.made_due_recently(by.at),
        now: by.at,
    };
    let mut large = LargeBatch::of(root, policy, checked, screening).await?;
    let mut outcomes = Vec::with_capacity(notices.len());
    let mut any = false;
    for (place, notice) in notices.iter().enumerate() {
        // The notices before it may be controls by now.
        outcomes.push(
            match check_notice(&controls, policy, notice, by.at, screening) {
                Err(refused) => ScreeningOutcome::Passed(NoticeOutcome::Refused(refused)),
                Ok(NoticeState::Known(version)) => ScreeningOutcome::Passed(NoticeOutcome::Taken {
                    version,
                    known: true,
                }),
                Ok(NoticeState::Parked(version)) => ScreeningOutcome::Parked {
                    version,
                    known: true,
                },
                Ok(NoticeState::New(new)) => match large.of_one(place, &new, by.at).await? {
                    Some(effect) if screening.parks => {
                        let TableEffect {
                            product,
                            due,
                            records,
                            before,
                            ..
                        } = effect;
                        let parked = ParkedNotice {
                            notice: new,
                            parked_at: by.at,
                            product,
                            due,
                            records,
                            before,
                        };
                        let version =
                            append_one(root, &mut controls, &Control::ParkedNotice(parked)).await?;
                        failpoint::reach("notice-parked");
                        ScreeningOutcome::Parked {
                            version,
                            known: false,
                        }
                    }
                    Some(effect) => ScreeningOutcome::TooMuch(effect),
                    None => {
                        let new = new.with_made_due(large.take_made_due());
                        let version = append_one(root, &mut controls, &new.control()).await?;
                        failpoint::reach("control-appended");
                        ScreeningOutcome::Passed(NoticeOutcome::Taken {
                            version,
                            known: false,
                        })
                    }
                },
            },
        );
        any |= matches!(
            outcomes.last(),
            Some(ScreeningOutcome::Passed(NoticeOutcome::Taken { .. }))
        );
    }
    // The call that appended a known notice may have been interrupted before it was in force
    // everywhere.
    if any {
        settle(root, by).await?;
    }
    Ok(outcomes)
}

async fn append_one(
    root: &Root,
    controls: &mut Controls,
    control: &Control,
) -> Result<ControlsVersion, StoreError> {
    let version = append(root, controls, control).await?;
    controls.refresh(root, version).await?;
    Ok(version)
}

/// The control that a notice would be, and its effects.
#[derive(Debug)]
pub struct NoticePreview {
    /// The control that it would be, or is.
    pub control: Control,
    /// The version of that control, if it is one already.
    pub known: Option<ControlsVersion>,
    /// The records that it would make due immediately, by table. Empty if it is a control already.
    pub effects: Vec<TableEffect>,
}

/// Returns the effects of a notice without applying it.
pub async fn consider(
    root: &Root,
    policy: &Policy,
    notice: &Notice,
    at: DateTime<Utc>,
    screening: &Screening,
) -> Result<Result<NoticePreview, NoticeError>, NotifyError> {
    let controls = Controls::load(root, ControlsVersion(0)).await?;
    let (control, known) = match check_notice(&controls, policy, notice, at, screening) {
        Err(refused) => return Ok(Err(refused)),
        Ok(NoticeState::Known(version)) => {
            let known = controls
                .iter()
                .find(|(of, _)| *of == version)
                .map(|(_, control)| control.clone());
            (known, Some(version))
        }
        Ok(NoticeState::Parked(version)) => {
            let parked = controls
                .parked(at)
                .into_iter()
                .find(|known| known.version == version);
            (parked.map(|known| known.notice.notice.control()), None)
        }
        Ok(NoticeState::New(new)) => (Some(new.control()), None),
    };
    let Some(control) = control else {
        return Ok(Err(NoticeError::Over));
    };
    let effects = match known {
        Some(_) => Vec::new(),
        None => {
            let recent = controls.made_due_recently(at);
            Preview::open(root, policy, recent)
                .await?
                .effects(&[&control], at)
                .await?
        }
    };
    Ok(Ok(NoticePreview {
        control,
        known,
        effects,
    }))
}

/// Returns the state of a notice in the control log, or the reason why it may not be applied.
fn check_notice(
    controls: &Controls,
    policy: &Policy,
    notice: &Notice,
    at: DateTime<Utc>,
    screening: &Screening,
) -> Result<NoticeState, NoticeError> {
    if notice
        .tenant()
        .is_some_and(|tenant| tenant.trim().is_empty())
    {
        return Err(NoticeError::NoTenant);
    }
    let mut new = trigger_notice(notice.clone(), at);
    let control = new.control();
    if let Some((version, _)) = controls.iter().find(|(_, other)| same(&control, other)) {
        return Ok(NoticeState::Known(*version));
    }
    if let Some(limits) = &screening.limits {
        let parked = controls
            .parked(at)
            .into_iter()
            .find(|known| known.notice.notice.same(&new));
        match parked.map(|known| (known.version, known.state)) {
            Some((version, ParkedState::Decided(ParkedDecision::Rejected))) => {
                return Err(NoticeError::Rejected(version));
            }
            Some((version, ParkedState::Waiting)) => return Ok(NoticeState::Parked(version)),
            Some((_, ParkedState::Decided(ParkedDecision::Confirmed) | ParkedState::Over))
            | None => {}
        }
        let (trigger, of) = notice.trigger();
        screen_date(trigger, of, at, limits).map_err(NoticeError::Implausible)?;
    }
    match &mut new {
        TriggerNotice::ContractEnd(end) => {
            if end.reason.is_none()
                && let Some(known) = lengthened(controls, end)
            {
                return Err(NoticeError::Lengthens { known });
            }
        }
        TriggerNotice::ConsentWithdrawal(withdrawal) => {
            if withdrawal.withdrawn_at > at + AHEAD {
                return Err(NoticeError::Future(withdrawal.withdrawn_at));
            }
            withdrawal.until =
                over_after(policy, withdrawal.withdrawn_at).ok_or(NoticeError::NoRule)?;
            if withdrawal.until <= at {
                return Err(NoticeError::Over);
            }
        }
    }
    Ok(NoticeState::New(new))
}

/// Converts a notice to a control that is recorded at `at`. The `until` of a withdrawal is not
/// known yet.
fn trigger_notice(notice: Notice, at: DateTime<Utc>) -> TriggerNotice {
    match notice {
        Notice::ContractEnd {
            tenant,
            ended_at,
            reason,
            products,
        } => {
            let made_due = RecordCounts::new();
            TriggerNotice::ContractEnd(ContractEnd {
                tenant,
                ended_at,
                recorded_at: at,
                reason,
                products,
                made_due,
            })
        }
        Notice::ConsentWithdrawal {
            subject,
            tenant,
            withdrawn_at,
            products,
        } => {
            let (recorded_at, until) = (at, DateTime::<Utc>::MAX_UTC);
            TriggerNotice::ConsentWithdrawal(ConsentWithdrawal {
                subject,
                tenant,
                withdrawn_at,
                recorded_at,
                until,
                products,
                made_due: RecordCounts::new(),
            })
        }
    }
}

/// Returns the end in force that a notice would postpone, in any product. If there are several,
/// returns the latest.
fn lengthened(controls: &Controls, end: &ContractEnd) -> Option<DateTime<Utc>> {
    let meets = |other: &ContractEnd| {
        end.products.is_empty()
            || other.products.is_empty()
            || other.products.iter().any(|of| end.covers(of))
    };
    let ends = controls
        .iter()
        .rev()
        .filter_map(|(_, control)| match control {
            Control::ContractEnd(other) if other.tenant == end.tenant && meets(other) => {
                Some(other)
            }
            _ => None,
        });
    // From the newest notice to the oldest: a notice that covers all products of `end` replaces all
    // notices before it.
    let mut known = None;
    for other in ends {
        known = known.max(Some(other.ended_at).filter(|at| *at < end.ended_at));
        if other.products.is_empty()
            || (!end.products.is_empty() && end.products.iter().all(|of| other.covers(of)))
        {
            break;
        }
    }
    known
}
