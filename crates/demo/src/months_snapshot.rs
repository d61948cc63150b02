//! A snapshot of the demo while the months pass: fields by category, cells, held and overdue
//! fields, and events. It contains numbers and event texts, no layout. Must never contain data of a
//! record.

use chrono::{DateTime, Utc};

use super::stored_data::{StoredData, TableContent};
use super::text::count;
use ebbtide_base::ids::{Category, Deadline, ProductKey};
use ebbtide_base::metrics::Metrics;
use ebbtide_maintenance::SweepReport;

/// The state at one moment of the months.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthsSnapshot {
    /// The start of the months.
    pub start: DateTime<Utc>,
    /// The current time.
    pub now: DateTime<Utc>,
    /// The end of the months.
    pub end: DateTime<Utc>,
    /// The categories, the nearest deadline first.
    pub fields: Vec<CategoryProgress>,
    /// The tables, sorted by product.
    pub tables: Vec<(ProductKey, TableContent)>,
    /// Fields past their deadline and grace period that are not held.
    pub overdue: u64,
    /// Replaced files that were unlinked.
    pub unlinked: u64,
    /// The events so far, the newest last.
    pub events: Vec<String>,
}

/// The state of one category at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CategoryProgress {
    /// The category.
    pub category: Category,
    /// Fields that are left, including those whose deadline is open.
    pub left: u64,
    /// Fields whose deadline is open.
    pub open: u64,
    /// Fields that were deleted since the months began.
    pub deleted: u64,
    /// Fields past their deadline that are held.
    pub held: u64,
    /// The nearest deadline in the future.
    pub next: Option<Deadline>,
}

/// The times of a snapshot.
#[derive(Debug, Clone, Copy)]
pub struct MonthsTimes {
    /// The time at which the months begin.
    pub start: DateTime<Utc>,
    /// The time of the snapshot.
    pub now: DateTime<Utc>,
    /// The time at which the months end.
    pub end: DateTime<Utc>,
}

impl MonthsSnapshot {
    /// Returns the state at a moment. `from` is the data at the beginning, `left` the data
    /// that is left.
    #[must_use]
    pub fn new(
        from: &StoredData,
        left: &StoredData,
        metrics: &Metrics,
        times: MonthsTimes,
        events: Vec<String>,
    ) -> MonthsSnapshot {
        let MonthsTimes { start, now, end } = times;
        let products: Vec<&ProductKey> = from.tables.keys().collect();
        let sum = |of: &prometheus::IntGaugeVec, category: &Category| {
            let each = products.iter().map(|product| {
                of.with_label_values(&[product.as_str(), category.as_str()])
                    .get()
            });
            u64::try_from(each.sum::<i64>()).unwrap_or(0)
        };
        let line = |(category, was): (&Category, &super::stored_data::FieldCounts)| {
            let is = left.fields.get(category).copied().unwrap_or_default();
            CategoryProgress {
                category: category.clone(),
                left: is.dated + is.open,
                open: is.open,
                deleted: (was.dated + was.open).saturating_sub(is.dated + is.open),
                held: sum(&metrics.held_fields, category),
                next: is.next,
            }
        };
        let mut fields: Vec<CategoryProgress> = from.fields.iter().map(line).collect();
        fields.sort_by_key(|line| (line.next.is_none(), line.next, line.category.clone()));
        MonthsSnapshot {
            start,
            now,
            end,
            overdue: from
                .fields
                .keys()
                .map(|category| sum(&metrics.overdue_fields, category))
                .sum(),
            unlinked: products
                .iter()
                .map(|product| {
                    metrics
                        .unlinked
                        .with_label_values(&[product.as_str()])
                        .get()
                })
                .sum(),
            fields,
            tables: left
                .tables
                .iter()
                .map(|(product, rows)| (product.clone(), *rows))
                .collect(),
            events,
        }
    }

    /// Returns the sum of a number over all categories.
    pub fn sum(&self, of: impl Fn(&CategoryProgress) -> u64) -> u64 {
        self.fields.iter().map(of).sum()
    }

    /// Returns the sum of a number over all tables.
    pub fn rows(&self, of: impl Fn(&TableContent) -> u64) -> u64 {
        self.tables.iter().map(|(_, rows)| of(rows)).sum()
    }

    /// Formats the whole state as one line, for a log or a pipe.
    #[must_use]
    pub fn line(&self) -> String {
        format!(
            "{}  fields left {}  deleted {}  held {}  overdue {}  records {}  cells {} of {} records  unlinked {} files",
            day(self.now),
            count(self.sum(|line| line.left)),
            count(self.sum(|line| line.deleted)),
            count(self.sum(|line| line.held)),
            count(self.overdue),
            count(self.rows(|rows| rows.records)),
            count(self.rows(|rows| rows.cells)),
            count(self.rows(|rows| rows.in_cells)),
            count(self.unlinked),
        )
    }
}

/// Formats a day as the demo shows it.
#[must_use]
pub fn day(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d").to_string()
}

/// Describes the work of a stop. Returns `None` if nothing failed and the work is less than one
/// percent of `records`, so that small stops do not hide the others.
#[must_use]
pub fn describe_sweep(round: &SweepReport, records: u64, at: DateTime<Utc>) -> Option<String> {
    let did = &round.did;
    let ended = did.cell_records + did.suppressed + did.removed;
    let dropped: u64 = did.dropped.values().sum();
    if round.failed == 0 && (ended + dropped) * 100 < records.max(100) {
        return None;
    }
    let mut parts = Vec::new();
    if dropped > 0 {
        let each: Vec<_> = did
            .dropped
            .iter()
            .map(|(category, fields)| format!("{category} {}", count(*fields)))
            .collect();
        parts.push(format!("columns left out: {}", each.join(", ")));
    }
    if ended > 0 {
        parts.push(format!(
            "{} records ended: {} in {} cells, {} suppressed, {} removed",
            count(ended),
            count(did.cell_records),
            count(did.cells),
            count(did.suppressed),
            count(did.removed)
        ));
    }
    if round.failed > 0 {
        parts.push(format!("{} pieces of work failed", round.failed));
    }
    Some(format!("{}  {}", day(at), parts.join("; ")))
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::stored_data::FieldCounts;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// Returns the state after half a year: of twelve fields six are deleted and one is held.
    pub fn months() -> MonthsSnapshot {
        let (content, sms) = (
            Category::new("content").unwrap(),
            ProductKey::new("sms").unwrap(),
        );
        let left = |dated: u64, rows: TableContent| StoredData {
            fields: BTreeMap::from([(
                content.clone(),
                FieldCounts {
                    dated,
                    open: 2,
                    next: Some(Deadline(at("2028-11-24T00:00:00Z"))),
                },
            )]),
            tables: BTreeMap::from([(sms.clone(), rows)]),
        };
        let metrics = Metrics::new().unwrap();
        metrics
            .held_fields
            .with_label_values(&["sms", "content"])
            .set(1);
        metrics.unlinked.with_label_values(&["sms"]).inc_by(3);
        let then = left(
            10,
            TableContent {
                records: 12,
                ..TableContent::default()
            },
        );
        let now = left(
            4,
            TableContent {
                records: 6,
                cells: 1,
                in_cells: 5,
                ..TableContent::default()
            },
        );
        let times = MonthsTimes {
            start: at("2026-11-24T12:00:00Z"),
            now: at("2027-05-24T12:00:00Z"),
            end: at("2028-12-24T12:00:00Z"),
        };
        MonthsSnapshot::new(
            &then,
            &now,
            &metrics,
            times,
            vec!["what happened".to_owned()],
        )
    }

    #[test]
    fn snapshot_counts_fields_left_deleted_and_held() {
        let snapshot = months();
        let line = &snapshot.fields[0];
        assert_eq!(
            (
                line.left,
                line.open,
                line.deleted,
                line.held,
                snapshot.overdue
            ),
            (6, 2, 6, 1, 0)
        );
        assert_eq!(
            snapshot.line(),
            "2027-05-24  fields left 6  deleted 6  held 1  overdue 0  records 6  cells 1 of 5 records  unlinked 3 files"
        );
    }

    #[test]
    fn only_a_stop_that_did_much_or_failed_is_described() {
        let mut round = SweepReport::default();
        round.did.removed = 9;
        assert_eq!(
            describe_sweep(&round, 1_000, at("2027-05-24T12:00:00Z")),
            None
        );
        round.did.dropped.insert("content".parse().unwrap(), 1_200);
        assert_eq!(
            describe_sweep(&round, 1_000, at("2027-05-24T12:00:00Z")).unwrap(),
            "2027-05-24  columns left out: content 1,200; 9 records ended: 0 in 0 cells, 0 suppressed, 9 removed"
        );
        let failed = SweepReport {
            failed: 1,
            ..SweepReport::default()
        };
        assert!(
            describe_sweep(&failed, 1_000, at("2027-05-24T12:00:00Z"))
                .unwrap()
                .ends_with("1 pieces of work failed")
        );
    }
}
