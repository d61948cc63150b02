//! What is due, in the order in which it is to be done. Pure: segments and a time in, a plan out.
//!
//! Promises the longest overdue first, a bound on what it plans at once, and that no category is planned before its
//! deadline nor a record's end before its last category's. Must never look at a clock, a file or a hold.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::ids::{Bucket, Category, Deadline, ProfileId};
use crate::store::StoredSegment;

/// What is to become of segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The columns of these categories go.
    Drop(BTreeSet<Category>),
    /// The records end, in the way of the product's policy.
    End,
    /// The tags are brought to what the active policy says, or, of rows whose trigger came, to what that makes them.
    Retag,
}

/// Segments of one bucket and profile, and what is to become of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Their bucket.
    pub bucket: Bucket,
    /// Their profile.
    pub profile: ProfileId,
    /// What is to become of them.
    pub action: Action,
    /// The earliest deadline that has passed; where tags are brought up to date, the earliest that they may come to tell.
    pub due: Deadline,
    /// The segments. All of the bucket and profile, where they end: people are counted over all of them.
    pub segments: Vec<StoredSegment>,
}

impl Work {
    /// Bytes of its segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// Records of its segments.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.segments.iter().map(|segment| segment.records).sum()
    }
}

/// How much one plan holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Pieces of work.
    pub works: usize,
    /// Bytes of segments from which columns go in one piece; one segment at least.
    pub bytes: u64,
    /// Segments from which columns go in one piece.
    pub segments: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { works: 16, bytes: 1 << 30, segments: 256 }
    }
}

/// What is due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The work, the longest overdue first.
    pub works: Vec<Work>,
    /// Whether more is due than the plan holds.
    pub more: bool,
}

impl Plan {
    /// Both as one, of one table.
    #[must_use]
    pub fn with(mut self, other: Plan) -> Plan {
        self.works.extend(other.works);
        self.more |= other.more;
        self
    }

    /// The last that is planned, where more is due.
    fn last(&self) -> Option<Deadline> {
        self.more.then(|| self.works.iter().map(|work| work.due).max()).flatten()
    }
}

/// The work of several plans, each with what it is of, in the order in which it is to be done; and whether more is due.
///
/// A plan that is full has more that is as old as its last piece: what is due later in others lets that go first, or a table with
/// much to do would wait for those that have time.
pub fn in_order<T>(plans: impl IntoIterator<Item = (T, Plan)>) -> (Vec<(T, Work)>, bool)
where
    T: Copy,
{
    let plans: Vec<(T, Plan)> = plans.into_iter().collect();
    let last = plans.iter().filter_map(|(_, plan)| plan.last()).min();
    let mut more = plans.iter().any(|(_, plan)| plan.more);
    let mut works: Vec<(T, Work)> =
        plans.into_iter().flat_map(|(of, plan)| plan.works.into_iter().map(move |work| (of, work))).collect();
    let all = works.len();
    works.retain(|(_, work)| last.is_none_or(|last| work.due <= last));
    more |= works.len() < all;
    works.sort_by_key(|(_, work)| (work.due, work.action != Action::Retag));
    (works, more)
}

/// What is due of `segments` at `now`. They come as the index gives them: those of a bucket and profile together.
///
/// `open` tells whether a profile has a category whose deadline is not known yet: its records cannot end. `wait` tells of a
/// segment that is not to be planned: it is held, or failed a moment ago.
pub fn select<'s>(
    segments: impl IntoIterator<Item = &'s StoredSegment>,
    now: DateTime<Utc>,
    bounds: Bounds,
    open: impl Fn(&ProfileId) -> bool,
    wait: impl Fn(&StoredSegment) -> bool,
) -> Plan {
    let mut shortlist = Shortlist { bounds, works: BTreeMap::new(), more: false };
    let mut group: Vec<&StoredSegment> = Vec::new();
    let mut close = |group: &mut Vec<&StoredSegment>| {
        if let Some(first) = group.first() {
            let ends = !open(&first.profile);
            shortlist.take(group, now, ends);
        }
        group.clear();
    };
    for segment in segments {
        if group.first().is_some_and(|first| (first.bucket, &first.profile) != (segment.bucket, &segment.profile)) {
            close(&mut group);
        }
        if !segment.cells && first_due(segment, now).is_some() && !wait(segment) {
            group.push(segment);
        }
    }
    close(&mut group);
    Plan { works: shortlist.works.into_values().collect(), more: shortlist.more }
}

/// Adds to a plan the work of bringing tags up to date: segments of earlier policies, each beside itself as the active policy
/// sees it. What is due by the active policy comes as early as its deadline says, the rest behind all that is due.
pub fn retags<'s>(
    stale: impl Iterator<Item = (&'s StoredSegment, Cow<'s, StoredSegment>)>,
    now: DateTime<Utc>,
    bounds: Bounds,
    plan: &mut Plan,
) {
    let mut works: Vec<Work> = Vec::new();
    for (segment, as_due) in stale {
        let due = as_due.deadlines.values().min().copied().map_or(Deadline(now), |due| due.min(Deadline(now)));
        let takes = |work: &&mut Work| {
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
            None => works.push(Work {
                bucket: segment.bucket,
                profile: segment.profile.clone(),
                action: Action::Retag,
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

/// The earliest of a segment's deadlines, if it has passed.
pub(super) fn first_due(segment: &StoredSegment, now: DateTime<Utc>) -> Option<Deadline> {
    segment.deadlines.values().min().copied().filter(|deadline| deadline.is_due(now))
}

/// The longest overdue so far.
struct Shortlist {
    bounds: Bounds,
    /// By deadline, and among equals in the order in which they came.
    works: BTreeMap<(Deadline, usize), Work>,
    more: bool,
}

impl Shortlist {
    /// Plans the due segments of one bucket and profile; `ends` if their records can end.
    fn take(&mut self, group: &[&StoredSegment], now: DateTime<Utc>, ends: bool) {
        let mut ending = Vec::new();
        let mut dropping: BTreeMap<BTreeSet<Category>, Vec<&StoredSegment>> = BTreeMap::new();
        for segment in group {
            let due = segment.deadlines.iter().filter(|(_, deadline)| deadline.is_due(now));
            let due: BTreeSet<Category> = due.map(|(category, _)| category.clone()).collect();
            if ends && due.len() == segment.deadlines.len() {
                ending.push(*segment);
            } else {
                dropping.entry(due).or_default().push(segment);
            }
        }
        self.add(Action::End, &ending, now);
        for (due, segments) in dropping {
            for part in self.parts(&segments) {
                self.add(Action::Drop(due.clone()), part, now);
            }
        }
    }

    /// The segments in parts that are within the bounds.
    fn parts<'g, 's>(&self, segments: &'g [&'s StoredSegment]) -> Vec<&'g [&'s StoredSegment]> {
        let (mut parts, mut from, mut bytes) = (Vec::new(), 0, 0);
        for (at, segment) in segments.iter().enumerate() {
            let full = at > from && (bytes + segment.size > self.bounds.bytes || at - from >= self.bounds.segments);
            if full {
                parts.push(&segments[from..at]);
                (from, bytes) = (at, 0);
            }
            bytes += segment.size;
        }
        parts.push(&segments[from..]);
        parts
    }

    fn add(&mut self, action: Action, segments: &[&StoredSegment], now: DateTime<Utc>) {
        let Some(due) = segments.iter().filter_map(|segment| first_due(segment, now)).min() else { return };
        let full = self.works.len() >= self.bounds.works;
        if full && self.works.last_key_value().is_some_and(|((last, _), _)| *last <= due) {
            self.more = true;
            return;
        }
        let Some((bucket, profile)) = segments.first().map(|first| (first.bucket, first.profile.clone())) else {
            return;
        };
        let segments = segments.iter().map(|segment| (*segment).clone()).collect();
        let order = self.works.range((due, 0)..=(due, usize::MAX)).last().map_or(0, |((_, order), _)| order + 1);
        self.works.insert((due, order), Work { bucket, profile, action, due, segments });
        if full {
            self.works.pop_last();
            self.more = true;
        }
    }
}

#[cfg(test)]
mod tests;
