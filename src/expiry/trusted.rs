//! The clock of an instance under its guard: one for all that cannot be undone, so that a jump which one of them saw stops all.
//!
//! Promises that the verdict is told in the log once it turns, and always in the metrics.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::guard::{ClockGuard, Verdict};
use crate::clock::SharedClock;
use crate::metrics::Metrics;

/// A clock that whoever sweeps, unlinks or forgets asks before it does.
#[derive(Clone)]
pub struct TrustedClock {
    clock: SharedClock,
    metrics: Metrics,
    guard: Arc<Mutex<ClockGuard>>,
}

impl TrustedClock {
    /// A clock that has jumped where wall and running time part by more than `tolerance`, and is trusted again after `settle`
    /// without that.
    #[must_use]
    pub fn new(clock: SharedClock, metrics: Metrics, tolerance: Duration, settle: Duration) -> Self {
        metrics.clock_trusted.set(1);
        Self { clock, metrics, guard: Arc::new(Mutex::new(ClockGuard::new(tolerance, settle))) }
    }

    /// Whether it may be gone by, where the newest commit that the caller knows of was made then.
    pub fn look(&self, newest_commit: Option<DateTime<Utc>>) -> Verdict {
        let mut guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = guard.look(self.clock.now(), self.clock.monotonic(), newest_commit);
        let trusted = i64::from(verdict == Verdict::Trusted);
        if self.metrics.clock_trusted.get() != trusted && verdict != Verdict::Trusted {
            tracing::error!(
                clock = verdict.as_str(),
                "the clock is not trusted: nothing is swept, unlinked or forgotten"
            );
        }
        self.metrics.clock_trusted.set(trusted);
        verdict
    }
}
