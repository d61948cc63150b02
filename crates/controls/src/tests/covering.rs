//! The rows that a hold covers in one product if columns are missing or deleted: never fewer than
//! its scope names.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::testing::{self, HELD, of_subject, order};
use crate::{Control, Controls, Hold, HoldId, Scope, SegmentView, TimeRange, reading};
use ebbtide_base::ids::{Bucket, Category, ProductKey};
use ebbtide_policy::tag::{NamedSubject, SubjectValue};
use ebbtide_policy::{Calendar, Records};
use ebbtide_table::Predicate;
use ebbtide_table::testing::noon;

fn covered(
    scope: Scope,
    product: &str,
    change: impl FnOnce(&mut Records),
    deleted: &[&str],
) -> Option<Predicate> {
    let policy = testing::policy();
    let product: ProductKey = product.parse().unwrap();
    let mut records = policy.products[&product].records.clone().unwrap();
    change(&mut records);
    let deleted: BTreeSet<Category> = deleted
        .iter()
        .map(|category| category.parse().unwrap())
        .collect();
    let order = order(scope);
    let (id, placed_at) = (HoldId::of(7), noon());
    let hold = Hold {
        id,
        case: order.case,
        basis: order.basis,
        placed_at,
        placed_by: None,
        until: order.until,
        scope: order.scope,
    };
    let holds = Controls::from_controls([Control::Hold(hold)]).in_force(noon());
    let calendar = Calendar::new(policy.zone, policy.bucket);
    let segment = SegmentView::new(&calendar, "2026-09-21".parse::<Bucket>().unwrap(), deleted);
    assert_eq!(
        holds.may_cover(&product, &records, &segment),
        holds.predicate(&product, &records, &segment).is_some()
    );
    holds.predicate(&product, &records, &segment)
}

fn is(column: &str, value: &str) -> Predicate {
    Predicate::Is {
        column: column.to_owned(),
        value: value.to_owned(),
    }
}

fn names(column: &str, value: &str) -> Predicate {
    let policy = testing::policy();
    let records = policy
        .products
        .values()
        .find_map(|product| product.records.as_ref())
        .unwrap();
    let subject = ebbtide_policy::SubjectColumn {
        column: column.to_owned(),
        kind: ebbtide_policy::SubjectKind::Phone,
    };
    Predicate::Names {
        column: column.to_owned(),
        subject: SubjectValue::new(
            records,
            &subject,
            NamedSubject {
                text: value,
                as_dialled: false,
            },
        ),
    }
}

fn every() -> Option<Predicate> {
    Some(Predicate::All(vec![]))
}

fn tenant() -> Scope {
    Scope {
        tenant: Some("customer-1".to_owned()),
        ..Scope::default()
    }
}

fn events(from: &str, to: &str) -> Scope {
    let at = |text: &str| Some(text.parse::<DateTime<Utc>>().unwrap());
    Scope {
        events: Some(TimeRange {
            from: at(from),
            to: at(to),
        }),
        ..Scope::default()
    }
}

fn same(found: Option<Predicate>, expected: Option<Predicate>) {
    assert!(found == expected, "another predicate than expected");
}

#[test]
fn a_subject_is_looked_for_in_every_column_of_its_kind_and_in_no_other() {
    same(
        covered(of_subject(), "sms", |_| {}, &[]),
        Some(Predicate::Any(vec![
            names("originator", HELD),
            names("recipient", HELD),
        ])),
    );
    same(
        covered(of_subject(), "flow", |_| {}, &[]),
        Some(names("phone_number", HELD)),
    );
    same(covered(of_subject(), "email", |_| {}, &[]), None);
}

#[test]
fn condition_without_a_stored_column_counts_as_true() {
    same(
        covered(tenant(), "sms", |_| {}, &[]),
        Some(is("customer_id", "customer-1")),
    );
    same(
        covered(tenant(), "sms", |records| records.tenant = None, &[]),
        every(),
    );
    let unstored = |records: &mut Records| drop(records.fields.remove("customer_id"));
    same(covered(tenant(), "sms", unstored, &[]), every());
    let day = || events("2026-09-21T00:00:00Z", "2026-09-22T00:00:00Z");
    let untimed = |records: &mut Records| drop(records.fields.remove("sent_at"));
    same(covered(day(), "sms", untimed, &[]), every());
    // A column whose category is deleted, or may be, no longer limits the hold.
    same(covered(day(), "sms", |_| {}, &["traffic_data"]), every());
    assert!(matches!(
        covered(day(), "sms", |_| {}, &["content"]),
        Some(Predicate::Between { .. })
    ));
}

#[test]
fn a_segment_is_looked_into_unless_no_event_of_it_can_be_in_the_range() {
    // The bucket is 21 September. Events may be up to a day after it, and a change of the zone may
    // have shifted the bucket.
    assert!(
        covered(
            events("2026-09-23T12:00:00Z", "2026-10-01T00:00:00Z"),
            "sms",
            |_| {},
            &[]
        )
        .is_some()
    );
    assert!(
        covered(
            events("2026-09-10T00:00:00Z", "2026-09-20T12:00:00Z"),
            "sms",
            |_| {},
            &[]
        )
        .is_some()
    );
    same(
        covered(
            events("2026-09-26T00:00:00Z", "2026-10-01T00:00:00Z"),
            "sms",
            |_| {},
            &[],
        ),
        None,
    );
    same(
        covered(
            events("2026-09-01T00:00:00Z", "2026-09-17T00:00:00Z"),
            "sms",
            |_| {},
            &[],
        ),
        None,
    );
}

#[test]
fn a_product_alone_is_held_whole_and_others_not_at_all() {
    let product = || Scope {
        products: vec!["sms".parse().unwrap()],
        ..Scope::default()
    };
    same(covered(product(), "sms", |_| {}, &[]), every());
    same(covered(product(), "voice", |_| {}, &[]), None);
}

#[test]
fn a_hold_is_over_at_its_end_and_at_its_release() {
    let order = order(tenant());
    let hold = |id| Hold {
        id: HoldId::of(id),
        case: order.case.clone(),
        basis: order.basis.clone(),
        placed_at: noon(),
        placed_by: None,
        until: order.until,
        scope: tenant(),
    };
    let release = crate::Release {
        hold: HoldId::of(1),
        released_at: noon(),
        products: vec![],
    };
    let controls = Controls::from_controls([
        Control::Hold(hold(1)),
        Control::Hold(hold(2)),
        Control::Release(release),
    ]);
    let live = |at| {
        controls
            .in_force(at)
            .iter()
            .map(|hold| hold.id.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(live(noon()), [HoldId::of(2)]);
    assert_eq!(
        live(order.until - TimeDelta::microseconds(1)),
        [HoldId::of(2)]
    );
    assert_eq!(live(order.until), []);
}

#[test]
fn effect_of_a_hold_on_a_product_is_described_in_words() {
    let policy = testing::policy();
    let scope = Scope {
        tenant: Some("t".to_owned()),
        ..of_subject()
    };
    let readings: Vec<String> = ["sms", "email", "voice"]
        .iter()
        .map(|name| {
            let product: ProductKey = name.parse().unwrap();
            format!(
                "{name}: {}",
                reading(&scope, policy.products[&product].records.as_ref()).join(", ")
            )
        })
        .collect();
    insta::assert_snapshot!(readings.join("\n"), @r"
    sms: subject in originator or recipient, tenant in customer_id
    email: has no phone subject: none of its records can match
    voice: subject in caller or callee, tenant in customer_id
    ");
}
