//! The pause of a product whose last step failed.
//!
//! A paused product is skipped by its lane, which continues with the others. Its partitions are
//! not read meanwhile.

use std::time::Duration;

use ebbtide_base::backoff::Backoff;

/// The pause of one product.
#[derive(Debug, Default)]
pub struct ProductPause {
    /// Counts the failed steps since the last successful commit.
    backoff: Backoff,
    until: Option<Duration>,
    /// True while the product's partitions are not fetched.
    pub stops_fetching: bool,
}

impl ProductPause {
    /// Begins a pause at `now`, on the monotonic clock. Each is longer than the one before, until a
    /// commit succeeds.
    pub fn fail(&mut self, now: Duration) {
        self.until = Some(now + self.backoff.next_delay());
    }

    /// Ends the pause after a successful commit.
    pub fn reset(&mut self) {
        *self = Self {
            stops_fetching: self.stops_fetching,
            ..Self::default()
        };
    }

    /// Returns true if the pause continues at `now`. Ends it otherwise.
    pub fn continues(&mut self, now: Duration) -> bool {
        self.until = self.until.filter(|until| *until > now);
        self.until.is_some()
    }

    /// Returns true if a pause has begun and has not ended.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.until.is_some()
    }

    /// Returns the number of failed steps since the last successful commit.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.backoff.failures()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_over_failures_until_a_commit_lands() {
        let (mut pause, mut now) = (ProductPause::default(), Duration::ZERO);
        let mut lengths = Vec::new();
        for _ in 0..10 {
            pause.fail(now);
            let until = pause.until.unwrap();
            lengths.push(until - now);
            assert!(pause.continues(now) && pause.is_active());
            now = until;
            assert!(!pause.continues(now) && !pause.is_active());
        }
        assert!(lengths[0] < Duration::from_millis(250), "{lengths:?}");
        assert!(lengths[9] > Duration::from_secs(7), "{lengths:?}");
        assert_eq!(pause.failures(), 10);
        pause.reset();
        pause.fail(now);
        assert!(pause.until.unwrap() - now < Duration::from_millis(250));
        assert_eq!(pause.failures(), 1);
    }
}
