//! Plans of the work on one product: what is due, the migrations to the active policy, and the
//! segments to check for notices.
//!
//! Plans are made without I/O. They may then be narrowed by reading segments, for a dry run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::action::SweepAction;
use super::expire::due::select;
use super::migrate::plan::add_migrations;
use super::product::SweptProduct;
use super::product::holds::SweepHolds;
use super::product::view::SweepView;
use super::task::{PlanBounds, SweepPlan, Task};
use super::triggers::candidate::TriggerCandidate;
use super::triggers::plan::trigger_tasks;
use ebbtide_base::ids::ProfileId;
use ebbtide_table::{RewriteError, StoredSegment};

/// The time, the holds and the bounds of a plan.
#[derive(Debug, Clone, Copy)]
pub struct PlanRequest<'a> {
    /// The time.
    pub now: DateTime<Utc>,
    /// The holds in force.
    pub held: &'a SweepHolds,
    /// The bounds.
    pub bounds: PlanBounds,
}

impl SweepView<'_> {
    /// Plans what is due and the migrations, without the segments that are held or for which `wait`
    /// returns true. `suspected` are the segments that notices may concern.
    #[must_use]
    pub fn plan(
        &self,
        PlanRequest { now, held, bounds }: PlanRequest<'_>,
        suspected: &[TriggerCandidate],
        wait: impl Fn(&StoredSegment) -> bool,
    ) -> SweepPlan {
        let bare = self.bare();
        let open = |profile: &ProfileId| self.is_open(profile);
        // Outdated segments are retagged first: their deadlines are not those of the active policy.
        // Nothing is deleted either by a tag that may be no longer true.
        let waits = |segment: &StoredSegment| {
            self.is_held(segment, held)
                || self.is_outdated(segment)
                || self.is_suspected(segment)
                || wait(segment)
        };
        let segments = self
            .segments()
            .iter()
            .map(|segment| bare.get(&segment.path).unwrap_or(segment));
        let mut plan = select(segments, now, bounds, open, waits);
        let (mut outdated, mut buckets) = (Vec::new(), BTreeSet::new());
        for segment in self.segments().iter() {
            if self.is_held(segment, held) || !self.is_outdated(segment) {
                continue;
            }
            // The deadlines under the active policy decide which instance does the work and whether
            // it is late.
            let as_due = self.as_due(segment);
            if !wait(&as_due) {
                buckets.insert(segment.bucket);
                outdated.push((segment, as_due));
            }
        }
        // Their people may belong among those that would be counted: nothing ends in their buckets
        // before they are retagged.
        for TriggerCandidate { segment, .. } in suspected {
            if !self.is_outdated(segment) && !wait(segment) {
                buckets.insert(segment.bucket);
            }
        }
        let planned = plan.works.len();
        let ends = |work: &Task| matches!(work.action, SweepAction::End(_));
        plan.works
            .retain(|work| !ends(work) || !buckets.contains(&work.bucket));
        plan.more |= plan.works.len() < planned;
        add_migrations(outdated.into_iter(), now, bounds, &mut plan);
        plan
    }

    /// Returns the segments that have no category with a deadline and no open one, by path. Each
    /// gets the deadline at which its records end: the last of its profile. They exist if a policy
    /// stops classifying the last category that was left in a segment.
    fn bare(&self) -> BTreeMap<Arc<str>, StoredSegment> {
        let mut bare = BTreeMap::new();
        for segment in self.segments().iter() {
            if segment.cells || !segment.deadlines.is_empty() {
                continue;
            }
            let Some(profile) = self.profile(segment) else {
                continue;
            };
            if self.is_open(&segment.profile) {
                continue;
            }
            let deadlines = profile.deadlines(&self.state.rules.calendar, segment.bucket);
            let dated = profile
                .terms
                .iter()
                .zip(deadlines)
                .filter_map(|(term, at)| Some((at?, term.category.clone())));
            if let Some((at, category)) = dated.max() {
                let deadlines = Arc::new(BTreeMap::from([(category, at)]));
                bare.insert(
                    Arc::clone(&segment.path),
                    StoredSegment {
                        deadlines,
                        ..segment.clone()
                    },
                );
            }
        }
        bare
    }
}

impl SweptProduct {
    /// Plans what is due at `now`, without the segments that are held or for which `wait` returns
    /// true. `wait` must not use the product.
    pub fn plan(
        &mut self,
        now: DateTime<Utc>,
        held: &SweepHolds,
        bounds: PlanBounds,
        wait: impl Fn(&StoredSegment) -> bool,
    ) -> SweepPlan {
        let mut view = self.view();
        let found = view.suspected(view.segments().iter());
        let suspected = view.record_unconcerned(found);
        view.plan(PlanRequest { now, held, bounds }, &suspected, wait)
    }

    /// Plans the work after notices. Outdated segments are first brought up to date with the active
    /// policy, since their columns may have other names.
    pub fn plan_triggers(
        &mut self,
        now: DateTime<Utc>,
        bounds: PlanBounds,
        wait: impl Fn(&TriggerCandidate) -> bool,
    ) -> SweepPlan {
        let mut view = self.view();
        let found = view.suspected(view.segments().iter());
        let mut suspects = view.record_unconcerned(found);
        suspects.retain(|suspect| !view.is_outdated(&suspect.segment) && !wait(suspect));
        trigger_tasks(suspects, now, bounds)
    }

    /// Removes the segments whose rows are all held from a plan, by reading them. Returns true if
    /// there were any.
    pub(super) async fn leave_held(
        &mut self,
        plan: &mut SweepPlan,
        held: &SweepHolds,
    ) -> Result<bool, RewriteError> {
        let mut some = false;
        for work in &mut plan.works {
            if !work.action.kind().spares_held() {
                continue;
            }
            let mut free = Vec::with_capacity(work.segments.len());
            for segment in std::mem::take(&mut work.segments) {
                if self.finds_held(&segment, held).await? {
                    some = true;
                } else {
                    free.push(segment);
                }
            }
            work.segments = free;
        }
        plan.works.retain(|work| !work.segments.is_empty());
        Ok(some)
    }

    /// Returns the number of records of planned work that holds keep unchanged.
    pub(super) async fn held_records(
        &self,
        work: &Task,
        held: &SweepHolds,
    ) -> Result<u64, RewriteError> {
        if !work.action.kind().spares_held() {
            return Ok(0);
        }
        let mut records = 0;
        for segment in &work.segments {
            if let Some(predicate) = self.state.predicate(segment, held) {
                records += self.table.matches(segment, &predicate).await?;
            }
        }
        Ok(records)
    }

    /// Removes the segments whose tags are true from the work after notices, by reading them.
    /// Returns true if there were any. In the segments that are left, `records` counts only the
    /// records with stale tags. Migrations are not changed.
    pub(super) async fn leave_true(&mut self, plan: &mut SweepPlan) -> Result<bool, RewriteError> {
        let mut some = false;
        for work in &mut plan.works {
            if !matches!(work.action, SweepAction::ApplyTriggers(_)) {
                continue;
            }
            let mut left = Vec::with_capacity(work.segments.len());
            for mut segment in std::mem::take(&mut work.segments) {
                let suspects = self.suspected_of(std::slice::from_ref(&segment));
                let Some(suspect) = suspects.first() else {
                    continue;
                };
                let stale = self.stale_rows(suspect).await?;
                segment.records = stale.iter().map(|rows| rows.records).sum();
                match segment.records {
                    0 => some = true,
                    _ => left.push(segment),
                }
            }
            work.segments = left;
        }
        plan.works.retain(|work| !work.segments.is_empty());
        Ok(some)
    }
}
