//! Schema ids for which the registry gave no reliable answer, and that records still wait for.
//!
//! A registry may fail for one id alone. So each id has its own wait in addition to the wait of the
//! whole registry, and an id that failed again lets others be requested first. Takes the time
//! (monotonic) as an argument.

use std::collections::HashMap;
use std::time::Duration;

use super::registry::RegistryFailure;
use super::registry_pause::BACKOFF;
use ebbtide_base::backoff::Backoff;

/// The time by which an id that failed again is requested later than others.
const YIELD: Duration = Duration::from_secs(1);
/// The time after which an id that no record asks for any more is forgotten.
const ABANDONED: Duration = Duration::from_secs(30);
/// The maximum number of ids that are remembered.
const MOST_IDS: usize = 10_000;

/// The ids that failed.
#[derive(Debug, Default)]
pub struct FailedIds(HashMap<u32, FailedId>);

#[derive(Debug)]
struct FailedId {
    why: RegistryFailure,
    backoff: Backoff,
    until: Duration,
    /// The last time at which a record asked for it.
    asked: Duration,
}

impl FailedIds {
    /// Returns the time for which `id` is not requested at `now` and the reason, and records that
    /// it is asked for.
    pub fn closed(&mut self, id: u32, now: Duration) -> Option<(RegistryFailure, Duration)> {
        let failed = self.0.get_mut(&id)?;
        failed.asked = now;
        (now < failed.until).then(|| (failed.why.clone(), failed.until - now))
    }

    /// Records that the request for `id` failed at `now`, and returns its wait, given the wait of
    /// the whole `registry`.
    pub fn failed(
        &mut self,
        id: u32,
        why: RegistryFailure,
        registry: Duration,
        now: Duration,
    ) -> Duration {
        if self.0.len() >= MOST_IDS {
            self.0.clear();
        }
        let new = FailedId {
            why: why.clone(),
            backoff: BACKOFF,
            until: now,
            asked: now,
        };
        let failed = self.0.entry(id).or_insert(new);
        let is_first = failed.backoff.failures() == 0;
        let doubled = failed.backoff.next_limit();
        let wait = if is_first {
            registry
        } else {
            registry.max(doubled) + YIELD
        };
        (failed.why, failed.until, failed.asked) = (why, now + wait, now);
        wait
    }

    /// Forgets an id: its look-up has an outcome.
    pub fn forget(&mut self, id: u32) {
        self.0.remove(&id);
    }

    /// Forgets the ids that no record has asked for since their wait ended.
    pub fn forget_abandoned(&mut self, now: Duration) {
        self.0
            .retain(|_, failed| now < failed.until.max(failed.asked) + ABANDONED);
    }

    /// Returns true if no record waits because of a failure.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::producer_schemas::registry_pause::{LEAST, MOST};

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn id_that_fails_again_lets_others_be_requested_first() {
        let mut failed = FailedIds::default();
        assert_eq!(failed.closed(1, NOW), None);
        let fails = |failed: &mut FailedIds, id, wait, now| {
            failed.failed(id, RegistryFailure::Status(500), wait, now)
        };
        assert_eq!(fails(&mut failed, 1, LEAST, NOW), LEAST);
        let (mut now, mut longest) = (NOW + LEAST, Duration::ZERO);
        for _ in 0..20 {
            assert_eq!(failed.closed(1, now), None);
            let wait = fails(&mut failed, 1, LEAST, now);
            assert!(
                wait >= LEAST + YIELD && wait >= longest && wait <= MOST + YIELD,
                "{wait:?}"
            );
            let closed = Some((RegistryFailure::Status(500), wait));
            assert_eq!(
                (failed.closed(1, now), failed.closed(2, now)),
                (closed, None)
            );
            (now, longest) = (now + wait, wait);
        }
        assert_eq!(longest, MOST + YIELD);
        failed.forget(1);
        assert!(failed.is_empty() && failed.closed(1, now).is_none());
    }

    #[test]
    fn id_that_is_not_asked_for_any_more_is_forgotten() {
        let mut failed = FailedIds::default();
        failed.failed(1, RegistryFailure::TimedOut, MOST, NOW);
        failed.failed(2, RegistryFailure::TimedOut, LEAST, NOW);
        failed.forget_abandoned(NOW + ABANDONED + LEAST);
        assert!(!failed.is_empty(), "the wait of 1 is not over");
        assert_eq!(failed.closed(1, NOW + MOST + Duration::from_secs(20)), None);
        failed.forget_abandoned(NOW + MOST + ABANDONED);
        assert!(!failed.is_empty(), "1 was asked for a moment ago");
        failed.forget_abandoned(NOW + MOST + ABANDONED * 2);
        assert!(failed.is_empty());
    }
}
