//! Compares two terms: which gives the later deadlines.
//!
//! Invariant: a change that makes some deadline later is never called shorter, because it needs a
//! legal basis. The deadlines themselves are compared, day by day through four years; the length of
//! a month is never estimated.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::model::TermChange;
use crate::calendar::Calendar;
use crate::deadline::deadline;
use crate::model::{Boundary, RetentionPeriod, Trigger};
use crate::profile::RetentionTerm;

/// A window and the kind of limit that it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Window {
    keep: RetentionPeriod,
    boundary: Boundary,
}

impl Window {
    fn from_term(term: &RetentionTerm) -> Window {
        Window {
            keep: term.keep,
            boundary: term.boundary,
        }
    }
}

/// A comparison of windows that remembers its results.
pub(crate) struct WindowComparison {
    calendar: Calendar,
    /// For two windows: true if the second gives an earlier deadline for some bucket, and true if
    /// it gives a later one for some.
    known: HashMap<(Window, Window), (bool, bool)>,
}

impl WindowComparison {
    pub(super) fn new(calendar: Calendar) -> WindowComparison {
        WindowComparison {
            calendar,
            known: HashMap::new(),
        }
    }

    /// Returns the effect of a change of terms.
    pub(super) fn change(&mut self, before: &RetentionTerm, after: &RetentionTerm) -> TermChange {
        use Trigger::{ConsentWithdrawn, ContractEnd, Event};
        if same(before, after) {
            return TermChange::Same;
        }
        let (mut earlier, mut later) =
            self.compare(Window::from_term(before), Window::from_term(after));
        // A contract ends after its events, at an unknown time. Consent is withdrawn at any time,
        // or never.
        match (before.trigger, after.trigger) {
            (Event, Event) | (ContractEnd, ContractEnd) | (ConsentWithdrawn, ConsentWithdrawn) => {}
            (_, ContractEnd) | (ConsentWithdrawn, Event) => later = true,
            (ContractEnd, _) | (Event, ConsentWithdrawn) => earlier = true,
        }
        // A minimum counts from the arrival, and it is unknown how late a record arrived.
        match (before.boundary, after.boundary) {
            (Boundary::AtMost, Boundary::AtLeast) => later = true,
            (Boundary::AtLeast, Boundary::AtMost) => earlier = true,
            _ => {}
        }
        match (earlier, later) {
            (false, false) => TermChange::Reworded,
            (true, false) => TermChange::Shorter,
            (false, true) => TermChange::Longer,
            (true, true) => TermChange::Mixed,
        }
    }

    fn compare(&mut self, before: Window, after: Window) -> (bool, bool) {
        if let Some(order) = of_one_unit(before, after) {
            return (order.is_lt(), order.is_gt());
        }
        let calendar = self.calendar;
        *self.known.entry((before, after)).or_insert_with(|| {
            let (mut earlier, mut later) = (false, false);
            for bucket in calendar.four_years() {
                let due =
                    |window: Window| deadline(&calendar, bucket, 0, window.keep, window.boundary);
                let (old, new) = (due(before), due(after));
                earlier |= new < old;
                later |= new > old;
                if earlier && later {
                    break;
                }
            }
            (earlier, later)
        })
    }
}

/// Compares the second window with the first, if that needs no calendar: more days are more on
/// every calendar. `None` if their units or their kinds of limit differ.
fn of_one_unit(before: Window, after: Window) -> Option<Ordering> {
    let order = match (before.keep, after.keep) {
        (RetentionPeriod::Hours(before), RetentionPeriod::Hours(after))
        | (RetentionPeriod::Days(before), RetentionPeriod::Days(after))
        | (RetentionPeriod::Months(before), RetentionPeriod::Months(after)) => after.cmp(&before),
        _ => return None,
    };
    (before.boundary == after.boundary).then_some(order)
}

/// Returns true if two terms say the same of a category.
pub(super) fn same(one: &RetentionTerm, other: &RetentionTerm) -> bool {
    (one.keep, one.trigger, one.boundary) == (other.keep, other.trigger, other.boundary)
}
