use chrono::NaiveDate;
use chrono_tz::Tz;
use proptest::prelude::*;

use super::super::{Boundary, Calendar, RetentionPeriod, Trigger, deadline};
use super::{Profile, RecordTriggers, RetentionTerm};
use ebbtide_base::ids::{Bucket, BucketUnit, Category, Deadline, RuleId};

fn term(
    category: &str,
    keep: RetentionPeriod,
    trigger: Trigger,
    boundary: Boundary,
) -> RetentionTerm {
    let (category, rule) = (
        Category::new(category).unwrap(),
        Some(RuleId::new("a-rule").unwrap()),
    );
    RetentionTerm {
        category,
        rule,
        keep,
        trigger,
        boundary,
        known: None,
    }
}

fn both() -> Profile {
    Profile::new(vec![
        term(
            "phone_number",
            RetentionPeriod::Months(24),
            Trigger::Event,
            Boundary::AtLeast,
        ),
        term(
            "content",
            RetentionPeriod::Months(6),
            Trigger::Event,
            Boundary::AtMost,
        ),
    ])
}

#[test]
fn the_text_names_windows_sorted_by_category_and_no_rule() {
    let profile = both();
    assert_eq!(
        profile.text,
        "content=6 months at_most event;phone_number=24 months at_least event"
    );
    assert_eq!(profile.id.as_str(), "de894f6743d5");
}

#[test]
fn records_of_different_lateness_are_apart_where_there_is_a_minimum() {
    let late = both().with_late(1);
    assert_eq!(
        late.text,
        "content=6 months at_most event;phone_number=24 months at_least event;late=1"
    );
    assert_ne!(late.id, both().id);
    assert_eq!(late.with_late(0), both());
}

#[test]
fn without_a_minimum_lateness_does_not_count() {
    let profile = Profile::new(vec![term(
        "content",
        RetentionPeriod::Days(1),
        Trigger::Event,
        Boundary::AtMost,
    )]);
    assert_eq!(profile.with_late(9), profile);
}

#[test]
fn a_contracts_end_leaves_the_deadline_open() {
    let profile = Profile::new(vec![
        term(
            "content",
            RetentionPeriod::Days(0),
            Trigger::ContractEnd,
            Boundary::AtMost,
        ),
        term(
            "name",
            RetentionPeriod::Days(1),
            Trigger::ConsentWithdrawn,
            Boundary::AtMost,
        ),
    ]);
    let calendar = Calendar::new(Tz::UTC, BucketUnit::Day);
    let deadlines = profile.deadlines(
        &calendar,
        Bucket::Day(NaiveDate::from_ymd_opt(2026, 1, 1).unwrap()),
    );
    let due: Vec<_> = deadlines
        .into_iter()
        .map(|due| due.map(|due| due.0.to_rfc3339()))
        .collect();
    assert_eq!(due, [None, Some("2026-01-02T00:00:00+00:00".to_owned())]);
}

#[test]
fn a_profile_without_a_term_has_a_text_too() {
    assert_eq!(Profile::new(Vec::new()).text, "none");
}

fn day(text: &str) -> Bucket {
    text.parse().unwrap()
}

fn triggered(contract_end: Option<&str>, withdrawn: Option<&str>) -> RecordTriggers {
    RecordTriggers {
        contract_end: contract_end.map(day),
        withdrawn: withdrawn.map(day),
    }
}

#[test]
fn known_contract_end_gives_a_deadline_that_the_text_shows() {
    let open = Profile::new(vec![
        term(
            "content",
            RetentionPeriod::Days(30),
            Trigger::ContractEnd,
            Boundary::AtMost,
        ),
        term(
            "name",
            RetentionPeriod::Months(1),
            Trigger::ContractEnd,
            Boundary::AtLeast,
        ),
    ]);
    assert!(open.is_open());
    let calendar = Calendar::new(Tz::UTC, BucketUnit::Day);
    let ended = open.with_triggered(
        triggered(Some("2026-11-24"), Some("2026-11-01")),
        &calendar,
        day("2026-05-01"),
    );
    assert_eq!(
        ended.text,
        "content=30 days at_most contract_end 2026-11-24;name=1 month at_least contract_end 2026-11-24"
    );
    assert!(!ended.is_open());
    let deadlines = ended.deadlines(&calendar, day("2026-05-01"));
    let due: Vec<_> = deadlines
        .into_iter()
        .map(|due| due.unwrap().to_string())
        .collect();
    assert_eq!(due, ["2026-12-24T00:00:00Z", "2026-12-25T00:00:00Z"]);
    // Another known end gives another profile; an unknown end changes nothing.
    let later = ended.with_triggered(
        triggered(Some("2026-12-01"), None),
        &calendar,
        day("2026-05-01"),
    );
    assert_ne!(later.id, ended.id);
    assert_eq!(
        ended.with_triggered(RecordTriggers::default(), &calendar, day("2026-05-01")),
        ended
    );
}

#[test]
fn a_withdrawal_counts_for_what_was_there_and_only_where_it_is_earlier() {
    let window = Profile::new(vec![term(
        "content",
        RetentionPeriod::Days(30),
        Trigger::ConsentWithdrawn,
        Boundary::AtMost,
    )]);
    let calendar = Calendar::new(Tz::UTC, BucketUnit::Day);
    let of = |bucket: &str, withdrawn: &str| {
        let profile =
            window.with_triggered(triggered(None, Some(withdrawn)), &calendar, day(bucket));
        (
            profile.deadlines(&calendar, day(bucket))[0]
                .unwrap()
                .to_string(),
            profile.text,
        )
    };
    let plain = "content=30 days at_most consent_withdrawn".to_owned();
    let cut = "content=30 days at_most consent_withdrawn 2026-11-10".to_owned();
    assert_eq!(
        of("2026-11-01", "2026-11-10"),
        ("2026-11-10T00:00:00Z".to_owned(), cut.clone())
    );
    assert_eq!(
        of("2026-11-10", "2026-11-10"),
        ("2026-11-10T00:00:00Z".to_owned(), cut)
    );
    assert_eq!(
        of("2026-11-11", "2026-11-10"),
        ("2026-12-11T00:00:00Z".to_owned(), plain.clone())
    );
    assert_eq!(
        of("2026-10-11", "2026-11-10"),
        ("2026-11-10T00:00:00Z".to_owned(), plain)
    );
}

fn terms() -> impl Strategy<Value = Vec<RetentionTerm>> {
    let keep = prop_oneof![
        (0u32..200).prop_map(RetentionPeriod::Hours),
        (0u32..200).prop_map(RetentionPeriod::Days),
        (0u32..30).prop_map(RetentionPeriod::Months)
    ];
    let kind = prop_oneof![
        Just((Trigger::Event, Boundary::AtMost)),
        Just((Trigger::Event, Boundary::AtLeast)),
        Just((Trigger::ContractEnd, Boundary::AtMost)),
        Just((Trigger::ContractEnd, Boundary::AtLeast)),
        Just((Trigger::ConsentWithdrawn, Boundary::AtMost)),
    ];
    prop::collection::btree_map(0usize..6, (keep, kind), 0..5).prop_map(|terms| {
        let names = [
            "content",
            "email",
            "location",
            "name",
            "phone_number",
            "traffic_data",
        ];
        let one = |(name, (keep, (trigger, boundary))): (usize, _)| {
            term(names[name], keep, trigger, boundary)
        };
        terms.into_iter().map(one).collect()
    })
}

/// A bucket of two years, counted in days or hours.
fn bucket(unit: BucketUnit, number: u32) -> Bucket {
    let start = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
    match unit {
        BucketUnit::Day => Bucket::Day(start + chrono::Days::new(u64::from(number))),
        BucketUnit::Hour => Bucket::Hour(
            start.and_time(chrono::NaiveTime::MIN).and_utc()
                + chrono::TimeDelta::hours(i64::from(number)),
        ),
    }
}

proptest! {
    #[test]
    fn trigger_deadlines_equal_those_of_an_event_and_are_all_in_the_text(
        terms in terms(),
        hourly: bool,
        zone in prop::sample::select(vec![Tz::UTC, Tz::Europe__Amsterdam, Tz::America__Havana, Tz::Pacific__Apia]),
        at in (0u32..700, prop::option::of(0u32..700), prop::collection::vec(0u32..700, 0..3)),
        late in 0u32..3,
    ) {
        let unit = if hourly { BucketUnit::Hour } else { BucketUnit::Day };
        let calendar = Calendar::new(zone, unit);
        let (of, end, withdrawals) = at;
        let (of, end) = (bucket(unit, of), end.map(|end| bucket(unit, end)));
        let plain = Profile::new(terms.clone()).with_late(late);
        let mut profile = plain.with_triggered(RecordTriggers { contract_end: end, withdrawn: None }, &calendar, of);
        for withdrawn in &withdrawals {
            let withdrawn = Some(bucket(unit, *withdrawn));
            profile = profile.with_triggered(RecordTriggers { contract_end: None, withdrawn }, &calendar, of);
        }
        // The slow way: each term separately, with every withdrawal.
        let expected: Vec<Option<Deadline>> = plain.terms.iter().map(|term| {
            let window = |from, late| deadline(&calendar, from, late, term.keep, term.boundary);
            match term.trigger {
                Trigger::Event => Some(window(of, plain.late)),
                Trigger::ContractEnd => end.map(|end| window(end, 0)),
                Trigger::ConsentWithdrawn => {
                    let starts = withdrawals.iter().map(|withdrawn| calendar.start(bucket(unit, *withdrawn)));
                    let counted = starts.filter(|at| *at >= calendar.start(of)).map(Deadline);
                    Some(counted.fold(window(of, plain.late), Ord::min))
                }
            }
        }).collect();
        prop_assert_eq!(profile.deadlines(&calendar, of), expected);
        prop_assert_eq!(profile.is_open(), end.is_none() && profile.has_trigger(Trigger::ContractEnd));
        let read = Profile::parse(&profile.text).unwrap();
        prop_assert_eq!(read.deadlines(&calendar, of), profile.deadlines(&calendar, of));
        prop_assert_eq!((read.id, read.text, read.late), (profile.id, profile.text, profile.late));
    }

    #[test]
    fn text_of_no_profile_parses_as_no_profile(text in "[a-z_=; 0-9-]{0,40}") {
        prop_assert!(Profile::parse(&text).is_none_or(|profile| profile.text == text));
    }
}
