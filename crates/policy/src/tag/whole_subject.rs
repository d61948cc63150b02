//! A text that is one subject as a whole: an address, a number or a channel's id, with nothing else
//! beside it.
//!
//! Stricter than the canonical forms, which keep a text that they cannot read: a text that is
//! accepted here has the canonical form of the subject that it names.

use std::fmt;

use super::characters::{percent_decoded, to_ascii, trimmed};
use super::email;
use super::forms::on_a_channel;
use super::number::{NumberKind, PhoneNumber};
use super::number_length::LEAST_DIGITS;
use super::phone::PhoneForm;
use super::plans::NumberingPlans;
use ebbtide_base::ids::Country;

/// The minimum length of a word of hexadecimal digits that is an id, not a number next to a letter.
const LEAST_HEX: usize = 12;

/// The maximum number of digits of a number with a national prefix.
const MOST_NATIONAL: usize = 12;

/// The subject that a whole text names. Its `Debug` does not show the text.
#[derive(Clone, PartialEq, Eq)]
pub enum WholeSubject {
    /// A mail address, without display name, scheme, quotes and comment.
    Email(String),
    /// A telephone number with its calling code, or a national one of a given country.
    Phone,
    /// A telephone number without calling code, of no given country.
    National,
    /// A channel's id after its platform.
    Channel,
    /// Digits alone, which may be a number with its calling code or any other number.
    Digits,
}

impl fmt::Debug for WholeSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WholeSubject::Email(_) => "Email(..)",
            WholeSubject::Phone => "Phone",
            WholeSubject::National => "National",
            WholeSubject::Channel => "Channel",
            WholeSubject::Digits => "Digits",
        })
    }
}

/// Returns true if a text contains a mail address or a number of seven digits or more, alone or
/// among other signs. Digits within ids of letters and digits do not count.
#[must_use]
pub fn holds_subject(text: &str) -> bool {
    let ascii = to_ascii(text);
    if ascii.contains(['@', '\u{FE6B}']) || ascii.contains("%40") {
        return true;
    }
    let (mut rest, mut digits, mut has_plus) = (&*ascii, 0, false);
    while let Some(first) = rest.chars().next() {
        if !first.is_alphanumeric() {
            digits = if is_separator(first) { digits } else { 0 };
            has_plus = first == '+';
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let end = rest
            .find(|c: char| !c.is_alphanumeric())
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        if is_id(word) && !has_plus {
            digits = 0;
            continue;
        }
        for c in word.chars() {
            digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
            if digits >= LEAST_DIGITS {
                return true;
            }
        }
    }
    false
}

/// Returns the subject that a whole text names. `None` if it names none, or contains anything else.
/// `homes` are the countries whose national numbers are read as such.
#[must_use]
pub fn whole_subject(text: &str, homes: &[Country]) -> Option<WholeSubject> {
    let text = trimmed(text);
    let ascii = to_ascii(text);
    if ascii.bytes().all(|byte| byte.is_ascii_digit()) {
        return (!ascii.is_empty()).then(|| digits(&ascii, homes));
    }
    let decoded = match text.contains('@') {
        true => None,
        false => percent_decoded(text).filter(|decoded| decoded.contains('@')),
    };
    if let Some(address) = address(decoded.as_deref().unwrap_or(text)) {
        return Some(address);
    }
    match phone(text, homes) {
        Some(WholeSubject::National) => channel(text, homes).or(Some(WholeSubject::National)),
        subject => subject.or_else(|| channel(text, homes)),
    }
}

/// Returns the forms in which products with one of these default countries store a text that is a
/// national number there: E.164 without the plus.
#[must_use]
pub fn national_forms(text: &str, homes: &[Country]) -> Vec<String> {
    let usual = PhoneForm::new(None).canonical(text);
    let mut forms = Vec::new();
    for home in homes {
        let mut form = Vec::new();
        if !PhoneForm::new(Some(*home)).write(text, &mut form) {
            continue;
        }
        let form = String::from_utf8_lossy(&form)
            .trim_start_matches('+')
            .to_owned();
        if form != usual && !forms.contains(&form) {
            forms.push(form);
        }
    }
    forms
}

/// Returns true for a sign between the digits of one number.
fn is_separator(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '+' | '-' | '.' | '(' | ')' | '/' | '[' | ']' | '_' | '~' | '*' | '\''
        )
}

/// Returns true for a word of letters and digits that is not a number next to a word: letters are
/// in two places of it, or it is hexadecimal with several letters. A word with many digits in a row
/// needs more letters, as account numbers have.
fn is_id(word: &str) -> bool {
    let groups = |is: fn(char) -> bool| {
        word.split(move |c| !is(c))
            .filter(|group| !group.is_empty())
    };
    let is_hex = word.len() >= LEAST_HEX && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let letters = word.chars().filter(|c| c.is_alphabetic()).count();
    let is_long = groups(|c| c.is_ascii_digit()).any(|digits| digits.len() > LEAST_DIGITS);
    let is_mixed = groups(char::is_alphabetic).count() > 1
        && (!is_long || (letters > 3 && groups(|c| c.is_ascii_digit()).count() > 1));
    is_mixed || (is_hex && letters > 1)
}

fn address(text: &str) -> Option<WholeSubject> {
    let (local, domain) = email::parts(text)?;
    let is_dot = |c: char| matches!(c, '.' | '\u{3002}' | '\u{FF0E}' | '\u{FF61}');
    let begins = |text: &str| text.starts_with(is_letter);
    let is_strict = begins(&local)
        && local.chars().all(|c| is_letter(c) || "._+-'&~".contains(c))
        && !is_numbered(&local)
        && !local
            .split_once('+')
            .is_some_and(|(_, tag)| holds_subject(tag))
        && begins(&domain)
        && domain
            .chars()
            .all(|c| is_letter(c) || is_dot(c) || c == '-')
        && domain
            .trim_end_matches(is_dot)
            .rsplit(is_dot)
            .next()
            .is_some_and(is_top_level);
    let same = |beside: &str| {
        email::parts(beside)
            .is_some_and(|(l, d)| l.eq_ignore_ascii_case(&local) && d.eq_ignore_ascii_case(&domain))
    };
    let is_alone = beside(text).all(|beside| !holds_subject(beside) || same(beside));
    (is_strict && is_alone).then(|| WholeSubject::Email(format!("{local}@{domain}")))
}

/// Returns true for a letter or digit of any script, and for the marks and joiners within them.
fn is_letter(c: char) -> bool {
    c.is_alphanumeric()
        || matches!(c, '\u{300}'..='\u{36F}' | '\u{900}'..='\u{109F}' | '\u{200C}' | '\u{200D}')
}

/// Returns true for the last label of a domain: letters alone, or letters of another script in the
/// form of DNS.
fn is_top_level(label: &str) -> bool {
    let is_other = label
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("xn--"));
    is_other || (!label.is_empty() && label.chars().all(|c| is_letter(c) && !c.is_numeric()))
}

/// Returns true for `1.ann`, a line of a numbered list without a space.
fn is_numbered(local: &str) -> bool {
    local
        .split_once('.')
        .is_some_and(|(number, _)| number.len() <= 3 && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Returns the parts of a text that are next to its subject: a display name, a comment, the query
/// of a URI.
fn beside(text: &str) -> impl Iterator<Item = &str> {
    let display = text.rsplit_once('<').map(|(display, _)| display);
    let comment = text
        .ends_with(')')
        .then(|| text.rsplit_once('('))
        .flatten()
        .map(|(_, comment)| comment);
    let query = text.split_once('?').map(|(_, query)| query);
    [display, comment, query].into_iter().flatten()
}

fn phone(text: &str, homes: &[Country]) -> Option<WholeSubject> {
    let number = PhoneNumber::read(text, None)?;
    let ascii = to_ascii(text).to_ascii_lowercase();
    let display = ascii.rsplit_once('<').map_or("", |(display, _)| display);
    // Other codes than that of a plus may hide digits.
    if holds_subject(display) || (ascii.contains('%') && !ascii.contains("%2b")) {
        return None;
    }
    let digits = number.all();
    if has_fraction(&ascii, digits) {
        return None;
    }
    match number.kind {
        NumberKind::OutOfBounds { .. } => None,
        NumberKind::Unmarked => (digits.len() >= LEAST_DIGITS).then(|| national(text, homes)),
        NumberKind::International | NumberKind::Marked => {
            let marked = ["+", &String::from_utf8_lossy(digits)].concat();
            let is_certain = ascii.contains(&marked) || ascii.contains(&marked.replace('+', "%2b"));
            let is_assigned = || NumberingPlans::shared().hold(digits) && !may_be_numbered(&ascii);
            Some(if is_certain || is_assigned() {
                WholeSubject::Phone
            } else {
                national(text, homes)
            })
        }
    }
}

/// Returns true if the digits of a number end with the `.0` or `.00` of a spreadsheet.
fn has_fraction(text: &str, digits: &[u8]) -> bool {
    let is_fraction =
        text.matches('.').count() == 1 && (text.ends_with(".0") || text.ends_with(".00"));
    let all: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).collect();
    is_fraction && all.ends_with(digits)
}

/// Returns true for `2 31612345678`: the digits after the first group are a complete number.
fn may_be_numbered(text: &str) -> bool {
    let text = text.trim_start();
    let first = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &text[first..];
    if !(1..=3).contains(&first) || text.starts_with('0') || !rest.starts_with([' ', '.', ')', ':'])
    {
        return false;
    }
    let digits: Vec<u8> = rest.bytes().filter(u8::is_ascii_digit).collect();
    digits.len() >= LEAST_DIGITS && NumberingPlans::shared().hold(&digits)
}

fn national(text: &str, homes: &[Country]) -> WholeSubject {
    if national_forms(text, homes).is_empty() {
        WholeSubject::National
    } else {
        WholeSubject::Phone
    }
}

/// Returns the subject of digits alone: they are a national number if they begin with a national
/// prefix.
fn digits(text: &str, homes: &[Country]) -> WholeSubject {
    let plans = NumberingPlans::shared();
    let has_zero = text.starts_with('0') && !text.starts_with("00");
    let is_national = (has_zero && (LEAST_DIGITS..=MOST_NATIONAL).contains(&text.len()))
        || (!text.starts_with('0')
            && !plans.hold(text.as_bytes())
            && plans.hold_with_trunk(text.as_bytes()));
    if is_national {
        national(text, homes)
    } else {
        WholeSubject::Digits
    }
}

fn channel(text: &str, homes: &[Country]) -> Option<WholeSubject> {
    let (_, id) = on_a_channel(text)?;
    let is_number = id.bytes().all(|byte| byte.is_ascii_digit()) && !id.starts_with('0');
    if is_number || !holds_subject(id) {
        return Some(WholeSubject::Channel);
    }
    match whole_subject(id, homes)? {
        WholeSubject::National => Some(WholeSubject::National),
        WholeSubject::Email(address) if address != id => None,
        _ => Some(WholeSubject::Channel),
    }
}

#[cfg(test)]
mod tests;
