//! Reads the JSON of a schema as Avro's libraries in other languages write it: with comments, a
//! byte-order mark, or NaN.

use serde_json::Value as Json;

/// Words that are not JSON and that defaults may contain. No writer's default is ever used, so null
/// replaces them.
const NUMBERS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// Reads a schema's text. Errors with the place if it is not JSON even without its comments.
pub(super) fn read(text: &str) -> Result<Json, serde_json::Error> {
    let text = text.trim_start_matches('\u{feff}');
    serde_json::from_str(text)
        .or_else(|error| serde_json::from_str(&plain(text)).map_err(|_| error))
}

/// Returns a whole number, however it is written.
pub(super) fn whole(json: &Json) -> Option<usize> {
    let number = match json {
        Json::String(text) => text.trim().parse().ok()?,
        Json::Number(number) => number
            .as_u64()
            .or_else(|| number.to_string().strip_suffix(".0")?.parse().ok())?,
        _ => return None,
    };
    usize::try_from(number).ok()
}

/// Returns the text with a space for each comment and null for each number that JSON does not have.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (taken, written) = match first {
            '"' => {
                let length = string_length(rest);
                (length, &rest[..length])
            }
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), " "),
            '/' if rest.starts_with("/*") => {
                (rest[2..].find("*/").map_or(rest.len(), |end| end + 4), " ")
            }
            _ => match NUMBERS.iter().find(|word| rest.starts_with(**word)) {
                Some(word) => (word.len(), "null"),
                None => (first.len_utf8(), &rest[..first.len_utf8()]),
            },
        };
        plain.push_str(written);
        rest = &rest[taken..];
    }
    plain
}

/// Returns the length in bytes of the string at the start of `text`, including both quotes.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::read;

    #[test]
    fn comments_marks_and_numbers_beyond_json_are_passed_over() {
        let wanted = json!({"a": null, "b": "// no \" comment NaN", "c": [null, null]});
        let text = "\u{feff}/* é */ {\"a\": NaN, // one\n \"b\": \"// no \\\" comment NaN\", \"c\": [-Infinity,Infinity]} //";
        assert_eq!(read(text).unwrap(), wanted);
        assert_eq!(read("{\"a\": 1}").unwrap(), json!({"a": 1}));
    }

    #[test]
    fn invalid_json_is_refused_with_its_place() {
        for text in ["", "{", "/* {}", "\"a", "nothing", "{\"a\": // 1}"] {
            assert!(
                read(text).unwrap_err().to_string().contains("line 1"),
                "{text}"
            );
        }
    }
}
