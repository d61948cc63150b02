//! The marks of a list in a text document: bullets, numbering, check boxes.

use super::trim;
use crate::tag::holds_subject;

/// Marks that need no space after them.
const BULLETS: [char; 36] = [
    '•', '‣', '▪', '▫', '·', '∙', '‧', '●', '○', '◦', '⁃', '■', '□', '◾', '◽', '◆', '◇', '►',
    '▶', '▸', '▹', '→', '➤', '✓', '✔', '✗', '✘', '☐', '☑', '☒', '★', '☆', '※', '❖', '➢',
    '\u{f0b7}',
];

/// Marks that a space follows: of Markdown, of quoted mail, of dashed lists. A line may begin with
/// several.
const SPACED: [char; 9] = ['-', '*', '>', '#', '–', '—', '―', '~', '='];

/// Returns a line's text without the marks before it. A text that would be empty without them
/// stays.
pub(super) fn without_marks(text: &str) -> &str {
    let mut text = text;
    loop {
        let rest = trim(without_mark(text));
        if rest.is_empty() || rest.len() == text.len() {
            return text;
        }
        text = rest;
    }
}

fn without_mark(text: &str) -> &str {
    if let Some(rest) = text.strip_prefix(BULLETS) {
        return rest;
    }
    let Some(first) = text.chars().next() else {
        return text;
    };
    if SPACED.contains(&first) {
        let rest = text.trim_start_matches(first);
        return if is_spaced(rest) { rest } else { text };
    }
    for check_box in ["[ ]", "[]", "[x]", "[X]"] {
        if let Some(rest) = text.strip_prefix(check_box).filter(|rest| is_spaced(rest)) {
            return rest;
        }
    }
    if !first.is_ascii() && !first.is_alphanumeric() && !is_part(first) && holds_subject(text) {
        return &text[first.len_utf8()..];
    }
    without_number(text)
}

/// Returns true for signs that may begin a value: quotes, and the full-width and raised forms of
/// ASCII.
fn is_part(c: char) -> bool {
    matches!(
        c,
        '\u{ab}' | '\u{bb}' | '\u{2018}'..='\u{201f}' | '\u{2039}' | '\u{203a}' | '\u{207a}' | '\u{208a}' | '\u{2795}'
            | '\u{fe6b}' | '\u{fe62}' | '\u{ff00}'..='\u{ffef}'
    )
}

fn is_spaced(rest: &str) -> bool {
    rest.starts_with(|first: char| first.is_whitespace() && first != '\t')
}

/// Returns a text without the number or letter of its line: `1.`, `1)`, `(1)`, `1:`, `a)`, and a
/// number alone before an address or a plus.
fn without_number(text: &str) -> &str {
    let inner = text.strip_prefix(['(', '[']).unwrap_or(text);
    let is_open = inner.len() < text.len();
    let digits = inner.bytes().take_while(u8::is_ascii_digit).count();
    let letter = digits == 0 && inner.starts_with(|first: char| first.is_ascii_alphabetic());
    let rest = &inner[if letter { 1 } else { digits }..];
    let marks = rest.len() - rest.trim_start_matches(['.', ')', ']', ':', '-']).len();
    let after = &rest[marks..];
    if !((1..=4).contains(&digits) || letter) || marks > 2 || !is_spaced(after) {
        return text;
    }
    let value = trim(after);
    let is_numbering = match marks {
        // A number alone is numbering only before a text that cannot continue a number.
        0 => {
            !letter
                && !is_open
                && (value.starts_with('+') || value.contains('@'))
                && holds_subject(value)
        }
        // An initial, and a word before its value.
        _ if letter => rest.starts_with(')'),
        // An area code.
        _ if is_open => !value.starts_with(|first: char| first.is_ascii_digit()),
        _ => !(inner.starts_with('0') && rest.starts_with('-')),
    };
    if is_numbering { after } else { text }
}

#[cfg(test)]
mod tests {
    use super::without_marks;

    #[test]
    fn marks_of_every_sort_are_removed() {
        for mark in [
            "- ",
            "* ",
            "•",
            "• ",
            "1. ",
            "1) ",
            "(1) ",
            "12.) ",
            "1: ",
            "1 ",
            "> ",
            ">> ",
            "# ",
            "## ",
            "– ",
            "— ",
            "·",
            "● ",
            "✓ ",
            "[x] ",
            "- [ ] ",
            "☎ ",
            "✉\u{fe0f} ",
            "a) ",
            "> - ",
        ] {
            for value in ["ann@example.org", "+31612345678"] {
                assert_eq!(without_marks(&format!("{mark}{value}")), value, "{mark}");
            }
        }
        assert_eq!(without_marks("1. Zoë Doe"), "Zoë Doe");
        assert_eq!(without_marks("- Zoë Doe"), "Zoë Doe");
    }

    #[test]
    fn parts_of_a_value_stay() {
        for text in [
            "(020) 123-4567",
            "+31 6 12345678",
            "1 914 555 1234",
            "2026-11-24 10:00:00",
            "12 Main Street",
            "J. Doe",
            "-5 degrees",
            "“Ann”",
            "＋３１６",
            "€ 100",
            "•",
        ] {
            assert_eq!(without_marks(text), text);
        }
    }
}
