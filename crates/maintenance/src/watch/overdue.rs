//! Counts fields that are overdue, due soon, or held beyond their deadline. Pure: segments and a
//! time in, counts out.
//!
//! The counts come from what the table lists, not from what a sweep reports about itself, so that a
//! sweep that no longer runs is noticed. A field is one category of one record.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use ebbtide_base::ids::Category;
use ebbtide_policy::{Policy, RetentionPeriod};
use ebbtide_table::StoredSegment;

/// The times within which fields count as due soon, each with its label. The count for each
/// includes those for shorter times.
pub const HORIZONS: [(&str, TimeDelta); 3] = [
    ("1h", TimeDelta::hours(1)),
    ("24h", TimeDelta::hours(24)),
    ("7d", TimeDelta::days(7)),
];

/// Counts of one category.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OverdueCounts {
    /// Fields past their deadline and grace that are not held.
    pub overdue: u64,
    /// Fields past their deadline that are held.
    pub held: u64,
    /// Fields that are due within each of [`HORIZONS`], including those that are due now.
    pub soon: [u64; HORIZONS.len()],
}

/// The counts of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OverdueReport {
    /// The counts by category.
    pub counts: BTreeMap<Category, OverdueCounts>,
    /// The longest time by which an overdue field is late, after its grace; zero if nothing is
    /// overdue.
    pub oldest: TimeDelta,
    /// The number of records whose tags are not yet updated to a notice or a new policy.
    pub stale: u64,
}

/// Counts the fields of `segments` at `now`. `held` returns true if a segment's rows are held.
/// `known_since` returns the time since when the deadlines of some categories could be known: data
/// that a notice made due long ago is late only from the notice on.
pub fn overdue<'s>(
    segments: impl IntoIterator<Item = &'s StoredSegment>,
    now: DateTime<Utc>,
    grace: impl Fn(&Category) -> TimeDelta,
    held: impl Fn(&StoredSegment) -> bool,
    known_since: impl Fn(&StoredSegment) -> BTreeMap<Category, DateTime<Utc>>,
) -> OverdueReport {
    let mut found = OverdueReport::default();
    for segment in segments {
        let mut is_held = None;
        for (category, deadline) in segment.deadlines.iter() {
            if deadline.0 > now + HORIZONS[HORIZONS.len() - 1].1 {
                continue;
            }
            let counts = found.counts.entry(category.clone()).or_default();
            for (soon, (_, horizon)) in counts.soon.iter_mut().zip(HORIZONS) {
                *soon += if deadline.0 <= now + horizon {
                    segment.records
                } else {
                    0
                };
            }
            if deadline.0 > now {
                continue;
            }
            if *is_held.get_or_insert_with(|| held(segment)) {
                counts.held += segment.records;
                continue;
            }
            let since = known_since(segment)
                .get(category)
                .map_or(deadline.0, |since| deadline.0.max(*since));
            let late = (now - since) - grace(category);
            if late > TimeDelta::zero() {
                counts.overdue += segment.records;
                found.oldest = found.oldest.max(late);
            }
        }
    }
    found
}

impl OverdueReport {
    /// Counts the fields of a category in `records` records whose tags are stale. Like any others,
    /// they are overdue if `late`, the time since their deadline and grace, is positive.
    pub fn add_stale(&mut self, category: &Category, records: u64, late: TimeDelta) {
        let counts = self.counts.entry(category.clone()).or_default();
        if late > TimeDelta::zero() {
            counts.overdue += records;
            self.oldest = self.oldest.max(late);
        }
    }
}

/// Returns the shortest grace of a category of a product after its deadline. A record's profile
/// does not show which of several rules applied, so the strictest is used. Days and months count
/// with their shortest length.
#[must_use]
pub fn least_grace(
    policy: &Policy,
    product: &ebbtide_base::ids::ProductKey,
    category: &Category,
) -> TimeDelta {
    let matches = |listed: &[Category]| listed.is_empty() || listed.contains(category);
    let rules = policy
        .rules
        .iter()
        .filter(|rule| rule.products.is_empty() || rule.products.contains(product));
    let graces = rules
        .filter(|rule| matches(&rule.categories))
        .map(|rule| shortest(rule.grace));
    graces.min().unwrap_or_else(TimeDelta::zero)
}

/// Returns the shortest length of a calendar duration: a day that loses an hour, a February.
#[must_use]
pub fn shortest(keep: RetentionPeriod) -> TimeDelta {
    match keep {
        RetentionPeriod::Hours(hours) => TimeDelta::hours(i64::from(hours)),
        RetentionPeriod::Days(days) => {
            TimeDelta::hours(i64::from(days) * 24 - i64::from(days.min(1)))
        }
        RetentionPeriod::Months(months) => {
            TimeDelta::hours(i64::from(months) * 28 * 24 - i64::from(months.min(1)))
        }
    }
}

#[cfg(test)]
mod tests;
