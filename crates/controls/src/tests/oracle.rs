//! Random rows and random holds: compares the predicate with a slow and obvious evaluation of the
//! hold's scope.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;

use crate::testing::{order, policy};
use crate::{Control, Controls, Hold, HoldId, IdentifierKind, Scope, SegmentView, TimeRange};
use ebbtide_base::ids::{BucketUnit, Category, ProductKey};
use ebbtide_policy::{Calendar, ColumnClass, Policy, Records};
use ebbtide_table::Predicate;
use ebbtide_table::testing::noon;

static POLICY: LazyLock<Policy> = LazyLock::new(policy);

const PRODUCTS: [&str; 5] = ["sms", "email", "flow", "conversations", "widget"];
const SUBJECTS: [&str; 6] = [
    "phone:+31611111111",
    "phone:+31622222222",
    "email:a@b.c",
    "email:d@e.f",
    "channel:viber:1",
    "channel:widget:1",
];
const TENANTS: [&str; 3] = ["tenant-1", "tenant-2", "tenant-3"];
const ZONES: [Tz; 3] = [
    chrono_tz::Europe::Amsterdam,
    chrono_tz::Pacific::Kiritimati,
    chrono_tz::Pacific::Pago_Pago,
];

/// The value of a column, in the types that predicates compare.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Text(String),
    Time(DateTime<Utc>),
}

/// A stored record.
#[derive(Debug, Clone)]
struct Row {
    product: ProductKey,
    records: Records,
    columns: BTreeMap<String, Cell>,
    /// The tenant, event and arrival of the record, whether they are still stored or not.
    tenant: String,
    event: DateTime<Utc>,
    arrival: DateTime<Utc>,
    deleted: BTreeSet<Category>,
}

#[derive(Debug, Clone)]
struct Draw {
    product: usize,
    people: Vec<Option<usize>>,
    tenant: usize,
    event: i64,
    /// Minutes from event to arrival: a clock may run ahead by a day.
    delay: i64,
    deleted: Vec<bool>,
    unstored: (bool, bool),
}

fn draws() -> impl Strategy<Value = Draw> {
    let people = prop::collection::vec(prop::option::of(0..SUBJECTS.len()), 6);
    let flags = prop::collection::vec(prop::bool::weighted(0.2), 20);
    let unstored = (prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    let times = (-14_400_i64..14_400, -1440_i64..30_000);
    (
        0..PRODUCTS.len(),
        people,
        0..TENANTS.len(),
        times,
        flags,
        unstored,
    )
        .prop_map(
            |(product, people, tenant, (event, delay), deleted, unstored)| Draw {
                product,
                people,
                tenant,
                event,
                delay,
                deleted,
                unstored,
            },
        )
}

fn row(draw: &Draw) -> Row {
    let product: ProductKey = PRODUCTS[draw.product].parse().unwrap();
    let mut records = POLICY.products[&product].records.clone().unwrap();
    if draw.unstored.0 {
        records.tenant = None;
    }
    if draw.unstored.1 {
        let event_time = records.event_time.clone();
        records.fields.remove(&event_time);
    }
    let categories: BTreeSet<Category> = records
        .fields
        .values()
        .filter_map(ColumnClass::category)
        .cloned()
        .collect();
    let deleted: BTreeSet<Category> = categories
        .into_iter()
        .zip(&draw.deleted)
        .filter(|(_, deleted)| **deleted)
        .map(|(category, _)| category)
        .collect();
    let event = noon() + TimeDelta::minutes(draw.event);
    let tenant = TENANTS[draw.tenant].to_owned();
    let mut columns = BTreeMap::new();
    for (subject, person) in records.subjects.iter().zip(&draw.people) {
        if let Some(person) = person {
            let person: crate::Subject = SUBJECTS[*person].parse().unwrap();
            if person.kind.is_of(&subject.kind) {
                columns.insert(
                    subject.column.clone(),
                    Cell::Text(person.canonical().to_owned()),
                );
            }
        }
    }
    columns.extend(
        records
            .tenant
            .iter()
            .map(|column| (column.clone(), Cell::Text(tenant.clone()))),
    );
    columns.insert(records.event_time.clone(), Cell::Time(event));
    // Columns that are not stored, and those that are deleted, are null.
    columns.retain(|column, _| match records.fields.get(column) {
        Some(class) => class
            .category()
            .is_none_or(|category| !deleted.contains(category)),
        None => false,
    });
    Row {
        product,
        records,
        columns,
        tenant,
        event,
        arrival: event + TimeDelta::minutes(draw.delay),
        deleted,
    }
}

fn scopes() -> impl Strategy<Value = Scope> {
    let subject = prop::option::of(0..SUBJECTS.len());
    let tenant = prop::option::of(0..TENANTS.len());
    let products = prop::collection::vec(0..PRODUCTS.len(), 0..3);
    let events = prop::option::of((
        prop::option::of(-14_400_i64..14_400),
        prop::option::of(1_i64..20_000),
    ));
    (subject, tenant, products, events).prop_map(|(subject, tenant, products, events)| Scope {
        subject: subject.map(|subject| SUBJECTS[subject].parse().unwrap()),
        tenant: tenant.map(|tenant| TENANTS[tenant].to_owned()),
        products: products
            .into_iter()
            .map(|product| PRODUCTS[product].parse().unwrap())
            .collect(),
        events: events.map(|(from, length)| {
            let from = from.map(|from| noon() + TimeDelta::minutes(from));
            let to = length.map(|length| from.unwrap_or(noon()) + TimeDelta::minutes(length));
            TimeRange { from, to }
        }),
    })
}

/// Evaluates the scope on the original content of the record. A subject that is no longer stored
/// identifies no one. If `blind`, a condition on a column that is not stored is true.
fn words(scope: &Scope, row: &Row, blind: bool) -> bool {
    let product = scope.products.is_empty() || scope.products.contains(&row.product);
    let subject = scope.subject.as_ref().is_none_or(|wanted| {
        row.records.subjects.iter().any(|of| {
            let kinds = [
                IdentifierKind::Phone,
                IdentifierKind::Email,
                IdentifierKind::Channel,
            ];
            let kind = kinds.into_iter().find(|kind| kind.is_of(&of.kind)).unwrap();
            kind == wanted.kind
                && row.columns.get(&of.column) == Some(&Cell::Text(wanted.canonical().to_owned()))
        })
    });
    let has_column = |column: &String| row.columns.contains_key(column);
    let is_stored = |column: Option<&String>| column.is_some_and(has_column);
    let tenant = scope.tenant.as_ref().is_none_or(|tenant| {
        *tenant == row.tenant || (blind && !is_stored(row.records.tenant.as_ref()))
    });
    let events = scope.events.is_none_or(|range| {
        let inside = range.from.is_none_or(|from| from <= row.event)
            && range.to.is_none_or(|to| row.event < to);
        inside || (blind && !is_stored(Some(&row.records.event_time)))
    });
    product && subject && tenant && events
}

fn matches(predicate: &Predicate, row: &Row) -> bool {
    match predicate {
        Predicate::Is { column, value } => {
            row.columns.get(column) == Some(&Cell::Text(value.clone()))
        }
        Predicate::Names { column, subject } => match row.columns.get(column) {
            Some(Cell::Text(text)) => subject.is_named_by(text, &mut Vec::new()),
            _ => false,
        },
        Predicate::Between { column, from, to } => match row.columns.get(column) {
            Some(Cell::Time(at)) => {
                from.is_none_or(|from| from <= *at) && to.is_none_or(|to| *at < to)
            }
            _ => false,
        },
        Predicate::All(all) => all.iter().all(|part| matches(part, row)),
        Predicate::Any(any) => any.iter().any(|part| matches(part, row)),
        other => panic!("no hold has {other:?}"),
    }
}

fn hold(number: u32, scope: Scope) -> Control {
    let (order, id) = (order(scope), HoldId::of(number));
    let (case, basis, until, scope) = (order.case, order.basis, order.until, order.scope);
    Control::Hold(Hold {
        id,
        case,
        basis,
        placed_at: noon(),
        placed_by: None,
        until,
        scope,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn every_covered_row_is_held_and_no_row_that_is_known_to_be_outside(
        draw in draws(),
        scopes in prop::collection::vec(scopes(), 0..4),
        written in 0..ZONES.len(),
        read in 0..ZONES.len(),
        hourly: bool,
    ) {
        let row = row(&draw);
        let unit = if hourly { BucketUnit::Hour } else { BucketUnit::Day };
        // The zone of the policy may have been another when the bucket was made.
        let bucket = Calendar::new(ZONES[written], unit).bucket_of(row.event.min(row.arrival)).unwrap();
        let segment = SegmentView::new(&Calendar::new(ZONES[read], unit), bucket, row.deleted.clone());
        let numbered = (1..).zip(scopes.iter().cloned());
        let holds = Controls::from_controls(numbered.map(|(number, scope)| hold(number, scope))).in_force(noon());
        let predicate = holds.predicate(&row.product, &row.records, &segment);
        let held = predicate.as_ref().is_some_and(|predicate| matches(predicate, &row));
        prop_assert_eq!(predicate.is_some(), holds.may_cover(&row.product, &row.records, &segment));
        if scopes.iter().any(|scope| words(scope, &row, false)) {
            prop_assert!(held, "a held row is free");
        }
        if held {
            prop_assert!(scopes.iter().any(|scope| words(scope, &row, true)), "a free row is held");
        }
    }
}
