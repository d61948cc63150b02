//! An inquiry translated for one product: the segments to search, and the filters for them.
//!
//! The code has no side effects. A segment is skipped only if none of its rows can be shown. The
//! final decision uses the row in the form in which it is shown: a value that is withheld cannot
//! match.

use chrono::{DateTime, Utc};

use super::request::{SearchRequest, SkipReason};
use ebbtide_base::ids::{Category, ProductKey};
use ebbtide_controls::{SegmentView, TimeRange};
use ebbtide_policy::tag::SubjectValue;
use ebbtide_policy::{Calendar, ColumnClass, Policy, Records};
use ebbtide_query::{RecordFilter, TextCondition, TimeCondition};
use ebbtide_table::{StoredSegment, TableSpec};

/// The meaning of an inquiry for one product.
#[derive(Debug, Clone)]
pub struct ProductQuery {
    pub product: ProductKey,
    pub spec: TableSpec,
    pub records: Records,
    pub calendar: Calendar,
    pub now: DateTime<Utc>,
    /// The texts that columns must contain.
    texts: Vec<TextCondition>,
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
        let mut texts = Vec::new();
        let mut must = |columns: &[&str], value: &str, subject: Option<SubjectValue>| {
            let columns = columns.iter().map(|column| (*column).to_owned()).collect();
            let value = subject
                .as_ref()
                .map_or(value, SubjectValue::value)
                .to_owned();
            texts.push(TextCondition {
                columns,
                value,
                subject,
            });
        };
        if let Some(subject) = &inquiry.subject {
            // All of the columns have the same kind, and therefore the same form.
            let of = records
                .subjects
                .iter()
                .find(|of| subjects.contains(&of.column.as_str()));
            let value = of.map(|of| SubjectValue::new(records, of, subject.named()));
            must(&subjects, subject.canonical(), value);
        }
        if let (Some(value), Some(column)) = (&inquiry.tenant, tenant) {
            must(&[column], value, None);
        }
        if let Some(country) = &inquiry.jurisdiction {
            must(&["jurisdiction"], country.as_str(), None);
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

    /// Returns the filter for a segment; `None` if none of its rows can be shown. `held`: a hold
    /// may cover rows of it, which are then shown completely. `open`: its profile has a category
    /// whose deadline is not known yet, so its records do not end.
    pub fn look(&self, segment: &StoredSegment, held: bool, open: bool) -> Option<RecordFilter> {
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
        let mut filter = RecordFilter::default();
        for text in &self.texts {
            let columns: Vec<String> = text
                .columns
                .iter()
                .filter(|column| held || !has_expired(column.as_str()))
                .cloned()
                .collect();
            if columns.is_empty() {
                return None;
            }
            filter.texts.push(TextCondition {
                columns,
                ..text.clone()
            });
        }
        let Some(range) = &self.events else {
            return Some(filter);
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
                filter.within = Some(within(column, range, meets));
            }
            None if held => SegmentView::of(&self.calendar, segment, &self.records)
                .may_hold(range)
                .then_some(())?,
            None => meets.then_some(())?,
        }
        Some(filter)
    }

    /// Returns the condition that a row of a segment must meet in the form in which it is shown.
    pub fn exact(&self, segment: &StoredSegment) -> RecordFilter {
        let within = self.events.as_ref().map(|range| {
            // Without the column, every row counts as one without a value.
            let column = self.event_time.as_deref().unwrap_or_default();
            within(column, range, self.bucket_meets(range, segment))
        });
        RecordFilter {
            texts: self.texts.clone(),
            within,
        }
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

fn within(column: &str, range: &TimeRange, nulls: bool) -> TimeCondition {
    TimeCondition {
        column: column.to_owned(),
        from: range.from,
        to: range.to,
        nulls,
    }
}
