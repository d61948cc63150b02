//! An inquiry in the words of one product: which segments to look into, and for what.
//!
//! Pure. Promises to pass over a segment only where no row of it can be shown, and that what decides in the end is judged on
//! the row as it is shown: what is withheld of it finds nobody.

use chrono::{DateTime, Utc};

use super::inquiry::{Inquiry, Passed};
use crate::controls::{SegmentView, TimeRange};
use crate::ids::{Category, ProductKey};
use crate::policy::{Calendar, Class, Policy, Records};
use crate::store::{AnyOf, Filter, StoredSegment, TableSpec, Within};
use crate::tag::SubjectValue;

/// What an inquiry means for one product.
#[derive(Debug, Clone)]
pub struct Terms {
    pub product: ProductKey,
    pub spec: TableSpec,
    pub records: Records,
    pub calendar: Calendar,
    pub now: DateTime<Utc>,
    /// The texts that must stand in columns.
    texts: Vec<AnyOf>,
    events: Option<TimeRange>,
    /// The column of event times, where it is stored.
    event_time: Option<String>,
}

impl Terms {
    /// The inquiry as it reads for records of a product at `now`. Why not, where none can match.
    pub fn of(inquiry: &Inquiry, policy: &Policy, product: &ProductKey, now: DateTime<Utc>) -> Result<Terms, Passed> {
        let records = policy.products.get(product).and_then(|product| product.records.as_ref());
        let (subjects, tenant) = inquiry.columns(records)?;
        let (Some(records), Some(spec)) = (records, TableSpec::of(policy, product)) else {
            return Err(Passed::NotInPolicy);
        };
        let mut texts = Vec::new();
        let mut must = |columns: &[&str], value: &str, subject: Option<SubjectValue>| {
            let columns = columns.iter().map(|column| (*column).to_owned()).collect();
            let value = subject.as_ref().map_or(value, SubjectValue::value).to_owned();
            texts.push(AnyOf { columns, value, subject });
        };
        if let Some(subject) = &inquiry.subject {
            // All of the columns have one kind, and therefore one form.
            let of = records.subjects.iter().find(|of| subjects.contains(&of.column.as_str()));
            let value = of.map(|of| SubjectValue::new(records, of, subject.named()));
            must(&subjects, subject.canonical(), value);
        }
        if let (Some(value), Some(column)) = (&inquiry.tenant, tenant) {
            must(&[column], value, None);
        }
        if let Some(country) = &inquiry.jurisdiction {
            must(&["jurisdiction"], country.as_str(), None);
        }
        Ok(Terms {
            product: product.clone(),
            calendar: Calendar::new(policy.zone, policy.bucket),
            now,
            texts,
            events: inquiry.events.filter(|range| range.from.is_some() || range.to.is_some()),
            event_time: Some(records.event_time.clone()).filter(|column| records.fields.contains_key(column)),
            records: records.clone(),
            spec,
        })
    }

    /// What to look for in a segment; `None`: no row of it can be shown. `held`: a hold may cover rows of it, which are then
    /// shown whole. `open`: its profile has a category whose deadline is not known yet, so that its records do not end.
    pub fn look(&self, segment: &StoredSegment, held: bool, open: bool) -> Option<Filter> {
        let ended = !open && !segment.deadlines.is_empty() && segment.deadlines.values().all(|at| at.is_due(self.now));
        if segment.cells || (ended && !held) {
            return None;
        }
        let gone = |column: &str| {
            self.category(column)
                .is_some_and(|category| segment.deadlines.get(category).is_some_and(|at| at.is_due(self.now)))
        };
        let mut filter = Filter::default();
        for text in &self.texts {
            let columns: Vec<String> =
                text.columns.iter().filter(|column| held || !gone(column.as_str())).cloned().collect();
            if columns.is_empty() {
                return None;
            }
            filter.texts.push(AnyOf { columns, ..text.clone() });
        }
        let Some(range) = &self.events else { return Some(filter) };
        let meets = self.bucket_meets(range, segment);
        match self.event_time.as_deref().filter(|column| !gone(column)) {
            Some(column) => {
                // An event may lie outside of its bucket.
                SegmentView::of(&self.calendar, segment, &self.records).may_hold(range).then_some(())?;
                filter.within = Some(within(column, range, meets));
            }
            None if held => SegmentView::of(&self.calendar, segment, &self.records).may_hold(range).then_some(())?,
            None => meets.then_some(())?,
        }
        Some(filter)
    }

    /// What must be true of a row of a segment as it is shown.
    pub fn exact(&self, segment: &StoredSegment) -> Filter {
        let within = self.events.as_ref().map(|range| {
            // Without the column every row is one without a value.
            let column = self.event_time.as_deref().unwrap_or_default();
            within(column, range, self.bucket_meets(range, segment))
        });
        Filter { texts: self.texts.clone(), within }
    }

    fn bucket_meets(&self, range: &TimeRange, segment: &StoredSegment) -> bool {
        range.meets(self.calendar.start(segment.bucket), self.calendar.end(segment.bucket))
    }

    /// The category of a column; `None` for what is not personal.
    fn category(&self, column: &str) -> Option<&Category> {
        self.records.fields.get(column).and_then(Class::category)
    }
}

fn within(column: &str, range: &TimeRange, nulls: bool) -> Within {
    Within { column: column.to_owned(), from: range.from, to: range.to, nulls }
}
