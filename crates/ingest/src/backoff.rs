//! The delay before the next attempt: doubled each time, with jitter, up to a bound.

use std::time::Duration;

use rand::Rng;

/// The approximate first delay.
const FIRST: Duration = Duration::from_millis(200);
/// The longest delay.
const LONGEST: Duration = Duration::from_secs(15);

/// Delays that double from one attempt to the next.
#[derive(Debug, Default)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    /// Returns the next delay: between half and all of the doubled delay, so that many waiters do
    /// not return at the same time.
    pub fn next_delay(&mut self) -> Duration {
        let doubled = FIRST
            .saturating_mul(1_u32.checked_shl(self.tries).unwrap_or(u32::MAX))
            .min(LONGEST);
        self.tries = self.tries.saturating_add(1).min(16);
        doubled.mul_f64(rand::rng().random_range(0.5..1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
