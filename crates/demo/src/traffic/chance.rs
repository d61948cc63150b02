//! Random numbers that are the same for the same seed on every machine and in every version: the
//! generator, and the distributions of the traffic. The seed must be the only source of randomness.

/// A small, fast generator (splitmix64). It is not suitable for secrets.
#[derive(Debug, Clone)]
pub(super) struct SplitMix64(u64);

/// Mixes the bits of a number, so that similar numbers give different results.
pub(super) fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl SplitMix64 {
    pub(super) fn new(seed: u64) -> Self {
        Self(scatter(seed))
    }

    /// Returns 64 random bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        scatter(self.0)
    }

    /// Returns a number below `end`, uniformly distributed; 0 if `end` is 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        // The high half of a 64 by 64 bit product. It needs no division, and its bias is far too
        // small to show in traffic.
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }

    /// Returns a number from 0 (inclusive) to 1 (exclusive).
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns true in `per_1024` of 1024 cases.
    pub(super) fn happens(&mut self, per_1024: u16) -> bool {
        (self.bits() >> 54) < u64::from(per_1024)
    }

    /// Returns a rank below `end` by Zipf's law: rank 0 is the most frequent, rank n is about 1/n
    /// as frequent.
    pub(super) fn zipf(&mut self, end: u32) -> u32 {
        let rank = (self.unit() * f64::from(end.saturating_add(1)).ln()).exp() - 1.0;
        (rank as u32).min(end.saturating_sub(1))
    }

    /// Returns the milliseconds until an event, exponentially distributed with the mean `mean`.
    pub(super) fn wait(&mut self, mean: f64) -> i64 {
        (-(1.0 - self.unit()).ln() * mean) as i64
    }

    /// Returns one of the items, uniformly distributed; the default if there are none.
    pub(super) fn pick<T: Copy + Default>(&mut self, of: &[T]) -> T {
        of.get(self.below(of.len() as u64) as usize)
            .copied()
            .unwrap_or_default()
    }
}

/// Returns the age in milliseconds of the event of a record that arrives now: most events are
/// seconds old, a few are minutes to hours late, fewer are days late, and some are months late.
pub(super) fn lateness(chance: &mut SplitMix64) -> i64 {
    const HOUR: f64 = 3_600_000.0;
    match chance.below(10_000) {
        0..9_600 => chance.wait(1_500.0),
        9_600..9_900 => chance.wait(HOUR),
        9_900..9_980 => chance.wait(72.0 * HOUR),
        _ => chance.wait(24.0 * HOUR * 120.0),
    }
}

/// Returns the amount of traffic at an hour of the day (0 to 24, local), relative to the day's mean
/// of 1: the lowest before dawn, the highest in the afternoon.
#[must_use]
pub fn diurnal(hour: f64) -> f64 {
    let turn = std::f64::consts::TAU / 24.0;
    1.0 + 0.75 * ((hour - 15.0) * turn).cos() + 0.15 * ((hour - 11.0) * 2.0 * turn).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_chance() {
        let draw = |seed| {
            let mut chance = SplitMix64::new(seed);
            (0..100).map(|_| chance.bits()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn the_first_by_zipf_comes_about_ten_times_as_often_as_the_tenth() {
        let mut chance = SplitMix64::new(1);
        let mut counts = [0_u32; 1000];
        for _ in 0..200_000 {
            counts[chance.zipf(1000) as usize] += 1;
        }
        let ratio = f64::from(counts[0]) / f64::from(counts[9]);
        assert!((5.0..15.0).contains(&ratio), "{ratio}");
        assert!(counts.iter().all(|&count| count > 0));
    }

    #[test]
    fn a_day_has_one_trough_one_peak_and_a_mean_of_one() {
        let day: Vec<f64> = (0..240)
            .map(|tenth| diurnal(f64::from(tenth) / 10.0))
            .collect();
        let mean = day.iter().sum::<f64>() / 240.0;
        assert!((mean - 1.0).abs() < 1e-9, "{mean}");
        assert!(day.iter().all(|&rate| rate > 0.0));
        assert!(diurnal(3.0) < 0.5 && diurnal(15.0) > 1.5);
    }

    #[test]
    fn most_records_are_seconds_old_and_some_are_months_late() {
        let mut chance = SplitMix64::new(3);
        let ages: Vec<i64> = (0..100_000).map(|_| lateness(&mut chance)).collect();
        let older = |millis: i64| ages.iter().filter(|&&age| age > millis).count();
        assert!(ages.iter().all(|&age| age >= 0));
        assert!(older(60_000) < 5_000 && older(60_000) > 2_000);
        assert!(older(30 * 86_400_000) > 50);
    }
}
