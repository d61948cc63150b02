use chrono::NaiveDate;
use chrono_tz::Tz;

use super::super::{Boundary, Calendar, Keep, Trigger};
use super::{Profile, Term};
use crate::ids::{Bucket, BucketUnit, Category, RuleId};

fn term(category: &str, keep: Keep, trigger: Trigger, boundary: Boundary) -> Term {
    Term { category: Category::new(category).unwrap(), rule: RuleId::new("a-rule").unwrap(), keep, trigger, boundary }
}

fn both() -> Profile {
    Profile::new(vec![
        term("phone_number", Keep::Months(24), Trigger::Event, Boundary::AtLeast),
        term("content", Keep::Months(6), Trigger::Event, Boundary::AtMost),
    ])
}

#[test]
fn the_text_names_windows_sorted_by_category_and_no_rule() {
    let profile = both();
    assert_eq!(profile.text, "content=6 months at_most event;phone_number=24 months at_least event");
    assert_eq!(profile.id.as_str(), "de894f6743d5");
}

#[test]
fn records_that_arrived_late_by_different_numbers_of_buckets_lie_apart_where_there_is_a_minimum() {
    let late = both().with_late(1);
    assert_eq!(late.text, "content=6 months at_most event;phone_number=24 months at_least event;late=1");
    assert_ne!(late.id, both().id);
    assert_eq!(late.with_late(0), both());
}

#[test]
fn without_a_minimum_lateness_does_not_count() {
    let profile = Profile::new(vec![term("content", Keep::Days(1), Trigger::Event, Boundary::AtMost)]);
    assert_eq!(profile.with_late(9), profile);
}

#[test]
fn a_contracts_end_leaves_the_deadline_open() {
    let profile = Profile::new(vec![
        term("content", Keep::Days(0), Trigger::ContractEnd, Boundary::AtMost),
        term("name", Keep::Days(1), Trigger::ConsentWithdrawn, Boundary::AtMost),
    ]);
    let calendar = Calendar::new(Tz::UTC, BucketUnit::Day);
    let deadlines = profile.deadlines(&calendar, Bucket::Day(NaiveDate::from_ymd_opt(2026, 1, 1).unwrap()));
    let due: Vec<_> = deadlines.into_iter().map(|due| due.map(|due| due.0.to_rfc3339())).collect();
    assert_eq!(due, [None, Some("2026-01-02T00:00:00+00:00".to_owned())]);
}

#[test]
fn a_profile_without_a_term_has_a_text_too() {
    assert_eq!(Profile::new(Vec::new()).text, "none");
}
