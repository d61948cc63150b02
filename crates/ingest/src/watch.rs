//! The health of a lane: its failures, and refusals of its consumer. Sets readiness and the number
//! of failing lanes.
//!
//! A failing lane is reported until it has run for a while without a failure, so that a lane that
//! fails repeatedly is never reported as working in between.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ebbtide_base::backoff::{Backoff, doubled};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::health::{Component, Health};
use ebbtide_base::metrics::Metrics;

/// The time that a lane must run without failing before its first failure is over.
const FIRST: Duration = Duration::from_secs(5);
/// The time that it must run before any number of failures is over.
const LONGEST: Duration = Duration::from_secs(60);

/// The watch over one lane, or over the reader of notices.
pub struct LaneWatch {
    part: Component,
    clock: SharedClock,
    health: Arc<Health>,
    metrics: Metrics,
    state: Mutex<WatchState>,
}

#[derive(Default)]
struct WatchState {
    backoff: Backoff,
    /// Failures in a row.
    failures: u32,
    /// The last start, on the monotonic clock.
    began: Duration,
    /// True if the group or the brokers refuse its consumer.
    is_refused: bool,
    /// True if it is reported as failing.
    is_failing: bool,
}

impl LaneWatch {
    /// Creates the watch of `part`, which has not failed.
    #[must_use]
    pub fn new(part: Component, clock: SharedClock, health: Arc<Health>, metrics: Metrics) -> Self {
        Self {
            part,
            clock,
            health,
            metrics,
            state: Mutex::default(),
        }
    }

    /// Records that the lane begins to run.
    pub fn begin(&self) {
        let mut state = self.state();
        state.began = self.clock.monotonic();
        state.is_refused = false;
    }

    /// Records that the lane failed. Returns the wait before it runs again.
    pub fn fail(&self, why: &str) -> Duration {
        let mut state = self.state();
        if self.clock.monotonic().saturating_sub(state.began) > LONGEST {
            (state.failures, state.backoff) = (0, Backoff::default());
        }
        state.failures = state.failures.saturating_add(1);
        let reason = match state.failures {
            1 => why.to_owned(),
            failures => format!("{why} (failed {failures} times in a row)"),
        };
        self.report(&mut state, reason);
        state.backoff.next_delay()
    }

    /// Records that the lane's consumer is refused, until [`LaneWatch::join`].
    pub fn refuse(&self, why: &str) {
        let mut state = self.state();
        state.is_refused = true;
        self.report(&mut state, why.to_owned());
    }

    /// Records that the group gave the lane its share of the partitions, even if it is empty.
    pub fn join(&self) {
        self.state().is_refused = false;
    }

    /// Records that the lane runs. Its failures are over once it has run for long enough.
    pub fn run(&self) {
        let mut state = self.state();
        let ran = self.clock.monotonic().saturating_sub(state.began);
        if state.is_failing && !state.is_refused && ran >= steady_after(state.failures) {
            state.is_failing = false;
            self.metrics.lanes_failing.dec();
            self.health.over(&self.part);
            tracing::info!(part = self.part.name(), "works again");
        }
    }

    fn report(&self, state: &mut WatchState, reason: String) {
        if !std::mem::replace(&mut state.is_failing, true) {
            self.metrics.lanes_failing.inc();
        }
        self.health.trouble(self.part.clone(), reason);
    }

    fn state(&self) -> MutexGuard<'_, WatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns how long a lane must run before it counts as working after `failures` in a row.
fn steady_after(failures: u32) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else {
        return Duration::ZERO;
    };
    doubled(FIRST, LONGEST, doublings)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use ebbtide_base::clock::ManualClock;

    struct Stage {
        clock: Arc<ManualClock>,
        watch: LaneWatch,
    }

    impl Stage {
        fn new() -> Self {
            let clock = Arc::new(ManualClock::at(DateTime::UNIX_EPOCH));
            let health = Arc::new(Health::starting(clock.clone()));
            health.over(&Component::Process);
            let watch = LaneWatch::new(
                Component::Lane(0),
                clock.clone(),
                health,
                Metrics::new().unwrap(),
            );
            Self { clock, watch }
        }

        fn run_for(&self, seconds: u64) {
            self.clock.advance(Duration::from_secs(seconds));
            self.watch.run();
        }

        /// Returns readiness and the number of failing lanes.
        fn seen(&self) -> (bool, i64) {
            (
                self.watch.health.readiness().ready,
                self.watch.metrics.lanes_failing.get(),
            )
        }
    }

    #[test]
    fn failing_lane_is_reported_until_it_has_run_for_a_while() {
        let stage = Stage::new();
        stage.watch.begin();
        stage.run_for(1);
        assert_eq!(stage.seen(), (true, 0));
        stage.watch.fail("no consumer");
        assert_eq!(stage.seen(), (false, 1));
        stage.watch.begin();
        stage.run_for(4);
        assert_eq!(stage.seen(), (false, 1));
        stage.run_for(2);
        assert_eq!(stage.seen(), (true, 0));
    }

    #[test]
    fn lane_that_fails_again_and_again_is_never_reported_as_working() {
        let stage = Stage::new();
        for failures in 1..=6 {
            stage.watch.begin();
            stage.run_for(4);
            assert_eq!(stage.seen(), (failures == 1, i64::from(failures != 1)));
            stage.watch.fail("commit refused");
        }
        let reason = stage.watch.health.readiness().troubles[0].reason.clone();
        assert!(
            reason.contains("commit refused") && reason.contains("6 times"),
            "{reason}"
        );
        stage.watch.begin();
        stage.run_for(59);
        assert_eq!(stage.seen(), (false, 1));
        stage.run_for(2);
        assert_eq!(stage.seen(), (true, 0));
    }

    #[test]
    fn refused_consumer_is_reported_until_the_group_takes_it() {
        let stage = Stage::new();
        stage.watch.begin();
        stage.watch.refuse("group authorization failed");
        stage.run_for(600);
        assert_eq!(stage.seen(), (false, 1));
        stage.watch.join();
        stage.run_for(1);
        assert_eq!(stage.seen(), (true, 0));
    }

    #[test]
    fn delays_start_small_again_after_a_long_run() {
        let stage = Stage::new();
        stage.watch.begin();
        for _ in 0..12 {
            stage.watch.fail("x");
        }
        assert!(stage.watch.fail("x") > Duration::from_secs(5));
        stage.watch.begin();
        stage.run_for(61);
        assert!(stage.watch.fail("x") < Duration::from_secs(1));
    }

    #[test]
    fn time_to_count_as_working_doubles_up_to_a_minute() {
        let seconds: Vec<u64> = (0..7)
            .map(|failures| steady_after(failures).as_secs())
            .collect();
        assert_eq!(seconds, [0, 5, 10, 20, 40, 60, 60]);
        assert_eq!(steady_after(u32::MAX), LONGEST);
    }
}
