//! A file's bytes as text, and the text as lines.

use std::borrow::Cow;

use super::ListError;
use super::misread::{is_misread, other_encoding};

const NOT_UTF8: &str = "is not UTF-8 text (perhaps it is Latin-1 or Windows-1252)";
const SAVE: &str = "save the list as UTF-8; give bytes as hexadecimal digits";
const LIKE_UTF16: &str = "holds NUL, as UTF-16 without a byte-order mark does";
const CUT: &str = "holds half a character of UTF-16";
const MIXED: &str = "seems to be in another encoding than the UTF-16 before it, as if it was appended by another tool";
const MISREAD: &str = "holds UTF-8 that was read in another encoding and saved again (such as \u{c3}\u{ab} for \u{eb})";
const EXPORT_AGAIN: &str = "export the list as UTF-8 from where it came";

/// Decodes UTF-8, and UTF-16 with a byte-order mark. The mark is left out. Errors if any line was
/// misread by another tool.
pub(super) fn decode(file: &[u8]) -> Result<Cow<'_, str>, ListError> {
    let text = decoded(file)?;
    // Lines do not end at NEL here, which is the second byte of some letters.
    let mut before = 0;
    for line in text.split_inclusive(['\n', '\r']) {
        if is_misread(line) {
            return Err(ListError::line(
                line_after(&text[..before]),
                MISREAD,
                EXPORT_AGAIN,
            ));
        }
        before += line.len();
    }
    Ok(text)
}

fn decoded(file: &[u8]) -> Result<Cow<'_, str>, ListError> {
    let other = |what| {
        Err(ListError::File {
            what,
            fix: "export it as UTF-8 text, one value a line",
        })
    };
    match file {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => other("the list is UTF-32"),
        [b'P', b'K', 3, 4, ..] | [0xd0, 0xcf, 0x11, 0xe0, ..] => {
            other("the list is a spreadsheet or a zip file")
        }
        [b'{', b'\\', b'r', b't', b'f', ..] => other("the list is a document in RTF"),
        [b'%', b'P', b'D', b'F', ..] => other("the list is a PDF"),
        [0x1f, 0x8b, ..] => other("the list is packed"),
        [0xff, 0xfe, units @ ..] => utf16(units, u16::from_le_bytes).map(Cow::Owned),
        [0xfe, 0xff, units @ ..] => utf16(units, u16::from_be_bytes).map(Cow::Owned),
        [0xef, 0xbb, 0xbf, text @ ..] => utf8(text).map(Cow::Borrowed),
        text => utf8(text).map(Cow::Borrowed),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, ListError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
        let what = if bytes.contains(&0) {
            LIKE_UTF16
        } else {
            NOT_UTF8
        };
        ListError::line(line_after(before), what, SAVE)
    })?;
    match text.find('\0') {
        Some(at) => Err(ListError::line(line_after(&text[..at]), LIKE_UTF16, SAVE)),
        None => Ok(text),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, ListError> {
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| unit([pair[0], pair[1]]))
        .collect();
    if let Some(other) = other_encoding(&units) {
        let before = String::from_utf16_lossy(&units[..other]);
        return Err(ListError::line(line_after(&before), MIXED, SAVE));
    }
    let mut text = String::with_capacity(bytes.len());
    for decoded in char::decode_utf16(units.iter().copied()) {
        match decoded {
            Ok(c) => text.push(c),
            Err(_) => return Err(ListError::line(line_after(&text), CUT, SAVE)),
        }
    }
    match bytes.len() % 2 {
        0 => Ok(text),
        _ => Err(ListError::line(line_after(&text), CUT, SAVE)),
    }
}

/// Returns the number of the line at the end of `text`, which no line end follows.
fn line_after(text: &str) -> u32 {
    lines(text).last().map_or(1, |(line, _)| line)
}

/// Returns every line with its number from 1, split at every line end of Unicode; CR LF is one.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (u32, &str)> {
    let ends = |c: char| {
        matches!(
            c,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut rest = Some(text);
    let split = std::iter::from_fn(move || {
        let text = rest?;
        let Some(at) = text.find(ends) else {
            return rest.take();
        };
        let end = &text[at..];
        let width = if end.starts_with("\r\n") {
            2
        } else {
            end.chars().next().map_or(1, char::len_utf8)
        };
        rest = Some(&end[width..]);
        Some(&text[..at])
    });
    (1..).zip(split)
}
