//! Forgetting what a hold covered once it is over, and who withdrew once no record can come that it concerns: the file is
//! replaced by one that says that there was such a control.
//!
//! Promises that a hold that any table may still know as in force is never forgotten, and that of one that is over no byte of
//! its subject stays under the root: the new file takes the old one's place whole, and what a crash left goes with it.

use chrono::{DateTime, TimeDelta, Utc};

use super::control::{Control, PastHold};
use super::hold::covers;
use super::log::{Controls, HoldState};
use super::settle::{Settler, known, standing, versions};
use crate::ids::ProductKey;
use crate::store::{ControlLog, ControlsVersion, Root, StoreError};

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
        let tables = versions(&self.tables.look().await?);
        let controls = Controls::load(&self.root, known(&tables)).await?;
        let withdrawn = forget_withdrawals(&self.root, &controls, now).await?;
        let holds = forgettable(&controls, &tables, now, |state, until| match state {
            HoldState::InForce => false,
            HoldState::Ended => until.checked_add_signed(FORGET_AFTER).is_some_and(|due| due <= now),
            HoldState::Released { .. } => true,
        });
        forget_holds(&self.root, &holds, now).await?;
        Ok(withdrawn + holds.len())
    }
}

/// Forgets every withdrawal whose records are all past their windows, whatever was withdrawn.
async fn forget_withdrawals(root: &Root, controls: &Controls, now: DateTime<Utc>) -> Result<usize, StoreError> {
    let log = ControlLog::open(root);
    let mut forgotten = 0;
    for (version, control) in controls.iter() {
        if let Control::ConsentWithdrawal(withdrawal) = control
            && withdrawal.until <= now
        {
            log.replace(*version, &Control::PastWithdrawal(withdrawal.past()).to_value()?).await?;
            forgotten += 1;
        }
    }
    Ok(forgotten)
}

/// Forgets every hold that was released, whatever the clock says.
pub(super) async fn forget_released(root: &Root, now: DateTime<Utc>) -> Result<usize, StoreError> {
    let tables = standing(root).await?;
    let controls = Controls::load(root, known(&tables)).await?;
    let holds = forgettable(&controls, &tables, now, |state, _| matches!(state, HoldState::Released { .. }));
    forget_holds(root, &holds, now).await?;
    Ok(holds.len())
}

/// Puts in the place of holds what is to stand there, and deletes what a crash left of such work.
async fn forget_holds(
    root: &Root,
    holds: &[(ControlsVersion, PastHold)],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let log = ControlLog::open(root);
    for (version, past) in holds {
        log.replace(*version, &Control::PastHold(past.clone()).to_value()?).await?;
    }
    log.sweep_staged(now.checked_sub_signed(IN_FLIGHT).unwrap_or(now)).await?;
    Ok(())
}

/// The holds to forget, each with what is to stand in its place: those that are over by `over`, and whose release, if that
/// ended them, is in force in every table that they covered.
pub(super) fn forgettable(
    controls: &Controls,
    tables: &[(ProductKey, ControlsVersion)],
    now: DateTime<Utc>,
    over: impl Fn(HoldState, DateTime<Utc>) -> bool,
) -> Vec<(ControlsVersion, PastHold)> {
    let holds = controls.holds(now).into_iter().filter_map(|known| {
        let hold = known.hold.ok()?;
        let everywhere = match known.state {
            HoldState::Released { by, .. } => tables
                .iter()
                .filter(|(product, _)| covers(&hold.scope.products, product))
                .all(|(_, version)| *version >= by),
            HoldState::InForce | HoldState::Ended => true,
        };
        (everywhere && over(known.state, hold.until)).then(|| (known.version, hold.past()))
    });
    holds.collect()
}
