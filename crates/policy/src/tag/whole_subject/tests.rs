use super::*;

fn read(text: &str) -> Option<&'static str> {
    read_in(text, &[])
}

fn read_in(text: &str, homes: &[&str]) -> Option<&'static str> {
    let homes: Vec<Country> = homes
        .iter()
        .map(|home| Country::new(home).unwrap())
        .collect();
    whole_subject(text, &homes).map(|subject| match subject {
        WholeSubject::Email(address) if address == "ann.lee@example.org" => "ann",
        WholeSubject::Email(_) => "email",
        WholeSubject::Phone => "phone",
        WholeSubject::National => "national",
        WholeSubject::Channel => "channel",
        WholeSubject::Digits => "digits",
    })
}

#[test]
fn address_alone_is_read_without_its_layers() {
    for text in [
        "ann.lee@example.org",
        "Ann Lee <ann.lee@example.org>",
        "\"Lee, Ann\" <ann.lee@example.org>",
        "ann.lee@example.org <ann.lee@example.org>",
        "mailto:ann.lee@example.org?subject=x",
        "mailto:ann.lee%40example.org",
        "ann.lee%40example.org",
        "ann.lee@example.org (Ann)",
        "''ann.lee@example.org''",
    ] {
        assert_eq!(read(text), Some("ann"), "{text}");
    }
    for text in [
        "zoë@bücher.example",
        "o'brien@example.org",
        "a+b@example.org",
        "31612345678@s.whatsapp.net",
    ] {
        assert_eq!(read(text), Some("email"), "{text}");
    }
}

#[test]
fn address_beside_anything_else_is_no_subject() {
    for text in [
        "1 ann@example.org",
        "1.ann@example.org",
        "*ann@example.org",
        "#ann@example.org",
        "-ann@example.org",
        ">ann@example.org",
        "[ann@example.org]",
        "{ann@example.org}",
        "(ann@example.org)",
        "email=ann@example.org",
        "ann@example.org:",
        "ann@example.org!",
        "ann@example.org/bob@example.org",
        "bob@example.org <ann@example.org>",
        "+31612345678 <ann@example.org>",
        "ann@example.org (+31612345678)",
        "mailto:ann@example.org?cc=bob@example.org",
        "mailto:ann@example.org?cc=bob%40example.org",
        "[Ann](mailto:ann@example.org)",
        "<a href=\"mailto:ann@example.org\">Ann</a>",
        "ann@example.org or bob",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn number_with_its_calling_code_is_read_in_any_spelling() {
    for text in [
        "+31612345678",
        "+31 6 1234 5678",
        "0031 6 12345678",
        "00 31 612345678",
        "31 6 12345678",
        "1 914 555 1234",
        "1.914.555.1234",
        "44 7911 123456",
        "tel:+31612345678;phone-context=example.net",
        "sip:%2B31612345678@example.net",
        "\"Bob\" <sip:+31612345678@example.net>",
        "+31612345678@example.net",
        "+31 (0)6 12345678",
        "+999123456789",
    ] {
        assert_eq!(read(text), Some("phone"), "{text}");
    }
    for text in [
        "31612345678",
        "1234567890",
        "0031612345678",
        "1234567890123456",
        "0000123456789",
    ] {
        assert_eq!(read(text), Some("digits"), "{text}");
    }
}

#[test]
fn number_beside_anything_else_is_no_subject() {
    for text in [
        "1. +31612345678",
        "1: +31612345678",
        "{+31612345678}",
        "phone=+31612345678",
        "+31612345678/+31687654321",
        "[\"+31612345678\"]",
        "{\"phone\":\"+31612345678\"}",
        "+31612345678!",
        "✓ +31612345678",
        "Ann +31612345678",
        "tel-31612345678",
        "+31687654321 <sip:+31612345678@example.net>",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn number_without_calling_code_is_read_by_the_given_countries_alone() {
    for text in [
        "06-11112222",
        "0611112222",
        "(020) 123-4567",
        "06 1111 2222",
        "phone:06-11112222",
    ] {
        assert_eq!(read(text), Some("national"), "{text}");
        assert!(
            matches!(read_in(text, &["US", "NL"]), Some("phone" | "channel")),
            "{text}"
        );
    }
    assert_eq!(read_in("(212) 555-1234", &["US"]), Some("phone"));
    assert_eq!(
        (read("89123456789"), read_in("89123456789", &["RU"])),
        (Some("national"), Some("phone"))
    );
    for text in [
        "1 31612345678",
        "2 31612345678",
        "1.31612345678",
        "+31612345678 2",
        "24-11-2026",
    ] {
        assert_eq!(read(text), Some("national"), "{text}");
    }
    let nl = [Country::new("NL").unwrap()];
    assert_eq!(national_forms("06-11112222", &nl), ["31611112222"]);
    assert_eq!(national_forms("+31611112222", &nl), [""; 0]);
}

#[test]
fn id_after_its_platform_is_read_where_its_id_is() {
    assert_eq!(read("whatsapp:31612345678"), Some("phone"));
    for text in [
        "slack:31612345678",
        "gsm:+31612345678",
        "telegram:812345678",
        "line:U4af4980629",
        "sip:a@b.org",
        "whatsapp:120363025246125486@g.us",
    ] {
        assert_eq!(read(text), Some("channel"), "{text}");
    }
    for text in [
        "1:+31612345678",
        "gsm:+31612345678!",
        "note:mailto:ann@example.org",
        "nr:1/31612345678x",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn names_and_ids_hold_no_subject() {
    for text in [
        "Zoë Doe",
        "canary-00017",
        "0b3a6a4e-8d5c-4c0e-9a41-1f2e3d4c5b6a",
        "NL91ABNA0417164300",
        "Id-0123456789ab",
    ] {
        assert!(!holds_subject(text), "{text}");
    }
    for text in [
        "a@b",
        "tel31612345678",
        "{+31 6 12345678}",
        "x=0612345678",
        "ann%40example.org",
        "３１６１２３４５",
    ] {
        assert!(holds_subject(text), "{text}");
    }
}
