//! Finds the subjects that may weigh most in a sum. Keeps every subject's weight while there are
//! few subjects, then a weighted Misra-Gries summary in eight sets of two counters. A subject's
//! hash selects its set.
//!
//! For the same weights in any order: one subject weighs at least [`HeavyHitters::least`], a
//! subject that is not counted weighs at most a third of all weights, and
//! [`HeavyHitters::suspects`] names each counted subject that may weigh too much. A record changes
//! one set.

/// The number of sets. The highest bits of a subject's hash select its set.
const SETS: usize = 8;
const SET_BITS: u32 = u64::BITS - SETS.trailing_zeros();

/// The maximum number of subjects whose weights are all known. Most cells are small, and so need no
/// second reading.
const FEW: usize = 16;

/// The summary.
#[derive(Debug, Default)]
pub(super) struct HeavyHitters(SubjectSummary);

/// The known weights.
#[derive(Debug)]
enum SubjectSummary {
    /// The weights of all subjects, whose number is `count`.
    Few {
        count: usize,
        subjects: [u64; FEW],
        weights: [u128; FEW],
    },
    /// The heaviest subjects of each set.
    Many([Set; SETS]),
}

impl Default for SubjectSummary {
    fn default() -> Self {
        SubjectSummary::Few {
            count: 0,
            subjects: [0; FEW],
            weights: [0; FEW],
        }
    }
}

/// The subjects of one set. Each amount that was subtracted from one count was also subtracted from
/// the other count and from a third weight. So a subject weighs at most its count (0 if it has
/// none) plus a third of the difference between `whole` and the sum of the counts. One cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Set {
    whole: u128,
    counts: [u128; 2],
    subjects: [u64; 2],
}

impl HeavyHitters {
    /// Adds the weight of one record.
    #[inline]
    pub(super) fn add(&mut self, subject: u64, weight: u128) {
        match &mut self.0 {
            SubjectSummary::Many(sets) => sets[set_of(subject)].add(subject, weight),
            SubjectSummary::Few {
                count,
                subjects,
                weights,
            } => {
                if let Some(at) = subjects[..*count]
                    .iter()
                    .position(|known| *known == subject)
                {
                    weights[at] += weight;
                } else if *count < FEW {
                    (subjects[*count], weights[*count]) = (subject, weight);
                    *count += 1;
                } else {
                    let mut sets = spread(subjects, weights);
                    sets[set_of(subject)].add(subject, weight);
                    self.0 = SubjectSummary::Many(sets);
                }
            }
        }
    }

    /// Adds the weights of another summary.
    pub(super) fn absorb(&mut self, other: &HeavyHitters) {
        match &other.0 {
            SubjectSummary::Few {
                count,
                subjects,
                weights,
            } => {
                let known = subjects.iter().zip(weights).take(*count);
                known.for_each(|(subject, weight)| self.add(*subject, *weight));
            }
            SubjectSummary::Many(others) => {
                let mut sets = match std::mem::take(&mut self.0) {
                    SubjectSummary::Many(sets) => sets,
                    SubjectSummary::Few {
                        count,
                        subjects,
                        weights,
                    } => spread(&subjects[..count], &weights[..count]),
                };
                for (set, other) in sets.iter_mut().zip(others) {
                    set.absorb(other);
                }
                self.0 = SubjectSummary::Many(sets);
            }
        }
    }

    /// Returns a lower bound of the weight of the heaviest subject.
    pub(super) fn least(&self) -> u128 {
        match &self.0 {
            SubjectSummary::Few { weights, .. } => weights.iter().max().copied().unwrap_or(0),
            SubjectSummary::Many(sets) => sets.iter().flat_map(|set| set.counts).max().unwrap_or(0),
        }
    }

    /// Returns the counted subjects whose maximum possible weight is too heavy according to
    /// `too_heavy`.
    pub(super) fn suspects(&self, too_heavy: impl Fn(u128) -> bool) -> Vec<u64> {
        let suspect = |subject: &u64, count: u128, most: u128| {
            (count > 0 && too_heavy(most)).then_some(*subject)
        };
        match &self.0 {
            SubjectSummary::Few {
                count,
                subjects,
                weights,
            } => {
                let known = subjects.iter().zip(weights).take(*count);
                known
                    .filter_map(|(subject, weight)| suspect(subject, *weight, *weight))
                    .collect()
            }
            SubjectSummary::Many(sets) => {
                let counted = sets.iter().flat_map(|set| {
                    let lost = set.lost();
                    set.subjects
                        .iter()
                        .zip(set.counts)
                        .map(move |(subject, count)| (subject, count, count + lost))
                });
                counted
                    .filter_map(|(subject, count, most)| suspect(subject, count, most))
                    .collect()
            }
        }
    }
}

/// Returns the set of a subject.
#[inline]
fn set_of(subject: u64) -> usize {
    (subject >> SET_BITS) as usize
}

/// Distributes the known weights to sets.
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

    /// Adds the weights of the set for the same hashes in another summary.
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
                // At least one of the counts is 0 now, so its place is free.
                let at = usize::from(*first > 0);
                self.counts[at] = rest;
                self.subjects[at] = subject;
            }
        }
    }

    /// Returns the maximum weight of a subject of this set beyond its count.
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
        fn every_subject_that_may_be_too_heavy_is_named_and_counted(
            parts in proptest::collection::vec(proptest::collection::vec((0_u64..40, 0_u128..50, 0_u8..4), 0..120), 1..5),
            sets in 1_u64..9,
            limit in 0_u128..4000,
        ) {
            let mut whole = HeavyHitters::default();
            let mut weights: HashMap<u64, u128> = HashMap::new();
            for (number, part) in parts.iter().enumerate() {
                let mut heavy = HeavyHitters::default();
                for (subject, weight, skew) in part {
                    let subject = if *skew == 0 { 0 } else { *subject };
                    let subject = (subject % sets) << SET_BITS | subject;
                    // The first part is added record by record, the others as summaries.
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
