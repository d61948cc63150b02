//! Tests of the segments that are searched, and of their filters.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{days, person, policy};
use crate::record_search::SearchRequest;
use crate::record_search::query::ProductQuery;
use ebbtide_base::ids::Deadline;
use ebbtide_controls::TimeRange;
use ebbtide_table::testing::{noon, segment_tags};
use ebbtide_table::{Predicate, StoredSegment};

/// Returns a segment with deadlines in these numbers of days.
fn segment(deadlines: &[(&str, i64)]) -> StoredSegment {
    let tags = segment_tags();
    let deadlines = deadlines
        .iter()
        .map(|(category, in_days)| (category.parse().unwrap(), Deadline(days(*in_days))));
    StoredSegment {
        path: "bucket=2026-09-21/profile=0123456789ab/a.parquet".into(),
        bucket: tags.bucket,
        profile: tags.profile,
        rows: 1,
        records: 1,
        size: 1,
        deadlines: Arc::new(deadlines.collect()),
        policy_version: None,
        cells: false,
    }
}

fn terms(inquiry: &SearchRequest) -> ProductQuery {
    ProductQuery::of(inquiry, &policy(), &"sms".parse().unwrap(), noon()).unwrap()
}

fn columns(predicate: &Predicate) -> Vec<&str> {
    predicate.columns().into_iter().collect()
}

/// Returns the column of the range of events and whether rows without an event are in it; `None`
/// if there is no range.
fn within(predicate: Predicate) -> Option<(String, bool)> {
    let Predicate::All(mut all) = predicate else {
        panic!("{predicate:?}")
    };
    let Some(Predicate::Any(any)) = all.pop() else {
        panic!("{all:?}")
    };
    match any.as_slice() {
        [Predicate::Between { column, .. }] => Some((column.clone(), false)),
        [
            Predicate::Between { column, .. },
            Predicate::Null { column: null },
        ] if column == null => Some((column.clone(), true)),
        [Predicate::Between { .. }, ..] => panic!("{any:?}"),
        _ => None,
    }
}

#[test]
fn cells_name_no_person_and_are_never_searched() {
    let cells = StoredSegment {
        cells: true,
        ..segment(&[])
    };
    let all = SearchRequest {
        jurisdiction: Some("NL".parse().unwrap()),
        ..SearchRequest::default()
    };
    for inquiry in [person(1), all] {
        assert_eq!(terms(&inquiry).look(&cells, true, true), None);
        assert!(terms(&inquiry).look(&segment(&[]), false, false).is_some());
    }
}

#[test]
fn a_number_past_its_deadline_finds_only_what_may_be_held() {
    let due = segment(&[("phone_number", 0), ("content", 1)]);
    let terms = terms(&person(1));
    assert_eq!(terms.look(&due, false, false), None);
    assert_eq!(
        columns(&terms.look(&due, true, false).unwrap()),
        ["originator", "recipient"]
    );
    let not_yet = segment(&[("phone_number", 1), ("content", 0)]);
    assert_eq!(
        columns(&terms.look(&not_yet, false, false).unwrap()),
        ["originator", "recipient"]
    );
}

#[test]
fn a_segment_of_ended_records_is_searched_only_if_held_or_open() {
    let inquiry = SearchRequest {
        tenant: Some("acme".to_owned()),
        ..SearchRequest::default()
    };
    let (ended, terms) = (
        segment(&[("phone_number", -1), ("content", -2)]),
        terms(&inquiry),
    );
    assert_eq!(terms.look(&ended, false, false), None);
    assert!(terms.look(&ended, true, false).is_some() && terms.look(&ended, false, true).is_some());
    assert!(
        terms.look(&segment(&[]), false, false).is_some(),
        "what has no deadline left has not ended"
    );
}

#[test]
fn the_bucket_decides_where_the_event_time_has_expired() {
    let at = |text: &str| -> Option<DateTime<Utc>> { Some(text.parse().unwrap()) };
    let range = |from, to| {
        terms(&SearchRequest {
            events: Some(TimeRange { from, to }),
            ..person(1)
        })
    };
    let stands = segment(&[("traffic_data", 1)]);
    let due = segment(&[("traffic_data", 0), ("phone_number", 1)]);
    // The bucket is 21 September in Amsterdam: 22:00 on the 20th to 22:00 on the 21st.
    let (start, end) = (at("2026-09-20T22:00:00Z"), at("2026-09-21T22:00:00Z"));
    for (from, to, meets) in [
        (start, None, true),
        (end, None, false),
        (None, start, false),
        (None, end, true),
    ] {
        let terms = range(from, to);
        let sent_at = Some(("sent_at".to_owned(), meets));
        assert_eq!(
            within(terms.look(&stands, false, false).unwrap()),
            sent_at.clone()
        );
        assert_eq!(
            terms.look(&due, false, false).map(within),
            meets.then_some(None)
        );
        assert_eq!(
            within(terms.look(&due, true, false).unwrap()),
            None,
            "a held row still has its time"
        );
        assert_eq!(within(terms.exact(&due)), sent_at);
    }
    let far = range(at("2026-09-25T22:00:01Z"), None);
    assert_eq!(
        (far.look(&stands, false, false), far.look(&due, true, false)),
        (None, None)
    );
    assert!(
        range(None, Some(noon() + TimeDelta::days(90)))
            .look(&stands, false, false)
            .is_some()
    );
}
