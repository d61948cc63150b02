//! Decides whether a clock agrees with the times that are known outside this process. Pure:
//! readings in, a verdict out.
//!
//! A deletion cannot be undone. So a clock that is implausibly far from the last trusted time is
//! not trusted, however evenly it runs, until an independent clock agrees with it or a person
//! confirms it. The newest commit is never evidence for a clock that is ahead: an instance whose
//! clock was wrong may have made it.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::guard::ClockStatus;
use ebbtide_table::{ClockJump, Confirmation};

/// The bounds on differences between clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockBounds {
    /// Difference that is not an error.
    pub tolerance: TimeDelta,
    /// Time that a clock must run evenly after a jump.
    pub settle: TimeDelta,
    /// The longest time by which a clock may be ahead of the last trusted time without a
    /// confirmation.
    pub max_step: TimeDelta,
}

/// The known times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimeSources {
    /// The last time at which an instance trusted its clock.
    pub last_trusted: Option<DateTime<Utc>>,
    /// Date of the newest commit of any table, by the clock of the instance that made it.
    pub newest_commit: Option<DateTime<Utc>>,
    /// The time now by the object store's clock, if the root is in one.
    pub store_time: Option<DateTime<Utc>>,
    /// The newest confirmation by a person.
    pub confirmation: Option<Confirmation>,
    /// A jump of some instance's clock that was recorded before it settled.
    pub jump: Option<ClockJump>,
}

/// Precision of the object store's time: it has a resolution of seconds, and a request takes some
/// time.
const STORE_PRECISION: TimeDelta = TimeDelta::seconds(60);

impl ClockBounds {
    fn store_tolerance(&self) -> TimeDelta {
        self.tolerance.max(STORE_PRECISION)
    }
}

impl TimeSources {
    /// Returns the time that a clock is compared with: the last trusted time, or in a root without
    /// one the newest commit.
    #[must_use]
    pub fn reference(&self) -> Option<DateTime<Utc>> {
        self.last_trusted.or(self.newest_commit)
    }

    /// Records that a clock that showed `wall` was trusted. A clock slightly before another one
    /// does not move the time back.
    pub(super) fn advance_trusted(&mut self, wall: DateTime<Utc>, bounds: &ClockBounds) {
        let is_near =
            |trusted: &DateTime<Utc>| *trusted >= wall && *trusted - wall <= bounds.tolerance;
        self.last_trusted = Some(self.last_trusted.filter(is_near).unwrap_or(wall));
    }

    /// Returns true if the object store's clock shows this time.
    fn store_agrees(&self, wall: DateTime<Utc>, bounds: &ClockBounds) -> bool {
        self.store_time
            .is_some_and(|store| (wall - store).abs() <= bounds.store_tolerance())
    }

    /// Returns true if the object store's clock shows another time, unless a person confirmed that
    /// difference.
    fn store_differs(&self, wall: DateTime<Utc>, bounds: &ClockBounds) -> bool {
        let confirmed = self
            .confirmation
            .as_ref()
            .and_then(|confirmed| confirmed.ahead_of_store);
        let confirmed = TimeDelta::seconds(confirmed.unwrap_or(0));
        self.store_time
            .is_some_and(|store| ((wall - store) - confirmed).abs() > bounds.store_tolerance())
    }

    /// Returns the date of the newest commit, unless a confirmation states that commits up to it
    /// may be dated wrongly.
    fn newest_valid_commit(&self) -> Option<DateTime<Utc>> {
        let disregarded = self
            .confirmation
            .as_ref()
            .and_then(|confirmed| confirmed.newest_commit);
        self.newest_commit
            .filter(|commit| disregarded.is_none_or(|until| *commit > until))
    }
}

/// Decides whether a clock that shows `wall` agrees with the sources.
#[must_use]
pub fn check_clock(
    wall: DateTime<Utc>,
    sources: &TimeSources,
    bounds: &ClockBounds,
) -> ClockStatus {
    // Two independent clocks that agree need no further evidence, and outweigh dates that were
    // written by a wrong clock.
    if sources.store_agrees(wall, bounds) {
        return ClockStatus::Trusted;
    }
    if sources.store_differs(wall, bounds) {
        return ClockStatus::StoreDiffers;
    }
    if sources
        .reference()
        .is_some_and(|reference| wall - reference > bounds.max_step)
    {
        return ClockStatus::Ahead;
    }
    if sources
        .newest_valid_commit()
        .is_some_and(|commit| commit - wall > bounds.tolerance)
    {
        return ClockStatus::BeforeCommit;
    }
    if sources
        .last_trusted
        .is_some_and(|trusted| trusted - wall > bounds.tolerance)
    {
        return ClockStatus::BeforeTrusted;
    }
    match &sources.jump {
        Some(jump) if is_unsettled(jump, wall, bounds) => ClockStatus::Jumped,
        _ => ClockStatus::Trusted,
    }
}

/// Returns true if the clock still shows the time of the jump, and has not run for long enough
/// since. A clock that was corrected shows an earlier time than a jump ahead, or a later one than a
/// jump back.
fn is_unsettled(jump: &ClockJump, wall: DateTime<Utc>, bounds: &ClockBounds) -> bool {
    wall >= jump.shown - bounds.tolerance && wall - jump.shown < bounds.settle
}

/// Explains in one sentence why a clock is not trusted, and the fix.
#[must_use]
pub fn explain(verdict: ClockStatus, wall: DateTime<Utc>, sources: &TimeSources) -> String {
    let mut text = format!("the clock shows {}", instant(wall));
    let compared = match verdict {
        ClockStatus::Trusted => return text,
        ClockStatus::Ahead if sources.last_trusted.is_none() => {
            sources.newest_commit.map(|at| ("the newest commit", at))
        }
        ClockStatus::Ahead => sources.last_trusted.map(|at| ("the last trusted time", at)),
        ClockStatus::BeforeTrusted => sources.last_trusted.map(|at| ("the last trusted time", at)),
        ClockStatus::BeforeCommit => sources.newest_commit.map(|at| ("the newest commit", at)),
        ClockStatus::StoreDiffers => sources.store_time.map(|at| ("the object store's time", at)),
        ClockStatus::Jumped | ClockStatus::Unknown => None,
    };
    // Writing to a `String` cannot fail.
    let _ = match (verdict, compared) {
        (_, Some((what, at))) => {
            let side = if wall > at { "after" } else { "before" };
            write!(
                text,
                ", {} {side} {what}, {}",
                difference((wall - at).abs()),
                instant(at)
            )
        }
        (ClockStatus::Jumped, _) => {
            write!(
                text,
                " and jumped; it is trusted once it has run evenly for sweep.clock_settle"
            )
        }
        _ => write!(text, ", and what is recorded of the time cannot be read"),
    };
    text.push_str(
        "; nothing is deleted until the clock is corrected, or `ebbtide clock confirm` says that it is right",
    );
    text
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Formats a difference in its largest unit.
fn difference(by: TimeDelta) -> String {
    let (count, unit) = match by {
        by if by >= TimeDelta::days(2) => (by.num_days(), "days"),
        by if by >= TimeDelta::hours(2) => (by.num_hours(), "hours"),
        by if by >= TimeDelta::minutes(2) => (by.num_minutes(), "minutes"),
        by => (by.num_seconds(), "seconds"),
    };
    format!("{count} {unit}")
}

#[cfg(test)]
mod tests;
