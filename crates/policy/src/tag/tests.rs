//! Compares tagging with an oracle that processes one record at a time, and tests each rule by
//! example.

use chrono::TimeDelta;
use chrono_tz::Tz;
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::{Arrivals, TaggedBatch, Tagger};
use crate::{
    Boundary, Jurisdiction, Platform, Policy, RetentionPeriod, Rule, SubjectKind, Trigger,
};
use ebbtide_base::ids::{Bucket, BucketUnit};

mod oracle;
mod rules;
mod shipped;
mod walls;
mod world;

use oracle::{KnownTriggers, oracle, outcome};
use world::{SmsRow, batch, category, country, policy, records, rule, sms, source};

fn tag(
    policy: &Policy,
    rows: &[SmsRow],
    at: chrono::DateTime<chrono::Utc>,
    tolerance: TimeDelta,
) -> TaggedBatch {
    let offsets: Vec<i64> = (0..rows.len() as i64).map(|row| row * 10).collect();
    let from = Arrivals {
        source: &source(),
        offsets: &offsets,
        at,
    };
    Tagger::new(policy, &sms())
        .unwrap()
        .tag(&batch(rows), &from, tolerance)
        .unwrap()
}

const ZONES: [Tz; 5] = [
    Tz::Europe__Amsterdam,
    Tz::UTC,
    Tz::America__St_Johns,
    Tz::Australia__Lord_Howe,
    Tz::Pacific__Apia,
];
const COUNTRIES: [&str; 6] = ["NL", "IN", "IT", "GB", "US", "ZZ"];
const TENANTS: [&str; 4] = ["acme", "initech", "hooli", "stark"];
const CATEGORIES: [&str; 5] = [
    "traffic_data",
    "phone_number",
    "email_address",
    "channel_id",
    "content",
];
const NUMBERS: [&str; 14] = [
    "+31612345678",
    "31612345678",
    "0031 6 1234 5678",
    "+91 98123-45678",
    "+39 02 1234567",
    "447911123456",
    "12125550123",
    "ACME",
    "12345",
    "+12345",
    "",
    " ",
    "0612345678",
    "+44 (0)20 7946 0000",
];
const MAILS: [&str; 6] = [
    "A@B.example",
    " x@y@Z.org ",
    "no-mail",
    "@",
    "ÄÖ@Ü.de",
    "a@",
];

/// Returns random rules that do not clash: at most one for each set of matches.
fn some_rules(random: &mut SmallRng) -> Vec<Rule> {
    let mut rules = Vec::new();
    for kind in 0..8_u8 {
        if kind > 0 && random.random_bool(0.5) {
            continue;
        }
        let keep = match random.random_range(0..4) {
            0 => RetentionPeriod::Hours(random.random_range(0..72)),
            1 => RetentionPeriod::Days(random.random_range(0..40)),
            _ => RetentionPeriod::Months(random.random_range(0..25)),
        };
        let boundary = *[Boundary::AtMost, Boundary::AtMost, Boundary::AtLeast]
            .choose(random)
            .unwrap();
        let mut rule = rule(&format!("rule-{kind}"), keep, boundary);
        rule.trigger = *[
            Trigger::Event,
            Trigger::Event,
            Trigger::ContractEnd,
            Trigger::ConsentWithdrawn,
        ]
        .choose(random)
        .unwrap();
        if kind & 1 > 0 {
            rule.categories = CATEGORIES
                .choose_multiple(random, 2)
                .map(|name| category(name))
                .collect();
        }
        if kind & 2 > 0 {
            rule.jurisdictions = COUNTRIES
                .choose_multiple(random, 2)
                .map(|code| country(code))
                .collect();
        }
        if kind & 4 > 0 {
            rule.tenants = TENANTS
                .choose_multiple(random, 2)
                .map(|tenant| (*tenant).to_owned())
                .collect();
        }
        rules.push(rule);
    }
    rules
}

fn some_policy(random: &mut SmallRng) -> Policy {
    let mut records = records();
    records.jurisdiction = match random.random_range(0..5) {
        0 => Jurisdiction::Column("country".into()),
        1 => Jurisdiction::Fixed(country("IN")),
        2 => Jurisdiction::Unknown,
        _ => Jurisdiction::CountryOf(
            ["recipient", "originator"]
                .choose(random)
                .copied()
                .unwrap()
                .into(),
        ),
    };
    if random.random_bool(0.3) {
        records.subjects[3].kind = SubjectKind::Channel(Platform::Fixed("Line".into()));
    }
    if random.random_bool(0.2) {
        records.tenant = None;
    }
    let unit = if random.random_bool(0.7) {
        BucketUnit::Day
    } else {
        BucketUnit::Hour
    };
    let rules = some_rules(random);
    policy(*ZONES.choose(random).unwrap(), unit, records, rules)
}

fn some_row(random: &mut SmallRng, arrival: i64) -> SmsRow {
    let mut maybe = |some: &[&str]| {
        let value = some.choose(random).copied();
        value.filter(|_| random.random_bool(0.9)).map(str::to_owned)
    };
    let recipient = maybe(&NUMBERS);
    let originator = maybe(&NUMBERS);
    let mail = maybe(&MAILS);
    let platform = maybe(&["WhatsApp", " viber ", "LINE", ""]);
    let channel = maybe(&["31612345678", " abc ", ""]);
    let body = maybe(&["hello", ""]);
    let customer_id = maybe(&["acme", "initech", "hooli", "stark", "unknown"]);
    let country = maybe(&["NL", "in", " IT ", "nowhere", "", "N1", "ÄÖ"]);
    const SECOND: i64 = 1_000_000;
    const DAY: i64 = 86_400 * SECOND;
    let sent_at = match random.random_range(0..20) {
        0 => None,
        1 => Some(random.random()),
        2 => Some(arrival + random.random_range(0..2 * DAY)),
        3 => Some(arrival + random.random_range(-5..5)),
        4 => Some(631_152_000 * SECOND + random.random_range(-5..5)),
        5..=9 => Some(arrival - random.random_range(0..3 * DAY)),
        10..=14 => Some(arrival - random.random_range(0..400 * DAY)),
        15 => Some(arrival - random.random_range(0..40) * DAY),
        _ => Some(arrival - random.random_range(0..600 * SECOND)),
    };
    SmsRow {
        recipient,
        originator,
        mail,
        platform,
        channel,
        body,
        sent_at,
        customer_id,
        country,
    }
}

/// Returns random ends of contracts, past or future, and withdrawals of consent, some of them from
/// one tenant only.
fn some_triggers(
    random: &mut SmallRng,
    policy: &Policy,
    arrival: chrono::DateTime<chrono::Utc>,
) -> KnownTriggers {
    let calendar = crate::Calendar::new(policy.zone, policy.bucket);
    let bucket = |random: &mut SmallRng| -> Bucket {
        calendar
            .bucket_of(arrival + TimeDelta::hours(random.random_range(-9000..900)))
            .unwrap()
    };
    let mut known = KnownTriggers::default();
    for _ in 0..random.random_range(0..3) {
        let tenant = (*TENANTS.choose(random).unwrap()).to_owned();
        known.ends.push((tenant, bucket(random)));
    }
    let people = [
        ("recipient", "31612345678"),
        ("originator", "31612345678"),
        ("originator", "ACME"),
        ("mail", "a@b.example"),
        ("channel", "whatsapp:31612345678"),
        ("channel", "line:abc"),
    ];
    for _ in 0..random.random_range(0..4) {
        let (column, who) = *people.choose(random).unwrap();
        let from = TENANTS
            .choose(random)
            .filter(|_| random.random_bool(0.3))
            .map(|tenant| (*tenant).to_owned());
        known
            .withdrawals
            .push((column.to_owned(), who.to_owned(), from, bucket(random)));
    }
    known
}

proptest! {
    #[test]
    fn a_tagged_batch_is_what_the_oracle_makes_of_each_record(seed: u64, count in 0_usize..80) {
        let mut random = SmallRng::seed_from_u64(seed);
        let policy = some_policy(&mut random);
        // Any second of 2025 and 2026, including changes of daylight saving time.
        let at = chrono::DateTime::from_timestamp(1_735_689_600 + random.random_range(0..63_072_000), 0).unwrap();
        let tolerance = TimeDelta::hours(random.random_range(0..30));
        let rows: Vec<SmsRow> = (0..count).map(|_| some_row(&mut random, at.timestamp_micros())).collect();
        let known = some_triggers(&mut random, &policy, at);
        let wanted = oracle(&policy, &rows, &batch(&rows), (at, tolerance), &known);
        let offsets: Vec<i64> = (0..rows.len() as i64).map(|row| row * 10).collect();
        let mut tagger = Tagger::new(&policy, &sms()).unwrap();
        tagger.know(known.triggers());
        let from = Arrivals { source: &source(), offsets: &offsets, at };
        let tagged = tagger.tag(&batch(&rows), &from, tolerance).unwrap();
        prop_assert_eq!(outcome(&tagged), wanted);
        // Stored rows give the same result as on arrival.
        let records = policy.products[&sms()].records.as_ref().unwrap();
        for group in &tagged.groups {
            let calendar = crate::Calendar::new(policy.zone, policy.bucket);
            for triggered in known.triggers().of_stored(records, &group.rows, group.bucket).unwrap() {
                let again = group.profile.with_triggered(triggered, &calendar, group.bucket);
                prop_assert_eq!(&again.text, &group.profile.text);
            }
        }
    }
}
