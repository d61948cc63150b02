//! Schema ids that the registry does not know: how long records wait for one, and when it is requested again.
//!
//! The servers of one registry receive a new schema at different times, so the first "unknown" may be wrong. An id is
//! requested again with backoff until the configured wait is over. Then it is unknown, and is requested again every few
//! seconds while records name it. Garbage can name any number of ids: only a limited number is waited for at a time,
//! and after a few waits without success no new id is waited for until some minutes have passed. Takes the time
//! (monotonic) as an argument.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use rand::Rng;

/// The first pause between two requests for one id.
const LEAST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause while records wait.
const MOST_PAUSE: Duration = Duration::from_secs(2);
/// The pause between two requests for an id that was given up.
pub const ASK_AGAIN: Duration = Duration::from_secs(3);
/// The maximum number of ids that are waited for at a time.
pub const MOST_WAITING: usize = 64;
/// The maximum number of ids that are remembered.
pub const MOST_IDS: usize = 10_000;
/// The number of waits without success within [`MEMORY`] after which no other id is waited for.
const MOST_WAITS_IN_VAIN: usize = 4;
/// The time for which an id that was given up, and a wait without success, are remembered.
const MEMORY: Duration = Duration::from_secs(600);

/// The treatment of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Ask the registry.
    Ask,
    /// Make its records wait, and ask after that time.
    Wait(Duration),
    /// Give up on its records.
    Unknown,
}

/// The ids that the registry does not know.
#[derive(Debug)]
pub struct UnknownIds {
    /// The longest time that records wait for an id.
    wait: Duration,
    ids: HashMap<u32, Unknown>,
    /// The times of waits without success. Waits that end together count once.
    in_vain: VecDeque<Duration>,
}

#[derive(Debug)]
struct Unknown {
    first: Duration,
    next: Duration,
    pause: Duration,
    given_up: bool,
}

impl UnknownIds {
    /// Creates an empty memory; records wait for `wait` at most.
    pub fn new(wait: Duration) -> Self {
        Self { wait, ids: HashMap::new(), in_vain: VecDeque::new() }
    }

    /// Returns the treatment of `id` at `now`, before the registry is asked.
    pub fn before(&self, id: u32, now: Duration) -> Verdict {
        match self.ids.get(&id) {
            Some(unknown) if now < unknown.next && unknown.given_up => Verdict::Unknown,
            Some(unknown) if now < unknown.next => Verdict::Wait(unknown.next - now),
            _ => Verdict::Ask,
        }
    }

    /// Returns true if records wait for `id`.
    pub fn is_waited_for(&self, id: u32) -> bool {
        self.ids.get(&id).is_some_and(|unknown| !unknown.given_up)
    }

    /// Returns true if `id` was given up.
    pub fn is_given_up(&self, id: u32) -> bool {
        self.ids.get(&id).is_some_and(|unknown| unknown.given_up)
    }

    /// Records that the registry did not know `id` at `now`, and returns the treatment of `id`.
    pub fn not_found(&mut self, id: u32, now: Duration) -> Verdict {
        self.make_room(now);
        let waits = self.waits_for_new(now);
        let unknown =
            self.ids.entry(id).or_insert(Unknown { first: now, next: now, pause: LEAST_PAUSE, given_up: !waits });
        let until = unknown.first + self.wait;
        if unknown.given_up || now >= until {
            let in_vain = !unknown.given_up && !self.wait.is_zero();
            unknown.given_up = true;
            unknown.next = now + ASK_AGAIN;
            if in_vain && self.in_vain.back().is_none_or(|last| now.saturating_sub(*last) > self.wait / 2) {
                self.in_vain.push_back(now);
            }
            return Verdict::Unknown;
        }
        // Between half and all of the pause, so that many instances do not ask in step; the last request is at the end
        // of the wait.
        let pause = unknown.pause.mul_f64(rand::rng().random_range(0.5..=1.0));
        unknown.pause = (unknown.pause * 2).min(MOST_PAUSE);
        unknown.next = (now + pause).min(until);
        Verdict::Wait(unknown.next - now)
    }

    /// Forgets an id: the registry knows it.
    pub fn found(&mut self, id: u32) {
        self.ids.remove(&id);
    }

    fn waits_for_new(&mut self, now: Duration) -> bool {
        while self.in_vain.front().is_some_and(|at| now.saturating_sub(*at) > MEMORY) {
            self.in_vain.pop_front();
        }
        let waiting = self.ids.values().filter(|unknown| !unknown.given_up).count();
        self.in_vain.len() < MOST_WAITS_IN_VAIN && waiting < MOST_WAITING
    }

    fn make_room(&mut self, now: Duration) {
        if self.ids.len() >= MOST_IDS {
            self.ids.retain(|_, unknown| now.saturating_sub(unknown.next) < MEMORY);
        }
        if self.ids.len() >= MOST_IDS {
            self.ids.retain(|_, unknown| !unknown.given_up);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(30);
    const START: Duration = Duration::from_secs(1000);

    /// Asks for an id whenever it may be asked for, from `now` on, until it is given up. Returns the time at which it
    /// was given up, and the number of requests.
    fn give_up(ids: &mut UnknownIds, id: u32, mut now: Duration) -> (Duration, u32) {
        for asked in 1.. {
            match ids.not_found(id, now) {
                Verdict::Wait(pause) => {
                    assert!(pause <= MOST_PAUSE && ids.before(id, now) == Verdict::Wait(pause));
                    now += pause;
                    assert_eq!(ids.before(id, now), Verdict::Ask);
                }
                verdict => {
                    assert_eq!(verdict, Verdict::Unknown);
                    return (now, asked);
                }
            }
        }
        unreachable!()
    }

    #[test]
    fn an_id_is_asked_for_again_until_its_wait_is_over() {
        let mut ids = UnknownIds::new(WAIT);
        let (end, asked) = give_up(&mut ids, 7, START);
        assert_eq!(end, START + WAIT);
        assert!((15..40).contains(&asked), "{asked}");
        // After that it costs no wait any more, and is requested every few seconds.
        assert_eq!(ids.before(7, end), Verdict::Unknown);
        assert_eq!(ids.before(7, end + ASK_AGAIN), Verdict::Ask);
        assert_eq!(ids.not_found(7, end + ASK_AGAIN), Verdict::Unknown);
        ids.found(7);
        assert_eq!(ids.before(7, end), Verdict::Ask);
    }

    #[test]
    fn ids_wait_beside_one_another() {
        let mut ids = UnknownIds::new(WAIT);
        for id in 0..10 {
            assert!(matches!(ids.not_found(id, START), Verdict::Wait(_)), "{id}");
        }
        for id in 0..10 {
            assert_eq!(ids.not_found(id, START + WAIT), Verdict::Unknown);
        }
        assert!(matches!(ids.not_found(10, START + WAIT), Verdict::Wait(_)), "waits that end together count once");
    }

    #[test]
    fn without_a_wait_the_first_word_counts() {
        let mut ids = UnknownIds::new(Duration::ZERO);
        for id in 0..20 {
            assert_eq!(ids.not_found(id, START), Verdict::Unknown);
        }
    }

    #[test]
    fn after_some_waits_in_vain_new_ids_cost_no_wait_for_a_while() {
        let mut ids = UnknownIds::new(WAIT);
        let mut now = START;
        for id in 0..4 {
            (now, _) = give_up(&mut ids, id, now);
        }
        assert_eq!(now, START + WAIT * 4);
        assert_eq!(ids.not_found(50, now), Verdict::Unknown);
        assert!(matches!(ids.not_found(51, now + MEMORY), Verdict::Wait(_)));
    }

    #[test]
    fn a_flood_of_ids_is_bounded_in_waits_and_in_memory() {
        let mut ids = UnknownIds::new(WAIT);
        let waits = (0..25_000).filter(|id| matches!(ids.not_found(*id, START), Verdict::Wait(_))).count();
        assert_eq!(waits, MOST_WAITING);
        assert!(ids.ids.len() <= MOST_IDS);
        // The ids that wait are not forgotten because of it.
        assert!(matches!(ids.before(0, START), Verdict::Wait(_)));
        for id in 25_000..50_000 {
            ids.not_found(id, START + MEMORY * 2);
            assert!(ids.ids.len() <= MOST_IDS);
        }
    }
}
