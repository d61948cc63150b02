//! The rows that the holds in force cover, as a predicate over a segment's columns. Pure.
//!
//! Invariant: the predicate covers at least the rows that a hold's scope names. If a column that a
//! condition needs is not stored or is deleted already, the condition counts as true wherever it
//! could be true. The subject is the exception: a row without the subject's column identifies no
//! one.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::hold::{Hold, HoldId, Scope, TimeRange};
use ebbtide_base::ids::{Bucket, Category, ProductKey};
use ebbtide_policy::tag::SubjectValue;
use ebbtide_policy::{Calendar, ColumnClass, Records};
use ebbtide_table::{Predicate, StoredSegment};

/// The maximum distance of an event from its bucket. The bucket is that of the earlier of event and
/// arrival. An event is therefore never before its bucket, and after it by at most
/// `ingest.future_tolerance`, which is at most a day. In addition, the policy may have counted its
/// days in another zone at that time, which moves them by at most 26 hours.
const MARGIN: TimeDelta = TimeDelta::days(3);

/// The holds that are in force at some instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holds {
    holds: Vec<Arc<Hold>>,
}

/// The facts about a segment that are known without opening it.
#[derive(Debug, Clone)]
pub struct SegmentView {
    /// The range of the event times that its records can have.
    events: Range<DateTime<Utc>>,
    /// The categories that are, or may be, deleted from it.
    deleted: BTreeSet<Category>,
}

impl SegmentView {
    /// Returns the view of a segment that the table lists. A category without a deadline counts as
    /// deleted: either it is deleted, or its deadline is open.
    #[must_use]
    pub fn of(calendar: &Calendar, segment: &StoredSegment, records: &Records) -> Self {
        let personal = records.fields.values().filter_map(ColumnClass::category);
        let deleted = personal
            .filter(|category| !segment.deadlines.contains_key(*category))
            .cloned()
            .collect();
        Self::new(calendar, segment.bucket, deleted)
    }

    /// Returns the view of a segment of that bucket from which the categories `deleted` may be
    /// deleted. If in doubt, `deleted` must contain a category.
    #[must_use]
    pub fn new(calendar: &Calendar, bucket: Bucket, deleted: BTreeSet<Category>) -> Self {
        let (start, end) = (calendar.start(bucket), calendar.end(bucket));
        let from = start
            .checked_sub_signed(MARGIN)
            .unwrap_or(DateTime::<Utc>::MIN_UTC);
        Self {
            events: from..end
                .checked_add_signed(MARGIN)
                .unwrap_or(DateTime::<Utc>::MAX_UTC),
            deleted,
        }
    }

    /// Returns true if the segment may contain an event of the range.
    #[must_use]
    pub fn may_hold(&self, range: &TimeRange) -> bool {
        range.meets(self.events.start, self.events.end)
    }
}

impl Holds {
    pub(super) fn new(holds: Vec<Hold>) -> Self {
        Self {
            holds: holds.into_iter().map(Arc::new).collect(),
        }
    }

    /// Returns true if there are no holds.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.holds.is_empty()
    }

    /// Returns the holds.
    pub fn iter(&self) -> impl Iterator<Item = &Hold> {
        self.holds.iter().map(Arc::as_ref)
    }

    /// Returns the holds that can cover records of a product.
    #[must_use]
    pub fn covering(&self, product: &ProductKey) -> Holds {
        Holds {
            holds: self
                .holds
                .iter()
                .filter(|hold| hold.scope.covers(product))
                .cloned()
                .collect(),
        }
    }

    /// Returns true if any row of the segment may be held, as far as is known without opening it.
    #[must_use]
    pub fn may_cover(
        &self,
        product: &ProductKey,
        records: &Records,
        segment: &SegmentView,
    ) -> bool {
        self.predicate(product, records, segment).is_some()
    }

    /// Returns each hold that may cover rows of the segment, with the rows that it covers.
    pub fn each<'h>(
        &'h self,
        product: &'h ProductKey,
        records: &'h Records,
        segment: &'h SegmentView,
    ) -> impl Iterator<Item = (&'h HoldId, Predicate)> {
        let covering = self.iter().filter(move |hold| hold.scope.covers(product));
        covering.filter_map(move |hold| Some((&hold.id, rows(&hold.scope, records, segment)?)))
    }

    /// Returns the rows of the segment that at least one hold covers; `None` if there can be none.
    /// An empty `Predicate::All` matches every row.
    #[must_use]
    pub fn predicate(
        &self,
        product: &ProductKey,
        records: &Records,
        segment: &SegmentView,
    ) -> Option<Predicate> {
        let mut any: Vec<Predicate> = self
            .each(product, records, segment)
            .map(|(_, rows)| rows)
            .collect();
        let every = Predicate::All(Vec::new());
        match any.len() {
            0 => None,
            _ if any.contains(&every) => Some(every),
            1 => any.pop(),
            _ => Some(Predicate::Any(any)),
        }
    }
}

/// Returns the rows that one scope covers; `None` if there can be none.
fn rows(scope: &Scope, records: &Records, segment: &SegmentView) -> Option<Predicate> {
    let is_readable = |column: &str| match records.fields.get(column) {
        Some(ColumnClass::Personal(category)) => !segment.deleted.contains(category),
        Some(ColumnClass::NotPersonal) => true,
        None => false,
    };
    let is = |column: &str, value: &str| Predicate::Is {
        column: column.to_owned(),
        value: value.to_owned(),
    };
    let mut all = Vec::new();
    if let Some(subject) = &scope.subject {
        let named = records
            .subjects
            .iter()
            .filter(|of| subject.kind.is_of(&of.kind) && stored(records, &of.column));
        let names = |of: &ebbtide_policy::SubjectColumn| Predicate::Names {
            column: of.column.clone(),
            subject: SubjectValue::new(records, of, subject.named()),
        };
        let mut any: Vec<Predicate> = named.map(names).collect();
        match any.len() {
            0 => return None,
            1 => all.append(&mut any),
            _ => all.push(Predicate::Any(any)),
        }
    }
    if let Some(range) = &scope.events {
        if !segment.may_hold(range) {
            return None;
        }
        if is_readable(&records.event_time) {
            all.push(Predicate::Between {
                column: records.event_time.clone(),
                from: range.from,
                to: range.to,
            });
        }
    }
    if let (Some(tenant), Some(column)) = (&scope.tenant, &records.tenant)
        && is_readable(column)
    {
        all.push(is(column, tenant));
    }
    Some(if all.len() == 1 {
        all.remove(0)
    } else {
        Predicate::All(all)
    })
}

fn stored(records: &Records, column: &str) -> bool {
    records.fields.contains_key(column)
}

/// Returns the effect of a scope on one product in words: the columns that decide, and the
/// conditions that cannot be evaluated there.
#[must_use]
pub fn reading(scope: &Scope, records: Option<&Records>) -> Vec<String> {
    let Some(records) = records else {
        return vec!["the policy has no such product: held whole".to_owned()];
    };
    let mut parts = Vec::new();
    if let Some(subject) = &scope.subject {
        let named = records
            .subjects
            .iter()
            .filter(|of| subject.kind.is_of(&of.kind) && stored(records, &of.column));
        let names: Vec<&str> = named.map(|of| of.column.as_str()).collect();
        if names.is_empty() {
            return vec![format!(
                "has no {} subject: none of its records can match",
                subject.kind
            )];
        }
        parts.push(format!("subject in {}", names.join(" or ")));
    }
    if scope.tenant.is_some() {
        parts.push(
            match records
                .tenant
                .as_deref()
                .filter(|column| stored(records, column))
            {
                Some(column) => format!("tenant in {column}"),
                None => "stores no tenant: records of every tenant match".to_owned(),
            },
        );
    }
    if scope.events.is_some() {
        parts.push(match stored(records, &records.event_time) {
            true => format!("event time in {}", records.event_time),
            false => "stores no event time: whole buckets match".to_owned(),
        });
    }
    if parts.is_empty() {
        parts.push("every record".to_owned());
    }
    parts
}
