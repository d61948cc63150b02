//! One sum of one cell, and whether it may be told.
//!
//! Promises to call a sum telling only if no subject can have more than half of it, records without a subject being
//! anybody's. What the summary leaves open is named, so that it can be weighed exactly.

use super::heavy::Heavy;
use super::numbers::{Addend, Number};

/// The sum so far.
#[derive(Debug, Default)]
pub(super) struct Sum {
    total: i128,
    /// The sum of absolute values.
    absolute: u128,
    /// What of `absolute` has no subject.
    unknown: u128,
    /// Whether there was a value at all.
    any: bool,
    /// It met what cannot be added, or grew beyond all columns.
    unfit: bool,
    heavy: Heavy,
}

/// What may be told of a sum.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// This, which is null where there was no value.
    Told(Option<i128>),
    /// Nothing: one subject may have more than half of it.
    Dominated,
    /// Nothing: it is not exact.
    Unfit,
    /// It depends on what these subjects weigh exactly.
    Open(Vec<u64>),
}

impl Sum {
    /// Adds a record's number.
    #[inline]
    pub(super) fn add(&mut self, addend: Addend, subject: Option<u64>) {
        let number = match addend {
            Addend::Nothing => return,
            Addend::Unfit => {
                self.unfit = true;
                return;
            }
            Addend::Of(number) => number,
        };
        let weight = number.unsigned_abs();
        if !self.room(weight) {
            return;
        }
        self.any = true;
        self.total += number;
        match subject {
            _ if weight == 0 => {}
            None => self.unknown += weight,
            Some(subject) => self.heavy.add(subject, weight),
        }
    }

    /// Takes a weight in if the sum then stays within 127 bits. That depends on no order, since weights only add up.
    #[inline]
    fn room(&mut self, weight: u128) -> bool {
        let fits = self.absolute.checked_add(weight).filter(|sum| !self.unfit && *sum <= i128::MAX.unsigned_abs());
        match fits {
            Some(sum) => self.absolute = sum,
            None => self.unfit = true,
        }
        fits.is_some()
    }

    /// Takes the records of another.
    pub(super) fn absorb(&mut self, other: &Sum) {
        self.unfit |= other.unfit;
        if self.room(other.absolute) {
            self.total += other.total;
            self.unknown += other.unknown;
            self.any |= other.any;
            self.heavy.absorb(&other.heavy);
        }
    }

    /// What may be told of it in a column of `number`s.
    pub(super) fn verdict(&self, number: Number) -> Verdict {
        if self.unfit {
            return Verdict::Unfit;
        }
        if self.unknown.saturating_mul(4) > self.absolute || self.too_heavy(self.heavy.least()) {
            return Verdict::Dominated;
        }
        // Of `whole` no more than a quarter is unknown, so whoever is too heavy weighs more than `whole / 2 - unknown`, and
        // that is at least a third of what is known: such a one is among the counted.
        let suspects = self.heavy.suspects(|most| self.too_heavy(most));
        if suspects.is_empty() { self.told(number) } else { Verdict::Open(suspects) }
    }

    /// What may be told of it when its heaviest subject is known to weigh `heaviest`.
    pub(super) fn weighed(&self, heaviest: u128, number: Number) -> Verdict {
        if self.too_heavy(heaviest) { Verdict::Dominated } else { self.told(number) }
    }

    fn told(&self, number: Number) -> Verdict {
        if !number.holds(self.total) {
            return Verdict::Unfit;
        }
        Verdict::Told(self.any.then_some(self.total))
    }

    /// Whether a subject of that weight dominates, all records without a subject being its own.
    fn too_heavy(&self, weight: u128) -> bool {
        let weight = weight.saturating_add(self.unknown);
        weight > self.absolute.saturating_sub(weight)
    }
}
