//! Forgets what a hold covered once the hold is over, and the subject of a withdrawal once no
//! record that it concerns can arrive. The control's file is replaced by one that only records that
//! there was such a control.
//!
//! Invariants: a hold that may still be in force in any table is never forgotten. Once a hold is
//! forgotten, no byte of its subject stays under the root: the new file replaces the old one as a
//! whole, and temporary files that a crash left are deleted.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::apply::ControlsApplier;
use super::control::{Control, PastHold};
use super::hold::covers;
use super::log::{Controls, HoldState};
use super::parked::ParkedState;
use ebbtide_base::ids::ProductKey;
use ebbtide_table::{
    ControlLog, ControlsVersion, DeleteFailure, DeleteFailures, Root, StoreError, TableControls,
};

/// The time after the end of a hold that was not released at which the hold is forgotten. It is
/// longer than the difference between the clocks of two machines.
pub const FORGET_AFTER: TimeDelta = TimeDelta::hours(24);

/// The age up to which a file under a temporary name counts as being written.
const IN_FLIGHT: TimeDelta = TimeDelta::hours(1);

/// Report of one pass over the control log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForgetReport {
    /// Controls that this pass forgot.
    pub forgotten: usize,
    /// Files of the control log that could not be replaced or deleted as they should.
    pub failures: DeleteFailures,
}

impl ForgetReport {
    /// Returns the number of controls that were forgotten, or an error if any file failed.
    pub fn into_result(self) -> Result<usize, StoreError> {
        if self.failures.is_empty() {
            return Ok(self.forgotten);
        }
        Err(StoreError::Refused(format!(
            "files of the control log stay: {}",
            self.failures
        )))
    }
}

/// Forgets every hold that was released, every one that ended [`FORGET_AFTER`] before `now`, and
/// every withdrawal that concerns no record any more or that was parked and decided. Returns their
/// number.
///
/// `now` must be a time that a sweep may use: a forgotten control cannot be restored.
pub async fn forget(root: &Root, now: DateTime<Utc>) -> Result<usize, StoreError> {
    ControlsApplier::new(root.clone()).forget(now).await
}

impl ControlsApplier {
    /// Forgets the same controls as [`forget()`].
    pub async fn forget(&mut self, now: DateTime<Utc>) -> Result<usize, StoreError> {
        self.forget_each(now).await?.into_result()
    }

    /// Forgets the same controls, and reports each file that fails instead of stopping there.
    ///
    /// Errors if the tables or the control log cannot be read.
    pub async fn forget_each(&mut self, now: DateTime<Utc>) -> Result<ForgetReport, StoreError> {
        let tables = self.look().await?;
        let mut past: Vec<(ControlsVersion, Control)> = Vec::new();
        for (version, control) in self.controls.iter() {
            if let Control::ConsentWithdrawal(withdrawal) = control
                && withdrawal.until <= now
            {
                past.push((*version, Control::PastWithdrawal(withdrawal.past())));
            }
        }
        let over = |state, until: DateTime<Utc>| match state {
            HoldState::InForce => false,
            HoldState::Ended => until
                .checked_add_signed(FORGET_AFTER)
                .is_some_and(|due| due <= now),
            HoldState::Released { .. } => true,
        };
        past.extend(past_parked(&self.controls, now));
        past.extend(past_holds(&self.controls, &tables, now, over));
        self.replace_each(past, now).await
    }

    /// Replaces controls in the log and in memory, and deletes temporary files that a crash left
    /// there.
    async fn replace_each(
        &mut self,
        past: Vec<(ControlsVersion, Control)>,
        now: DateTime<Utc>,
    ) -> Result<ForgetReport, StoreError> {
        let (log, mut report) = (ControlLog::open(&self.root), ForgetReport::default());
        for (version, control) in past {
            match log.replace(version, &control.to_value()?).await {
                Ok(replaced) => {
                    report.forgotten += usize::from(replaced);
                    self.controls.replace(version, control);
                }
                Err(error) => {
                    report.failures.add(DeleteFailure {
                        path: format!("control {}", version.0),
                        why: error.to_string(),
                    });
                }
            }
        }
        let staged = log
            .sweep_staged(now.checked_sub_signed(IN_FLIGHT).unwrap_or(now))
            .await?;
        report.failures.extend(staged.failures);
        Ok(report)
    }
}

/// Returns the parked notices that name a person and need no decision any more, each with its
/// replacement: those that were decided, and those whose records are all past their windows.
fn past_parked(controls: &Controls, now: DateTime<Utc>) -> Vec<(ControlsVersion, Control)> {
    let over = controls
        .parked(now)
        .into_iter()
        .filter(|known| known.state != ParkedState::Waiting);
    let past = over.filter_map(|known| {
        Some((
            known.version,
            Control::PastParkedNotice(known.notice.past()?),
        ))
    });
    past.collect()
}

/// Returns the holds that are over by `over`, each with its replacement.
fn past_holds(
    controls: &Controls,
    tables: &BTreeMap<ProductKey, TableControls>,
    now: DateTime<Utc>,
    over: impl Fn(HoldState, DateTime<Utc>) -> bool,
) -> Vec<(ControlsVersion, Control)> {
    let holds = forgettable(controls, tables, now, over).into_iter();
    holds
        .map(|(version, past)| (version, Control::PastHold(past)))
        .collect()
}

/// Forgets every hold that was released, independently of the clock.
pub(super) async fn forget_released(root: &Root, now: DateTime<Utc>) -> Result<usize, StoreError> {
    let mut settler = ControlsApplier::new(root.clone());
    let tables = settler.look().await?;
    let released = |state, _| matches!(state, HoldState::Released { .. });
    let past = past_holds(&settler.controls, &tables, now, released);
    settler.replace_each(past, now).await?.into_result()
}

/// Returns the holds to forget, each with its replacement: those that are over by `over`. If a hold
/// was ended by a release, the release must be in force in every table that the hold covered.
pub(super) fn forgettable(
    controls: &Controls,
    tables: &BTreeMap<ProductKey, TableControls>,
    now: DateTime<Utc>,
    over: impl Fn(HoldState, DateTime<Utc>) -> bool,
) -> Vec<(ControlsVersion, PastHold)> {
    let holds = controls.holds(now).into_iter().filter_map(|known| {
        let hold = known.hold.ok()?;
        let everywhere = match known.state {
            HoldState::Released { by, .. } => tables
                .iter()
                .filter(|(product, _)| covers(&hold.scope.products, product))
                .all(|(_, table)| table.controls >= by),
            HoldState::InForce | HoldState::Ended => true,
        };
        (everywhere && over(known.state, hold.until)).then(|| (known.version, hold.past()))
    });
    holds.collect()
}
