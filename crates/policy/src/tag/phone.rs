//! The canonical form of telephone numbers, and their country.

use std::fmt;

use super::characters::trimmed;
use super::country::PrefixTrie;
use super::number::{NumberKind, NumberMarking, PhoneNumber, is_old_mobile_of_mexico};
use super::number_length::{LEAST_DIGITS, MOST_DIGITS};
use super::plans::{NumberingPlan, NumberingPlans};
use ebbtide_base::ids::Country;

/// The reading of telephone numbers. Cheap to copy.
#[derive(Clone, Copy)]
pub struct PhoneForm {
    prefixes: &'static PrefixTrie,
    plans: &'static NumberingPlans,
    /// The country whose national numbers are read as such.
    home: Option<&'static NumberingPlan>,
}

impl PhoneForm {
    /// Creates a form that reads national numbers as those of `home`. Without a country they remain
    /// unchanged.
    #[must_use]
    pub fn new(home: Option<Country>) -> PhoneForm {
        let plans = NumberingPlans::shared();
        PhoneForm {
            prefixes: PrefixTrie::shared(),
            plans,
            home: home.and_then(|country| plans.of(country)),
        }
    }

    /// Returns the canonical form: E.164 without the plus. Text that is not a number is trimmed. A
    /// short code, and a national number without a default country, only lose their separators.
    #[must_use]
    pub fn canonical(&self, text: &str) -> String {
        super::text::written(|to| _ = self.write(text, to))
    }

    /// Appends the canonical form. Returns true if it is E.164.
    pub(super) fn write(&self, text: &str, to: &mut Vec<u8>) -> bool {
        if let Some(digits) = self.plain(text) {
            to.extend_from_slice(digits);
            return true;
        }
        write_number(PhoneNumber::read(text, self.home), text, to)
    }

    /// Appends the canonical form of a value that a column contains in an earlier canonical form,
    /// in which digits alone were E.164. Digits that are not a number of any country are read as in
    /// a new record. Returns true if the form is E.164.
    pub(super) fn write_stored(&self, text: &str, to: &mut Vec<u8>) -> bool {
        let digits = Some(text.as_bytes()).filter(|digits| is_international(digits));
        match digits {
            Some(digits) if self.plain(text).is_none() && self.plans.hold(digits) => {
                write_number(PhoneNumber::of_international(digits, self.home), text, to)
            }
            _ => self.write(text, to),
        }
    }

    /// Returns the country of a number; [`Country::UNKNOWN`] if it cannot be determined.
    #[must_use]
    pub fn country(&self, text: &str) -> Country {
        if let Some(digits) = self.plain(text) {
            return self.prefixes.walk(digits);
        }
        self.walk(PhoneNumber::read(text, self.home).as_ref())
    }

    /// Returns the country of a value that a column contains in an earlier canonical form.
    #[must_use]
    pub fn country_of_stored(&self, text: &str) -> Country {
        let digits = Some(text.as_bytes()).filter(|digits| is_international(digits));
        match digits {
            Some(digits) if self.plain(text).is_none() && self.plans.hold(digits) => {
                self.walk(PhoneNumber::of_international(digits, self.home).as_ref())
            }
            _ => self.country(text),
        }
    }

    fn walk(&self, number: Option<&PhoneNumber>) -> Country {
        number
            .and_then(PhoneNumber::callable)
            .map_or(Country::UNKNOWN, |digits| self.prefixes.walk(digits))
    }

    /// Returns the digits of a text in the usual form of E.164, with or without the plus. All other
    /// texts need [`PhoneNumber::read`].
    #[inline]
    fn plain<'t>(&self, text: &'t str) -> Option<&'t [u8]> {
        let digits = text.strip_prefix('+').unwrap_or(text).as_bytes();
        let is_plain = is_international(digits)
            && !is_old_mobile_of_mexico(digits)
            && !(self.plans.may_have_trunk(digits) && self.plans.trunk_in(digits).is_some())
            && self.home.is_none_or(|home| {
                !home.may_be_national(digits.len()) && !home.dials_abroad(digits)
            });
        is_plain.then_some(digits)
    }
}

/// Returns the country of a number, in any spelling that [`PhoneForm`] reads, without a default
/// country.
///
/// [`Country::UNKNOWN`] for text that is not a number, that has no country's calling code
/// (satellite and universal freephone codes), or that is a short code: under 7 digits with neither
/// `+` nor `00`. A number that was never assigned has the country whose numbers have the same
/// prefix, and without such numbers the main country of its calling code.
#[must_use]
pub fn country_of(number: &str) -> Country {
    PhoneForm::new(None).country(number)
}

/// Returns the digits of a number whose text does not determine its country: without plus or
/// context, or after `00` if no country has such a number. `None` for any other text.
pub(super) fn as_dialled(text: &str) -> Option<String> {
    let number = PhoneNumber::read(text, None)?;
    let zeros = match (number.marking, number.is_international()) {
        (NumberMarking::Explicit, _) => return None,
        (NumberMarking::Prefix, true) if NumberingPlans::shared().hold(number.all()) => {
            return None;
        }
        (NumberMarking::Prefix, true) => "00",
        _ => "",
    };
    Some(format!("{zeros}{}", String::from_utf8_lossy(number.all())))
}

/// Returns true if digits alone can be a number of some country from its calling code on.
pub(super) fn has_calling_code(digits: &str) -> bool {
    is_international(digits.as_bytes()) && NumberingPlans::shared().hold(digits.as_bytes())
}

/// Returns true for digits alone that may begin with a calling code.
#[inline]
fn is_international(digits: &[u8]) -> bool {
    (LEAST_DIGITS..=MOST_DIGITS).contains(&digits.len())
        && digits[0] != b'0'
        && digits.iter().all(u8::is_ascii_digit)
}

fn write_number(number: Option<PhoneNumber>, text: &str, to: &mut Vec<u8>) -> bool {
    let stays = |number: &PhoneNumber| {
        matches!(number.kind, NumberKind::OutOfBounds { .. })
            && number.marking == NumberMarking::Explicit
    };
    let Some(number) = number.filter(|number| !stays(number)) else {
        to.extend_from_slice(trimmed(text).as_bytes());
        return false;
    };
    if number.kind == NumberKind::Marked {
        to.push(b'+');
    }
    to.extend_from_slice(number.all());
    number.is_international()
}

impl PartialEq for PhoneForm {
    fn eq(&self, other: &Self) -> bool {
        self.home.map(|plan| plan.country) == other.home.map(|plan| plan.country)
    }
}

impl Eq for PhoneForm {}

impl fmt::Debug for PhoneForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PhoneForm")
            .field("home", &self.home.map(|plan| plan.country))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
