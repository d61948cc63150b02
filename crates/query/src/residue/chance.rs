//! The chance that explains rare events, such as the "maybe" answers of bloom filters.

/// The probability below which chance is excluded as an explanation, although thousands of filters
/// are asked.
const OUT_OF_THE_QUESTION: f64 = 1e-9;

/// Returns true if `times` or more occurrences of an event that is expected `expected` times cannot
/// be explained by chance. Rare and independent events follow a Poisson distribution.
pub fn beyond_chance(times: u64, expected: f64) -> bool {
    let count = |times: u64| f64::from(u32::try_from(times).unwrap_or(u32::MAX));
    if times == 0 || count(times) <= expected {
        return false;
    }
    if expected <= 0.0 {
        return true;
    }
    let factorial: f64 = (1..=times).map(|factor| count(factor).ln()).sum();
    let mut term = (count(times) * expected.ln() - expected - factorial).exp();
    let (mut sum, mut next) = (0.0, times);
    while term > sum * 1e-12 && term > 0.0 {
        sum += term;
        next += 1;
        term *= expected / count(next);
    }
    sum < OUT_OF_THE_QUESTION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_explains_what_it_may_and_nothing_more() {
        assert!(!beyond_chance(0, 0.0) && !beyond_chance(1, 0.01) && !beyond_chance(100, 100.0));
        assert!(!beyond_chance(3, 0.01) && !beyond_chance(140, 100.0));
        assert!(beyond_chance(1, 1e-12) && beyond_chance(8, 0.01) && beyond_chance(200, 100.0));
        assert!(beyond_chance(10_000, 100.0) && beyond_chance(1, 0.0));
    }
}
