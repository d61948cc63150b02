//! The canonical form of one subject, as a column of it is stored: for whoever looks a person up.
//!
//! Promises the very bytes that tagging writes.

use super::text;

/// A telephone number as its column is stored: E.164 without the plus; what is no number trimmed.
#[must_use]
pub fn canonical_phone(number: &str) -> String {
    written(|to| text::phone(number, to))
}

/// A mail address as its column is stored: trimmed and in lower case.
#[must_use]
pub fn canonical_email(address: &str) -> String {
    written(|to| text::lower(address, to))
}

/// A channel's id as its column is stored: `platform:id`, the platform in lower case.
#[must_use]
pub fn canonical_channel(platform: &str, id: &str) -> String {
    written(|to| text::channel(Some(platform), id, to))
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes);
    // Text in, text out: nothing is ever replaced.
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_looked_up_by_what_stands_in_its_column() {
        assert_eq!(canonical_phone("+31 6 1234-5678"), "31612345678");
        assert_eq!(canonical_phone(" ACME "), "ACME");
        assert_eq!(canonical_email(" Ann@Example.ORG"), "ann@example.org");
        assert_eq!(canonical_channel("WhatsApp", "+31612"), "whatsapp:+31612");
    }
}
