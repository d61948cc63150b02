//! The delay before the next attempt of something that failed: doubled each time, up to a bound.
//! Time is never read here: callers add the delay to their own clock.

use std::time::Duration;

/// Delays that double from one attempt to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Default for Backoff {
    /// Returns the backoff of most retries: about 200 ms at first, at most 15 s.
    fn default() -> Self {
        Self::new(Duration::from_millis(200), Duration::from_secs(15))
    }
}

impl Backoff {
    /// Creates a backoff whose first delay is at most `first`, and whose delays are at most
    /// `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            failures: 0,
        }
    }

    /// Records a failure. Returns the delay with jitter: between half and all of the doubled delay,
    /// so that many waiters do not return at the same time.
    pub fn next_delay(&mut self) -> Duration {
        self.next_limit().mul_f64(rand::random_range(0.5..1.0))
    }

    /// Records a failure. Returns the delay without jitter.
    pub fn next_limit(&mut self) -> Duration {
        let limit = doubled(self.first, self.longest, self.failures);
        self.failures = self.failures.saturating_add(1);
        limit
    }

    /// Returns the number of failures since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Forgets all failures after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Returns `first`, doubled `times` times, or `longest` if that is less.
#[must_use]
pub fn doubled(first: Duration, longest: Duration, times: u32) -> Duration {
    first
        .saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX))
        .min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(15);

    #[test]
    fn delays_double_up_to_a_bound_and_never_vanish() {
        let mut backoff = Backoff::default();
        let delays: Vec<Duration> = (0..40).map(|_| backoff.next_delay()).collect();
        assert!(
            delays
                .iter()
                .all(|delay| *delay >= FIRST / 2 && *delay <= LONGEST)
        );
        assert!(delays[0] < FIRST);
        assert!(delays[39] >= LONGEST / 2);
        assert_eq!(backoff.failures(), 40);
    }

    #[test]
    fn jittered_delay_is_between_half_and_all_of_the_limit() {
        let (mut limits, mut delays) = (Backoff::default(), Backoff::default());
        for _ in 0..20 {
            let (limit, delay) = (limits.next_limit(), delays.next_delay());
            assert!(
                delay >= limit / 2 && delay <= limit,
                "{delay:?} of {limit:?}"
            );
        }
    }

    #[test]
    fn limits_double_exactly_and_begin_again_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let seconds: Vec<u64> = (0..5).map(|_| backoff.next_limit().as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 5, 5]);
        backoff.reset();
        assert_eq!(backoff.next_limit().as_secs(), 1);
    }

    #[test]
    fn any_number_of_failures_stays_within_the_bound() {
        for times in [31, 32, 33, u32::MAX] {
            assert_eq!(doubled(FIRST, LONGEST, times), LONGEST);
        }
        assert_eq!(doubled(Duration::ZERO, LONGEST, u32::MAX), Duration::ZERO);
    }
}
