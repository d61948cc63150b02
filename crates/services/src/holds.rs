//! Legal holds: orders to keep data past its deadline.
//!
//! A function that returns without an error left nothing half done. A subject's value is in a report
//! only if the caller asks for it.

mod list;
mod place;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::{PolicyVersion, ProductKey};
use ebbtide_base::metrics::{Metrics, MetricsError};
use ebbtide_config::SweepConfig;
use ebbtide_controls::{
    ApplyControlsError, CommitIdentity, HoldId, ReleaseHoldError, forget, settle,
};
use ebbtide_maintenance::{ClockStatus, TrustedClock};
use ebbtide_query::newest_commit;
use ebbtide_table::{Root, StoreError};

use crate::commit_clock::{CommitClockError, UrgentTime, commit_time};

pub use list::{ListedHold, list};
pub(crate) use place::nearest_product;
pub use place::{CoveredTable, HoldReport, HoldRequest, HoldRequestError, place};

/// The root and the policy in use, for an order about holds.
pub struct HoldContext<'a> {
    /// The root of the tables.
    pub root: &'a Root,
    /// The clock that dates commits.
    pub clock: &'a SharedClock,
    /// The bounds of the clock.
    pub sweep: &'a SweepConfig,
    /// The version of the policy in use, for the evidence of commits.
    pub policy_version: PolicyVersion,
}

/// A released hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReleaseReport {
    /// The name of the hold.
    pub id: String,
    /// The version of the control log that releases it.
    pub control: i64,
    /// The tables in which it is released.
    pub tables: Vec<ProductKey>,
}

/// The reason why a hold is not released everywhere.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The clock is not trusted, or cannot be checked.
    #[error(transparent)]
    Clock(#[from] CommitClockError),
    /// There is no such hold, or it is not released everywhere.
    #[error(transparent)]
    Release(#[from] ReleaseHoldError),
}

/// The reason why a repair is not complete.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The clock cannot be checked.
    #[error(transparent)]
    Clock(#[from] CommitClockError),
    /// A control could not be put in force.
    #[error(transparent)]
    Settle(#[from] ApplyControlsError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Every control is in force. No hold was forgotten, because the clock is not trusted.
    #[error(
        "the clock is not trusted ({verdict}): every control is in force, and no hold was forgotten: {reason}"
    )]
    NotForgotten {
        /// The verdict's word.
        verdict: &'static str,
        /// The difference, and the fix.
        reason: String,
    },
    /// The metrics are not valid.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

/// Puts every control in force, and then forgets the holds that have ended. Errors if the clock is
/// not trusted: nothing is forgotten then.
pub async fn repair(context: &HoldContext<'_>) -> Result<(), RepairError> {
    let HoldContext {
        root, clock, sweep, ..
    } = context;
    let time = UrgentTime::find(root, clock, sweep).await?;
    settle(root, &context.signature(time.at)).await?;
    let guard = TrustedClock::for_command(SharedClock::clone(clock), Metrics::new()?, sweep, root);
    match guard.update(newest_commit(root).await?).await {
        ClockStatus::Trusted => {
            forget(root, clock.now()).await?;
            Ok(())
        }
        verdict => Err(RepairError::NotForgotten {
            verdict: verdict.as_str(),
            reason: guard.reason(),
        }),
    }
}

/// Ends a hold in every table, and forgets what it covered.
pub async fn release(
    context: &HoldContext<'_>,
    id: &HoldId,
) -> Result<ReleaseReport, ReleaseError> {
    let at = commit_time(context.root, context.clock, context.sweep).await?;
    let released = ebbtide_controls::release(context.root, id, &context.signature(at)).await?;
    Ok(ReleaseReport {
        id: id.to_string(),
        control: released.version.0,
        tables: released.tables,
    })
}

impl HoldContext<'_> {
    /// Returns the signature of a commit that this process makes at the time `at`.
    fn signature(&self, at: DateTime<Utc>) -> CommitIdentity {
        CommitIdentity {
            writer: Uuid::new_v4(),
            at,
            policy_version: self.policy_version.clone(),
        }
    }
}
