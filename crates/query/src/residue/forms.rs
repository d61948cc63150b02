//! Every form in which a value may be stored in bytes: as given, canonical, escaped, in base64, as
//! binary.
//!
//! Pure. Text is found in either case. A form of only a few bytes is never searched for.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::typed::TypedForms;
use ebbtide_policy::tag::canonical_forms;

/// The minimum length of a value in bytes. Shorter ones occur in any large file by chance.
pub const LEAST_BYTES: usize = 4;

/// The minimum length of a binary form in bytes. Shorter ones occur in large files by chance.
const LEAST_BINARY: usize = 8;

/// The minimum number of bytes of a value for which its base64, cut at both ends, is still
/// specific.
const LEAST_BASE64: usize = 8;

/// The characters that paths and URLs encode: all except letters, digits and `-_.~`.
const IN_PATHS: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Bytes to search for. Unless `exact`, ASCII letters match in either case, and the pattern is in
/// lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// True if case matters.
    pub exact: bool,
}

/// One value's forms.
#[derive(Debug, Default)]
pub struct ValueForms {
    /// The texts that may be a complete value of a column.
    pub texts: Vec<Vec<u8>>,
    /// The bytes that may be a complete value of a binary column.
    pub binary: Vec<Vec<u8>>,
    /// The value as a number, an instant or a day.
    pub numbers: TypedForms,
    /// The patterns to search for in bytes.
    pub patterns: Vec<Pattern>,
}

impl ValueForms {
    /// Returns the forms of a value. Forms shorter than the minimum length of a value are left out
    /// unless `allow_short`.
    pub fn new(value: &str, allow_short: bool) -> ValueForms {
        let mut forms = ValueForms::default();
        let least = if allow_short { 1 } else { LEAST_BYTES };
        let canonical: Vec<String> = canonical_forms(value)
            .into_iter()
            .filter(|form| form.len() >= least)
            .collect();
        // Only the canonical form of a number with separators is a number.
        let read = [value.trim()]
            .into_iter()
            .chain(canonical.iter().map(String::as_str))
            .map(TypedForms::from_text);
        forms.numbers = read
            .into_iter()
            .find(|numbers| *numbers != TypedForms::default())
            .unwrap_or_default();
        let texts: Vec<String> = [value.to_owned()]
            .into_iter()
            .chain(canonical)
            .chain(forms.numbers.spelled())
            .collect();
        for text in &texts {
            forms.text(text);
        }
        forms.base64(value.trim().as_bytes());
        let digits: String = value.trim().chars().filter(|c| *c != '-').collect();
        if value.trim().len() == 36 && digits.len() == 32 {
            forms.text(&digits);
        }
        if let Some(bytes) = hex(&digits).filter(|bytes| bytes.len() >= LEAST_BINARY) {
            forms.exact(bytes.clone());
            forms.binary.push(bytes);
        }
        for bytes in forms.numbers.binary() {
            forms.exact(bytes);
        }
        forms.patterns = without_the_longer(std::mem::take(&mut forms.patterns));
        forms
    }

    /// Adds a text as it is and in its escaped forms: in JSON (once and twice, with and without
    /// numeric escapes) and in paths.
    fn text(&mut self, text: &str) {
        self.texts.push(text.as_bytes().to_vec());
        let once = escaped(text);
        let numbered = by_number(&once);
        let percent = utf8_percent_encode(text, &IN_PATHS).to_string();
        let twice = [
            escaped(&once),
            escaped(&numbered),
            percent.replace('%', "%25"),
        ];
        for form in [text.to_owned(), once, numbered, percent]
            .into_iter()
            .chain(twice)
        {
            self.patterns.push(Pattern {
                bytes: form.to_ascii_lowercase().into_bytes(),
                exact: false,
            });
        }
    }

    /// Adds the base64 forms of a text that contains the value at any position in a group of three
    /// bytes, without the characters at either end that depend on the adjacent bytes.
    fn base64(&mut self, value: &[u8]) {
        if value.len() < LEAST_BASE64 {
            return;
        }
        for shift in 0..3 {
            let padded = [&vec![0; shift], value].concat();
            let (first, whole) = ([0, 2, 3][shift], padded.len() / 3 * 4);
            let coded = &base64(&padded)[first..whole];
            self.exact(coded.as_bytes().to_vec());
            self.exact(coded.replace('+', "-").replace('/', "_").into_bytes());
        }
    }

    fn exact(&mut self, bytes: Vec<u8>) {
        self.patterns.push(Pattern { bytes, exact: true });
    }
}

/// Removes patterns that contain another pattern: where they match, the shorter one matches too.
fn without_the_longer(mut patterns: Vec<Pattern>) -> Vec<Pattern> {
    patterns.sort_by_key(|pattern| pattern.bytes.len());
    let mut kept: Vec<Pattern> = Vec::new();
    for pattern in patterns {
        let holds = |other: &Pattern| {
            let lower = pattern.bytes.to_ascii_lowercase();
            let within = |bytes: &[u8]| {
                bytes
                    .windows(other.bytes.len())
                    .any(|window| window == other.bytes)
            };
            if other.exact {
                pattern.exact && within(&pattern.bytes)
            } else {
                within(&lower)
            }
        };
        if !kept.iter().any(holds) {
            kept.push(pattern);
        }
    }
    kept
}

/// Returns the text as JSON writes it within quotes.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Returns the text with every non-ASCII character as a numeric escape (`\uXXXX`), which JSON
/// allows.
fn by_number(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            c.encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    out
}

/// Returns base64 without the padding at its end.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut coded = String::new();
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        let digits =
            (0..=group.len()).map(|at| char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]));
        coded.extend(digits);
    }
    coded
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    if digits.len() % 2 == 1 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(forms: &ValueForms, bytes: &[u8]) -> bool {
        let found = |pattern: &Pattern| {
            let hay = if pattern.exact {
                bytes.to_vec()
            } else {
                bytes.to_ascii_lowercase()
            };
            hay.windows(pattern.bytes.len())
                .any(|window| window == pattern.bytes)
        };
        forms.patterns.iter().any(found)
    }

    #[test]
    fn value_is_recognised_in_every_form_that_it_may_have() {
        let number = ValueForms::new("+31 6 1234-5678", false);
        for text in [
            "x31612345678y",
            "+31612345678",
            "%2B31612345678",
            "+31 6 1234-5678",
            "%2b31%206%201234-5678",
        ] {
            assert!(holds(&number, text.as_bytes()), "{text}");
        }
        assert!(holds(&number, &31_612_345_678_i64.to_le_bytes()));
        let address = ValueForms::new("Ada.\"L\"@Example.net", false);
        for text in [
            "ada.\"l\"@example.net",
            "ADA.\\\"L\\\"@EXAMPLE.NET",
            "ada.\\\\\\\"l\\\\\\\"@example.net",
            "ada.%22L%22%40example.net",
        ] {
            assert!(holds(&address, text.as_bytes()), "{text}");
        }
        let uuid = ValueForms::new("0B3A6A4E-8d5c-4c0e-9a41-1f2e3d4c5b6a", false);
        assert!(holds(&uuid, b"0b3a6a4e-8d5c-4c0e-9a41-1f2e3d4c5b6a"));
        assert!(holds(&uuid, b"0b3a6a4e8d5c4c0e9a411f2e3d4c5b6a"));
        assert!(holds(
            &uuid,
            &hex("0b3a6a4e8d5c4c0e9a411f2e3d4c5b6a").unwrap()
        ));
        let wide = ValueForms::new("Zoë größe", false);
        for text in [
            "zoë größe",
            "Zo\\u00EB gr\\u00f6\\u00dfe",
            "zo%C3%AB%20gr%c3%b6%c3%9fe",
        ] {
            assert!(holds(&wide, text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn base64_is_what_others_write() {
        let known = [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
            ("\u{fb}\u{ff}", "w7vDvw"),
        ];
        for (text, wanted) in known {
            assert_eq!(base64(text.as_bytes()), wanted);
        }
    }

    #[test]
    fn base64_is_recognised_wherever_in_it_the_value_begins() {
        let forms = ValueForms::new("canary-00017", false);
        for before in ["", "a", "ab", "abc"] {
            for after in ["", "z", "zy"] {
                let coded = base64(format!("{before}canary-00017{after}").as_bytes());
                assert!(holds(&forms, coded.as_bytes()), "{before}|{after}");
            }
        }
        assert!(!holds(&forms, base64(b"canary-00018").as_bytes()));
    }

    #[test]
    fn no_form_of_a_value_is_shorter_than_a_value_may_be() {
        for value in [
            "1234",
            "a:12",
            "ab:123456",
            "12 34",
            "+316",
            "2026-11-24",
            "0x12",
            "1.25",
        ] {
            let forms = ValueForms::new(value, false);
            assert!(
                forms
                    .patterns
                    .iter()
                    .all(|pattern| pattern.bytes.len() >= 4),
                "{value}: {:?}",
                forms.patterns
            );
        }
    }
}
