//! Forgetting what a hold covered once it is over, and who withdrew once no record can come that it concerns: the file is
//! replaced by one that says that there was such a control.
//!
//! Promises that a hold that any table may still know as in force is never forgotten, and that of one that is over no byte of
//! its subject stays under the root: the new file takes the old one's place whole, and what a crash left goes with it.

use chrono::{DateTime, TimeDelta, Utc};

use super::control::{Control, PastHold};
use super::hold::covers;
use super::log::{Controls, HoldState};
use super::settle::Settler;
use crate::ids::ProductKey;
use crate::store::{ControlLog, ControlsVersion, Root, StoreError, TableControls};

/// How long after its end a hold that nobody released is forgotten: longer than the clocks of two machines differ.
pub const FORGET_AFTER: TimeDelta = TimeDelta::hours(24);

/// How long a file under a passing name is taken for one that is being written.
const IN_FLIGHT: TimeDelta = TimeDelta::hours(1);

/// Forgets every hold that was released, every one that ended [`FORGET_AFTER`] before `now`, and every withdrawal that
/// concerns no record any more, and gives how many.
///
/// `now` must be a time that a sweep may go by: what is forgotten does not come back.
pub async fn forget(root: &Root, now: DateTime<Utc>) -> Result<usize, StoreError> {
    Settler::new(root.clone()).forget(now).await
}

impl Settler {
    /// What [`forget()`] does.
    pub async fn forget(&mut self, now: DateTime<Utc>) -> Result<usize, StoreError> {
        let tables = self.look().await?;
        let withdrawn = self.forget_withdrawals(now).await?;
        let over = |state, until: DateTime<Utc>| match state {
            HoldState::InForce => false,
            HoldState::Ended => until.checked_add_signed(FORGET_AFTER).is_some_and(|due| due <= now),
            HoldState::Released { .. } => true,
        };
        Ok(withdrawn + self.forget_holds(&tables, now, over).await?)
    }

    /// Forgets every withdrawal whose records are all past their windows, whatever was withdrawn.
    async fn forget_withdrawals(&mut self, now: DateTime<Utc>) -> Result<usize, StoreError> {
        let past = self.controls.iter().filter_map(|(version, control)| match control {
            Control::ConsentWithdrawal(withdrawal) if withdrawal.until <= now => {
                Some((*version, Control::PastWithdrawal(withdrawal.past())))
            }
            _ => None,
        });
        self.replace(past.collect()).await
    }

    /// Forgets every hold that is over by `over`, and deletes what a crash left of such work.
    async fn forget_holds(
        &mut self,
        tables: &[(ProductKey, TableControls)],
        now: DateTime<Utc>,
        over: impl Fn(HoldState, DateTime<Utc>) -> bool,
    ) -> Result<usize, StoreError> {
        let holds = forgettable(&self.controls, tables, now, over);
        let past = holds.into_iter().map(|(version, past)| (version, Control::PastHold(past)));
        let forgotten = self.replace(past.collect()).await?;
        let log = ControlLog::open(&self.root);
        log.sweep_staged(now.checked_sub_signed(IN_FLIGHT).unwrap_or(now)).await?;
        Ok(forgotten)
    }

    /// Puts controls in the place of others, in the log and in what is known of it; how many another had not put there.
    async fn replace(&mut self, controls: Vec<(ControlsVersion, Control)>) -> Result<usize, StoreError> {
        let (log, mut count) = (ControlLog::open(&self.root), 0);
        for (version, control) in controls {
            count += usize::from(log.replace(version, &control.to_value()?).await?);
            self.controls.replace(version, control);
        }
        Ok(count)
    }
}

/// Forgets every hold that was released, whatever the clock says.
pub(super) async fn forget_released(root: &Root, now: DateTime<Utc>) -> Result<usize, StoreError> {
    let mut settler = Settler::new(root.clone());
    let tables = settler.look().await?;
    settler.forget_holds(&tables, now, |state, _| matches!(state, HoldState::Released { .. })).await
}

/// The holds to forget, each with what is to stand in its place: those that are over by `over`, and whose release, if that
/// ended them, is in force in every table that they covered.
pub(super) fn forgettable(
    controls: &Controls,
    tables: &[(ProductKey, TableControls)],
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
