//! Escapes that hide a text from a search of bytes: backslashes (JSON in JSON) and percent signs
//! (paths).
//!
//! Escapes of arbitrary bytes are decoded layer by layer in bounded memory. Anything that is not an
//! escape stays unchanged.

use std::io::{self, Cursor, Read};

/// The number of layers of backslashes that are decoded: an entry of the log contains JSON
/// (statistics) in JSON, and one more layer for safety.
const BACKSLASHES: usize = 3;

/// The number of layers of percent signs: a path is encoded as a folder's name, and then as a URL.
const PERCENTS: usize = 2;

/// The length of the longest escape: a character outside the Basic Multilingual Plane, as two of
/// `\uXXXX`.
const LONGEST: usize = 12;

/// Opens the text for reading from its start. May be called several times.
pub type OpenText<'a> = dyn Fn() -> io::Result<Box<dyn Read + 'a>> + 'a;

/// The escape signs that were seen in the bytes that were read.
#[derive(Debug, Default, Clone, Copy)]
pub struct EscapeSigns {
    backslash: bool,
    percent: bool,
}

impl EscapeSigns {
    /// Looks for escape signs in the next bytes.
    pub fn see(&mut self, bytes: &[u8]) {
        self.backslash = self.backslash || bytes.contains(&b'\\');
        self.percent = self.percent || bytes.contains(&b'%');
    }
}

/// Passes every layer below the text itself to `search`, which returns the signs that it saw.
/// `signs` are those of the text.
pub fn each<'a>(
    open: &OpenText<'a>,
    signs: EscapeSigns,
    search: &mut dyn FnMut(Box<dyn Read + 'a>) -> io::Result<EscapeSigns>,
) -> io::Result<()> {
    let mut above = signs;
    for depth in 0..=BACKSLASHES {
        if depth > 0 {
            if !above.backslash {
                break;
            }
            above = search(below(open, depth, 0)?)?;
        }
        let mut seen = above;
        for percents in 1..=PERCENTS {
            if !seen.percent {
                break;
            }
            seen = search(below(open, depth, percents)?)?;
        }
    }
    Ok(())
}

/// Passes the layers of bytes in memory to `search`, and returns its first result that is not
/// `None`.
pub fn search<T>(bytes: &[u8], mut search: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
    let mut signs = EscapeSigns::default();
    signs.see(bytes);
    let mut found = None;
    let open = || -> io::Result<Box<dyn Read + '_>> { Ok(Box::new(Cursor::new(bytes))) };
    // Reading from memory cannot fail.
    let _ = each(&open, signs, &mut |mut layer| {
        let (mut text, mut signs) = (Vec::new(), EscapeSigns::default());
        layer.read_to_end(&mut text)?;
        signs.see(&text);
        found = found.take().or_else(|| search(&text));
        Ok(signs)
    });
    found
}

fn below<'a>(
    open: &OpenText<'a>,
    backslashes: usize,
    percents: usize,
) -> io::Result<Box<dyn Read + 'a>> {
    let mut read = open()?;
    for sign in std::iter::repeat_n(b'\\', backslashes).chain(std::iter::repeat_n(b'%', percents)) {
        read = Box::new(EscapeDecoder {
            inner: read,
            sign,
            raw: Vec::new(),
            ended: false,
            ready: Cursor::default(),
        });
    }
    Ok(read)
}

/// A reader that decodes one layer of escapes of one sign.
struct EscapeDecoder<R> {
    inner: R,
    sign: u8,
    /// Bytes that were read but not decoded yet; they may end within an escape.
    raw: Vec<u8>,
    ended: bool,
    ready: Cursor<Vec<u8>>,
}

impl<R: Read> Read for EscapeDecoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.ready.read(buffer)?;
            if read > 0 || buffer.is_empty() || (self.ended && self.raw.is_empty()) {
                return Ok(read);
            }
            let more = (&mut self.inner).take(1 << 16).read_to_end(&mut self.raw)?;
            self.ended = more == 0;
            let mut out = Vec::with_capacity(self.raw.len());
            let mut at = 0;
            while at < self.raw.len() && (self.ended || self.raw.len() - at >= LONGEST) {
                at += undo(self.sign, &self.raw[at..], &mut out);
            }
            self.raw.drain(..at);
            self.ready = Cursor::new(out);
        }
    }
}

/// Decodes the escape or byte at the start of `bytes`. Returns the number of bytes consumed.
fn undo(sign: u8, bytes: &[u8], out: &mut Vec<u8>) -> usize {
    match bytes {
        [first, ..] if *first != sign => out.push(*first),
        [b'%', high, low, ..] => {
            if let Some(byte) = number(&[*high, *low]).and_then(|byte| u8::try_from(byte).ok()) {
                out.push(byte);
                return 3;
            }
            out.push(b'%');
        }
        [b'\\', b'u', rest @ ..] if rest.get(..4).and_then(number).is_some() => {
            return 2 + character(rest, out);
        }
        [b'\\', escaped, ..] => {
            out.push(match escaped {
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                b'b' => 8,
                b'f' => 12,
                other => *other,
            });
            return 2;
        }
        [last, ..] => out.push(*last),
        [] => {}
    }
    1
}

/// Decodes the character after a `\u`, from two numbers for a surrogate pair. Returns the number of
/// bytes consumed.
fn character(rest: &[u8], out: &mut Vec<u8>) -> usize {
    let unit = |at: usize| {
        rest.get(at..at + 4)
            .and_then(number)
            .and_then(|unit| u16::try_from(unit).ok())
    };
    let (first, second) = (unit(0), unit(6).filter(|_| rest.get(4..6) == Some(b"\\u")));
    let pair = [first.unwrap_or_default(), second.unwrap_or_default()];
    let alone = char::from_u32(pair[0].into());
    let joined = || char::decode_utf16(pair).next().and_then(Result::ok);
    let (character, took) = match (alone, second) {
        (None, Some(_)) => (joined(), 10),
        (alone, _) => (alone, 4),
    };
    let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    took
}

fn number(digits: &[u8]) -> Option<u32> {
    let mut number = 0;
    for digit in digits {
        number = number * 16 + char::from(*digit).to_digit(16)?;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(text: &str) -> Vec<String> {
        let mut all = Vec::new();
        let none: Option<()> = search(text.as_bytes(), |layer| {
            all.push(String::from_utf8_lossy(layer).into_owned());
            None
        });
        assert!(none.is_none());
        all
    }

    #[test]
    fn json_within_json_and_a_path_encoded_twice_are_undone() {
        assert_eq!(layers("plain"), [""; 0]);
        assert_eq!(
            layers(r#"{"a":"x\"y\u00e9\ud83c\udf0a"}"#),
            [r#"{"a":"x"yé🌊"}"#]
        );
        let text = serde_json::json!({ "stats": serde_json::json!({ "min": "a\"b" }).to_string() })
            .to_string();
        assert!(
            layers(&text).contains(&r#"{"stats":"{"min":"a"b"}"}"#.to_owned()),
            "{:?}",
            layers(&text)
        );
        assert_eq!(layers("bucket=a%2520b"), ["bucket=a%20b", "bucket=a b"]);
    }

    #[test]
    fn text_without_escapes_stays_and_a_cut_off_escape_does_not_end_it() {
        assert_eq!(layers("100% sure %zz %4")[0], "100% sure %zz %4");
        assert_eq!(layers("\\"), ["\\", "\\", "\\"]);
        assert_eq!(layers("\\u12")[0], "u12");
        assert_eq!(layers("\\ud83c!")[0], "\u{fffd}!");
    }

    #[test]
    fn an_escape_across_two_reads_is_undone() {
        for shift in 0..16 {
            let text =
                "x".repeat((1 << 16) - shift) + "\\\\\\u00e9\\ud83c\\udf0a" + &"y".repeat(100);
            let wanted = "x".repeat((1 << 16) - shift) + "\\é🌊" + &"y".repeat(100);
            assert_eq!(layers(&text)[0], wanted, "{shift}");
        }
    }
}
