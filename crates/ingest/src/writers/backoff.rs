//! The wait before a registry that did not answer is requested again: doubled each time, with
//! jitter, up to a bound.
//!
//! Takes the time as an argument. One success forgets all failures.

use std::time::Duration;

use rand::Rng;

use super::registry::RegistryFailure;

/// The wait after the first failure.
pub const LEAST: Duration = Duration::from_millis(250);
/// The longest wait.
pub const MOST: Duration = Duration::from_secs(30);

/// Returns the longest wait after `failures` earlier failures: twice as long each time, up to
/// [`MOST`].
pub fn doubled(failures: u32) -> Duration {
    LEAST.saturating_mul(1 << failures.min(16)).min(MOST)
}

/// The state of one registry.
#[derive(Debug, Default)]
pub struct RegistryBackoff {
    failures: u32,
    closed: Option<(RegistryFailure, Duration)>,
}

impl RegistryBackoff {
    /// Returns the reason why the registry may not be requested at `now` (monotonic), and the
    /// remaining time. Returns `None` if it may be requested.
    pub fn closed(&self, now: Duration) -> Option<(RegistryFailure, Duration)> {
        let (why, until) = self.closed.as_ref()?;
        (now < *until).then(|| (why.clone(), *until - now))
    }

    /// Records a failure at `now` and the wait that the registry itself `wanted`. Returns the wait.
    pub fn failed(
        &mut self,
        why: RegistryFailure,
        wanted: Option<Duration>,
        now: Duration,
    ) -> Duration {
        let doubled = doubled(self.failures);
        self.failures = self.failures.saturating_add(1);
        // Between half and all of it, so that many instances do not return in step.
        let wait = doubled
            .mul_f64(rand::rng().random_range(0.5..=1.0))
            .max(wanted.unwrap_or_default().min(MOST));
        self.closed = Some((why, now + wait));
        wait
    }

    /// Records that the registry answered.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_waits_longer_up_to_a_bound_and_never_in_step() {
        let mut backoff = RegistryBackoff::default();
        let now = Duration::from_secs(100);
        assert_eq!(backoff.closed(now), None);
        let mut doubled = LEAST;
        for _ in 0..40 {
            let wait = backoff.failed(RegistryFailure::TimedOut, None, now);
            assert!(
                wait >= doubled / 2 && wait <= doubled,
                "{wait:?} of {doubled:?}"
            );
            assert_eq!(backoff.closed(now), Some((RegistryFailure::TimedOut, wait)));
            assert_eq!(backoff.closed(now + wait), None);
            doubled = (doubled * 2).min(MOST);
        }
        backoff.succeeded();
        assert_eq!(backoff.closed(now), None);
        assert!(backoff.failed(RegistryFailure::TimedOut, None, now) <= LEAST);
    }

    #[test]
    fn what_the_registry_wants_is_heeded_within_the_bound() {
        let mut backoff = RegistryBackoff::default();
        let wanted = Some(Duration::from_secs(5));
        assert_eq!(
            backoff.failed(RegistryFailure::Status(429), wanted, Duration::ZERO),
            Duration::from_secs(5)
        );
        let absurd = Some(Duration::from_secs(86_400));
        assert_eq!(
            backoff.failed(RegistryFailure::Status(503), absurd, Duration::ZERO),
            MOST
        );
    }
}
