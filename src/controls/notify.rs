//! Notices of triggers taken: appended to the control log, then in force by one commit in every table.
//!
//! Promises that the notices are in force in every table that they cover once this returns, that one told again changes
//! nothing, and that a call cut short is finished by the next or by [`settle`](super::settle()).

use chrono::{DateTime, Utc};

use super::control::Control;
use super::log::Controls;
use super::notice::{AHEAD, ConsentWithdrawal, ContractEnd, Notice, NoticeError, over_after};
use super::service::{Signature, append, same};
use super::settle::{SettleError, settle};
use crate::failpoint;
use crate::policy::Policy;
use crate::store::{ControlsVersion, Root, StoreError};

/// What became of one notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// It is a control, in force in every table that it covers.
    Taken {
        /// The control's version.
        version: ControlsVersion,
        /// Whether it was one before.
        known: bool,
    },
    /// It was not taken; nothing changed.
    Refused(NoticeError),
}

/// Why notices are not in force. Those that were appended are put in force by the next call.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The control log cannot be read or written.
    #[error(transparent)]
    Log(#[from] StoreError),
    /// They are in the log and not in force everywhere.
    #[error(transparent)]
    Settle(#[from] SettleError),
}

/// Takes notices, one after the other, and gives for each what became of it.
pub async fn notify(
    root: &Root,
    policy: &Policy,
    notices: Vec<Notice>,
    by: &Signature,
) -> Result<Vec<Noted>, NotifyError> {
    let mut controls = Controls::load(root, ControlsVersion(0)).await?;
    let mut noted = Vec::with_capacity(notices.len());
    let mut any = false;
    for notice in notices {
        noted.push(match judge(&controls, policy, notice, by.at) {
            Err(refused) => Noted::Refused(refused),
            Ok((version, _)) if version > ControlsVersion(0) => Noted::Taken { version, known: true },
            Ok((_, control)) => {
                let version = append(root, &mut controls, &control).await?;
                controls.refresh(root, version).await?;
                failpoint::reach("control-appended");
                Noted::Taken { version, known: false }
            }
        });
        any |= matches!(noted.last(), Some(Noted::Taken { .. }));
    }
    // Those that were known may have been cut short.
    if any {
        settle(root, by).await?;
    }
    Ok(noted)
}

/// What a notice would do, without doing it: the control that it would be.
pub async fn consider(
    root: &Root,
    policy: &Policy,
    notice: Notice,
    at: DateTime<Utc>,
) -> Result<Result<Control, NoticeError>, StoreError> {
    let controls = Controls::load(root, ControlsVersion(0)).await?;
    Ok(judge(&controls, policy, notice, at).map(|(_, control)| control))
}

/// The control that a notice is, and its version if it is one already; else 0.
fn judge(
    controls: &Controls,
    policy: &Policy,
    notice: Notice,
    at: DateTime<Utc>,
) -> Result<(ControlsVersion, Control), NoticeError> {
    let control = match notice {
        Notice::ContractEnd { tenant, ended_at, reason, products } => {
            if tenant.trim().is_empty() {
                return Err(NoticeError::NoTenant);
            }
            Control::ContractEnd(ContractEnd { tenant, ended_at, recorded_at: at, reason, products })
        }
        Notice::ConsentWithdrawal { subject, tenant, withdrawn_at, products } => {
            if tenant.as_deref().is_some_and(|tenant| tenant.trim().is_empty()) {
                return Err(NoticeError::NoTenant);
            }
            if withdrawn_at > at + AHEAD {
                return Err(NoticeError::Future(withdrawn_at));
            }
            let until = over_after(policy, withdrawn_at).ok_or(NoticeError::NoRule)?;
            if until <= at {
                return Err(NoticeError::Over);
            }
            let recorded_at = at;
            Control::ConsentWithdrawal(ConsentWithdrawal {
                subject,
                tenant,
                withdrawn_at,
                recorded_at,
                until,
                products,
            })
        }
    };
    if let Some((version, known)) = controls.iter().find(|(_, other)| same(&control, other)) {
        return Ok((*version, known.clone()));
    }
    if let Control::ContractEnd(end) = &control
        && end.reason.is_none()
        && let Some(known) = lengthened(controls, end)
    {
        return Err(NoticeError::Lengthens { known });
    }
    Ok((ControlsVersion(0), control))
}

/// The end in force that a notice would let come later, in any product.
fn lengthened(controls: &Controls, end: &ContractEnd) -> Option<DateTime<Utc>> {
    let meets = |other: &ContractEnd| {
        end.products.is_empty() || other.products.is_empty() || other.products.iter().any(|of| end.covers(of))
    };
    let ends = controls.iter().rev().filter_map(|(_, control)| match control {
        Control::ContractEnd(other) if other.tenant == end.tenant && meets(other) => Some(other),
        _ => None,
    });
    // Those that an earlier notice covers whole are over; the first that covers all of it hides what came before.
    let mut known = None;
    for other in ends {
        known = known.max(Some(other.ended_at).filter(|at| *at < end.ended_at));
        if other.products.is_empty() || (!end.products.is_empty() && end.products.iter().all(|of| other.covers(of))) {
            break;
        }
    }
    known
}
