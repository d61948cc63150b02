//! An inquiry translated for one product: the segments to search, and the predicates for their rows.
//!
//! The code has no side effects. A segment is skipped only if none of its rows can be shown. The
//! final decision uses the row in the form in which it is shown: a value that is withheld cannot
//! match.

use chrono::{DateTime, Utc};

use super::request::{SearchRequest, SkipReason};
use ebbtide_base::ids::{Category, ProductKey};
use ebbtide_controls::{SegmentView, TimeRange};
use ebbtide_policy::tag::SubjectValue;
use ebbtide_policy::{Calendar, ColumnClass, Policy, Records, SubjectColumn};
use ebbtide_table::{Predicate, StoredSegment, TableSpec};

/// The meaning of an inquiry for one product.
#[derive(Debug, Clone)]
pub struct ProductQuery {
    pub product: ProductKey,
    pub spec: TableSpec,
    pub records: Records,
    pub calendar: Calendar,
    pub now: DateTime<Utc>,
    /// The conditions on texts: a row must meet one of each list.
    texts: Vec<Vec<Predicate>>,
    events: Option<TimeRange>,
    /// The column of event times, if it is stored.
    event_time: Option<String>,
}

impl ProductQuery {
    /// Translates the inquiry for records of a product at `now`. Errors with the reason if no
    /// record can match.
    pub fn of(
        inquiry: &SearchRequest,
        policy: &Policy,
        product: &ProductKey,
        now: DateTime<Utc>,
    ) -> Result<ProductQuery, SkipReason> {
        let records = policy
            .products
            .get(product)
            .and_then(|product| product.records.as_ref());
        let (subjects, tenant) = inquiry.columns(records)?;
        let (Some(records), Some(spec)) = (records, TableSpec::of(policy, product)) else {
            return Err(SkipReason::NotInPolicy);
        };
        let is = |column: &str, value: &str| {
            let (column, value) = (column.to_owned(), value.to_owned());
            vec![Predicate::Is { column, value }]
        };
        let mut texts = Vec::new();
        if let Some(subject) = &inquiry.subject {
            let of = records.subjects.iter();
            let of = of.filter(|of| subjects.contains(&of.column.as_str()));
            let names = |of: &SubjectColumn| Predicate::Names {
                column: of.column.clone(),
                subject: SubjectValue::new(records, of, subject.named()),
            };
            texts.push(of.map(names).collect());
        }
        if let (Some(value), Some(column)) = (&inquiry.tenant, tenant) {
            texts.push(is(column, value));
        }
        if let Some(country) = &inquiry.jurisdiction {
            texts.push(is("jurisdiction", country.as_str()));
        }
        Ok(ProductQuery {
            product: product.clone(),
            calendar: Calendar::new(policy.zone, policy.bucket),
            now,
            texts,
            events: inquiry
                .events
                .filter(|range| range.from.is_some() || range.to.is_some()),
            event_time: Some(records.event_time.clone())
                .filter(|column| records.fields.contains_key(column)),
            records: records.clone(),
            spec,
        })
    }

    /// Returns the predicate for a segment; `None` if none of its rows can be shown. `held`: a hold
    /// may cover rows of it, which are then shown completely. `open`: its profile has a category
    /// whose deadline is not known yet, so its records do not end.
    pub fn look(&self, segment: &StoredSegment, held: bool, open: bool) -> Option<Predicate> {
        let ended = !open
            && !segment.deadlines.is_empty()
            && segment.deadlines.values().all(|at| at.is_due(self.now));
        if segment.cells || (ended && !held) {
            return None;
        }
        let has_expired = |column: &str| {
            self.category(column).is_some_and(|category| {
                segment
                    .deadlines
                    .get(category)
                    .is_some_and(|at| at.is_due(self.now))
            })
        };
        let mut all = Vec::new();
        for any in &self.texts {
            let is_readable = |of: &&Predicate| {
                let column = of.column();
                held || !column.is_some_and(has_expired)
            };
            let any: Vec<Predicate> = any.iter().filter(is_readable).cloned().collect();
            if any.is_empty() {
                return None;
            }
            all.push(Predicate::Any(any));
        }
        let Some(range) = &self.events else {
            return Some(Predicate::All(all));
        };
        let meets = self.bucket_meets(range, segment);
        match self
            .event_time
            .as_deref()
            .filter(|column| !has_expired(column))
        {
            Some(column) => {
                // An event may be outside its bucket.
                SegmentView::of(&self.calendar, segment, &self.records)
                    .may_hold(range)
                    .then_some(())?;
                all.push(within(column, range, meets));
            }
            None if held => SegmentView::of(&self.calendar, segment, &self.records)
                .may_hold(range)
                .then_some(())?,
            None => meets.then_some(())?,
        }
        Some(Predicate::All(all))
    }

    /// Returns the condition that a row of a segment must meet in the form in which it is shown.
    pub fn exact(&self, segment: &StoredSegment) -> Predicate {
        let within = self.events.as_ref().map(|range| {
            // Without the column, every row counts as one without a value.
            let column = self.event_time.as_deref().unwrap_or_default();
            within(column, range, self.bucket_meets(range, segment))
        });
        let texts = self.texts.iter().cloned().map(Predicate::Any);
        Predicate::All(texts.chain(within).collect())
    }

    fn bucket_meets(&self, range: &TimeRange, segment: &StoredSegment) -> bool {
        range.meets(
            self.calendar.start(segment.bucket),
            self.calendar.end(segment.bucket),
        )
    }

    /// Returns the category of a column; `None` if it is not personal.
    fn category(&self, column: &str) -> Option<&Category> {
        self.records
            .fields
            .get(column)
            .and_then(ColumnClass::category)
    }
}

/// Returns the rows whose instant is in a range; with `nulls` also those without one.
fn within(column: &str, range: &TimeRange, nulls: bool) -> Predicate {
    let column = column.to_owned();
    let mut any = vec![Predicate::Between {
        column: column.clone(),
        from: range.from,
        to: range.to,
    }];
    any.extend(nulls.then_some(Predicate::Null { column }));
    Predicate::Any(any)
}
