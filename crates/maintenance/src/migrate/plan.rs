//! The migrations of segments of earlier policies, in the order in which they are to be done. Pure:
//! segments and a time in, a plan out.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::apply::MigratePolicy;
use crate::action::SweepAction;
use crate::task::{PlanBounds, SweepPlan, Task};
use ebbtide_base::ids::Deadline;
use ebbtide_table::StoredSegment;

/// Adds the migrations of segments of earlier policies to a plan. Each segment comes with itself as the
/// active policy sees it. Work that is due by the active policy is ordered by its deadline; the
/// rest comes after all due work.
pub fn add_migrations<'s>(
    outdated: impl Iterator<Item = (&'s StoredSegment, Cow<'s, StoredSegment>)>,
    now: DateTime<Utc>,
    bounds: PlanBounds,
    plan: &mut SweepPlan,
) {
    let mut works: Vec<Task> = Vec::new();
    for (segment, as_due) in outdated {
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
                action: SweepAction::Migrate(MigratePolicy),
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
