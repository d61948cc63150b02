//! Due work, in the order in which it is to be done. Pure: segments and a time in, a plan out.
//!
//! The longest overdue work comes first, and the size of a plan is bounded. No category is planned
//! before its deadline, and no record's end before the deadline of its last category. This module
//! must not read a clock, a file or a hold.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::drop::DropColumns;
use super::end::EndRecords;
use crate::action::SweepAction;
use crate::task::{PlanBounds, SweepPlan, Task};
use ebbtide_base::ids::{Category, Deadline, ProfileId};
use ebbtide_table::StoredSegment;

/// Plans what is due of `segments` at `now`. They must come in the order of the index: those of a
/// bucket and profile together.
///
/// `open` returns true if a profile has a category whose deadline is not known yet: its records
/// cannot end. `wait` returns true for a segment that must not be planned: it is held, or failed a
/// moment ago.
pub fn select<'s>(
    segments: impl IntoIterator<Item = &'s StoredSegment>,
    now: DateTime<Utc>,
    bounds: PlanBounds,
    open: impl Fn(&ProfileId) -> bool,
    wait: impl Fn(&StoredSegment) -> bool,
) -> SweepPlan {
    let mut shortlist = Shortlist {
        bounds,
        works: BTreeMap::new(),
        more: false,
    };
    let mut group: Vec<&StoredSegment> = Vec::new();
    let mut close = |group: &mut Vec<&StoredSegment>| {
        if let Some(first) = group.first() {
            let ends = !open(&first.profile);
            shortlist.take(group, now, ends);
        }
        group.clear();
    };
    for segment in segments {
        if group.first().is_some_and(|first| {
            (first.bucket, &first.profile) != (segment.bucket, &segment.profile)
        }) {
            close(&mut group);
        }
        if !segment.cells && first_due(segment, now).is_some() && !wait(segment) {
            group.push(segment);
        }
    }
    close(&mut group);
    SweepPlan {
        works: shortlist.works.into_values().collect(),
        more: shortlist.more,
    }
}

/// Returns the earliest of a segment's deadlines, if it has passed.
#[must_use]
pub fn first_due(segment: &StoredSegment, now: DateTime<Utc>) -> Option<Deadline> {
    segment
        .deadlines
        .values()
        .min()
        .copied()
        .filter(|deadline| deadline.is_due(now))
}

/// The longest overdue work so far.
struct Shortlist {
    bounds: PlanBounds,
    /// The work by deadline, and among equal deadlines in the order in which it was added.
    works: BTreeMap<(Deadline, usize), Task>,
    more: bool,
}

impl Shortlist {
    /// Plans the due segments of one bucket and profile; `ends` is true if their records can end.
    fn take(&mut self, group: &[&StoredSegment], now: DateTime<Utc>, ends: bool) {
        let mut ending = Vec::new();
        let mut dropping: BTreeMap<BTreeSet<Category>, Vec<&StoredSegment>> = BTreeMap::new();
        for segment in group {
            let due = segment
                .deadlines
                .iter()
                .filter(|(_, deadline)| deadline.is_due(now));
            let due: BTreeSet<Category> = due.map(|(category, _)| category.clone()).collect();
            if ends && due.len() == segment.deadlines.len() {
                ending.push(*segment);
            } else {
                dropping.entry(due).or_default().push(segment);
            }
        }
        self.add(SweepAction::End(EndRecords), &ending, now);
        for (due, segments) in dropping {
            for part in self.parts(&segments) {
                let categories = due.clone();
                self.add(SweepAction::Drop(DropColumns { categories }), part, now);
            }
        }
    }

    /// Divides the segments into parts that are within the bounds.
    fn parts<'g, 's>(&self, segments: &'g [&'s StoredSegment]) -> Vec<&'g [&'s StoredSegment]> {
        let (mut parts, mut from, mut bytes) = (Vec::new(), 0, 0);
        for (at, segment) in segments.iter().enumerate() {
            let full = at > from
                && (bytes + segment.size > self.bounds.bytes || at - from >= self.bounds.segments);
            if full {
                parts.push(&segments[from..at]);
                (from, bytes) = (at, 0);
            }
            bytes += segment.size;
        }
        parts.push(&segments[from..]);
        parts
    }

    fn add(&mut self, action: SweepAction, segments: &[&StoredSegment], now: DateTime<Utc>) {
        let Some(due) = segments
            .iter()
            .filter_map(|segment| first_due(segment, now))
            .min()
        else {
            return;
        };
        let full = self.works.len() >= self.bounds.works;
        if full
            && self
                .works
                .last_key_value()
                .is_some_and(|((last, _), _)| *last <= due)
        {
            self.more = true;
            return;
        }
        let Some((bucket, profile)) = segments
            .first()
            .map(|first| (first.bucket, first.profile.clone()))
        else {
            return;
        };
        let segments = segments.iter().map(|segment| (*segment).clone()).collect();
        let order = self
            .works
            .range((due, 0)..=(due, usize::MAX))
            .last()
            .map_or(0, |((_, order), _)| order + 1);
        self.works.insert(
            (due, order),
            Task {
                bucket,
                profile,
                action,
                due,
                segments,
            },
        );
        if full {
            self.works.pop_last();
            self.more = true;
        }
    }
}

#[cfg(test)]
mod tests;
