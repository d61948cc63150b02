//! The numbering plans of all countries: calling code, national and international prefix, and the
//! beginnings of national numbers.
//!
//! The table is generated from the metadata of the `phonenumber` crate by
//! `cargo run -p ebbtide-policy --example country_prefixes plans`; a test compares the two.

use std::sync::LazyLock;

use super::number_length::{LEAST_DIGITS, MOST_DIGITS};
use ebbtide_base::ids::Country;

const TABLE: &str = include_str!("numbering_plans.txt");

/// The maximum number of digits of a calling code.
const LONGEST_CODE: usize = 3;

/// All plans.
pub(super) struct NumberingPlans {
    /// The plans; those of one calling code are adjacent.
    all: Vec<NumberingPlan>,
    /// The index of the first plan of each calling code, and of the first after its plans.
    of_code: Vec<(u16, u16)>,
    /// By the first three digits of a number: the index at which a national prefix would begin, and
    /// the digits with which it may begin, as bits.
    prefixes: Vec<(u8, u16)>,
}

/// The plan of one country.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NumberingPlan {
    pub(super) country: Country,
    /// The calling code.
    pub(super) code: &'static [u8],
    /// The national prefix, dialled before a national number within the country; empty if the
    /// country has no such prefix.
    pub(super) trunk: &'static [u8],
    /// The international prefix, dialled before a calling code within the country; empty if no
    /// single one is usual.
    pub(super) abroad: &'static [u8],
    /// True if several international prefixes are dialled, most of them with the digits of a
    /// carrier.
    pub(super) abroad_varies: bool,
    /// For each number of digits of a national number, the pairs of digits with which it may begin,
    /// as bits.
    begins: [u128; MOST_DIGITS + 1],
}

impl NumberingPlan {
    /// Returns true if a national number, without national prefix, may be one of this plan by its
    /// length and its first two digits.
    pub(super) fn holds(&self, national: &[u8]) -> bool {
        let [first, second, ..] = national else {
            return false;
        };
        let bit = usize::from(first - b'0') * 10 + usize::from(second - b'0');
        self.begins
            .get(national.len())
            .is_some_and(|begins| begins >> bit & 1 == 1)
    }

    /// Returns true if a text of that many digits may be a national number, with or without
    /// national prefix.
    pub(super) fn may_be_national(&self, digits: usize) -> bool {
        let has = |length: usize| self.begins.get(length).is_some_and(|begins| *begins != 0);
        has(digits) || digits.checked_sub(self.trunk.len()).is_some_and(has)
    }

    /// Returns true if these digits are the international prefix and an international number.
    #[inline]
    pub(super) fn dials_abroad(&self, digits: &[u8]) -> bool {
        let number = digits
            .strip_prefix(self.abroad)
            .filter(|_| !self.abroad.is_empty());
        number.is_some_and(|number| {
            let is_long = number.len() >= LEAST_DIGITS && number[0] != b'0';
            is_long
                && ((!self.abroad_varies && !self.holds(digits))
                    || NumberingPlans::shared().hold(number))
        })
    }

    fn parse(line: &'static str) -> Option<NumberingPlan> {
        let mut words = line.split(' ');
        let country = Country::new(words.next()?).ok()?;
        let code = words.next()?.as_bytes();
        let mut prefix = || {
            words.next().map(|word| {
                if word == "-" {
                    &[][..]
                } else {
                    word.as_bytes()
                }
            })
        };
        let (trunk, abroad) = (prefix()?, prefix()?);
        let (abroad, abroad_varies) = abroad
            .strip_prefix(b"~")
            .map_or((abroad, false), |abroad| (abroad, true));
        let mut begins = [0; MOST_DIGITS + 1];
        for word in words {
            let (length, bits) = word.split_once(':')?;
            let slot = begins.get_mut(length.parse::<usize>().ok()?)?;
            *slot = u128::from_str_radix(bits, 16).ok()?;
        }
        Some(NumberingPlan {
            country,
            code,
            trunk,
            abroad,
            abroad_varies,
            begins,
        })
    }
}

impl NumberingPlans {
    /// Returns the plans of this build, made at first use.
    pub(super) fn shared() -> &'static NumberingPlans {
        static SHARED: LazyLock<NumberingPlans> = LazyLock::new(|| NumberingPlans::parse(TABLE));
        &SHARED
    }

    /// Returns the plan of a country; `None` if the country has no numbers.
    pub(super) fn of(&self, country: Country) -> Option<&NumberingPlan> {
        self.all.iter().find(|plan| plan.country == country)
    }

    /// Returns the plans of the calling code of international digits, and the length of that code.
    fn of_number(&self, digits: &[u8]) -> Option<(usize, &[NumberingPlan])> {
        let mut code = 0;
        for (at, digit) in digits.iter().take(LONGEST_CODE).enumerate() {
            code = code * 10 + usize::from(digit - b'0');
            let (from, to) = self.of_code.get(code).copied().unwrap_or_default();
            if from < to {
                return Some((at + 1, self.all.get(usize::from(from)..usize::from(to))?));
            }
        }
        None
    }

    /// Returns true if international digits may be a number of some country by their length and
    /// their beginning.
    pub(super) fn hold(&self, digits: &[u8]) -> bool {
        self.of_number(digits)
            .is_some_and(|(code, plans)| plans.iter().any(|plan| plan.holds(&digits[code..])))
    }

    /// Returns true if digits are a national number of some country after its national prefix.
    pub(super) fn hold_with_trunk(&self, digits: &[u8]) -> bool {
        let is_of = |plan: &NumberingPlan| {
            let rest = digits
                .strip_prefix(plan.trunk)
                .filter(|_| !plan.trunk.is_empty() && plan.trunk != plan.code);
            rest.is_some_and(|rest| {
                plan.code.len() + rest.len() >= LEAST_DIGITS && plan.holds(rest)
            })
        };
        self.all.iter().any(is_of)
    }

    /// Returns true if a national prefix may follow the calling code of these international digits;
    /// there must be at least three.
    #[inline]
    pub(super) fn may_have_trunk(&self, digits: &[u8]) -> bool {
        let [first, second, third, ..] = digits else {
            return false;
        };
        let value = |digit: &u8| usize::from(digit - b'0');
        let (at, bits) = self.prefixes[value(first) * 100 + value(second) * 10 + value(third)];
        digits
            .get(usize::from(at))
            .is_some_and(|digit| bits >> (digit - b'0') & 1 == 1)
    }

    /// Finds a national prefix that does not belong in international digits (`+31 06 ...`). Returns
    /// the length of the calling code and the length of the prefix.
    pub(super) fn trunk_in(&self, digits: &[u8]) -> Option<(usize, usize)> {
        let (code, plans) = self.of_number(digits)?;
        let national = &digits[code..];
        if plans.iter().any(|plan| plan.holds(national)) {
            return None;
        }
        let stripped = |plan: &&NumberingPlan| {
            let rest = national
                .strip_prefix(plan.trunk)
                .filter(|_| !plan.trunk.is_empty());
            rest.is_some_and(|rest| plans.iter().any(|plan| plan.holds(rest)))
        };
        plans
            .iter()
            .find(stripped)
            .map(|plan| (code, plan.trunk.len()))
    }

    fn parse(table: &'static str) -> NumberingPlans {
        let all: Vec<NumberingPlan> = table.lines().filter_map(NumberingPlan::parse).collect();
        let mut of_code = vec![(0, 0); 10_usize.pow(LONGEST_CODE as u32)];
        let mut prefixes = vec![(0, 0); of_code.len()];
        for (at, plan) in (0_u16..).zip(&all) {
            let code = plan
                .code
                .iter()
                .fold(0, |code, digit| code * 10 + usize::from(digit - b'0'));
            let (from, to) = &mut of_code[code];
            *from = if *to == 0 { at } else { *from };
            *to = at + 1;
            let Some(trunk) = plan.trunk.first() else {
                continue;
            };
            let beyond = 10_usize.pow((LONGEST_CODE - plan.code.len()) as u32);
            for (position, bits) in prefixes.iter_mut().skip(code * beyond).take(beyond) {
                *position = plan.code.len() as u8;
                *bits |= 1 << (trunk - b'0');
            }
        }
        NumberingPlans {
            all,
            of_code,
            prefixes,
        }
    }
}

#[cfg(test)]
mod tests;
