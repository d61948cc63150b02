//! Due work, in the order in which it is to be done. Pure: segments and a time in, a plan out.
//!
//! The longest overdue work comes first, and the size of a plan is bounded. No category is planned
//! before its deadline, and no record's end before the deadline of its last category. This module
//! must not read a clock, a file or a hold.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use ebbtide_base::ids::{Bucket, Category, Deadline, ProfileId};
use ebbtide_table::StoredSegment;

/// The action on segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SweepAction {
    /// The columns of these categories are dropped.
    Drop(BTreeSet<Category>),
    /// The records end in the way that the product's policy says.
    End,
    /// The tags are brought up to date with the active policy or, for rows whose trigger came, with
    /// that trigger.
    Retag,
}

/// Segments of one bucket and profile, and the action on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Their bucket.
    pub bucket: Bucket,
    /// Their profile.
    pub profile: ProfileId,
    /// The action on them.
    pub action: SweepAction,
    /// The earliest deadline that has passed. For a retag, the earliest deadline that the new tags
    /// may have, and at the latest the time of the plan.
    pub due: Deadline,
    /// The segments. For an end, all due ones of the bucket and profile, since people are counted
    /// over all of them.
    pub segments: Vec<StoredSegment>,
}

impl Task {
    /// Returns the bytes of its segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// Returns the number of records of its segments.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.segments.iter().map(|segment| segment.records).sum()
    }
}

/// The bounds of one plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanBounds {
    /// The maximum number of pieces of work.
    pub works: usize,
    /// The maximum bytes of segments in one piece that drops columns or retags; at least one
    /// segment is taken.
    pub bytes: u64,
    /// The maximum number of segments in one piece that drops columns or retags.
    pub segments: usize,
}

impl Default for PlanBounds {
    fn default() -> Self {
        Self {
            works: 16,
            bytes: 1 << 30,
            segments: 256,
        }
    }
}

/// The due work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweepPlan {
    /// The work, the longest overdue first.
    pub works: Vec<Task>,
    /// True if more is due than the plan contains.
    pub more: bool,
}

impl SweepPlan {
    /// Combines two plans of one table.
    #[must_use]
    pub fn with(mut self, other: SweepPlan) -> SweepPlan {
        self.works.extend(other.works);
        self.more |= other.more;
        self
    }

    /// Returns the latest deadline of the planned work, if more is due.
    fn last(&self) -> Option<Deadline> {
        self.more
            .then(|| self.works.iter().map(|work| work.due).max())
            .flatten()
    }
}

/// Combines the work of several plans in the order in which it is to be done, each piece with the
/// value of its plan. The flag is true if more is due.
///
/// Work that a full plan leaves out may be as old as its last piece. So later work of the other
/// plans is left out too: otherwise a table with much to do would wait for tables with less urgent
/// work.
pub fn in_order<T>(plans: impl IntoIterator<Item = (T, SweepPlan)>) -> (Vec<(T, Task)>, bool)
where
    T: Copy,
{
    let plans: Vec<(T, SweepPlan)> = plans.into_iter().collect();
    let last = plans.iter().filter_map(|(_, plan)| plan.last()).min();
    let mut more = plans.iter().any(|(_, plan)| plan.more);
    let mut works: Vec<(T, Task)> = plans
        .into_iter()
        .flat_map(|(of, plan)| plan.works.into_iter().map(move |work| (of, work)))
        .collect();
    let all = works.len();
    works.retain(|(_, work)| last.is_none_or(|last| work.due <= last));
    more |= works.len() < all;
    works.sort_by_key(|(_, work)| (work.due, work.action != SweepAction::Retag));
    (works, more)
}

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

/// Adds the retags of segments of earlier policies to a plan. Each segment comes with itself as the
/// active policy sees it. Work that is due by the active policy is ordered by its deadline; the
/// rest comes after all due work.
pub fn retags<'s>(
    stale: impl Iterator<Item = (&'s StoredSegment, Cow<'s, StoredSegment>)>,
    now: DateTime<Utc>,
    bounds: PlanBounds,
    plan: &mut SweepPlan,
) {
    let mut works: Vec<Task> = Vec::new();
    for (segment, as_due) in stale {
        let due = as_due
            .deadlines
            .values()
            .min()
            .copied()
            .map_or(Deadline(now), |due| due.min(Deadline(now)));
        let takes = |work: &&mut Task| {
            let first = work.segments.first();
            first.is_some_and(|first| {
                (first.bucket, &first.profile, &first.policy_version)
                    == (segment.bucket, &segment.profile, &segment.policy_version)
            }) && work.segments.len() < bounds.segments
                && work.bytes() + segment.size <= bounds.bytes
        };
        match works.last_mut().filter(takes) {
            Some(work) => {
                work.due = work.due.min(due);
                work.segments.push(segment.clone());
            }
            None => works.push(Task {
                bucket: segment.bucket,
                profile: segment.profile.clone(),
                action: SweepAction::Retag,
                due,
                segments: vec![segment.clone()],
            }),
        }
        if works.len() > bounds.works.saturating_mul(4) {
            works.sort_by_key(|work| work.due);
            works.truncate(bounds.works);
            plan.more = true;
        }
    }
    plan.works.extend(works);
    plan.works.sort_by_key(|work| work.due);
    plan.more |= plan.works.len() > bounds.works;
    plan.works.truncate(bounds.works);
}

/// Returns the earliest of a segment's deadlines, if it has passed.
pub(super) fn first_due(segment: &StoredSegment, now: DateTime<Utc>) -> Option<Deadline> {
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
        self.add(SweepAction::End, &ending, now);
        for (due, segments) in dropping {
            for part in self.parts(&segments) {
                self.add(SweepAction::Drop(due.clone()), part, now);
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
