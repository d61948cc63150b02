//! The number within a spelling: without URIs, display names, labels, quotes, spreadsheet cells and
//! extensions.

use std::borrow::Cow;

use super::characters::percent_decoded;
use super::label::after_label;
use super::number_length::LEAST_DIGITS;

/// Schemes and prefixes before a number that name a kind of address and are not part of the number.
const NUMBER_SCHEMES: [&str; 21] = [
    "tel", "callto", "fax", "modem", "sms", "smsto", "mms", "mmsto", "phone", "mobile", "msisdn",
    "e164", "whatsapp", "wa", "signal", "viber", "rcs", "imessage", "im", "pres", "h323",
];

/// Schemes whose user part may be a number, or the name of an account.
const ACCOUNT_SCHEMES: [&str; 3] = ["sip", "sips", "xmpp"];

/// Hosts of messengers whose user part is always an international number.
const MESSENGERS: [&str; 2] = ["s.whatsapp.net", "c.us"];

/// Words before an extension.
const EXTENSION_WORDS: [&str; 10] = [
    "extension",
    "extn",
    "ext",
    "xtn",
    "x",
    "#",
    "int",
    "anexo",
    "poste",
    "durchwahl",
];

/// The maximum number of layers that are removed: a display name around a URI in quotes in a
/// spreadsheet cell has four.
const MOST_LAYERS: usize = 8;

/// A number without everything that was around it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BareNumber<'t> {
    /// The number: digits, separators, a plus.
    pub(super) number: Cow<'t, str>,
    /// The digits of the international prefix that a local number belongs to.
    pub(super) context: Option<String>,
    /// True if the text contains more than a number: a short number in it is not a subject of its
    /// own then.
    pub(super) wrapped: bool,
}

/// The layers that were removed from a text.
#[derive(Default)]
struct Layers {
    scheme: bool,
    account: bool,
    named: bool,
}

/// Removes everything around a number. `None` if no number can be inside.
pub(super) fn unwrapped(text: &str) -> Option<BareNumber<'_>> {
    let (mut rest, mut layers) = (without_type(text.trim()), Layers::default());
    let mut count = 0;
    loop {
        let inner = peeled(rest, &mut layers)?.trim();
        if inner.len() == rest.len() {
            break;
        }
        count += 1;
        if count > MOST_LAYERS {
            return None;
        }
        rest = inner;
    }
    let address = match rest.contains('@') || layers.account {
        true => account(rest, &layers)?,
        false => parameters(rest, &layers)?,
    };
    let mut number = percent_decoded(address.number)?;
    if address.international && !number.starts_with('+') {
        number = Cow::Owned(format!("+{number}"));
    }
    let context = match address.context.map(percent_decoded) {
        None => None,
        Some(None) => return None,
        Some(Some(_)) if number.starts_with('+') => None,
        // A context that is a domain: the number is valid only within an organisation.
        Some(Some(context)) => Some(
            context
                .strip_prefix('+')?
                .chars()
                .filter(char::is_ascii_digit)
                .collect(),
        ),
    };
    let mut spelled = BareNumber {
        number,
        context,
        wrapped: address.wrapped || layers.named,
    };
    if let Some(number) = without_extension(&spelled.number) {
        spelled = BareNumber {
            number: Cow::Owned(number),
            wrapped: true,
            ..spelled
        };
    }
    Some(spelled)
}

/// Returns the text without its outermost layer. `None` if that layer is not closed.
fn peeled<'t>(text: &'t str, layers: &mut Layers) -> Option<&'t str> {
    if let Some(cell) = text
        .strip_prefix('=')
        .filter(|cell| cell.starts_with(['"', '+', '\'']) || digit_first(cell))
    {
        return Some(cell);
    }
    for quote in ['"', '\'', '`'] {
        if let Some(inner) = text.strip_prefix(quote) {
            if let Some(inner) = inner.strip_suffix(quote) {
                return Some(inner);
            }
            // The apostrophe by which a spreadsheet marks a cell as text.
            if quote == '\'' {
                return Some(inner);
            }
        }
    }
    if let Some(open) = text.rfind('<') {
        let (inner, after) = text.get(open + 1..)?.split_once('>')?;
        layers.named |= open > 0;
        let after = after.trim();
        return (after.is_empty() || after.starts_with(';')).then_some(inner);
    }
    if let Some((scheme, rest)) = text.split_once(':') {
        let is = |known: &&str| scheme.trim().eq_ignore_ascii_case(known);
        let is_account = ACCOUNT_SCHEMES.iter().any(is);
        if is_account || NUMBER_SCHEMES.iter().any(is) {
            layers.account |= is_account;
            layers.scheme = true;
            return Some(rest.strip_prefix("//").unwrap_or(rest));
        }
    }
    // In a URI the label is a part of the user's name.
    let number = after_label(text).filter(|_| !layers.scheme);
    layers.named |= number.is_some();
    Some(number.unwrap_or(text))
}

/// Returns an address of a multimedia message without its type (`+31612345678/TYPE=PLMN`, TS
/// 23.140).
fn without_type(text: &str) -> &str {
    match text.split_at_checked(text.len().saturating_sub("/TYPE=PLMN".len())) {
        Some((number, end)) if end.eq_ignore_ascii_case("/TYPE=PLMN") => number,
        _ => text,
    }
}

fn digit_first(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
}

/// A number, and the other parts of its address.
struct Address<'t> {
    number: &'t str,
    context: Option<&'t str>,
    /// True if the number begins with a calling code, with or without a plus.
    international: bool,
    wrapped: bool,
}

/// Parses `user:password@host;parameters`, where the user is a number.
fn account<'t>(text: &'t str, layers: &Layers) -> Option<Address<'t>> {
    let text = if layers.scheme {
        before(text, '?')
    } else {
        text
    };
    let (user, host) = match text.rsplit_once('@') {
        Some(parts) => parts,
        // Without a user the number is the host, but only if it is marked as one.
        None if text.starts_with('+') || text.to_ascii_lowercase().starts_with("%2b") => (text, ""),
        None => return None,
    };
    let (user, password) = user
        .split_once(':')
        .map_or((user, ""), |(user, password)| (user, password));
    let mut parts = user.split(';');
    let number = parts.next().unwrap_or_default();
    let (host, host_parameters) = host.split_once(';').unwrap_or((host, ""));
    let marked = number.starts_with('+') || number.to_ascii_lowercase().starts_with("%2b");
    let says_phone = host_parameters
        .split(';')
        .any(|parameter| parameter.eq_ignore_ascii_case("user=phone"));
    let messenger = MESSENGERS
        .iter()
        .any(|known| host.eq_ignore_ascii_case(known));
    // A mail address may have a local part of digits alone.
    if !(layers.scheme || marked || says_phone || messenger) {
        return None;
    }
    // A password may contain text that looks like parameters; those of the user are before it.
    let parameters = password.split(';').skip(1);
    let context = parts.chain(parameters).find_map(context_of);
    Some(Address {
        number,
        context,
        international: messenger,
        wrapped: true,
    })
}

/// Parses `number;parameters`.
fn parameters<'t>(text: &'t str, layers: &Layers) -> Option<Address<'t>> {
    let text = if layers.scheme {
        before(text, '?')
    } else {
        text
    };
    let (number, parameters) = text.split_once(';').unwrap_or((text, ""));
    let is_parameter = |parameter: &str| {
        let name = before(parameter, '=').trim();
        name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let mut given = parameters
        .split(';')
        .map(str::trim)
        .filter(|parameter| !parameter.is_empty());
    if !given.clone().all(is_parameter) {
        return None;
    }
    let wrapped = given.clone().next().is_some();
    Some(Address {
        number,
        context: given.find_map(context_of),
        international: false,
        wrapped,
    })
}

fn context_of(parameter: &str) -> Option<&str> {
    let (name, value) = parameter.split_once('=')?;
    name.trim()
        .eq_ignore_ascii_case("phone-context")
        .then(|| value.trim())
}

fn before(text: &str, mark: char) -> &str {
    text.split(mark).next().unwrap_or(text)
}

/// Returns the number before an extension (`ext. 12`, `x12`, `#12`) or before the digits dialled
/// after a pause (`,,12#`).
fn without_extension(text: &str) -> Option<String> {
    let at = text.find(|c: char| c.is_ascii_alphabetic() || c == '#' || c == ',')?;
    let (number, rest) = (text.get(..at)?, text.get(at..)?.trim());
    if number.bytes().filter(u8::is_ascii_digit).count() < LEAST_DIGITS {
        return None;
    }
    let is_dialled = |tones: &str| {
        !tones.is_empty()
            && tones
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b",#*pPwW".contains(&byte))
            && tones.bytes().any(|byte| byte.is_ascii_digit())
    };
    let lower = rest.to_ascii_lowercase();
    let word = EXTENSION_WORDS
        .iter()
        .find_map(|word| lower.strip_prefix(word));
    let extension = word.map(|digits| {
        digits
            .trim_start_matches(['.', ':', ' ', '='])
            .trim_end_matches('#')
    });
    let is_extension = extension.is_some_and(|digits| {
        (1..=7).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    let pause = lower.strip_prefix([',', 'p', 'w']);
    (is_extension || pause.is_some_and(is_dialled)).then(|| number.trim().to_owned())
}

/// Returns the digits of a number in the format of a spreadsheet or a floating-point type
/// (`390612345678.0`, `3.90612345678E11`, `390,612,345,678`) if no digit of it is lost; anything
/// else unchanged.
pub(super) fn numeral(text: &str) -> Cow<'_, str> {
    if !text.contains(['.', ',', 'e', 'E']) {
        return Cow::Borrowed(text);
    }
    let text = text.trim();
    exact_power(text)
        .map(Cow::Owned)
        .or_else(|| grouped(whole(text).unwrap_or(text)).map(Cow::Owned))
        .or_else(|| whole(text).map(Cow::Borrowed))
        .unwrap_or(Cow::Borrowed(text))
}

/// The fewest digits of a fraction that are all digits of its number: spreadsheets and the usual
/// formats show at most six.
const EXACT_FRACTION: usize = 9;

/// Parses `3.90612345678E11`: all digits are present if the fraction has the number of digits that
/// the exponent states, or if a long one lacks only zeros at its end, which floating-point types
/// leave out.
fn exact_power(text: &str) -> Option<String> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let exponent: usize = exponent
        .strip_prefix('+')
        .unwrap_or(exponent)
        .parse()
        .ok()?;
    let (sign, mantissa) = match mantissa.strip_prefix('+') {
        Some(mantissa) => ("+", mantissa),
        None => ("", mantissa),
    };
    let (first, fraction) = mantissa.split_once(['.', ','])?;
    let all_digits =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let zeros = exponent.checked_sub(fraction.len())?;
    let is_exact = first.len() == 1
        && all_digits(first)
        && all_digits(fraction)
        && (zeros == 0
            || fraction.len() >= EXACT_FRACTION && zeros <= 3 && !fraction.ends_with('0'));
    is_exact.then(|| format!("{sign}{first}{fraction}{}", "0".repeat(zeros)))
}

/// Returns `390612345678.0` without its fraction of zeros.
fn whole(text: &str) -> Option<&str> {
    let (digits, fraction) = text.rsplit_once(['.', ','])?;
    let plain = digits.strip_prefix('+').unwrap_or(digits);
    let is_whole = !fraction.is_empty()
        && fraction.bytes().all(|byte| byte == b'0')
        && plain
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b',')
        && plain.bytes().filter(u8::is_ascii_digit).count() >= LEAST_DIGITS;
    is_whole.then_some(digits)
}

/// Parses `390,612,345,678`: groups of three after the first.
fn grouped(text: &str) -> Option<String> {
    let plain = text.strip_prefix('+').unwrap_or(text);
    let (first, groups) = plain.split_once(',')?;
    let digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let is_grouped = (1..=3).contains(&first.len())
        && digits(first)
        && groups
            .split(',')
            .all(|group| group.len() == 3 && digits(group));
    is_grouped.then(|| text.replace(',', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Option<(String, bool)> {
        unwrapped(text).map(|spelled| (spelled.number.into_owned(), spelled.wrapped))
    }

    #[test]
    fn layers_are_taken_off_one_by_one() {
        let table = [
            ("=\"+390612345678\"", "+390612345678", false),
            ("'+390612345678", "+390612345678", false),
            (
                "\"Bob\" <sip:+390612345678@h;user=phone>;tag=1",
                "+390612345678",
                true,
            ),
            ("<tel:+390612345678>", "+390612345678", false),
            (
                "sip:%2B390612345678:secret@h:5060?subject=x",
                "+390612345678",
                true,
            ),
            ("sips:+390612345678;ext=5@h", "+390612345678", true),
            ("whatsapp:tel:+390612345678", "+390612345678", false),
            ("390612345678@s.whatsapp.net", "+390612345678", true),
            ("+390612345678;npdi;rn=+3912345", "+390612345678", true),
            ("+31 612345678 ext. 5", "+31 612345678", true),
            ("+31612345678,,123#", "+31612345678", true),
        ];
        for (text, wanted, wrapped) in table {
            assert_eq!(number(text), Some((wanted.to_owned(), wrapped)), "{text}");
        }
    }

    #[test]
    fn text_that_is_not_one_number_has_no_number() {
        for text in [
            "bob@example.org",
            "12345678@example.org",
            "sip:198.51.100.7",
            "<+3906",
            "+3906;+3907",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn a_context_is_a_prefix_or_the_number_stays_local() {
        let context = |text| unwrapped(text).map(|spelled| spelled.context);
        assert_eq!(
            context("tel:0612345678;phone-context=+39"),
            Some(Some("39".to_owned()))
        );
        assert_eq!(
            context("tel:7042;phone-context=+1-914-555"),
            Some(Some("1914555".to_owned()))
        );
        assert_eq!(
            context("tel:+390612345678;phone-context=example.com"),
            Some(None)
        );
        assert_eq!(context("tel:0612345678;phone-context=example.com"), None);
        assert_eq!(
            context("sip:0612345678;phone-context=%2B39@h"),
            Some(Some("39".to_owned()))
        );
    }

    #[test]
    fn a_numeral_is_read_only_where_no_digit_is_lost() {
        let table = [
            ("390612345678.0", "390612345678"),
            ("390612345678,00", "390612345678"),
            ("3.90612345678E11", "390612345678"),
            ("3.90612345678e+11", "390612345678"),
            ("390,612,345,678", "390612345678"),
            ("390,612,345,678.00", "390612345678"),
            ("3.90612E+11", "3.90612E+11"),
            ("3.9061234567E11", "390612345670"),
            ("3.906123456E11", "390612345600"),
            ("3.161234567e+10", "31612345670"),
            ("31612345678.000", "31612345678"),
            ("31612345678.000000", "31612345678"),
            ("3.90612345E11", "3.90612345E11"),
            ("06.12.34.56", "06.12.34.56"),
            ("31.612.345.678", "31.612.345.678"),
        ];
        for (text, wanted) in table {
            assert_eq!(numeral(text), wanted, "{text}");
        }
    }
}
