//! Text that was decoded in another encoding than the one it was written in, by an earlier tool or
//! in a part of one file.

/// The characters of Windows-1252 at 0x80 to 0x9F; a space at unused places.
const WINDOWS_1252: &str = "€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž  ‘’“”•–—˜™š›œ žŸ";

/// The characters that code pages of consoles and of old Macs show for the first byte of a letter
/// with an accent in UTF-8.
const FIRST_BYTES: [char; 5] = ['├', '┬', '┼', '√', '╬'];

/// Returns true for a line of UTF-8 that was read as Latin-1, Windows-1252 or a console's code page
/// and saved again: `ZoÃ«`.
pub(super) fn is_misread(line: &str) -> bool {
    if line.is_ascii() {
        return false;
    }
    let bytes: Option<Vec<u8>> = line.chars().map(byte).collect();
    let is_latin = bytes.is_some_and(|bytes| std::str::from_utf8(&bytes).is_ok());
    let mut pairs = line.chars().zip(line.chars().skip(1));
    is_latin || pairs.any(|(first, second)| FIRST_BYTES.contains(&first) && !second.is_ascii())
}

/// Returns the byte of a character in Latin-1 or Windows-1252.
fn byte(c: char) -> Option<u8> {
    let special = || {
        WINDOWS_1252
            .chars()
            .position(|other| other == c && c != ' ')
            .map(|at| 0x80 + at)
    };
    u8::try_from(u32::from(c))
        .ok()
        .or_else(|| u8::try_from(special()?).ok())
}

/// Returns the index of the first unit of UTF-16 from which on the bytes are those of another
/// encoding: text in ASCII that was appended, or units in the other byte order. `None` if there is
/// no sign of it.
pub(super) fn other_encoding(units: &[u16]) -> Option<usize> {
    let run = |count: usize, is: fn(u16) -> bool| {
        units
            .windows(count)
            .position(|run| run.iter().all(|unit| is(*unit)))
    };
    let line_end = |pair: &[u16]| {
        is_ascii_pair(pair[0]) && pair[0] > 0x2000 && matches!(pair[1], 0x0a0d | 0x0d0a)
    };
    let found = [
        run(2, is_number_pair),
        run(4, is_ascii_pair),
        run(3, |unit| unit & 0xff == 0 && is_text((unit >> 8) as u8)),
        units.windows(2).position(line_end),
    ];
    found.into_iter().flatten().min()
}

/// Returns true for a unit whose bytes are both a digit or a sign of numbers, addresses and line
/// ends.
fn is_number_pair(unit: u16) -> bool {
    unit.to_be_bytes()
        .iter()
        .all(|byte| byte.is_ascii_digit() || b"+@\r\n".contains(byte))
        && unit != 0x0a0d
}

/// Returns true for a unit whose bytes are both ASCII text.
fn is_ascii_pair(unit: u16) -> bool {
    unit.to_be_bytes().into_iter().all(is_text)
}

fn is_text(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_that_was_read_as_another_encoding_is_recognised() {
        for text in [
            "ZoÃ« Doe",
            "JosÃ©",
            "MÃ¼ller",
            "Å\u{a0}imon",
            "voilÃ\u{a0}",
            "Zo├½",
            "Zo√´",
            "â‚¬ 100",
            "Ð–Ð°Ð½",
            "Ð–ÐµÐ½Ñ\u{8f}",
        ] {
            assert!(is_misread(text), "{text}");
        }
        for text in [
            "Zoë Doe",
            "José",
            "Müller",
            "«CAFÉ»",
            "Ångström",
            "São Paulo",
            "€ 100",
            "日本",
            "Женя",
            "Zoe",
        ] {
            assert!(!is_misread(text), "{text}");
        }
    }

    #[test]
    fn ascii_within_utf16_is_recognised_in_either_byte_order() {
        for order in [u16::from_le_bytes, u16::from_be_bytes] {
            for text in [
                "+31612345678\r\n\r\n",
                "ann@example.org\n",
                "Zoe Doe\n",
                "Anna\r\n",
            ] {
                let units: Vec<u16> = text
                    .as_bytes()
                    .chunks_exact(2)
                    .map(|pair| order([pair[0], pair[1]]))
                    .collect();
                assert!(other_encoding(&units).is_some(), "{text:?}");
            }
        }
        for text in [
            "日本太郎",
            "上海",
            "不明な値\r\n名前",
            "Ann\r\n+31612345678\r\n",
            "Женя",
            "ഊമ",
            "ਪੰਜਾਬ",
        ] {
            assert_eq!(
                other_encoding(&text.encode_utf16().collect::<Vec<_>>()),
                None,
                "{text}"
            );
        }
        let swapped: Vec<u16> = "+316".encode_utf16().map(u16::swap_bytes).collect();
        assert_eq!(other_encoding(&swapped), Some(0));
    }
}
