//! Whether the clock may be trusted with what cannot be undone. Pure: readings in, a verdict out.
//!
//! Promises that nothing is swept by a clock that jumped, either way, nor by one behind the newest commit. A clock that has
//! gone evenly for long enough after a jump is trusted again: a machine that slept wakes up and goes on. Until then somebody
//! has the time to look.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// What is thought of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may be gone by.
    Trusted,
    /// It jumped against the machine's own running time, and has not gone evenly for long enough since.
    Jumped,
    /// It is behind the newest commit of some table.
    BehindCommit,
}

impl Verdict {
    /// Its word in the log and in the metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Trusted => "trusted",
            Verdict::Jumped => "jumped",
            Verdict::BehindCommit => "behind_commit",
        }
    }
}

/// Compares wall time with the time that the machine has run.
#[derive(Debug, Clone)]
pub struct ClockGuard {
    tolerance: TimeDelta,
    settle: Duration,
    /// Both times at one moment.
    anchor: Option<(DateTime<Utc>, Duration)>,
    /// When it last jumped, in running time.
    jumped: Option<Duration>,
}

/// A clock that is being disciplined goes wrong by at most this part of the time that passes: 500 in a million.
const SLEW: i32 = 2000;

/// How long both times are compared with one moment: jumps within it add up.
const WINDOW: TimeDelta = TimeDelta::hours(1);

impl ClockGuard {
    /// A guard that calls more than `tolerance` a jump, and trusts again after `settle` without one.
    #[must_use]
    pub fn new(tolerance: Duration, settle: Duration) -> Self {
        let tolerance = TimeDelta::from_std(tolerance).unwrap_or(TimeDelta::MAX);
        Self { tolerance, settle, anchor: None, jumped: None }
    }

    /// Looks at both times, and at when the newest commit was made.
    pub fn look(&mut self, wall: DateTime<Utc>, running: Duration, newest_commit: Option<DateTime<Utc>>) -> Verdict {
        let (then, at) = *self.anchor.get_or_insert((wall, running));
        let passed = TimeDelta::from_std(running.saturating_sub(at)).unwrap_or(TimeDelta::MAX);
        let off = (wall - then) - passed;
        if off.abs() > self.tolerance + passed / SLEW {
            self.anchor = Some((wall, running));
            self.jumped = Some(running);
        } else if passed > WINDOW {
            // Else what a clock may have drifted by since the process began would hide a jump.
            self.anchor = Some((wall, running));
        }
        if newest_commit.is_some_and(|commit| commit - wall > self.tolerance) {
            return Verdict::BehindCommit;
        }
        match self.jumped {
            Some(jumped) if running.saturating_sub(jumped) < self.settle => Verdict::Jumped,
            _ => {
                self.jumped = None;
                Verdict::Trusted
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    const MINUTE: Duration = Duration::from_secs(60);

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap()
    }

    struct Watched {
        clock: ManualClock,
        guard: ClockGuard,
    }

    impl Watched {
        fn new() -> Self {
            let mut watched = Self { clock: ManualClock::at(noon()), guard: ClockGuard::new(5 * MINUTE, 10 * MINUTE) };
            assert_eq!(watched.look(), Verdict::Trusted);
            watched
        }

        fn look(&mut self) -> Verdict {
            self.guard.look(self.clock.now(), self.clock.monotonic(), None)
        }

        fn after(&mut self, time: Duration) -> Verdict {
            self.clock.advance(time);
            self.look()
        }

        fn jump(&mut self, by: TimeDelta) -> Verdict {
            self.clock.set_wall(self.clock.now() + by);
            self.look()
        }
    }

    #[test]
    fn a_clock_that_goes_evenly_is_trusted() {
        let mut watched = Watched::new();
        for _ in 0..1000 {
            assert_eq!(watched.after(7 * MINUTE), Verdict::Trusted);
        }
    }

    #[test]
    fn a_jump_either_way_stops_until_the_clock_has_gone_evenly() {
        for by in [TimeDelta::days(200), TimeDelta::days(-200), TimeDelta::minutes(6), TimeDelta::minutes(-6)] {
            let mut watched = Watched::new();
            watched.after(MINUTE);
            assert_eq!(watched.jump(by), Verdict::Jumped, "{by}");
            assert_eq!(watched.after(9 * MINUTE), Verdict::Jumped, "{by}");
            assert_eq!(watched.after(2 * MINUTE), Verdict::Trusted, "{by}");
        }
    }

    #[test]
    fn a_jump_and_back_again_are_two_jumps() {
        let mut watched = Watched::new();
        assert_eq!(watched.jump(TimeDelta::days(1)), Verdict::Jumped);
        watched.after(9 * MINUTE);
        assert_eq!(watched.jump(TimeDelta::days(-1)), Verdict::Jumped);
        assert_eq!(watched.after(2 * MINUTE), Verdict::Jumped);
        assert_eq!(watched.after(8 * MINUTE), Verdict::Trusted);
    }

    #[test]
    fn many_small_jumps_are_one_large_one() {
        let mut watched = Watched::new();
        let verdicts: Vec<Verdict> = (0..8)
            .map(|_| {
                watched.after(Duration::from_secs(1));
                watched.jump(TimeDelta::minutes(1))
            })
            .collect();
        assert!(verdicts.contains(&Verdict::Jumped), "{verdicts:?}");
    }

    #[test]
    fn a_machine_that_slept_waits_and_goes_on() {
        // Asleep, the wall clock goes and the running time stands.
        let mut watched = Watched::new();
        assert_eq!(watched.jump(TimeDelta::hours(9)), Verdict::Jumped);
        assert_eq!(watched.after(11 * MINUTE), Verdict::Trusted);
    }

    #[test]
    fn a_clock_that_is_slewed_is_trusted() {
        let mut watched = Watched::new();
        for _ in 0..5000 {
            watched.clock.advance(MINUTE);
            watched.clock.set_wall(watched.clock.now() + TimeDelta::milliseconds(25));
            assert_eq!(watched.look(), Verdict::Trusted);
        }
    }

    #[test]
    fn a_jump_is_seen_however_long_the_process_has_run() {
        let mut watched = Watched::new();
        for _ in 0..365 * 24 {
            watched.after(60 * MINUTE);
        }
        assert_eq!(watched.jump(TimeDelta::minutes(6)), Verdict::Jumped);
    }

    #[test]
    fn a_clock_behind_the_newest_commit_is_not_trusted_while_it_is() {
        let mut guard = ClockGuard::new(5 * MINUTE, 10 * MINUTE);
        let commit = Some(noon() + TimeDelta::minutes(6));
        assert_eq!(guard.look(noon(), Duration::ZERO, commit), Verdict::BehindCommit);
        assert_eq!(guard.look(noon() + TimeDelta::minutes(2), 2 * MINUTE, commit), Verdict::Trusted);
    }
}
