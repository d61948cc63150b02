//! Mail addresses by example, and properties of any text.

use proptest::prelude::*;

use super::{write, write_domain};
use crate::tag::canonical_email;
use crate::tag::text::written;

#[test]
fn one_address_has_one_form_however_it_is_written() {
    let spellings = [
        "ann@example.org",
        " Ann@Example.ORG\n",
        "\u{FEFF}ann@example.org\u{200B}",
        "Ann <ann@example.org>",
        "\"Ann, the 1st\" <ANN@example.org>",
        "<ann@example.org>",
        "mailto:ann@example.org",
        "MAILTO:ann%40example.org?subject=hi",
        "SMTP:ann@example.org",
        "\"ann@example.org\"",
        "'ann@example.org'",
        "=\"ann@example.org\"",
        "'ann@example.org",
        "\"ann\"@example.org",
        "ann@example.org.",
        "ann@example.org;",
        "ann@example.org (Ann)",
        "ann\u{FF20}example.org",
        "ann@\u{FF45}xample\u{3002}org",
    ];
    for text in spellings {
        assert_eq!(canonical_email(text), "ann@example.org", "{text:?}");
    }
}

#[test]
fn parts_that_make_another_address_stay() {
    let table = [
        ("ann+news@example.org", "ann+news@example.org"),
        ("a.n.n@example.org", "a.n.n@example.org"),
        ("o'brien@example.org", "o'brien@example.org"),
        ("\"a b\"@Example.org", "\"a b\"@example.org"),
        ("ÄÖ@example.org", "äö@example.org"),
        ("ann@Bücher.example", "ann@xn--bcher-kva.example"),
        ("ann@xn--bcher-kva.EXAMPLE", "ann@xn--bcher-kva.example"),
        ("ann@[198.51.100.7]", "ann@[198.51.100.7]"),
        ("a@x.org, b@y.org", "a@x.org, b@y.org"),
        ("No Mail", "no mail"),
        ("@example.org", "@example.org"),
        ("", ""),
    ];
    for (text, wanted) in table {
        assert_eq!(canonical_email(text), wanted, "{text:?}");
    }
}

#[test]
fn a_domain_is_that_of_the_canonical_address() {
    let table = [
        ("a@B.org ", Some("b.org")),
        ("\"x@y\"@Z.org", Some("z.org")),
        ("Ann <ann@Bücher.example>", Some("xn--bcher-kva.example")),
        ("a@", None),
        ("a", None),
    ];
    for (address, wanted) in table {
        let mut to = b"before".to_vec();
        let found =
            write_domain(address, &mut to).then(|| String::from_utf8(to[6..].to_vec()).unwrap());
        assert_eq!(found.as_deref(), wanted, "{address}");
        assert!(wanted.is_some() || to == b"before");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_has_a_form_that_stays(text in "(mailto:|[<\"'(=]{0,3})?[a-zA-ZÄİß+. \u{200B}]{0,6}[@＠]{0,2}[a-zA-Zé.。-]{0,8}[>\"');,. ]{0,3}") {
        let once = written(|to| write(&text, to));
        prop_assert_eq!(&canonical_email(&once), &once);
    }

    #[test]
    fn so_has_any_text_at_all(text in "\\PC{0,16}") {
        let once = canonical_email(&text);
        prop_assert_eq!(&canonical_email(&once), &once);
    }
}
