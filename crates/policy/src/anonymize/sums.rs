//! One sum of one cell, and the decision whether it may be published.
//!
//! A sum may be published only if no subject can have more than half of it, where records without a
//! subject may belong to any subject. If the summary leaves this open, it names the subjects that
//! must be weighed exactly.

use super::heavy::HeavyHitters;
use super::numbers::{Addend, NumericType};

/// The sum so far.
#[derive(Debug, Default)]
pub(super) struct CellSum {
    total: i128,
    /// The sum of absolute values.
    absolute: u128,
    /// The part of `absolute` that has no subject.
    unknown: u128,
    /// True if there was a value.
    any: bool,
    /// True if there was a value that cannot be added, or if the sum became too large for every
    /// column.
    unfit: bool,
    heavy: HeavyHitters,
}

/// The decision about a sum.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SumDecision {
    /// The sum may be published. It is null if there was no value.
    Publish(Option<i128>),
    /// No sum is published, because one subject may have more than half of it.
    Dominated,
    /// No sum is published, because it is not exact.
    Unfit,
    /// The decision depends on the exact weights of these subjects.
    Open(Vec<u64>),
}

impl CellSum {
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

    /// Adds a weight if the sum of weights then stays within 127 bits, and returns true if so. The
    /// order has no influence on that, because weights are never negative.
    #[inline]
    fn room(&mut self, weight: u128) -> bool {
        let fits = self
            .absolute
            .checked_add(weight)
            .filter(|sum| !self.unfit && *sum <= i128::MAX.unsigned_abs());
        match fits {
            Some(sum) => self.absolute = sum,
            None => self.unfit = true,
        }
        fits.is_some()
    }

    /// Adds the records of another sum.
    pub(super) fn absorb(&mut self, other: &CellSum) {
        self.unfit |= other.unfit;
        if self.room(other.absolute) {
            self.total += other.total;
            self.unknown += other.unknown;
            self.any |= other.any;
            self.heavy.absorb(&other.heavy);
        }
    }

    /// Returns the decision about the sum in a column of `number`s.
    pub(super) fn verdict(&self, number: NumericType) -> SumDecision {
        if self.unfit {
            return SumDecision::Unfit;
        }
        if self.unknown.saturating_mul(4) > self.absolute || self.too_heavy(self.heavy.least()) {
            return SumDecision::Dominated;
        }
        // At most a quarter of `absolute` is unknown. So a subject that is too heavy weighs more
        // than `absolute / 2 - unknown`, which is at least a third of the known weights. Such a
        // subject is one of the counted subjects.
        let suspects = self.heavy.suspects(|most| self.too_heavy(most));
        if suspects.is_empty() {
            self.publish_if_it_fits(number)
        } else {
            SumDecision::Open(suspects)
        }
    }

    /// Returns the decision about the sum if its heaviest subject weighs `heaviest`.
    pub(super) fn weighed(&self, heaviest: u128, number: NumericType) -> SumDecision {
        if self.too_heavy(heaviest) {
            SumDecision::Dominated
        } else {
            self.publish_if_it_fits(number)
        }
    }

    fn publish_if_it_fits(&self, number: NumericType) -> SumDecision {
        if !number.holds(self.total) {
            return SumDecision::Unfit;
        }
        SumDecision::Publish(self.any.then_some(self.total))
    }

    /// Returns true if a subject of this weight dominates, given that all records without a subject
    /// belong to it.
    fn too_heavy(&self, weight: u128) -> bool {
        let weight = weight.saturating_add(self.unknown);
        weight > self.absolute.saturating_sub(weight)
    }
}
