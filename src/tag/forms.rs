//! The canonical forms that a value may have been stored in, whatever kind of subject it was.
//!
//! Promises every form that the tagger would write for the value as a number, an address or a channel's id. Must never keep
//! a value back.

use super::text::{channel, lower, phone};

/// Shorter ids mean nothing without their platform.
const LEAST_ID: usize = 6;

/// The forms in which `value` may stand in a table besides the one it is given in: as a telephone number, as a mail address
/// or a platform's name, as a channel's id behind its platform, and that id alone. Without doubles, and without `value`.
#[must_use]
pub fn canonical_forms(value: &str) -> Vec<String> {
    let mut forms = vec![value.trim().to_owned(), written(|to| phone(value, to)), written(|to| lower(value, to))];
    if let Some((platform, id)) = on_a_channel(value.trim()) {
        forms.push(written(|to| channel(Some(platform), id, to)));
        if id.len() >= LEAST_ID {
            forms.push(written(|to| phone(id, to)));
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

/// The platform and the id of a channel's id, where the text reads as one: no instant, no URL, no sentence with a colon.
fn on_a_channel(text: &str) -> Option<(&str, &str)> {
    let (platform, id) = text.split_once(':')?;
    let named = platform.starts_with(|first: char| first.is_alphabetic())
        && platform.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
    let is_id = !id.is_empty() && !id.starts_with("//") && !id.contains(char::is_whitespace);
    (named && is_id).then_some((platform, id))
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut to = Vec::new();
    write(&mut to);
    String::from_utf8_lossy(&to).into_owned()
}

#[cfg(test)]
mod tests {
    use super::canonical_forms;

    #[test]
    fn a_number_an_address_and_a_channels_id_have_the_forms_that_the_tagger_writes() {
        assert_eq!(canonical_forms("+31 6 1234-5678"), ["31612345678"]);
        assert_eq!(canonical_forms(" Ada@Example.NET"), ["Ada@Example.NET", "ada@example.net"]);
        let forms = canonical_forms("WhatsApp:+31612345678");
        assert!(forms.contains(&"whatsapp:+31612345678".to_owned()), "{forms:?}");
        assert!(forms.contains(&"31612345678".to_owned()) && forms.contains(&"+31612345678".to_owned()), "{forms:?}");
    }

    #[test]
    fn an_instant_a_url_and_a_sentence_are_no_channels_ids() {
        for text in ["2026-11-24t10:00:00z", "https://media.example.net/1", "re: lunch today", "31612345678"] {
            assert_eq!(canonical_forms(text), [""; 0], "{text}");
        }
    }
}
