//! The work after notices, in the order in which it is to be done. Pure: candidates and a time in, a
//! plan out.

use chrono::{DateTime, Utc};

use super::apply::ApplyTriggers;
use super::candidate::TriggerCandidate;
use crate::action::SweepAction;
use crate::expire::due::first_due;
use crate::task::{PlanBounds, SweepPlan, Task};
use ebbtide_base::ids::Deadline;
use ebbtide_table::StoredSegment;

/// Plans the work on candidates. Each piece has segments of one bucket and profile.
///
/// Pieces with a segment of which something is due by its own tags come first: nothing of it is
/// deleted before it was checked. The others may have nothing to delete.
#[must_use]
pub fn trigger_tasks(
    candidates: Vec<TriggerCandidate>,
    now: DateTime<Utc>,
    bounds: PlanBounds,
) -> SweepPlan {
    let mut works: Vec<Task> = Vec::new();
    for candidate in candidates {
        let due = candidate.urgent.unwrap_or(Deadline(now)).min(Deadline(now));
        let segment = candidate.segment;
        match works
            .last_mut()
            .filter(|work| takes(work, &segment, bounds))
        {
            Some(work) => {
                work.due = work.due.min(due);
                work.segments.push(segment);
            }
            None => works.push(Task {
                bucket: segment.bucket,
                profile: segment.profile.clone(),
                action: SweepAction::ApplyTriggers(ApplyTriggers),
                due,
                segments: vec![segment],
            }),
        }
    }
    let is_due = |segment: &StoredSegment| first_due(segment, now).is_some();
    works.sort_by_cached_key(|work| (!work.segments.iter().any(is_due), work.due));
    let more = works.len() > bounds.works;
    works.truncate(bounds.works);
    SweepPlan { works, more }
}

/// Returns true if a segment may be added to a piece of work.
fn takes(work: &Task, segment: &StoredSegment, bounds: PlanBounds) -> bool {
    (work.bucket, &work.profile) == (segment.bucket, &segment.profile)
        && work.segments.len() < bounds.segments
        && work.bytes() < bounds.bytes
}
