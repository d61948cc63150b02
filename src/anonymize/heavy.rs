//! Who may weigh most in a sum: a weighted Misra-Gries summary of a few counters.
//!
//! Promises, in any order of the same weights: no subject weighs more than [`Heavy::most`], one weighs at least
//! [`Heavy::least`], and any that weighs more than a thirteenth of all is among the counted. Up to twelve subjects are exact.

use std::mem::size_of;

/// How many subjects are counted at once.
const COUNTERS: usize = 12;

/// The summary. A count stands `offset` too high, so that taking from all of them is one addition.
#[derive(Debug, Default)]
pub(super) struct Heavy {
    subjects: Vec<u64>,
    counts: Vec<u128>,
    /// What has been taken from every count: what a subject may weigh more than its count.
    offset: u128,
    /// What counts that were taken over from other summaries may lack.
    lost: u128,
    /// No count is lower, as it stands.
    floor: u128,
}

impl Heavy {
    /// Adds the weight of one record, and gives by how much its memory grew.
    #[inline]
    pub(super) fn add(&mut self, subject: u64, weight: u128) -> usize {
        if let Some(at) = self.subjects.iter().position(|counted| *counted == subject) {
            self.counts[at] += weight;
            return 0;
        }
        if self.subjects.len() < COUNTERS {
            let before = self.memory();
            self.subjects.push(subject);
            self.counts.push(self.offset + weight);
            return self.memory() - before;
        }
        if self.offset + weight > self.floor {
            self.replace(subject, weight);
        } else {
            self.offset += weight;
        }
        0
    }

    /// Takes from all counts what the lowest still has, or what the weight asks for; what then remains of it gets its place.
    fn replace(&mut self, subject: u64, weight: u128) {
        let Some((at, floor)) = self.counts.iter().copied().enumerate().min_by_key(|(_, count)| *count) else { return };
        self.floor = floor;
        let rest = (self.offset + weight).saturating_sub(floor);
        if rest == 0 {
            self.offset += weight;
            return;
        }
        self.offset = floor;
        self.subjects[at] = subject;
        self.counts[at] = floor + rest;
    }

    /// Takes the weights of another summary.
    pub(super) fn absorb(&mut self, other: &Heavy) {
        for (subject, count) in other.subjects.iter().zip(&other.counts) {
            self.add(*subject, count - other.offset);
        }
        self.lost += other.offset + other.lost;
    }

    /// More than any subject weighs, or as much.
    pub(super) fn most(&self) -> u128 {
        self.counts.iter().max().copied().unwrap_or(0) + self.lost
    }

    /// Less than the heaviest subject weighs, or as much.
    pub(super) fn least(&self) -> u128 {
        self.counts.iter().max().map_or(0, |count| count - self.offset)
    }

    /// The counted subjects that may weigh more than what `too_heavy` refuses.
    pub(super) fn suspects(&self, too_heavy: impl Fn(u128) -> bool) -> Vec<u64> {
        let counted = self.subjects.iter().zip(&self.counts);
        counted.filter(|(_, count)| too_heavy(*count + self.lost)).map(|(subject, _)| *subject).collect()
    }

    /// The bytes that it holds beside itself.
    pub(super) fn memory(&self) -> usize {
        self.subjects.capacity() * size_of::<u64>() + self.counts.capacity() * size_of::<u128>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_heaviest_weighs_between_the_bounds_and_nobody_heavy_goes_uncounted(
            parts in proptest::collection::vec(proptest::collection::vec((0_u64..40, 0_u128..50, 0_u8..4), 0..120), 1..5),
        ) {
            let mut whole = Heavy::default();
            let mut weights: HashMap<u64, u128> = HashMap::new();
            for part in &parts {
                let mut heavy = Heavy::default();
                for (subject, weight, skew) in part {
                    let subject = if *skew == 0 { 0 } else { *subject };
                    heavy.add(subject, *weight);
                    *weights.entry(subject).or_default() += weight;
                }
                // The first part goes in record by record, the others as summaries.
                whole.absorb(&heavy);
            }
            let (total, heaviest) = (weights.values().sum::<u128>(), weights.values().max().copied().unwrap_or(0));
            prop_assert!(whole.least() <= heaviest && heaviest <= whole.most());
            prop_assert!(whole.most() - whole.least() <= total / 13 + 1);
            let counted = whole.suspects(|_| true);
            for (subject, weight) in weights {
                prop_assert!(weight * 13 <= total || counted.contains(&subject));
            }
        }
    }
}
