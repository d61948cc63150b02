//! Canonical forms by example, and what holds of them for any text.

use proptest::prelude::*;

use super::{channel, domain, lower, phone};
use crate::tag::country_of;

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut to = Vec::new();
    write(&mut to);
    String::from_utf8(to).unwrap()
}

fn canonical(number: &str) -> String {
    written(|to| phone(number, to))
}

#[test]
fn a_number_is_stored_without_plus_and_separators_and_anything_else_trimmed() {
    let table = [
        ("+31612345678", "31612345678"),
        ("31612345678", "31612345678"),
        ("0031-6-12345678", "31612345678"),
        ("+1 (212) 555.0123", "12125550123"),
        ("06 12345678", "0612345678"),
        ("12345", "12345"),
        ("+12345", "+12345"),
        (" ACME Bank ", "ACME Bank"),
        ("+31 612345678 ext 5", "+31 612345678 ext 5"),
        ("", ""),
    ];
    for (text, wanted) in table {
        assert_eq!(canonical(text), wanted, "{text:?}");
    }
}

#[test]
fn an_address_is_trimmed_and_lower_case_in_any_alphabet() {
    for (text, wanted) in
        [(" A.B@Example.ORG\n", "a.b@example.org"), ("ÄÖ@Ü.de", "äö@ü.de"), ("İ@x.org", "i\u{307}@x.org")]
    {
        assert_eq!(written(|to| lower(text, to)), wanted);
    }
}

#[test]
fn a_channel_id_stands_behind_its_platform() {
    assert_eq!(written(|to| channel(Some(" WhatsApp "), " 31612345678", to)), "whatsapp:31612345678");
    assert_eq!(written(|to| channel(None, "AbC", to)), ":AbC");
}

#[test]
fn a_domain_is_what_stands_behind_the_last_at_sign() {
    for (address, wanted) in [("a@B.org ", Some("b.org")), ("\"x@y\"@Z.org", Some("z.org")), ("a@", None), ("a", None)]
    {
        let mut to = Vec::new();
        let told = domain(address, &mut to).then(|| String::from_utf8(to).unwrap());
        assert_eq!(told.as_deref(), wanted, "{address}");
    }
}

proptest! {
    #[test]
    fn a_canonical_number_is_its_own_canonical_form_and_keeps_its_country(number in "[+]?(00)?[-0-9 ().+/A]{0,26}") {
        let once = canonical(&number);
        prop_assert_eq!(&canonical(&once), &once);
        prop_assert_eq!(country_of(&once), country_of(&number));
    }

    #[test]
    fn any_text_has_a_canonical_form_that_stays(text in "\\PC{0,12}") {
        let once = canonical(&text);
        prop_assert_eq!(&canonical(&once), &once);
        prop_assert_eq!(country_of(&once), country_of(&text));
    }
}
