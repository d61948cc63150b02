//! The spellings in which one value may be stored besides the one in a list: Unicode's forms, case,
//! dashes, spaces.

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

/// Returns true for characters that are invisible: zero-width marks, marks of direction, soft
/// hyphens, byte-order marks.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
    )
}

/// Returns a value without invisible marks, with plain spaces.
pub(super) fn plain(text: &str) -> String {
    let seen = text.chars().filter(|c| !is_invisible(*c));
    seen.map(|c| if c.is_whitespace() { ' ' } else { c })
        .collect()
}

/// Returns a value as it is given and in the spellings that a reader considers equal, each once:
/// without invisible marks, with plain spaces and hyphens, in each of Unicode's normal forms, in
/// lower and upper case, and without the `.0` of a spreadsheet.
#[must_use]
pub fn spellings(text: &str) -> Vec<String> {
    let mut all = vec![text.to_owned()];
    let mut add = |spelling: String| {
        if !spelling.is_empty() && !all.contains(&spelling) {
            all.push(spelling);
        }
    };
    if let Some(whole) = text.strip_suffix(".0").filter(|whole| is_number(whole)) {
        add(whole.to_owned());
    }
    if !text.is_ascii() {
        let plain = plain(text);
        let dashes = |c: char| {
            matches!(
                c,
                '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe63}' | '\u{ff0d}'
            )
        };
        let composed = ComposingNormalizerBorrowed::new_nfc()
            .normalize(&plain)
            .into_owned();
        add(DecomposingNormalizerBorrowed::new_nfd()
            .normalize(&plain)
            .into_owned());
        add(ComposingNormalizerBorrowed::new_nfkc()
            .normalize(&plain)
            .into_owned());
        add(composed.to_lowercase());
        add(composed.to_uppercase());
        add(plain.replace(dashes, "-"));
        add(composed);
        add(plain);
    }
    all
}

fn is_number(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    digits.len() >= 7 && digits.bytes().all(|byte| byte.is_ascii_digit())
}
