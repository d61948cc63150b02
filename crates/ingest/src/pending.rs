//! A batch of one product between its segments and its commit, and the wait of a product whose last
//! step failed.
//!
//! A product that waits is skipped by its lane, which continues with the others. Its partitions are
//! not read meanwhile.

use std::time::Duration;

use tokio::task::JoinHandle;

use crate::dead_letters::{DeadLetter, DeliveryOutcome};
use ebbtide_base::backoff::Backoff;
use ebbtide_table::IngestCommit;

/// A batch whose segments are written.
pub struct PendingCommit {
    /// The content of the commit.
    pub batch: IngestCommit,
    /// The dead letters that must be delivered before the commit.
    pub letters: Vec<DeadLetter>,
    /// Their delivery, while it runs.
    pub delivery: Option<JoinHandle<DeliveryOutcome>>,
    /// Bytes of the values that were read.
    pub bytes: u64,
    /// Values of phone columns that are not numbers.
    pub unparsed: u64,
    /// The start of the batch, on the monotonic clock.
    pub since: Duration,
    /// True if an attempt to commit may have succeeded: its files must not be deleted then.
    pub may_have_landed: bool,
}

/// The wait of one product.
#[derive(Debug, Default)]
pub struct ProductWait {
    backoff: Backoff,
    until: Option<Duration>,
    /// Failed steps since the last successful commit.
    pub failures: u32,
    /// True while the product's partitions are not fetched.
    pub paused: bool,
}

impl ProductWait {
    /// Begins a wait at `now`, on the monotonic clock. Each is longer than the one before, until a
    /// commit succeeds.
    pub fn fail(&mut self, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + self.backoff.next_delay());
    }

    /// Ends all waiting after a successful commit.
    pub fn land(&mut self) {
        *self = Self {
            paused: self.paused,
            ..Self::default()
        };
    }

    /// Returns true if the wait continues at `now`. Ends it otherwise.
    pub fn waits(&mut self, now: Duration) -> bool {
        self.until = self.until.filter(|until| *until > now);
        self.until.is_some()
    }

    /// Returns true if a wait has begun and has not ended.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_over_failures_until_a_commit_lands() {
        let (mut hold, mut now) = (ProductWait::default(), Duration::ZERO);
        let mut lengths = Vec::new();
        for _ in 0..10 {
            hold.fail(now);
            let until = hold.until.unwrap();
            lengths.push(until - now);
            assert!(hold.waits(now) && hold.is_waiting());
            now = until;
            assert!(!hold.waits(now) && !hold.is_waiting());
        }
        assert!(lengths[0] < Duration::from_millis(250), "{lengths:?}");
        assert!(lengths[9] > Duration::from_secs(7), "{lengths:?}");
        assert_eq!(hold.failures, 10);
        hold.land();
        hold.fail(now);
        assert!(hold.until.unwrap() - now < Duration::from_millis(250));
        assert_eq!(hold.failures, 1);
    }
}
