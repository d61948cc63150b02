//! Detects jumps of the wall clock against the time that the machine has run. Pure: readings in, a
//! verdict out.
//!
//! A clock that jumped either way is not trusted until it has run evenly for a configured time: a
//! machine that slept wakes up and continues, and people have that time to check. The allowed
//! difference from the times known outside this process is decided in `time_sources`.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// Verdict on the clock. Data is deleted only if it is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockStatus {
    /// The clock may be used.
    Trusted,
    /// It jumped against the machine's own running time, and has not run evenly for long enough
    /// since.
    Jumped,
    /// It shows a time before the newest commit of some table.
    BeforeCommit,
    /// It is further ahead of the last trusted time than a clock may be without a confirmation.
    Ahead,
    /// It shows a time before the last trusted time.
    BeforeTrusted,
    /// It differs from the object store's clock.
    StoreDiffers,
    /// The recorded times cannot be read.
    Unknown,
}

impl ClockStatus {
    /// Returns the verdict's word in the log and in results.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ClockStatus::Trusted => "trusted",
            ClockStatus::Jumped => "jumped",
            ClockStatus::BeforeCommit => "behind_commit",
            ClockStatus::Ahead => "ahead",
            ClockStatus::BeforeTrusted => "behind",
            ClockStatus::StoreDiffers => "store_differs",
            ClockStatus::Unknown => "unknown",
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
    /// The running time of the last jump.
    jumped: Option<Duration>,
    /// The last jump that has not settled.
    jump: Option<Jump>,
}

/// A jump: the time that the clock should have shown, and the time that it showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// The time expected from the elapsed running time.
    pub expected: DateTime<Utc>,
    /// The time shown.
    pub shown: DateTime<Utc>,
}

/// The divisor of the elapsed time that gives the largest error of a clock that is being slewed:
/// 500 parts per million.
const SLEW: i32 = 2000;

/// The time for which readings are compared with the same anchor: jumps within it add up.
const WINDOW: TimeDelta = TimeDelta::hours(1);

impl ClockGuard {
    /// Creates a guard that counts a difference of more than `tolerance` as a jump, and trusts the
    /// clock again after `settle` without one.
    #[must_use]
    pub fn new(tolerance: Duration, settle: Duration) -> Self {
        let tolerance = TimeDelta::from_std(tolerance).unwrap_or(TimeDelta::MAX);
        Self {
            tolerance,
            settle,
            anchor: None,
            jumped: None,
            jump: None,
        }
    }

    /// Compares both times with those of earlier readings.
    pub fn look(&mut self, wall: DateTime<Utc>, running: Duration) -> ClockStatus {
        let (then, at) = *self.anchor.get_or_insert((wall, running));
        let passed = TimeDelta::from_std(running.saturating_sub(at)).unwrap_or(TimeDelta::MAX);
        let off = (wall - then) - passed;
        if off.abs() > self.tolerance + passed / SLEW {
            self.anchor = Some((wall, running));
            self.jumped = Some(running);
            self.jump = Some(Jump {
                expected: then.checked_add_signed(passed).unwrap_or(then),
                shown: wall,
            });
        } else if passed > WINDOW {
            // Otherwise the drift accumulated since the process started would hide a jump.
            self.anchor = Some((wall, running));
        }
        match self.jumped {
            Some(jumped) if running.saturating_sub(jumped) < self.settle => ClockStatus::Jumped,
            _ => {
                self.settle();
                ClockStatus::Trusted
            }
        }
    }

    /// Returns the last jump, while it has not settled.
    #[must_use]
    pub fn jump(&self) -> Option<Jump> {
        self.jump
    }

    /// Treats a jump as settled, since a person confirmed the clock.
    pub fn settle(&mut self) {
        self.jumped = None;
        self.jump = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebbtide_base::clock::{Clock, ManualClock};

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
            let mut watched = Self {
                clock: ManualClock::at(noon()),
                guard: ClockGuard::new(5 * MINUTE, 10 * MINUTE),
            };
            assert_eq!(watched.look(), ClockStatus::Trusted);
            watched
        }

        fn look(&mut self) -> ClockStatus {
            self.guard.look(self.clock.now(), self.clock.monotonic())
        }

        fn after(&mut self, time: Duration) -> ClockStatus {
            self.clock.advance(time);
            self.look()
        }

        fn jump(&mut self, by: TimeDelta) -> ClockStatus {
            self.clock.set_wall(self.clock.now() + by);
            self.look()
        }
    }

    #[test]
    fn a_clock_that_runs_evenly_is_trusted() {
        let mut watched = Watched::new();
        for _ in 0..1000 {
            assert_eq!(watched.after(7 * MINUTE), ClockStatus::Trusted);
        }
    }

    #[test]
    fn a_jump_either_way_stops_deletion_until_the_clock_settles() {
        for by in [
            TimeDelta::days(200),
            TimeDelta::days(-200),
            TimeDelta::minutes(6),
            TimeDelta::minutes(-6),
        ] {
            let mut watched = Watched::new();
            watched.after(MINUTE);
            assert_eq!(watched.jump(by), ClockStatus::Jumped, "{by}");
            assert_eq!(watched.after(9 * MINUTE), ClockStatus::Jumped, "{by}");
            assert_eq!(watched.after(2 * MINUTE), ClockStatus::Trusted, "{by}");
        }
    }

    #[test]
    fn a_jump_and_back_again_are_two_jumps() {
        let mut watched = Watched::new();
        assert_eq!(watched.jump(TimeDelta::days(1)), ClockStatus::Jumped);
        watched.after(9 * MINUTE);
        assert_eq!(watched.jump(TimeDelta::days(-1)), ClockStatus::Jumped);
        assert_eq!(watched.after(2 * MINUTE), ClockStatus::Jumped);
        assert_eq!(watched.after(8 * MINUTE), ClockStatus::Trusted);
    }

    #[test]
    fn many_small_jumps_are_one_large_one() {
        let mut watched = Watched::new();
        let verdicts: Vec<ClockStatus> = (0..8)
            .map(|_| {
                watched.after(Duration::from_secs(1));
                watched.jump(TimeDelta::minutes(1))
            })
            .collect();
        assert!(verdicts.contains(&ClockStatus::Jumped), "{verdicts:?}");
    }

    #[test]
    fn a_machine_that_slept_waits_and_continues() {
        // While the machine sleeps, the wall clock continues and the running time does not.
        let mut watched = Watched::new();
        assert_eq!(watched.jump(TimeDelta::hours(9)), ClockStatus::Jumped);
        assert_eq!(watched.after(11 * MINUTE), ClockStatus::Trusted);
    }

    #[test]
    fn a_clock_that_is_slewed_is_trusted() {
        let mut watched = Watched::new();
        for _ in 0..5000 {
            watched.clock.advance(MINUTE);
            watched
                .clock
                .set_wall(watched.clock.now() + TimeDelta::milliseconds(25));
            assert_eq!(watched.look(), ClockStatus::Trusted);
        }
    }

    #[test]
    fn a_jump_is_seen_however_long_the_process_has_run() {
        let mut watched = Watched::new();
        for _ in 0..365 * 24 {
            watched.after(60 * MINUTE);
        }
        assert_eq!(watched.jump(TimeDelta::minutes(6)), ClockStatus::Jumped);
    }

    #[test]
    fn jump_is_reported_with_both_times_until_it_settles() {
        let mut watched = Watched::new();
        watched.after(MINUTE);
        let expected = watched.clock.now();
        watched.jump(TimeDelta::days(2));
        assert_eq!(
            watched.guard.jump(),
            Some(Jump {
                expected,
                shown: expected + TimeDelta::days(2)
            })
        );
        assert_eq!(watched.after(11 * MINUTE), ClockStatus::Trusted);
        assert_eq!(watched.guard.jump(), None);
        watched.jump(TimeDelta::days(-2));
        watched.guard.settle();
        assert_eq!(
            (watched.look(), watched.guard.jump()),
            (ClockStatus::Trusted, None)
        );
    }
}
