//! Reads a telephone number from a text: its digits, and their meaning.
//!
//! The stored form, the searched form and the country are all derived from [`PhoneNumber::read`].

use super::characters::to_ascii;
use super::number_length::{LEAST_DIGITS, MOST_DIGITS};
use super::plans::{NumberingPlan, NumberingPlans};
use super::spelling::{numeral, unwrapped};

/// The maximum number of digits of a text that is still read as a number.
const MOST_DIALLED: usize = MOST_DIGITS + 2;

/// The capacity for the digits of a text and a calling code before them.
const ROOM: usize = 2 * MOST_DIALLED;

/// The digits of a text that contains a number, and their meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PhoneNumber {
    digits: Digits,
    pub(super) kind: NumberKind,
    pub(super) marking: NumberMarking,
}

/// The mark that shows that a number begins with a calling code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberMarking {
    /// A plus, an international context or a messenger's address, which have the same meaning in
    /// every country.
    Explicit,
    /// An international prefix, which differs between countries.
    Prefix,
    /// No mark.
    Bare,
}

/// The meaning of the digits of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberKind {
    /// E.164, from the calling code on.
    International,
    /// E.164 from the calling code on, but without the mark the digits would read as a national
    /// number of the default country, or as its international prefix and a number.
    Marked,
    /// A national number whose country is not known, or a short code.
    Unmarked,
    /// Marked as international, but too short or too long for it. The marked part begins at this
    /// digit.
    OutOfBounds {
        /// The index of the first digit after the international prefix; 0 without one.
        from: usize,
    },
}

/// A sequence of digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Digits {
    room: [u8; ROOM],
    length: usize,
}

impl Digits {
    const NONE: Digits = Digits {
        room: [0; ROOM],
        length: 0,
    };

    /// Joins sequences of digits. `None` if there are too many digits.
    fn joined(parts: &[&[u8]]) -> Option<Digits> {
        let mut digits = Self::NONE;
        for digit in parts.iter().copied().flatten() {
            digits.push(*digit)?;
        }
        Some(digits)
    }

    fn push(&mut self, digit: u8) -> Option<()> {
        *self.room.get_mut(self.length)? = digit;
        self.length += 1;
        Some(())
    }

    fn all(&self) -> &[u8] {
        &self.room[..self.length]
    }
}

impl PhoneNumber {
    /// Reads a text. `home` is the country whose national numbers are read as such. `None` if the
    /// text is not a number.
    pub(super) fn read(text: &str, home: Option<&NumberingPlan>) -> Option<PhoneNumber> {
        // Names of senders are the most frequent text in a phone column.
        if text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let ascii = to_ascii(text);
        if let Some(dialled) = Dialled::parse(&numeral(&ascii)) {
            return dialled.resolved(None, home);
        }
        let spelled = unwrapped(&ascii)?;
        let dialled = Dialled::parse(&numeral(&spelled.number))?;
        let number = dialled.resolved(spelled.context.as_deref(), home)?;
        let is_whole = match number.kind {
            NumberKind::International | NumberKind::Marked => true,
            NumberKind::Unmarked => number.all().len() >= LEAST_DIGITS || !spelled.wrapped,
            NumberKind::OutOfBounds { .. } => !spelled.wrapped,
        };
        is_whole.then_some(number)
    }

    /// Reads digits that are known to begin with a calling code and to be in bounds.
    pub(super) fn of_international(
        digits: &[u8],
        home: Option<&NumberingPlan>,
    ) -> Option<PhoneNumber> {
        let digits = Digits::joined(&[digits])?;
        Some(international(digits, home, NumberMarking::Explicit))
    }

    /// Returns all digits: those that are stored.
    pub(super) fn all(&self) -> &[u8] {
        self.digits.all()
    }

    /// Returns true if the number is E.164.
    pub(super) fn is_international(&self) -> bool {
        matches!(self.kind, NumberKind::International | NumberKind::Marked)
    }

    /// Returns the digits that may begin with a calling code: a marked part, or a number that is
    /// too long for a short code.
    pub(super) fn callable(&self) -> Option<&[u8]> {
        match self.kind {
            NumberKind::International | NumberKind::Marked => Some(self.all()),
            NumberKind::OutOfBounds { from, .. } => self.all().get(from..),
            NumberKind::Unmarked => Some(self.all()).filter(|digits| digits.len() >= LEAST_DIGITS),
        }
    }
}

/// The part of a text that is dialled: digits, separators, at most one plus at the front.
struct Dialled {
    digits: Digits,
    plus: bool,
    /// The index of the digit before which `(0)` was written.
    bracketed_zero: Option<usize>,
}

impl Dialled {
    /// Reads a text. `None` if the text contains anything else.
    fn parse(text: &str) -> Option<Dialled> {
        let mut dialled = Dialled {
            digits: Digits::NONE,
            plus: false,
            bracketed_zero: None,
        };
        let mut rest = text.trim().as_bytes();
        while let [byte, tail @ ..] = rest {
            rest = tail;
            match byte {
                b'0'..=b'9' if dialled.digits.length < MOST_DIALLED => {
                    dialled.digits.push(*byte)?
                }
                b'+' if dialled.digits.length == 0 && !dialled.plus => dialled.plus = true,
                b'(' | b'[' if dialled.is_after_code() => {
                    if let [b'0', b')' | b']', after @ ..] = tail {
                        dialled.bracketed_zero = Some(dialled.digits.length);
                        rest = after;
                    }
                }
                b' ' | b'\t' | b'\r' | b'\n' | b'-' | b'.' | b'(' | b')' | b'[' | b']' | b'/'
                | b'_' | b'~' => {}
                control if control.is_ascii_control() => {}
                _ => return None,
            }
        }
        (dialled.digits.length > 0).then(|| dialled.with_zero_if_it_belongs())
    }

    /// Inserts the zero of `(0)` if the numbers of the country begin with a zero, as in Italy.
    /// Elsewhere it is the national prefix, which is not dialled from abroad.
    fn with_zero_if_it_belongs(self) -> Dialled {
        let digits = self.digits.all();
        let code = if digits.starts_with(b"00") { 2 } else { 0 };
        let with = self.bracketed_zero.and_then(|at| {
            let (before, after) = digits.split_at(at);
            Digits::joined(&[before, b"0", after])
        });
        match with {
            Some(with)
                if with
                    .all()
                    .get(code..)
                    .is_some_and(|number| NumberingPlans::shared().hold(number)) =>
            {
                Dialled {
                    digits: with,
                    ..self
                }
            }
            _ => self,
        }
    }

    /// Returns true if the digits read so far may be a calling code, with or without `00`.
    fn is_after_code(&self) -> bool {
        match self.digits.all() {
            [b'0', b'0', code @ ..] => (1..=3).contains(&code.len()),
            [b'0', ..] | [] => false,
            code => code.len() <= 3,
        }
    }

    /// Returns the number. `context` are the digits of the international prefix that a local number
    /// belongs to.
    fn resolved(self, context: Option<&str>, home: Option<&NumberingPlan>) -> Option<PhoneNumber> {
        let raw = self.digits.all();
        if self.plus {
            return (raw[0] != b'0')
                .then(|| marked(self.digits, 0, NumberMarking::Explicit, home))
                .flatten();
        }
        if let Some(context) = context {
            return in_context(self.digits, context, home);
        }
        if let Some(home) = home.filter(|home| home.dials_abroad(raw)) {
            return marked(
                self.digits,
                home.abroad.len(),
                NumberMarking::Prefix,
                Some(home),
            );
        }
        if let [b'0', b'0', number @ ..] = raw
            && number.first() != Some(&b'0')
        {
            // After `00` some countries dial the digits of a carrier, which are in no table here.
            let is_carrier = home.is_some_and(|home| home.abroad_varies)
                && !NumberingPlans::shared().hold(number);
            return match is_carrier {
                true => Some(PhoneNumber {
                    digits: self.digits,
                    kind: NumberKind::Unmarked,
                    marking: NumberMarking::Bare,
                }),
                false => marked(self.digits, 2, NumberMarking::Prefix, home),
            };
        }
        if let Some(digits) = home.and_then(|home| of_home(raw, home)) {
            return Some(international(digits, home, NumberMarking::Bare));
        }
        let is_plain = raw[0] != b'0' && (LEAST_DIGITS..=MOST_DIGITS).contains(&raw.len());
        match is_plain {
            true => Some(international(self.digits, home, NumberMarking::Bare)),
            false => Some(PhoneNumber {
                digits: self.digits,
                kind: NumberKind::Unmarked,
                marking: NumberMarking::Bare,
            }),
        }
    }
}

/// Returns the number for digits with an international context, `+31` of
/// `tel:0612345678;phone-context=+31`. Some systems also write the context after an international
/// number, which then remains unchanged.
fn in_context(digits: Digits, context: &str, home: Option<&NumberingPlan>) -> Option<PhoneNumber> {
    let plans = NumberingPlans::shared();
    let raw = digits.all();
    let joined = Digits::joined(&[context.as_bytes(), raw])?;
    let number = match raw.strip_prefix(b"00") {
        Some(number) if number.first() != Some(&b'0') => Digits::joined(&[number])?,
        _ if plans.hold(raw) && !plans.hold(joined.all()) => digits,
        _ => joined,
    };
    marked(number, 0, NumberMarking::Explicit, home).filter(PhoneNumber::is_international)
}

/// Returns the number for digits that are marked as international from the digit `from` on.
fn marked(
    digits: Digits,
    from: usize,
    marking: NumberMarking,
    home: Option<&NumberingPlan>,
) -> Option<PhoneNumber> {
    let abroad = digits.all().get(from..)?;
    if !(LEAST_DIGITS..=MOST_DIGITS).contains(&abroad.len()) {
        return Some(PhoneNumber {
            digits,
            kind: NumberKind::OutOfBounds { from },
            marking,
        });
    }
    if abroad[0] == b'0' {
        return None;
    }
    Some(international(Digits::joined(&[abroad])?, home, marking))
}

/// Returns true for a mobile number of Mexico with the digit 1 after the calling code, which was
/// dialled until 2019. Messengers still write it.
#[inline]
pub(super) fn is_old_mobile_of_mexico(digits: &[u8]) -> bool {
    digits.len() == 13 && digits.starts_with(b"521")
}

/// Returns international digits without a national prefix after the calling code, and without the 1
/// of old mobile numbers of Mexico.
fn international(
    digits: Digits,
    home: Option<&NumberingPlan>,
    marking: NumberMarking,
) -> PhoneNumber {
    let plans = NumberingPlans::shared();
    let digits = match digits.all() {
        all if is_old_mobile_of_mexico(all) => {
            Digits::joined(&[b"52", &all[3..]]).unwrap_or(digits)
        }
        _ => digits,
    };
    let stripped = plans.trunk_in(digits.all()).and_then(|(code, trunk)| {
        let (code_digits, national) = digits.all().split_at(code);
        Digits::joined(&[code_digits, national.get(trunk..)?])
    });
    let digits = stripped
        .filter(|stripped| stripped.length >= LEAST_DIGITS)
        .unwrap_or(digits);
    let is_ambiguous = home.is_some_and(|home| {
        home.dials_abroad(digits.all()) || of_home(digits.all(), home).is_some()
    });
    PhoneNumber {
        digits,
        kind: if is_ambiguous {
            NumberKind::Marked
        } else {
            NumberKind::International
        },
        marking,
    }
}

/// Returns the international digits of a text that reads as a national number of a country.
///
/// With the national prefix it is a national number. Without the prefix it is one if the country
/// has no such prefix, or if the digits cannot be an international number.
fn of_home(raw: &[u8], home: &NumberingPlan) -> Option<Digits> {
    // Digits that are shorter than an international number are a short code.
    let national =
        |digits: &[u8]| home.holds(digits) && home.code.len() + digits.len() >= LEAST_DIGITS;
    if raw.strip_prefix(home.code).is_some_and(national) {
        return None;
    }
    if !home.trunk.is_empty()
        && let Some(rest) = raw.strip_prefix(home.trunk).filter(|rest| national(rest))
    {
        return Digits::joined(&[home.code, rest]);
    }
    let is_optional = home.trunk.is_empty() || home.trunk == home.code;
    let is_national = national(raw) && (is_optional || !NumberingPlans::shared().hold(raw));
    is_national
        .then(|| Digits::joined(&[home.code, raw]))
        .flatten()
}
