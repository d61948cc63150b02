//! Schema ids of one product that the registry does not know: how long records wait for one, and
//! when it is requested again.
//!
//! The servers of one registry receive a new schema at different times, so the first "unknown" may
//! be wrong. An id is requested again with backoff until the configured wait is over. Then it is
//! unknown, and is requested again every few seconds while records name it. Garbage can name any
//! number of ids: only a limited number is waited for at a time, and after a few waits without
//! success no new id is waited for until some minutes have passed. Each product has its own bounds,
//! so that garbage in one product costs no record of another. Takes the time (monotonic) as an
//! argument.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ebbtide_base::backoff::Backoff;

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

/// The least time between two reports in the log.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// The treatment of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownIdAction {
    /// Ask the registry.
    Ask,
    /// Make its records wait, and ask after that time.
    Wait(Duration),
    /// Give up on its records.
    Unknown,
}

/// Ids to report in the log: their number, and the reason of the first one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnreportedIds {
    /// The number of ids.
    pub ids: u64,
    /// The first id, with the version that it refers to if that is missing.
    pub first: Option<Arc<str>>,
}

/// Changes since the last report in the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnknownReport {
    /// Ids whose records wait.
    pub waiting: UnreportedIds,
    /// Ids whose records are given up.
    pub given_up: UnreportedIds,
}

/// The ids that the registry does not know.
#[derive(Debug)]
pub struct UnknownIds {
    /// The longest time that records wait for an id.
    wait: Duration,
    ids: HashMap<u32, Unknown>,
    /// The times of waits without success. Waits that end together count once.
    in_vain: VecDeque<Duration>,
    report: UnknownReport,
    reported: Option<Duration>,
}

#[derive(Debug)]
struct Unknown {
    first: Duration,
    next: Duration,
    backoff: Backoff,
    given_up: bool,
    /// The missing part, in words.
    reason: Arc<str>,
}

impl UnreportedIds {
    fn add(&mut self, reason: &Arc<str>) {
        self.ids += 1;
        self.first.get_or_insert_with(|| Arc::clone(reason));
    }
}

impl UnknownIds {
    /// Creates an empty memory; records wait for `wait` at most.
    pub fn new(wait: Duration) -> Self {
        Self {
            wait,
            ids: HashMap::new(),
            in_vain: VecDeque::new(),
            report: UnknownReport::default(),
            reported: None,
        }
    }

    /// Returns the treatment of `id` at `now`, before the registry is asked.
    pub fn before(&self, id: u32, now: Duration) -> UnknownIdAction {
        match self.ids.get(&id) {
            Some(unknown) if now < unknown.next && unknown.given_up => UnknownIdAction::Unknown,
            Some(unknown) if now < unknown.next => UnknownIdAction::Wait(unknown.next - now),
            _ => UnknownIdAction::Ask,
        }
    }

    /// Returns the missing part of an id that is remembered, in words.
    pub fn reason(&self, id: u32) -> Option<Arc<str>> {
        self.ids.get(&id).map(|unknown| Arc::clone(&unknown.reason))
    }

    /// Takes the changes that are to be reported in the log at `now`: none if the last report was a
    /// moment ago.
    pub fn take_report(&mut self, now: Duration) -> UnknownReport {
        let too_soon = self
            .reported
            .is_some_and(|last| now.saturating_sub(last) < REPORT_EVERY);
        if too_soon || self.report == UnknownReport::default() {
            return UnknownReport::default();
        }
        self.reported = Some(now);
        std::mem::take(&mut self.report)
    }

    /// Records that the registry did not know `id` at `now`, or not all schemas that it refers to.
    /// Returns the treatment of `id`. `reason` describes the missing part.
    pub fn not_found(&mut self, id: u32, reason: Arc<str>, now: Duration) -> UnknownIdAction {
        self.make_room(now);
        let (is_new, waits) = (!self.ids.contains_key(&id), self.waits_for_new(now));
        let new = Unknown {
            first: now,
            next: now,
            backoff: Backoff::new(LEAST_PAUSE, MOST_PAUSE),
            given_up: !waits,
            reason: Arc::clone(&reason),
        };
        let unknown = self.ids.entry(id).or_insert(new);
        unknown.reason = reason;
        let until = unknown.first + self.wait;
        if unknown.given_up || now >= until {
            let in_vain = !unknown.given_up && !self.wait.is_zero();
            if is_new || !unknown.given_up {
                self.report.given_up.add(&unknown.reason);
            }
            unknown.given_up = true;
            unknown.next = now + ASK_AGAIN;
            if in_vain
                && self
                    .in_vain
                    .back()
                    .is_none_or(|last| now.saturating_sub(*last) > self.wait / 2)
            {
                self.in_vain.push_back(now);
            }
            return UnknownIdAction::Unknown;
        }
        if is_new {
            self.report.waiting.add(&unknown.reason);
        }
        // The last request is at the end of the wait.
        unknown.next = (now + unknown.backoff.next_delay()).min(until);
        UnknownIdAction::Wait(unknown.next - now)
    }

    /// Forgets an id: the registry knows it.
    pub fn found(&mut self, id: u32) {
        self.ids.remove(&id);
    }

    fn waits_for_new(&mut self, now: Duration) -> bool {
        while self
            .in_vain
            .front()
            .is_some_and(|at| now.saturating_sub(*at) > MEMORY)
        {
            self.in_vain.pop_front();
        }
        let waiting = self
            .ids
            .values()
            .filter(|unknown| !unknown.given_up)
            .count();
        self.in_vain.len() < MOST_WAITS_IN_VAIN && waiting < MOST_WAITING
    }

    fn make_room(&mut self, now: Duration) {
        if self.ids.len() >= MOST_IDS {
            self.ids
                .retain(|_, unknown| now.saturating_sub(unknown.next) < MEMORY);
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

    fn not_found(ids: &mut UnknownIds, id: u32, now: Duration) -> UnknownIdAction {
        ids.not_found(id, format!("id {id}").into(), now)
    }

    /// Asks for an id whenever it may be asked for, from `now` on, until it is given up. Returns
    /// the time at which it was given up, and the number of requests.
    fn give_up(ids: &mut UnknownIds, id: u32, mut now: Duration) -> (Duration, u32) {
        for asked in 1.. {
            match not_found(ids, id, now) {
                UnknownIdAction::Wait(pause) => {
                    assert!(
                        pause <= MOST_PAUSE && ids.before(id, now) == UnknownIdAction::Wait(pause)
                    );
                    now += pause;
                    assert_eq!(ids.before(id, now), UnknownIdAction::Ask);
                }
                verdict => {
                    assert_eq!(verdict, UnknownIdAction::Unknown);
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
        assert_eq!(ids.before(7, end), UnknownIdAction::Unknown);
        assert_eq!(ids.before(7, end + ASK_AGAIN), UnknownIdAction::Ask);
        assert_eq!(
            not_found(&mut ids, 7, end + ASK_AGAIN),
            UnknownIdAction::Unknown
        );
        ids.found(7);
        assert_eq!(ids.before(7, end), UnknownIdAction::Ask);
    }

    #[test]
    fn ids_wait_beside_one_another() {
        let mut ids = UnknownIds::new(WAIT);
        for id in 0..10 {
            assert!(
                matches!(not_found(&mut ids, id, START), UnknownIdAction::Wait(_)),
                "{id}"
            );
        }
        for id in 0..10 {
            assert_eq!(
                not_found(&mut ids, id, START + WAIT),
                UnknownIdAction::Unknown
            );
        }
        assert!(
            matches!(
                not_found(&mut ids, 10, START + WAIT),
                UnknownIdAction::Wait(_)
            ),
            "waits that end together count once"
        );
    }

    #[test]
    fn without_a_wait_the_first_word_counts() {
        let mut ids = UnknownIds::new(Duration::ZERO);
        for id in 0..20 {
            assert_eq!(not_found(&mut ids, id, START), UnknownIdAction::Unknown);
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
        assert_eq!(not_found(&mut ids, 50, now), UnknownIdAction::Unknown);
        assert!(matches!(
            not_found(&mut ids, 51, now + MEMORY),
            UnknownIdAction::Wait(_)
        ));
    }

    #[test]
    fn a_flood_of_ids_is_bounded_in_waits_and_in_memory() {
        let mut ids = UnknownIds::new(WAIT);
        let waits = (0..25_000)
            .filter(|id| matches!(not_found(&mut ids, *id, START), UnknownIdAction::Wait(_)))
            .count();
        assert_eq!(waits, MOST_WAITING);
        assert!(ids.ids.len() <= MOST_IDS);
        // The ids that wait are not forgotten because of it.
        assert!(matches!(ids.before(0, START), UnknownIdAction::Wait(_)));
        for id in 25_000..50_000 {
            not_found(&mut ids, id, START + MEMORY * 2);
            assert!(ids.ids.len() <= MOST_IDS);
        }
    }

    #[test]
    fn many_unknown_ids_are_one_report() {
        let mut ids = UnknownIds::new(WAIT);
        for id in 0..5_000 {
            not_found(&mut ids, id, START);
        }
        let report = ids.take_report(START);
        let of = |ids, first: &str| UnreportedIds {
            ids,
            first: Some(first.into()),
        };
        assert_eq!(
            (report.waiting, report.given_up),
            (of(64, "id 0"), of(4_936, "id 64"))
        );
        assert_eq!(
            ids.take_report(START + REPORT_EVERY),
            UnknownReport::default()
        );
        // An id that is given up after its wait is reported once more, and not each time that it is
        // requested.
        for id in 0..64 {
            assert_eq!(
                not_found(&mut ids, id, START + WAIT),
                UnknownIdAction::Unknown
            );
            assert_eq!(
                not_found(&mut ids, id, START + WAIT + ASK_AGAIN),
                UnknownIdAction::Unknown
            );
        }
        assert_eq!(ids.take_report(START + WAIT).given_up, of(64, "id 0"));
        not_found(&mut ids, 9_000, START + WAIT);
        assert_eq!(
            ids.take_report(START + WAIT),
            UnknownReport::default(),
            "a report was made a moment ago"
        );
        assert_eq!(
            ids.take_report(START + WAIT + REPORT_EVERY).waiting,
            of(1, "id 9000")
        );
    }
}
