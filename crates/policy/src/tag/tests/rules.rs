//! Tests each rule of tagging by example.

use arrow::array::{Array, StringArray};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::oracle::cells;
use super::tag;
use super::world::{SmsRow, at, batch, category, country, policy, records, row, rule, sms, source};
use crate::tag::{Arrivals, TagError, TaggedBatch, Tagger};
use crate::{Boundary, ColumnClass, Jurisdiction, Policy, RetentionPeriod, Rule, Trigger};
use ebbtide_base::ids::{Bucket, BucketUnit};
use ebbtide_base::record::Fault;

const TOLERANCE: TimeDelta = TimeDelta::minutes(10);

fn by(rules: Vec<Rule>) -> Policy {
    policy(Tz::Europe__Amsterdam, BucketUnit::Day, records(), rules)
}

fn at_most(months: u32) -> Rule {
    rule("most", RetentionPeriod::Months(months), Boundary::AtMost)
}

fn at_least(months: u32) -> Rule {
    rule("least", RetentionPeriod::Months(months), Boundary::AtLeast)
}

fn of(name: &str, mut rule: Rule) -> Rule {
    rule.categories = vec![category(name)];
    rule
}

fn tag_one(policy: &Policy, row: SmsRow, arrival: &str) -> TaggedBatch {
    tag(policy, &[row], at(arrival), TOLERANCE)
}

fn day(text: &str) -> Bucket {
    text.parse().unwrap()
}

fn deadlines(tagged: &TaggedBatch) -> Vec<DateTime<Utc>> {
    tagged.groups[0]
        .deadlines
        .iter()
        .map(|deadline| deadline.unwrap().0)
        .collect()
}

fn names(tagged: &TaggedBatch) -> Vec<String> {
    tagged.groups[0]
        .rows
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect()
}

#[test]
fn columns_are_the_fields_then_derived_ones_then_tags_and_no_others() {
    let tagged = tag_one(
        &by(vec![at_most(6)]),
        row("2026-11-24T10:00:00Z"),
        "2026-11-24T10:00:05Z",
    );
    let wanted = [
        "message_id",
        "recipient",
        "originator",
        "mail",
        "channel",
        "body",
        "sent_at",
        "customer_id",
        "country",
        "segments",
        "recipient_country",
        "originator_country",
        "sent_hour",
        "mail_domain",
        "jurisdiction",
        "ingested_at",
        "source_topic",
        "source_partition",
        "source_offset",
    ];
    assert_eq!(names(&tagged), wanted);
    assert!(
        !wanted.contains(&"extra") && !wanted.contains(&"platform"),
        "the policy does not name these"
    );
}

#[test]
fn a_record_is_of_the_day_of_its_event_in_the_policys_zone() {
    for (sent_at, bucket) in [
        ("2026-11-23T22:59:59Z", "2026-11-23"),
        ("2026-11-23T23:00:00Z", "2026-11-24"),
    ] {
        let tagged = tag_one(&by(vec![at_most(6)]), row(sent_at), "2026-11-24T10:00:05Z");
        assert_eq!(tagged.groups[0].bucket, day(bucket), "{sent_at}");
    }
}

#[test]
fn maximum_counts_from_bucket_start_and_ends_on_a_months_last_day() {
    let tagged = tag_one(
        &by(vec![at_most(6)]),
        row("2026-08-31T10:00:00Z"),
        "2026-08-31T10:00:05Z",
    );
    assert_eq!(deadlines(&tagged), [at("2027-02-27T23:00:00Z"); 5]);
    assert_eq!(tagged.groups[0].profile.late, 0);
}

#[test]
fn late_minimum_counts_from_arrival_and_late_maximum_from_the_event() {
    let rules = vec![at_most(6), of("content", at_least(6))];
    let tagged = tag_one(
        &by(rules),
        row("2026-11-21T10:00:00Z"),
        "2026-11-24T10:00:00Z",
    );
    let group = &tagged.groups[0];
    assert_eq!((group.bucket, group.profile.late), (day("2026-11-21"), 3));
    let terms: Vec<&str> = group
        .profile
        .terms
        .iter()
        .map(|term| term.category.as_str())
        .collect();
    assert_eq!(terms[1], "content");
    let mut wanted = [at("2027-05-20T22:00:00Z"); 5];
    wanted[1] = at("2027-05-24T22:00:00Z");
    assert_eq!(deadlines(&tagged), wanted);
}

#[test]
fn late_records_share_the_profile_of_early_ones_without_a_minimum() {
    let rows = [row("2026-11-21T10:00:00Z"), row("2026-11-24T09:00:00Z")];
    let tagged = tag(
        &by(vec![at_most(6)]),
        &rows,
        at("2026-11-24T10:00:00Z"),
        TOLERANCE,
    );
    assert_eq!(tagged.groups.len(), 2);
    assert_eq!(tagged.groups[0].profile.id, tagged.groups[1].profile.id);
}

#[test]
fn near_future_event_has_the_arrivals_bucket_and_its_own_minimum() {
    let (sent_at, arrival) = ("2026-11-24T23:04:00Z", "2026-11-24T22:58:00Z");
    for (rules, late) in [(vec![at_most(6)], 0), (vec![at_least(6)], 1)] {
        let tagged = tag_one(&by(rules), row(sent_at), arrival);
        assert_eq!(
            (tagged.groups[0].bucket, tagged.groups[0].profile.late),
            (day("2026-11-24"), late)
        );
    }
}

#[test]
fn event_times_that_no_deadline_can_be_counted_from_are_faults() {
    let arrival = "2026-11-24T10:00:00Z";
    let micros = |text: &str| Some(at(text).timestamp_micros());
    let table = [
        (None, Err(Fault::MissingEventTime)),
        (Some(i64::MIN), Err(Fault::AbsurdEventTime)),
        (Some(0), Err(Fault::AbsurdEventTime)),
        (
            micros("1989-12-31T23:59:59.999999Z"),
            Err(Fault::AbsurdEventTime),
        ),
        (micros("1990-01-01T00:00:00Z"), Ok(())),
        (micros("2026-11-24T10:10:00Z"), Ok(())),
        (
            micros("2026-11-24T10:10:00.000001Z"),
            Err(Fault::FutureEventTime),
        ),
        (micros("9999-12-31T23:59:59Z"), Err(Fault::FutureEventTime)),
        (Some(i64::MAX), Err(Fault::AbsurdEventTime)),
    ];
    let mut open = at_most(6);
    open.trigger = Trigger::ContractEnd;
    for (sent_at, wanted) in table {
        // Good rows before and after it are stored in any case.
        let rows = [
            row(arrival),
            SmsRow {
                sent_at,
                ..row(arrival)
            },
            row(arrival),
        ];
        let tagged = tag(&by(vec![open.clone()]), &rows, at(arrival), TOLERANCE);
        let stored: usize = tagged
            .groups
            .iter()
            .map(|group| group.rows.num_rows())
            .sum();
        match wanted {
            Ok(()) => assert_eq!((stored, tagged.faults), (3, vec![]), "{sent_at:?}"),
            Err(fault) => assert_eq!(
                (stored, tagged.faults),
                (2, vec![(1, fault)]),
                "{sent_at:?}"
            ),
        }
    }
}

#[test]
fn category_due_on_arrival_is_left_out_with_its_columns_and_counted() {
    let rules = vec![at_most(6), of("phone_number", at_most(1))];
    let tagged = tag_one(
        &by(rules),
        row("2026-10-01T10:00:00Z"),
        "2026-11-24T10:00:00Z",
    );
    let group = &tagged.groups[0];
    let due: Vec<&str> = group
        .absent
        .iter()
        .map(|term| group.profile.terms[*term].category.as_str())
        .collect();
    assert_eq!(due, ["phone_number"]);
    let left = names(&tagged);
    assert!(!left.contains(&"recipient".to_owned()) && !left.contains(&"originator".to_owned()));
    assert!(left.contains(&"body".to_owned()) && left.contains(&"recipient_country".to_owned()));
    assert_eq!(tagged.late_fields, [(category("phone_number"), 2)].into());
    assert_eq!(
        group.deadlines.len(),
        5,
        "the deadlines are still beside the terms"
    );
}

#[test]
fn a_deadline_is_due_at_its_very_instant_and_not_a_moment_before() {
    let policy = by(vec![at_most(1), of("content", at_most(12))]);
    let absent = |arrival| {
        tag_one(&policy, row("2026-10-24T10:00:00Z"), arrival).groups[0]
            .absent
            .len()
    };
    assert_eq!(absent("2026-11-23T22:59:59.999999Z"), 0);
    assert_eq!(absent("2026-11-23T23:00:00Z"), 4);
}

#[test]
fn a_record_past_all_its_deadlines_is_counted_and_not_stored() {
    let rows = [
        row("2026-01-01T10:00:00Z"),
        row("2026-11-24T10:00:00Z"),
        row("2025-01-01T10:00:00Z"),
    ];
    let tagged = tag(
        &by(vec![at_most(6)]),
        &rows,
        at("2026-11-24T10:00:00Z"),
        TOLERANCE,
    );
    assert_eq!((tagged.expired, tagged.groups.len()), (2, 1));
    assert_eq!(
        cells(&tagged.groups[0].rows)[0]["source_offset"].as_deref(),
        Some("10")
    );
    assert!(
        tagged.late_fields.is_empty(),
        "these fields were not left out of a stored record"
    );
}

#[test]
fn an_open_deadline_is_never_due() {
    let mut open = at_most(0);
    open.trigger = Trigger::ContractEnd;
    let tagged = tag_one(
        &by(vec![open]),
        row("2001-01-01T10:00:00Z"),
        "2026-11-24T10:00:00Z",
    );
    assert_eq!(tagged.groups[0].deadlines, [None; 5]);
}

#[test]
fn records_without_a_personal_field_are_stored_however_late() {
    let mut records = records();
    records
        .fields
        .values_mut()
        .for_each(|class| *class = ColumnClass::NotPersonal);
    let policy = policy(Tz::UTC, BucketUnit::Hour, records, vec![at_most(1)]);
    let tagged = tag_one(&policy, row("2001-01-01T10:20:00Z"), "2026-11-24T10:00:00Z");
    assert_eq!((tagged.expired, tagged.groups[0].rows.num_rows()), (0, 1));
    assert_eq!(tagged.groups[0].bucket, day("2001-01-01T10:00:00Z"));
}

#[test]
fn the_rule_is_that_of_the_jurisdiction_and_the_tenant() {
    let mut italy = at_least(24);
    italy.jurisdictions = vec![country("IT")];
    let mut tenant = rule("tenant", RetentionPeriod::Months(1), Boundary::AtMost);
    tenant.tenants = vec!["initech".into()];
    let policy = by(vec![at_most(6), italy, tenant]);
    let sent_at = "2026-11-24T10:00:00Z";
    let to = |recipient: &str, customer: &str| SmsRow {
        recipient: Some(recipient.into()),
        customer_id: Some(customer.into()),
        ..row(sent_at)
    };
    let rows = [
        to("+31612345678", "acme"),
        to("+39 02 36618300", "acme"),
        to("+390236618300", "initech"),
        SmsRow {
            recipient: None,
            customer_id: None,
            ..row(sent_at)
        },
    ];
    let tagged = tag(&policy, &rows, at(sent_at), TOLERANCE);
    let found: Vec<(String, u32, usize)> = tagged
        .groups
        .iter()
        .map(|group| {
            let RetentionPeriod::Months(months) = group.profile.terms[0].keep else {
                unreachable!()
            };
            (
                cells(&group.rows)[0]["jurisdiction"].clone().unwrap(),
                months,
                group.rows.num_rows(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("NL".into(), 6, 2),
            ("IT".into(), 24, 1),
            ("IT".into(), 1, 1)
        ]
    );
}

#[test]
fn the_jurisdiction_may_be_a_column_a_country_or_unknown() {
    let table = [
        (Jurisdiction::Column("country".into()), "in", "IN"),
        (Jurisdiction::Column("country".into()), " IT ", "IT"),
        (Jurisdiction::Column("country".into()), "Italy", "ZZ"),
        (Jurisdiction::Column("country".into()), "4\u{e9}", "ZZ"),
        (Jurisdiction::Fixed(country("CH")), "IN", "CH"),
        (Jurisdiction::Unknown, "IN", "ZZ"),
    ];
    for (jurisdiction, code, wanted) in table {
        let records = crate::Records {
            jurisdiction,
            ..records()
        };
        let policy = policy(Tz::UTC, BucketUnit::Day, records, vec![at_most(6)]);
        let record = SmsRow {
            country: Some(code.into()),
            ..row("2026-11-24T10:00:00Z")
        };
        let tagged = tag_one(&policy, record, "2026-11-24T10:00:00Z");
        assert_eq!(
            cells(&tagged.groups[0].rows)[0]["jurisdiction"].as_deref(),
            Some(wanted),
            "{code}"
        );
    }
}

#[test]
fn subjects_are_stored_in_their_canonical_form() {
    let record = SmsRow {
        recipient: Some(" 0031 (6) 12.34-56 78 ".into()),
        originator: Some(" ACME Bank ".into()),
        mail: Some(" Some.One+Tag@EXAMPLE.org ".into()),
        platform: Some(" WhatsApp".into()),
        channel: Some(" AbC-1 ".into()),
        ..row("2026-11-24T10:00:00Z")
    };
    let tagged = tag_one(&by(vec![at_most(6)]), record, "2026-11-24T10:00:00Z");
    let stored = &cells(&tagged.groups[0].rows)[0];
    let value_of = |column: &str| stored[column].as_deref().unwrap();
    assert_eq!(value_of("recipient"), "31612345678");
    assert_eq!(value_of("originator"), "ACME Bank");
    assert_eq!(value_of("mail"), "some.one+tag@example.org");
    assert_eq!(value_of("channel"), "whatsapp:AbC-1");
    assert_eq!(value_of("recipient_country"), "NL");
    assert_eq!(value_of("mail_domain"), "example.org");
    assert_eq!(value_of("sent_hour"), "11");
}

#[test]
fn a_batch_of_one_group_is_not_copied() {
    let rows: Vec<SmsRow> = (0..100).map(|_| row("2026-11-24T10:00:00Z")).collect();
    let (policy, input, source) = (by(vec![at_most(6)]), batch(&rows), source());
    let offsets: Vec<i64> = (0..100).collect();
    let from = Arrivals {
        source: &source,
        offsets: &offsets,
        at: at("2026-11-24T10:00:00Z"),
    };
    let tagged = Tagger::new(&policy, &sms())
        .unwrap()
        .tag(&input, &from, TOLERANCE)
        .unwrap();
    let body = |rows: &arrow::array::RecordBatch| {
        let column = rows
            .column_by_name("body")
            .unwrap()
            .as_any()
            .downcast_ref::<StringArray>()
            .unwrap();
        column.value_data().as_ptr()
    };
    assert_eq!(body(&tagged.groups[0].rows), body(&input));
}

#[test]
fn a_batch_that_is_not_what_the_policy_asks_for_is_refused_whole() {
    let (policy, source) = (by(vec![at_most(6)]), source());
    let tagger = Tagger::new(&policy, &sms()).unwrap();
    let arrival = at("2026-11-24T10:00:00Z");
    let input = batch(&[row("2026-11-24T10:00:00Z")]);
    let of = |offsets| Arrivals {
        source: &source,
        offsets,
        at: arrival,
    };
    let without = |column: &str| {
        let keep: Vec<usize> = (0..12)
            .filter(|index| input.schema().field(*index).name() != column)
            .collect();
        input.project(&keep).unwrap()
    };
    let refused = |rows, offsets| tagger.tag(&rows, &of(offsets), TOLERANCE).unwrap_err();
    assert!(matches!(
        refused(input.clone(), &[1, 2]),
        TagError::Offsets {
            offsets: 2,
            rows: 1
        }
    ));
    for column in ["sent_at", "recipient", "customer_id", "platform", "mail"] {
        assert!(
            matches!(refused(without(column), &[1]), TagError::Column { column: named, .. } if named == column)
        );
    }
    let never = Arrivals {
        source: &source,
        offsets: &[1],
        at: DateTime::<Utc>::MAX_UTC,
    };
    assert!(matches!(
        tagger.tag(&input, &never, TOLERANCE),
        Err(TagError::Arrival)
    ));
}

#[test]
fn decoded_columns_are_the_fields_and_those_that_tagging_reads() {
    let tagger = Tagger::new(&by(vec![at_most(6)]), &sms()).unwrap();
    let mut wanted: Vec<String> = records().fields.into_keys().collect();
    wanted.push("platform".into());
    wanted.sort();
    assert_eq!(tagger.columns().iter().cloned().collect::<Vec<_>>(), wanted);
}

#[test]
fn no_rows_make_no_groups() {
    let tagged = tag(
        &by(vec![at_most(6)]),
        &[],
        at("2026-11-24T10:00:00Z"),
        TOLERANCE,
    );
    assert!(tagged.groups.is_empty() && tagged.faults.is_empty() && tagged.expired == 0);
}
