//! Compares the table with the crate from which it was generated.

use std::collections::BTreeSet;

use phonenumber::metadata::DATABASE;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use regex_syntax::hir::{Hir, HirKind};

use super::PREFIXES;
use crate::tag::country_of;
use crate::tag::number_length::LEAST_DIGITS;
use crate::testing::country_prefixes as generator;
use ebbtide_base::ids::Country;

fn id(text: &str) -> Country {
    Country::new(text).unwrap()
}

#[test]
fn the_table_is_what_its_generator_prints() {
    assert_eq!(
        generator::table(),
        PREFIXES,
        "run `cargo run -p ebbtide-policy --example country_prefixes > crates/policy/src/tag/country_prefixes.txt`"
    );
}

/// Appends a random text that the pattern matches.
fn sample(hir: &Hir, random: &mut SmallRng, to: &mut String) {
    match hir.kind() {
        HirKind::Literal(literal) => to.push_str(std::str::from_utf8(&literal.0).unwrap()),
        HirKind::Class(class) => {
            let digits = generator::pattern::digits(class);
            to.push(char::from(digits[random.random_range(0..digits.len())]));
        }
        HirKind::Capture(capture) => sample(&capture.sub, random, to),
        HirKind::Concat(parts) => parts.iter().for_each(|part| sample(part, random, to)),
        HirKind::Alternation(parts) => {
            sample(&parts[random.random_range(0..parts.len())], random, to)
        }
        HirKind::Repetition(times) => {
            let most = times.max.unwrap();
            (0..random.random_range(times.min..=most)).for_each(|_| sample(&times.sub, random, to));
        }
        HirKind::Empty | HirKind::Look(_) => {}
    }
}

/// Returns the region by all digits of the national number, as the crate's validation finds it. The
/// crate's `country()` uses the number without leading zeros, and so finds no region for the fixed
/// lines of Italy, although it considers them valid.
fn region(code: u16, national: &str) -> Option<&'static str> {
    let regions = DATABASE.region(&code)?;
    let valid = |region: &&&str| {
        let meta = DATABASE.by_id(**region).unwrap();
        meta.descriptors().general().is_match(national)
            && generator::kinds(meta).any(|kind| kind.is_match(national))
    };
    let first =
        regions.iter().find(
            |region| match DATABASE.by_id(**region).unwrap().leading_digits() {
                Some(leading) => leading
                    .find(national)
                    .is_some_and(|found| found.start() == 0),
                None => valid(region),
            },
        );
    let first = if regions.len() == 1 {
        regions.first()
    } else {
        first
    };
    first
        .filter(valid)
        .map(|region| DATABASE.by_id(*region).unwrap().id())
}

/// Calls `then` with random numbers of every kind of every region: the number, its calling code,
/// and its national part.
fn numbers(each: u32, mut then: impl FnMut(&str, u16, &str)) {
    let mut random = SmallRng::seed_from_u64(20_261_124);
    let mut metas: Vec<_> = DATABASE.iter().collect();
    metas.sort_by_key(|meta| (meta.country_code(), meta.id()));
    let mut number = String::new();
    for meta in metas {
        for kind in generator::kinds(meta) {
            let pattern = generator::pattern::parse(kind.national_number().as_str());
            for _ in 0..each {
                number.clear();
                number.push_str(&format!("+{}", meta.country_code()));
                let code = number.len();
                sample(&pattern, &mut random, &mut number);
                // For the crate a pattern matches the beginning of a number: a longer number of a
                // possible length is valid.
                let length =
                    kind.possible_length()[random.random_range(0..kind.possible_length().len())];
                while number.len() < code + usize::from(length) {
                    number.push(char::from(b'0' + random.random_range(0..10)));
                }
                then(&number, meta.country_code(), &number[code..]);
            }
        }
    }
}

#[test]
fn a_million_random_valid_numbers_have_the_country_of_the_crate() {
    // The crate compiles a pattern again if more than 100 others were used since.
    DATABASE.cache().lock().unwrap().set_capacity(100_000);
    let kinds: usize = DATABASE
        .iter()
        .map(|meta| generator::kinds(meta).count())
        .sum();
    let (mut valid, mut seen) = (0_u32, BTreeSet::new());
    numbers(1_070_000 / kinds as u32, |number, code, national| {
        // The crate cannot represent all numbers of 17 digits.
        let Ok(parsed) = phonenumber::parse(None, number) else {
            return;
        };
        let by_crate = parsed.is_valid().then(|| parsed.country().id()).flatten();
        let region = match by_crate {
            Some(region) => id(region.as_ref()),
            None => match region(code, national) {
                Some("001") => Country::UNKNOWN,
                Some(region) => id(region),
                None => return assert!(!parsed.is_valid(), "{number}"),
            },
        };
        valid += u32::from(parsed.is_valid());
        seen.insert(region);
        assert_eq!(country_of(number), region, "{number}");
        if number.len() > LEAST_DIGITS {
            assert_eq!(country_of(&number[1..]), region, "{number} without plus");
        }
    });
    assert!(valid >= 1_000_000, "{valid}");
    let never = DATABASE
        .iter()
        .map(|meta| meta.id())
        .filter(|region| *region != "001" && !seen.contains(&id(region)));
    assert_eq!(
        never.collect::<Vec<_>>(),
        ["EH"],
        "the crate gives all of +212 to Morocco"
    );
}

#[test]
fn numbers_of_shared_codes_have_their_own_countries() {
    let table = [
        ("+12125550123", "US"),
        ("+16135550123", "CA"),
        ("+12425550123", "BS"),
        ("+13102000", "CA"),
        ("+13102000123", "US"),
        ("+18005550123", "US"),
        ("+79161234567", "RU"),
        ("+77011234567", "KZ"),
        ("+442071234567", "GB"),
        ("+447781123456", "GG"),
        ("+447797123456", "JE"),
        ("+390612345678", "IT"),
        ("+390669812345", "VA"),
        ("+393471234567", "IT"),
        ("+4740612345", "NO"),
        ("+4779123456", "SJ"),
        ("+61412345678", "AU"),
        ("+61891641234", "CX"),
        ("+61891621234", "CC"),
        ("+212612345678", "MA"),
        ("+262692123456", "RE"),
        ("+262639123456", "YT"),
        ("+358401234567", "FI"),
        ("+35818123456", "AX"),
        ("+590690001234", "GP"),
        ("+590590271234", "BL"),
        ("+590590871234", "BL"),
        ("+59995181234", "CW"),
        ("+5997151234", "BQ"),
        ("+2908123", "TA"),
        ("+383431234567", "XK"),
        ("+2471234567", "AC"),
    ];
    for (number, country) in table {
        assert_eq!(country_of(number), id(country), "{number}");
    }
}

#[test]
fn text_that_is_no_number_or_of_no_country_is_unknown() {
    let texts = [
        "",
        " ",
        "+",
        "+0",
        "0",
        "ACME",
        "12345",
        "123456",
        "0612345678",
        "+80012345678",
        "+870772001234",
        "+99912345678",
        "31 6 abc",
        "1e99999",
        "\u{663}\u{661}ACME",
    ];
    for text in texts {
        assert_eq!(country_of(text), Country::UNKNOWN, "{text:?}");
    }
    assert_eq!(
        country_of(&"31".repeat(12)),
        Country::UNKNOWN,
        "longer than any number"
    );
}

#[test]
fn unassigned_number_has_the_country_of_its_first_digits() {
    for (number, country) in [
        ("+3100000000", "NL"),
        ("+12425", "BS"),
        ("+11115550123", "US"),
        ("+7000000000", "RU"),
        ("+31", "NL"),
        ("+1310", "US"),
    ] {
        assert_eq!(country_of(number), id(country), "{number}");
    }
}

#[test]
fn the_mark_and_separators_do_not_matter() {
    for number in [
        "31612345678",
        "+31612345678",
        "0031612345678",
        "+31 (6) 1234-5678",
        " 00 31 6.12345678 ",
        "31 6 12 34 56 78",
    ] {
        assert_eq!(country_of(number), id("NL"), "{number:?}");
    }
}
