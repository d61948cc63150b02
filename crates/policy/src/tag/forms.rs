//! The canonical forms in which a value may be stored, whatever kind of subject it is.

use super::canonical::{canonical_channel, canonical_email, canonical_phone};
use super::characters::trimmed;
use super::text::{lower, written};

/// The minimum length of an id that is specific without its platform.
const LEAST_ID: usize = 6;

/// Returns the forms in which `value` may be stored in a table besides the given one: as a
/// telephone number, as a mail address or a platform's name, as a channel's id after its platform,
/// and that id alone, in the canonical forms of this and of earlier versions. Without duplicates,
/// and without `value`.
#[must_use]
pub fn canonical_forms(value: &str) -> Vec<String> {
    let text = trimmed(value);
    let mut forms = vec![
        text.to_owned(),
        canonical_phone(value),
        digits_of_earlier_versions(text),
        canonical_email(value),
        written(|to| lower(text, to)),
    ];
    if let Some((platform, id)) = on_a_channel(text) {
        forms.push(canonical_channel(platform, id));
        forms.push(written(|to| lower(platform, to)) + ":" + id);
        if id.len() >= LEAST_ID {
            forms.push(canonical_phone(id));
            forms.push(id.to_owned());
        }
    }
    let mut distinct = Vec::new();
    for form in forms {
        if form != value && !form.is_empty() && !distinct.contains(&form) {
            distinct.push(form);
        }
    }
    distinct
}

/// Returns the result of earlier versions for digits and separators, which read no national prefix
/// after a calling code. Anything else gives an empty text.
fn digits_of_earlier_versions(text: &str) -> String {
    let is_known = |byte: u8| byte.is_ascii_digit() || b" +-.()/".contains(&byte);
    match text.bytes().all(is_known) {
        true => text
            .chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
            .trim_start_matches("00")
            .to_owned(),
        false => String::new(),
    }
}

/// Returns the platform and the id if the text reads as a channel's id: not an instant, a URL, or a
/// sentence with a colon.
pub(super) fn on_a_channel(text: &str) -> Option<(&str, &str)> {
    let (platform, id) = text.split_once(':')?;
    let named = platform.starts_with(|first: char| first.is_alphabetic())
        && platform
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
    let is_id = !id.is_empty() && !id.starts_with("//") && !id.contains(char::is_whitespace);
    (named && is_id).then_some((platform, id))
}

#[cfg(test)]
mod tests {
    use super::canonical_forms;

    #[test]
    fn forms_of_numbers_addresses_and_ids_are_those_of_the_tagger() {
        assert_eq!(canonical_forms("+31 6 1234-5678"), ["31612345678"]);
        assert_eq!(
            canonical_forms(" Ada@Example.NET"),
            ["Ada@Example.NET", "ada@example.net"]
        );
        let forms = canonical_forms("WhatsApp:+31612345678");
        assert!(
            forms.contains(&"whatsapp:+31612345678".to_owned()),
            "{forms:?}"
        );
        assert!(
            forms.contains(&"31612345678".to_owned()) && forms.contains(&"+31612345678".to_owned()),
            "{forms:?}"
        );
    }

    #[test]
    fn an_instant_a_url_and_a_sentence_are_no_channels_ids() {
        for text in [
            "2026-11-24t10:00:00z",
            "https://media.example.net/1",
            "re: lunch today",
            "31612345678",
        ] {
            assert_eq!(canonical_forms(text), [""; 0], "{text}");
        }
    }
}
