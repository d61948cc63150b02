//! Pieces of work and plans of them. Pure.

use ebbtide_base::ids::{Bucket, Deadline, ProfileId};
use ebbtide_table::StoredSegment;

use super::action::SweepAction;

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
    works.sort_by_key(|(_, work)| (work.due, work.action.kind().deletes()));
    (works, more)
}
