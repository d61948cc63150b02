//! Compares telephone numbers in usual spellings with a table and with the `phonenumber` crate.

use phonenumber::metadata::DATABASE;
use proptest::prelude::*;

use super::{PhoneForm, as_dialled};
use crate::tag::{canonical_phone, country_of};
use ebbtide_base::ids::Country;

fn home(country: &str) -> PhoneForm {
    PhoneForm::new(Some(Country::new(country).unwrap()))
}

/// Returns true if the text is read as a number.
fn is_number(form: &PhoneForm, text: &str) -> bool {
    form.write(text, &mut Vec::new())
}

#[test]
fn one_number_has_one_form_however_it_is_written() {
    let spellings = [
        "+390612345678",
        "390612345678",
        "00390612345678",
        "+39 06 1234 5678",
        "+39-06-1234-5678",
        "(+39) 06.1234/5678",
        "[+39] 06_1234_5678",
        "+39\u{A0}06\u{2009}1234\u{202F}5678",
        "+39\u{2011}06\u{2013}1234\u{2212}5678",
        "\u{FF0B}\u{FF13}\u{FF19}\u{FF10}\u{FF16}\u{FF11}\u{FF12}\u{FF13}\u{FF14}\u{FF15}\u{FF16}\u{FF17}\u{FF18}",
        "\u{202A}+390612345678\u{202C}",
        "\u{FEFF}+39\u{200B}0612345678\u{200E}",
        "+\u{663}\u{669}\u{660}\u{666}\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}\u{667}\u{668}",
        "+\u{969}\u{96F}\u{966}\u{96C}\u{967}\u{968}\u{969}\u{96A}\u{96B}\u{96C}\u{96D}\u{96E}",
        "tel:+390612345678",
        "TEL:+39-06-1234-5678",
        "tel://+390612345678",
        "tel:+390612345678;ext=12;isub=7",
        "tel:0612345678;phone-context=+39",
        "tel:06-1234-5678;ext=5;phone-context=+39",
        "sip:+390612345678@ims.example.net;user=phone",
        "<sip:+390612345678@198.51.100.7:5060>",
        "\"Bob\" <sip:+390612345678@example.net>;tag=1",
        "sips:390612345678@example.net",
        "sip:+390612345678:secret@example.net",
        "sip:%2B390612345678@example.net?subject=x",
        "sip:+390612345678;npdi;rn=+3912345@example.net",
        "sip:0612345678;phone-context=%2B39@example.net;user=phone",
        "%2B390612345678",
        "+390612345678;npdi;rn=+3912345",
        "+390612345678@example.net",
        "whatsapp:+390612345678",
        "whatsapp:390612345678",
        "390612345678@s.whatsapp.net",
        "sms:+390612345678?body=hi",
        "'+390612345678",
        "=\"+390612345678\"",
        "=\"390612345678\"",
        "\"390612345678\"",
        "390612345678.0",
        "390612345678.00",
        "390,612,345,678",
        "3.90612345678E11",
        "3.90612345678E+11",
        "+390612345678 ext. 12",
        "+39 06 1234 5678 x12",
        "+390612345678,,1#",
        "Tel. +39 06 1234 5678",
        "Tel.: +39 06 1234 5678",
        "Mobile: +39 (06) 1234 5678 ext. 12",
        "\"Phone +390612345678\"",
        "Fax 00390612345678",
    ];
    for text in spellings {
        assert_eq!(canonical_phone(text), "390612345678", "{text:?}");
        assert_eq!(country_of(text).as_str(), "IT", "{text:?}");
        assert!(is_number(&PhoneForm::new(None), text), "{text:?}");
    }
}

#[test]
fn national_prefix_after_the_calling_code_is_left_out() {
    let table = [
        ("+44 (0)20 7946 0958", "442079460958"),
        ("0044 (0) 20 7946 0958", "442079460958"),
        ("44 (0)20 7946 0958", "442079460958"),
        ("+31 06 12345678", "31612345678"),
        ("+310612345678", "31612345678"),
        ("310612345678", "31612345678"),
        ("tel:0612345678;phone-context=+31", "31612345678"),
        ("+7 8 916 123-45-67", "79161234567"),
        // Numbers of these countries begin with the zero.
        ("+390612345678", "390612345678"),
        ("+2250712345678", "2250712345678"),
    ];
    for (text, wanted) in table {
        assert_eq!(canonical_phone(text), wanted, "{text}");
    }
}

#[test]
fn text_that_is_not_a_whole_number_stays_text() {
    let table = [
        ("12345", "12345"),
        ("tel:12345", "12345"),
        ("06 12345678", "0612345678"),
        ("+12345", "+12345"),
        (" ACME Bank ", "ACME Bank"),
        ("1-800-FLOWERS", "1-800-FLOWERS"),
        ("Tel. 12345", "Tel. 12345"),
        ("Bank +31612345678", "Bank +31612345678"),
        ("GSM 900", "GSM 900"),
        ("Phone 2 0612345678", "Phone 2 0612345678"),
        (
            "sip:mob.01234567@pbx.example",
            "sip:mob.01234567@pbx.example",
        ),
        (
            "mob.+31612345678@example.org",
            "mob.+31612345678@example.org",
        ),
        (
            "xmpp:cell 0612345678@example.org",
            "xmpp:cell 0612345678@example.org",
        ),
        ("3.90612E+11", "3.90612E+11"),
        ("3.90612345E11", "3.90612345E11"),
        ("sip:1001@pbx.example", "sip:1001@pbx.example"),
        ("sip:bob@example.org", "sip:bob@example.org"),
        ("sip:198.51.100.7", "sip:198.51.100.7"),
        ("12345678@qq.example", "12345678@qq.example"),
        (
            "tel:7042;phone-context=example.com",
            "tel:7042;phone-context=example.com",
        ),
        (
            "tel:0612345678;phone-context=example.com",
            "tel:0612345678;phone-context=example.com",
        ),
        ("+31612345678;+31612345679", "+31612345678;+31612345679"),
        ("+31612345678,+31612345679", "+31612345678,+31612345679"),
        ("++31612345678", "++31612345678"),
        ("+0031612345678", "+0031612345678"),
        ("01139061234567", "01139061234567"),
        ("anonymous", "anonymous"),
        ("", ""),
    ];
    for (text, wanted) in table {
        assert_eq!(canonical_phone(text), wanted, "{text:?}");
        assert!(!is_number(&PhoneForm::new(None), text), "{text:?}");
    }
}

#[test]
fn national_numbers_are_read_by_the_default_country() {
    let table = [
        ("NL", "06-12345678", "31612345678"),
        ("NL", "tel:0612345678", "31612345678"),
        ("NL", "612345678", "31612345678"),
        ("NL", "=\"0612345678\"", "31612345678"),
        ("IT", "06 1234 5678", "390612345678"),
        ("IT", "347 123 4567", "393471234567"),
        ("US", "(212) 555-0123", "12125550123"),
        ("US", "1 202 555 0123", "12025550123"),
        ("US", "011 39 06 1234 5678", "390612345678"),
        ("AU", "0011 39 06 1234 5678", "390612345678"),
        ("ES", "612 345 678", "34612345678"),
        ("RU", "8 (916) 123-45-67", "79161234567"),
        ("RU", "8 10 39 06 1234 5678", "390612345678"),
        ("RU", "810390612345678", "390612345678"),
        // Without the plus this number of Japan reads as Russia's international prefix and a
        // number.
        ("RU", "+81 010000000", "+81010000000"),
        ("KZ", "+81010000000", "+81010000000"),
        ("GB", "(0)20 7946 0958", "442079460958"),
        ("NL", "+390612345678", "390612345678"),
        ("NL", "390612345678", "390612345678"),
        ("NL", "00390612345678", "390612345678"),
        ("US", "31612345678", "31612345678"),
        ("IT", "+39 (0)6 1234 5678", "390612345678"),
        ("NL", "0039(0)612345678", "390612345678"),
        ("NL", "+225 (0)7 12 34 56 78", "2250712345678"),
        ("NL", "+31 (0)6 12345678", "31612345678"),
        ("GB", "+44 (0)20 7946 0958", "442079460958"),
        ("RU", "8 10 31 612345678", "31612345678"),
        ("RU", "8 10 1 212 555 0123", "12125550123"),
        ("RU", "8101 2125550123", "12125550123"),
        // After 00 these countries dial the digits of a carrier, and the rest is not a number of
        // any country.
        ("BR", "0021 31 6 12345678", "002131612345678"),
        ("KR", "001 31 612345678", "00131612345678"),
        ("SG", "001 31 612345678", "00131612345678"),
        ("HK", "001 31 612345678", "00131612345678"),
        ("BR", "0031 6 12345678", "31612345678"),
        ("NL", "tel:31612345678;phone-context=+31", "31612345678"),
        ("NL", "tel:0031612345678;phone-context=+31", "31612345678"),
        ("NL", "tel:0612345678;phone-context=+39", "390612345678"),
        ("US", "3212345678@s.whatsapp.net", "+3212345678"),
        ("MX", "5215512345678@s.whatsapp.net", "525512345678"),
        ("MX", "+52 1 55 1234 5678", "525512345678"),
        ("MX", "+52 55 1234 5678", "525512345678"),
        ("NL", "5215512345678", "525512345678"),
        ("NL", "+31612345678/TYPE=PLMN", "31612345678"),
        ("NL", "0612345678/type=plmn", "31612345678"),
        ("NL", "Tel. 06-12345678", "31612345678"),
        ("NL", "Mob.: 06 12 34 56 78", "31612345678"),
        // A short code is a short code in every country.
        ("DE", "01600", "01600"),
        ("NL", "12345", "12345"),
        ("US", "ACME", "ACME"),
        ("NL", "0123", "0123"),
    ];
    for (country, text, wanted) in table {
        assert_eq!(home(country).canonical(text), wanted, "{text} in {country}");
    }
}

#[test]
fn digits_as_they_are_dialled_are_those_without_a_marked_calling_code() {
    for (text, wanted) in [
        ("(212) 555-0123", Some("2125550123")),
        ("06-12345678", Some("0612345678")),
        ("612345678", Some("612345678")),
        ("8 916 123-45-67", Some("89161234567")),
        ("31612345678", Some("31612345678")),
        ("011 39 06 1234 5678", Some("011390612345678")),
        ("0011 39 06 1234 5678", Some("0011390612345678")),
        ("12345", Some("12345")),
        ("+31 6 12345678", None),
        ("0031612345678", None),
        ("tel:0612345678;phone-context=+31", None),
        ("31612345678@s.whatsapp.net", None),
        ("ACME", None),
        ("", None),
    ] {
        assert_eq!(as_dialled(text).as_deref(), wanted, "{text}");
    }
}

#[test]
fn a_foreign_number_that_reads_like_a_national_one_keeps_its_plus() {
    // Belgium's +32 1 234 56 78 has the digits of a number of Florida.
    let form = home("US");
    assert_eq!(form.canonical("3212345678"), "13212345678");
    assert_eq!(form.canonical("+32 1 234 56 78"), "+3212345678");
    assert_eq!(form.canonical("+3212345678"), "+3212345678");
    assert_eq!(form.country("+3212345678").as_str(), "BE");
    let stored = |text: &str| crate::tag::text::written(|to| _ = form.write_stored(text, to));
    assert_eq!(
        stored("3212345678"),
        "+3212345678",
        "what is stored was E.164"
    );
}

/// Returns a text as the crate reads it in a country; `None` if the crate considers it invalid.
fn by_crate(country: &str, text: &str) -> Option<String> {
    let parsed = phonenumber::parse(Some(country.parse().unwrap()), text).ok()?;
    parsed
        .is_valid()
        .then(|| parsed.format().mode(phonenumber::Mode::E164).to_string()[1..].to_owned())
}

#[test]
fn example_numbers_of_all_countries_are_read_as_the_crate_reads_them() {
    let (mut compared, mut other) = (0, Vec::new());
    let mut metas: Vec<_> = DATABASE.iter().filter(|meta| meta.id() != "001").collect();
    metas.sort_by_key(|meta| meta.id());
    for meta in metas {
        let all = meta.descriptors();
        let examples = [all.fixed_line(), all.mobile()]
            .into_iter()
            .flatten()
            .filter_map(|kind| kind.example());
        for example in examples {
            let trunk = meta
                .national_prefix()
                .filter(|prefix| prefix.bytes().all(|byte| byte.is_ascii_digit()));
            let national = format!("{}{example}", trunk.unwrap_or_default());
            let international = format!("+{} {example}", meta.country_code());
            for text in [national, international, example.to_owned()] {
                let Some(wanted) = by_crate(meta.id(), &text) else {
                    continue;
                };
                compared += 1;
                let found = home(meta.id()).canonical(&text);
                if found != wanted {
                    other.push(format!(
                        "{text} in {}: {found}, and {wanted} to the crate",
                        meta.id()
                    ));
                }
            }
        }
    }
    assert!(compared > 1000, "{compared}");
    // Without its national prefix a number may be an international one.
    assert!(
        other.len() * 50 < compared,
        "{} of {compared}: {other:#?}",
        other.len()
    );
}

const SPELLINGS: &str = "(tel:|sip:|<|\"|Tel\\. |Phone |Mobile: |sip:mob\\.)?[+]?(00|011)?[-0-9 ().+/A;:@'\"=,eE<>x#%\u{A0}\u{2013}\u{200B}\u{663}]{0,26}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_canonical_number_is_its_own_canonical_form_and_keeps_its_country(
        number in SPELLINGS,
        country in prop::sample::select(vec!["", "NL", "US", "IT", "ES", "RU", "AU", "HU", "AR"]),
    ) {
        let form = PhoneForm::new(Country::new(country).ok());
        let once = form.canonical(&number);
        prop_assert_eq!(&form.canonical(&once), &once);
        prop_assert_eq!(form.country(&once), form.country(&number));
        let stored = crate::tag::text::written(|to| _ = form.write_stored(&once, to));
        prop_assert_eq!(is_number(&form, &stored), is_number(&form, &once));
    }

    #[test]
    fn digits_have_a_form_that_stays_in_every_country(
        number in "[+]?[0-9]{5,14}",
        country in prop::sample::select(vec!["", "NL", "US", "IT", "ES", "RU", "AU", "HU", "AR", "MX", "BR", "JP", "DE"]),
    ) {
        let form = PhoneForm::new(Country::new(country).ok());
        let once = form.canonical(&number);
        prop_assert_eq!(&form.canonical(&once), &once);
        prop_assert_eq!(form.country(&once), form.country(&number));
    }

    #[test]
    fn any_text_has_a_canonical_form_that_stays(text in "\\PC{0,12}") {
        let once = canonical_phone(&text);
        prop_assert_eq!(&canonical_phone(&once), &once);
        prop_assert_eq!(country_of(&once), country_of(&text));
    }
}
