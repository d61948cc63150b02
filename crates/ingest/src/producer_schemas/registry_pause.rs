//! The pause of a registry that did not answer: no request is sent to it until the pause is over.
//!
//! Takes the time as an argument. One success forgets all failures.

use std::time::Duration;

use super::registry::RegistryFailure;
use ebbtide_base::backoff::Backoff;

/// The wait after the first failure.
pub const LEAST: Duration = Duration::from_millis(250);
/// The longest wait.
pub const MOST: Duration = Duration::from_secs(30);

/// The backoff of requests to the registry.
pub const BACKOFF: Backoff = Backoff::new(LEAST, MOST);

/// The pause of one registry.
#[derive(Debug)]
pub struct RegistryPause {
    backoff: Backoff,
    closed: Option<(RegistryFailure, Duration)>,
}

impl Default for RegistryPause {
    fn default() -> Self {
        Self {
            backoff: BACKOFF,
            closed: None,
        }
    }
}

impl RegistryPause {
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
        let wait = self
            .backoff
            .next_delay()
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
        let mut pause = RegistryPause::default();
        let now = Duration::from_secs(100);
        assert_eq!(pause.closed(now), None);
        let mut doubled = LEAST;
        for _ in 0..40 {
            let wait = pause.failed(RegistryFailure::TimedOut, None, now);
            assert!(
                wait >= doubled / 2 && wait <= doubled,
                "{wait:?} of {doubled:?}"
            );
            assert_eq!(pause.closed(now), Some((RegistryFailure::TimedOut, wait)));
            assert_eq!(pause.closed(now + wait), None);
            doubled = (doubled * 2).min(MOST);
        }
        pause.succeeded();
        assert_eq!(pause.closed(now), None);
        assert!(pause.failed(RegistryFailure::TimedOut, None, now) <= LEAST);
    }

    #[test]
    fn the_registrys_retry_after_is_followed_within_the_bound() {
        let mut pause = RegistryPause::default();
        let wanted = Some(Duration::from_secs(5));
        assert_eq!(
            pause.failed(RegistryFailure::Status(429), wanted, Duration::ZERO),
            Duration::from_secs(5)
        );
        let absurd = Some(Duration::from_secs(86_400));
        assert_eq!(
            pause.failed(RegistryFailure::Status(503), absurd, Duration::ZERO),
            MOST
        );
    }
}
