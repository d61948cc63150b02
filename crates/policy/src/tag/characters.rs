//! Characters of numbers and addresses as people and programs write them: Unicode digits, dashes,
//! spaces and invisible marks.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The first digit of each block of ten decimal digits that telephones, keyboards and forms write.
const DIGIT_BLOCKS: [u32; 34] = [
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66,
    0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90,
    0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xAA50, 0xFF10,
];

/// The mathematical digits: five alphabets of ten.
const STYLED_DIGITS: std::ops::RangeInclusive<u32> = 0x1D7CE..=0x1D7FF;

/// Returns the text with variants of ASCII characters replaced by these, and without invisible
/// characters. Other characters are unchanged.
pub(super) fn to_ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        text.chars()
            .filter(|c| !is_invisible(*c))
            .map(ascii)
            .collect(),
    )
}

/// Returns the text without whitespace and invisible characters at its ends.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// Returns true for an invisible character: controls, marks of direction, zero-width spaces and
/// joiners, soft hyphens.
pub(super) fn is_invisible(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control() && !c.is_ascii_whitespace();
    }
    let listed = matches!(
        c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{180E}' | '\u{20E3}' | '\u{FEFF}' | '\u{FFFC}'
            | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FFF9}'..='\u{FFFB}'
    );
    listed || (c.is_control() && !c.is_whitespace())
}

/// Returns true for an invisible character that is never part of a domain: joiners are, in some
/// scripts.
pub(super) fn is_noise(c: char) -> bool {
    is_invisible(c) && !matches!(c, '\u{200C}' | '\u{200D}')
}

fn ascii(c: char) -> char {
    if c.is_ascii() {
        return c;
    }
    if let Some(digit) = digit(c) {
        return digit;
    }
    match c {
        '\u{207A}' | '\u{208A}' | '\u{FE62}' | '\u{2795}' => '+',
        '\u{2010}'..='\u{2015}'
        | '\u{2043}'
        | '\u{2212}'
        | '\u{2796}'
        | '\u{30FC}'
        | '\u{FE58}'
        | '\u{FE63}'
        | '\u{301C}'
        | '\u{223C}' => '-',
        '\u{B7}' | '\u{2022}' | '\u{2024}' | '\u{2027}' | '\u{22C5}' | '\u{30FB}' => '.',
        '\u{2044}' | '\u{2215}' => '/',
        '\u{2018}' | '\u{2019}' | '\u{201B}' | '\u{2032}' => '\'',
        '\u{201C}'..='\u{201F}' | '\u{AB}' | '\u{BB}' => '"',
        // Full-width forms.
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        _ if c.is_whitespace() => ' ',
        _ => c,
    }
}

fn digit(c: char) -> Option<char> {
    let code = u32::from(c);
    let value = match DIGIT_BLOCKS
        .iter()
        .find(|first| (**first..**first + 10).contains(&code))
    {
        Some(first) => code - first,
        None if STYLED_DIGITS.contains(&code) => (code - STYLED_DIGITS.start()) % 10,
        None => return None,
    };
    char::from_digit(value, 10)
}

/// Decodes `%XX`; `None` if the result is not UTF-8 or a `%` is not followed by two hexadecimal
/// digits.
pub(super) fn percent_decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let bytes = text.as_bytes();
    let is_escape = |at: usize| {
        bytes
            .get(at + 1..at + 3)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let mut signs = text.match_indices('%');
    if !signs.all(|(at, _)| is_escape(at)) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_marks_of_other_scripts_become_ascii() {
        for text in [
            "+31612345678",
            "\u{FF0B}\u{FF13}\u{FF11}\u{FF16}\u{FF11}\u{FF12}\u{FF13}\u{FF14}\u{FF15}\u{FF16}\u{FF17}\u{FF18}",
            "\u{202D}+\u{663}\u{661}\u{666}\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}\u{667}\u{668}\u{202C}",
            "+\u{969}\u{967}\u{96C}\u{967}\u{968}\u{969}\u{96A}\u{96B}\u{96C}\u{96D}\u{96E}",
        ] {
            assert_eq!(to_ascii(text), "+31612345678", "{text}");
        }
        assert_eq!(
            to_ascii("31\u{A0}6\u{2009}12\u{2011}34\u{2013}56\u{200B}78"),
            "31 6 12-34-5678"
        );
        assert_eq!(trimmed("\u{FEFF}\u{200E} ACME\u{A0}\u{200F}"), "ACME");
    }

    #[test]
    fn percent_codes_are_decoded_or_refused() {
        assert_eq!(percent_decoded("%2B39%2006").as_deref(), Some("+39 06"));
        assert_eq!(percent_decoded("plain").as_deref(), Some("plain"));
        for broken in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(percent_decoded(broken), None, "{broken}");
        }
    }
}
