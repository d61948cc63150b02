//! The only reader of time. Everything else takes `now` as an argument or a [`Clock`] from `app`.
//!
//! A lint and the architecture test refuse other readers.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

/// The source of time: the system, or the simulated time of a test or demo.
pub trait Clock: Send + Sync {
    /// Returns the wall time.
    fn now(&self) -> DateTime<Utc>;
    /// Returns the time since a fixed instant of this process. It never decreases.
    fn monotonic(&self) -> Duration;
    /// Returns the time of the machine during which `time` passes on this clock: the time to sleep
    /// for a wait of `time`.
    fn machine(&self, time: Duration) -> Duration {
        time
    }
    /// Returns true for the machine's own clock, which other machines' clocks can be compared with.
    fn is_machine(&self) -> bool {
        false
    }
}

/// A clock that several parts share.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's own clock.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// Creates the machine's clock. Its monotonic time is zero now.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "the one module that may read the clock"
    )]
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "the one module that may read the clock"
    )]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn is_machine(&self) -> bool {
        true
    }
}

/// A clock that begins at a given time and runs faster than the machine's clock by a whole factor.
///
/// Wall and monotonic time run at the same speed, so a comparison of them finds no jump. The
/// machine's wall clock is read at most once: later changes to it have no effect here.
#[derive(Debug)]
pub struct ScaledClock {
    began: DateTime<Utc>,
    speed: u32,
    started: Instant,
}

impl ScaledClock {
    /// Creates a clock that shows `began` now and runs `speed` times as fast as the machine's.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "the one module that may read the clock"
    )]
    pub fn at(began: DateTime<Utc>, speed: u32) -> Self {
        Self {
            began,
            speed,
            started: Instant::now(),
        }
    }

    /// Creates a clock that is `by` ahead of the machine's now and runs `speed` times as fast.
    #[must_use]
    pub fn ahead(by: TimeDelta, speed: u32) -> Self {
        let now = SystemClock::new().now();
        Self::at(
            now.checked_add_signed(by)
                .unwrap_or(DateTime::<Utc>::MAX_UTC),
            speed,
        )
    }

    /// Creates a clock that shows `anchor` when the machine's clock does, and runs `speed` times as
    /// fast before and after. All processes of a machine with the same arguments agree on the time.
    #[must_use]
    pub fn anchored(anchor: DateTime<Utc>, speed: u32) -> Self {
        let passed = SystemClock::new().now() - anchor;
        let began = i32::try_from(speed)
            .ok()
            .and_then(|speed| passed.checked_mul(speed));
        Self::at(
            began
                .and_then(|began| anchor.checked_add_signed(began))
                .unwrap_or(DateTime::<Utc>::MAX_UTC),
            speed,
        )
    }
}

/// The minimum wait of a fast clock, unless a shorter wait is requested. Without it, tasks would
/// check tables a thousand times a second, or list all files every second, and do little else.
const LEAST_WAIT: Duration = Duration::from_secs(3);

impl Clock for ScaledClock {
    fn now(&self) -> DateTime<Utc> {
        let since = TimeDelta::from_std(self.monotonic()).unwrap_or(TimeDelta::MAX);
        self.began
            .checked_add_signed(since)
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed().saturating_mul(self.speed)
    }

    fn machine(&self, time: Duration) -> Duration {
        (time / self.speed.max(1)).max(time.min(LEAST_WAIT))
    }
}

/// A clock that changes only when a test changes it.
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<(DateTime<Utc>, Duration)>,
}

impl ManualClock {
    /// Creates a clock that shows `now` until it is changed.
    #[must_use]
    pub fn at(now: DateTime<Utc>) -> Self {
        Self {
            state: Mutex::new((now, Duration::ZERO)),
        }
    }

    /// Advances wall and monotonic time by `step`.
    pub fn advance(&self, step: Duration) {
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        state.0 += TimeDelta::from_std(step).unwrap_or(TimeDelta::MAX);
        state.1 += step;
    }

    /// Sets the wall time alone, as an operator or a broken time server would.
    pub fn set_wall(&self, now: DateTime<Utc>) {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .0 = now;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .0
    }

    fn monotonic(&self) -> Duration {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_clock_begins_at_its_start_and_its_two_times_run_alike() {
        let began = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let clock = ScaledClock::at(began, 10_000);
        std::thread::sleep(Duration::from_millis(20));
        let (early, wall, late) = (clock.monotonic(), clock.now(), clock.monotonic());
        assert!(early >= Duration::from_secs(200), "{early:?}");
        let wall = (wall - began).to_std().unwrap();
        assert!(early <= wall && wall <= late, "{early:?} {wall:?} {late:?}");
    }

    #[test]
    fn clocks_of_one_anchor_agree_whenever_they_were_made() {
        let anchor = SystemClock::new().now() - TimeDelta::seconds(60);
        let early = ScaledClock::anchored(anchor, 1000);
        std::thread::sleep(Duration::from_millis(30));
        let late = ScaledClock::anchored(anchor, 1000);
        let (one, other) = (early.now(), late.now());
        // A thousand times the time between two readings on a busy machine.
        assert!(
            (one - other).abs() < TimeDelta::seconds(20),
            "{one} {other}"
        );
        assert!(one - anchor >= TimeDelta::seconds(60_000), "{one}");
    }

    #[test]
    fn a_wait_by_a_fast_clock_is_shorter_and_never_none() {
        let clock = ScaledClock::at(DateTime::from_timestamp(1_790_000_000, 0).unwrap(), 1000);
        assert_eq!(
            clock.machine(Duration::from_secs(36_000)),
            Duration::from_secs(36)
        );
        assert_eq!(
            clock.machine(Duration::from_secs(15)),
            Duration::from_secs(3)
        );
        assert_eq!(
            clock.machine(Duration::from_millis(100)),
            Duration::from_millis(100)
        );
    }

    #[test]
    fn clock_ahead_is_ahead_by_its_offset() {
        let by = TimeDelta::days(200);
        let (before, clock, after) = (
            SystemClock::new().now(),
            ScaledClock::ahead(by, 1),
            SystemClock::new().now(),
        );
        let began = clock.began - by;
        assert!(before <= began && began <= after);
    }
}
