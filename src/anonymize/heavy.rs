//! Who may weigh most in a sum: every subject's weight while they are few, then a weighted Misra-Gries summary in eight sets
//! of two counters, by a subject's hash.
//!
//! Promises, in any order of the same weights: one subject weighs at least [`Heavy::least`], none that is not counted weighs
//! more than a third of all, and of the counted each is named that may weigh too much. A record touches one set.

/// How many sets there are, and which bits of a subject's hash tell its own.
const SETS: usize = 8;
const SET_BITS: u32 = u64::BITS - SETS.trailing_zeros();

/// Subjects whose weights are all known. Most cells are small, and of these nothing is left open to be weighed once more.
const FEW: usize = 16;

/// The summary.
#[derive(Debug, Default)]
pub(super) struct Heavy(Known);

/// What is known of the weights.
#[derive(Debug)]
enum Known {
    /// All, of so many subjects.
    Few { count: usize, subjects: [u64; FEW], weights: [u128; FEW] },
    /// The heaviest of each set.
    Many([Set; SETS]),
}

impl Default for Known {
    fn default() -> Self {
        Known::Few { count: 0, subjects: [0; FEW], weights: [0; FEW] }
    }
}

/// The subjects of one set. Whatever was taken from one count was taken from the other and from a third weight as well, so
/// no subject weighs more than its count, or nothing, and a third of what the counts lack of the whole. One cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Set {
    whole: u128,
    counts: [u128; 2],
    subjects: [u64; 2],
}

impl Heavy {
    /// Adds the weight of one record.
    #[inline]
    pub(super) fn add(&mut self, subject: u64, weight: u128) {
        match &mut self.0 {
            Known::Many(sets) => sets[set_of(subject)].add(subject, weight),
            Known::Few { count, subjects, weights } => {
                if let Some(at) = subjects[..*count].iter().position(|known| *known == subject) {
                    weights[at] += weight;
                } else if *count < FEW {
                    (subjects[*count], weights[*count]) = (subject, weight);
                    *count += 1;
                } else {
                    let mut sets = spread(subjects, weights);
                    sets[set_of(subject)].add(subject, weight);
                    self.0 = Known::Many(sets);
                }
            }
        }
    }

    /// Takes the weights of another summary.
    pub(super) fn absorb(&mut self, other: &Heavy) {
        match &other.0 {
            Known::Few { count, subjects, weights } => {
                let known = subjects.iter().zip(weights).take(*count);
                known.for_each(|(subject, weight)| self.add(*subject, *weight));
            }
            Known::Many(others) => {
                let mut sets = match std::mem::take(&mut self.0) {
                    Known::Many(sets) => sets,
                    Known::Few { count, subjects, weights } => spread(&subjects[..count], &weights[..count]),
                };
                for (set, other) in sets.iter_mut().zip(others) {
                    set.absorb(other);
                }
                self.0 = Known::Many(sets);
            }
        }
    }

    /// Less than the heaviest subject weighs, or as much.
    pub(super) fn least(&self) -> u128 {
        match &self.0 {
            Known::Few { weights, .. } => weights.iter().max().copied().unwrap_or(0),
            Known::Many(sets) => sets.iter().flat_map(|set| set.counts).max().unwrap_or(0),
        }
    }

    /// The counted subjects whose weight may be one that `too_heavy` refuses.
    pub(super) fn suspects(&self, too_heavy: impl Fn(u128) -> bool) -> Vec<u64> {
        let suspect = |subject: &u64, count: u128, most: u128| (count > 0 && too_heavy(most)).then_some(*subject);
        match &self.0 {
            Known::Few { count, subjects, weights } => {
                let known = subjects.iter().zip(weights).take(*count);
                known.filter_map(|(subject, weight)| suspect(subject, *weight, *weight)).collect()
            }
            Known::Many(sets) => {
                let counted = sets.iter().flat_map(|set| {
                    let lost = set.lost();
                    set.subjects.iter().zip(set.counts).map(move |(subject, count)| (subject, count, count + lost))
                });
                counted.filter_map(|(subject, count, most)| suspect(subject, count, most)).collect()
            }
        }
    }
}

/// The set of a subject.
#[inline]
fn set_of(subject: u64) -> usize {
    (subject >> SET_BITS) as usize
}

/// The weights that were known, in sets.
fn spread(subjects: &[u64], weights: &[u128]) -> [Set; SETS] {
    let mut sets: [Set; SETS] = Default::default();
    for (subject, weight) in subjects.iter().zip(weights) {
        sets[set_of(*subject)].add(*subject, *weight);
    }
    sets
}

impl Set {
    #[inline]
    fn add(&mut self, subject: u64, weight: u128) {
        self.whole += weight;
        self.count(subject, weight);
    }

    /// Takes the weights of another set of the same subjects.
    fn absorb(&mut self, other: &Set) {
        self.whole += other.whole;
        for (subject, count) in other.subjects.iter().zip(other.counts) {
            self.count(*subject, count);
        }
    }

    #[inline]
    fn count(&mut self, subject: u64, weight: u128) {
        let [first, second] = &mut self.counts;
        if self.subjects[0] == subject {
            *first += weight;
        } else if self.subjects[1] == subject {
            *second += weight;
        } else {
            let taken = weight.min(*first).min(*second);
            *first -= taken;
            *second -= taken;
            let rest = weight - taken;
            if rest > 0 {
                // One of them is nobody's now, or was.
                let at = usize::from(*first > 0);
                self.counts[at] = rest;
                self.subjects[at] = subject;
            }
        }
    }

    /// What a subject of this set may weigh beside its count.
    fn lost(&self) -> u128 {
        (self.whole - self.counts[0] - self.counts[1]) / 3
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whoever_may_be_too_heavy_is_named_and_nobody_heavy_goes_uncounted(
            parts in proptest::collection::vec(proptest::collection::vec((0_u64..40, 0_u128..50, 0_u8..4), 0..120), 1..5),
            sets in 1_u64..9,
            limit in 0_u128..4000,
        ) {
            let mut whole = Heavy::default();
            let mut weights: HashMap<u64, u128> = HashMap::new();
            for (number, part) in parts.iter().enumerate() {
                let mut heavy = Heavy::default();
                for (subject, weight, skew) in part {
                    let subject = if *skew == 0 { 0 } else { *subject };
                    let subject = (subject % sets) << SET_BITS | subject;
                    // The first part record by record, the others as summaries.
                    if number == 0 { whole.add(subject, *weight) } else { heavy.add(subject, *weight) }
                    *weights.entry(subject).or_default() += weight;
                }
                whole.absorb(&heavy);
            }
            let (total, heaviest) = (weights.values().sum::<u128>(), weights.values().max().copied().unwrap_or(0));
            prop_assert!(whole.least() <= heaviest);
            let (counted, named) = (whole.suspects(|_| true), whole.suspects(|most| most > limit));
            for (subject, weight) in weights {
                prop_assert!(weight * 3 <= total || counted.contains(&subject));
                prop_assert!(weight <= limit || named.contains(&subject) || !counted.contains(&subject));
            }
        }
    }
}
