//! The only reader of time. Everything else takes `now` as an argument or a [`Clock`] from `app`.
//!
//! Must never be bypassed: a lint and the architecture test refuse other readers.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

/// Where time comes from: the system, or a test's or demo's own time.
pub trait Clock: Send + Sync {
    /// The wall time.
    fn now(&self) -> DateTime<Utc>;
    /// Time since some fixed instant of this process, which never goes back.
    fn monotonic(&self) -> Duration;
    /// How long the machine runs while `time` passes here: what whoever waits by this clock is to sleep for.
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
    /// The machine's clock, whose monotonic time counts from now.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the one room that may read the clock")]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one room that may read the clock")]
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

/// A clock that begins at a time of its own and goes some whole number of times as fast as the machine's.
///
/// Wall and monotonic time go alike, so that whoever compares them finds no jump. The machine's wall clock is read once at
/// most: what happens to it later does not happen here.
#[derive(Debug)]
pub struct ScaledClock {
    began: DateTime<Utc>,
    speed: u32,
    started: Instant,
}

impl ScaledClock {
    /// A clock that says `began` now and goes `speed` times as fast.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the one room that may read the clock")]
    pub fn at(began: DateTime<Utc>, speed: u32) -> Self {
        Self { began, speed, started: Instant::now() }
    }

    /// A clock that is `by` ahead of the machine's now and goes `speed` times as fast.
    #[must_use]
    pub fn ahead(by: TimeDelta, speed: u32) -> Self {
        let now = SystemClock::new().now();
        Self::at(now.checked_add_signed(by).unwrap_or(DateTime::<Utc>::MAX_UTC), speed)
    }

    /// A clock that says `anchor` when the machine does and goes `speed` times as fast before and after: all processes of a
    /// machine that are told the same agree.
    #[must_use]
    pub fn anchored(anchor: DateTime<Utc>, speed: u32) -> Self {
        let passed = SystemClock::new().now() - anchor;
        let began = i32::try_from(speed).ok().and_then(|speed| passed.checked_mul(speed));
        Self::at(began.and_then(|began| anchor.checked_add_signed(began)).unwrap_or(DateTime::<Utc>::MAX_UTC), speed)
    }
}

/// No wait by a fast clock is shorter, unless a shorter one was asked for: what looks at tables a thousand times a second does
/// nothing else, and what lists all of their files every second not much.
const LEAST_WAIT: Duration = Duration::from_secs(3);

impl Clock for ScaledClock {
    fn now(&self) -> DateTime<Utc> {
        let since = TimeDelta::from_std(self.monotonic()).unwrap_or(TimeDelta::MAX);
        self.began.checked_add_signed(since).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed().saturating_mul(self.speed)
    }

    fn machine(&self, time: Duration) -> Duration {
        (time / self.speed.max(1)).max(time.min(LEAST_WAIT))
    }
}

/// A clock that stands until it is told to move: for tests.
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<(DateTime<Utc>, Duration)>,
}

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn at(now: DateTime<Utc>) -> Self {
        Self { state: Mutex::new((now, Duration::ZERO)) }
    }

    /// Moves wall and monotonic time on by `step`.
    pub fn advance(&self, step: Duration) {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.0 += TimeDelta::from_std(step).unwrap_or(TimeDelta::MAX);
        state.1 += step;
    }

    /// Sets the wall time alone, as an operator or a broken time server would.
    pub fn set_wall(&self, now: DateTime<Utc>) {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).0 = now;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).0
    }

    fn monotonic(&self) -> Duration {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaled_clock_begins_where_it_is_told_and_its_two_times_go_alike() {
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
        // A thousand times what two readings lie apart, on a machine that is busy.
        assert!((one - other).abs() < TimeDelta::seconds(20), "{one} {other}");
        assert!(one - anchor >= TimeDelta::seconds(60_000), "{one}");
    }

    #[test]
    fn a_wait_by_a_fast_clock_is_shorter_and_never_none() {
        let clock = ScaledClock::at(DateTime::from_timestamp(1_790_000_000, 0).unwrap(), 1000);
        assert_eq!(clock.machine(Duration::from_secs(36_000)), Duration::from_secs(36));
        assert_eq!(clock.machine(Duration::from_secs(15)), Duration::from_secs(3));
        assert_eq!(clock.machine(Duration::from_millis(100)), Duration::from_millis(100));
    }

    #[test]
    fn a_clock_ahead_is_ahead_by_what_it_is_told() {
        let by = TimeDelta::days(200);
        let (before, clock, after) = (SystemClock::new().now(), ScaledClock::ahead(by, 1), SystemClock::new().now());
        let began = clock.began - by;
        assert!(before <= began && began <= after);
    }
}
