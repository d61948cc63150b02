//! One product as a sweep sees it: its table and segments, the way its records end, and its
//! segments that are known to be held.
//!
//! A sweep uses the current state of the table. A segment whose rows are all held is read once for
//! each set of holds, not once per round.

mod opening;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::carry_out::CommitContext;
use super::change::PolicyLag;
use super::error::SweepError;
use super::select::{PlanBounds, SweepAction, SweepPlan, Task, first_due, retags, select};
use super::trigger_review::{RetagCandidate, ReviewedNotices, StaleRows, TriggerReview};
use ebbtide_base::ids::{Category, Deadline, ProductKey, ProfileId};
use ebbtide_controls::{Controls, Holds, SegmentView, SharedControls};
use ebbtide_policy::anonymize::CellPlan;
use ebbtide_policy::{Calendar, Policy, Profile, Records};
use ebbtide_table::{
    ControlsVersion, Evidence, Predicate, Retagging, RewriteError, SegmentIndex, StoreError,
    StoredSegment, Table,
};
pub use opening::OpenProductError;

/// The way in which the records of a product end.
#[derive(Debug, Clone, PartialEq)]
pub enum EndPlan {
    /// They are removed.
    Remove,
    /// They are aggregated into cells.
    Anonymize(CellPlan),
}

/// One product's table as a sweep sees it.
#[derive(Clone)]
pub struct SweptProduct {
    /// The product.
    pub key: ProductKey,
    /// Its table.
    pub table: Table,
    /// The table's segments.
    pub index: SegmentIndex,
    /// The way in which its records end.
    pub ending: EndPlan,
    /// Its categories.
    pub categories: BTreeSet<Category>,
    pub(super) records: Records,
    pub(super) calendar: Calendar,
    /// The segments that are known to be entirely held: by path, the mark of the holds that they
    /// were checked against.
    held: HashMap<Arc<str>, u64>,
    /// The state of segments of earlier policies; `None` before the first activation.
    outdated: Option<PolicyLag>,
    /// The controls that were read last.
    controls: Arc<Controls>,
    /// The state of tags that are no longer true.
    stale: TriggerReview,
    /// A version of the controls that the table was under at the index's version or before it.
    floor: ControlsVersion,
}

impl SweptProduct {
    /// Reads what was committed since the last call.
    pub async fn refresh(&mut self) -> Result<(), StoreError> {
        self.index.refresh().await?;
        // What ingest stored since the last call was stored under these controls, or newer ones.
        for path in self.index.take_ingested() {
            self.stale.note_known(path, self.floor);
        }
        self.floor = self.table.controls();
        self.table.refresh().await?;
        // The note was read at the index's version or after it.
        self.stale.know_noted(self.table.noted());
        let index = &self.index;
        self.held.retain(|path, _| index.get(path).is_some());
        if let Some(outdated) = &mut self.outdated {
            outdated.retain(|path| index.get(path).is_some());
        }
        self.stale.retain(index);
        Ok(())
    }

    /// Updates the active policy and the earlier ones, if the controls that were read last changed
    /// them. `policy` is the active one.
    pub fn note_policies(&mut self, policy: &Policy) {
        let controls = &self.controls;
        if controls.active().is_some()
            && !self
                .outdated
                .as_ref()
                .is_some_and(|outdated| outdated.is_of(controls))
        {
            self.outdated = PolicyLag::of(controls, policy, &self.key);
        }
    }

    /// Returns true if a segment's tags are those of an earlier policy and must be brought up to
    /// date before they are used.
    #[must_use]
    pub fn is_outdated(&self, segment: &StoredSegment) -> bool {
        let text = || self.table.profile_text(&segment.profile);
        self.outdated
            .as_ref()
            .is_some_and(|outdated| outdated.is_outdated(segment, text()))
    }

    /// Returns a segment as the active policy sees it: an outdated one gets the deadlines that its
    /// rows will have.
    #[must_use]
    pub fn as_due<'s>(&self, segment: &'s StoredSegment) -> Cow<'s, StoredSegment> {
        match self.outdated.as_ref().filter(|_| self.is_outdated(segment)) {
            None => Cow::Borrowed(segment),
            Some(outdated) => {
                let deadlines =
                    outdated.deadlines(segment, self.table.profile_text(&segment.profile));
                Cow::Owned(StoredSegment {
                    deadlines,
                    ..segment.clone()
                })
            }
        }
    }

    /// Returns the controls, read up to the version that the table is under or later.
    pub async fn controls(&mut self, of: &SharedControls) -> Result<&Controls, StoreError> {
        self.controls = of.newest(self.table.controls()).await?;
        self.stale
            .know(&self.controls, &self.key, (&self.calendar, &self.records));
        Ok(&self.controls)
    }

    /// Returns the segments that notices may concern and that were not checked for them.
    pub fn suspected(&mut self) -> Vec<RetagCandidate> {
        let differs = differs(&self.table, self.outdated.as_ref());
        self.stale.suspected(
            &self.table,
            self.index.iter(),
            differs,
            (&self.calendar, &self.records),
        )
    }

    /// Returns true if a segment may have tags that are no longer true, as far as is known without
    /// reading it.
    fn suspects(&self, segment: &StoredSegment) -> bool {
        self.stale.suspects(segment, || self.differs(segment))
    }

    /// Notes in the table that all tags reflect the notices so far, if that is true and not noted
    /// yet. Returns true if it was noted.
    ///
    /// Held or unchanged segments of an earlier policy are not covered: the commit that retags them
    /// withdraws the note.
    pub async fn note(
        &mut self,
        held: &SweepHolds,
        by: &CommitContext,
    ) -> Result<bool, SweepError> {
        let newest = self.stale.notices().newest();
        let later =
            |segment: &StoredSegment| self.is_outdated(segment) && !self.is_held(segment, held);
        let open = |segment: &StoredSegment| match self.differs(segment) {
            true => later(segment),
            false => self.suspects(segment),
        };
        let new = newest > self.stale.noted() && newest <= self.floor;
        if !new || self.index.iter().any(open) {
            return Ok(false);
        }
        let evidence = Evidence::control(
            "notices",
            by.writer,
            by.clock.now(),
            by.policy_version.clone(),
        );
        Ok(self
            .table
            .note_notices(newest, self.index.version(), evidence)
            .await?)
    }

    /// Returns true if a segment is of an earlier policy and its tags would differ under the active
    /// one.
    fn differs(&self, segment: &StoredSegment) -> bool {
        differs(&self.table, self.outdated.as_ref())(segment)
    }

    /// Returns the rows of a suspect's segment whose tags are no longer true, with their new
    /// deadlines. If there are none, the segment's tags are recorded as true.
    pub(super) async fn stale_rows(
        &mut self,
        suspect: &RetagCandidate,
    ) -> Result<Vec<StaleRows>, RewriteError> {
        let by = self
            .stale
            .retagging(suspect, (&self.calendar, &self.records));
        let counted = self.table.retag_count(&suspect.segment, by).await?;
        if counted.is_empty() {
            self.note_true(suspect.segment.path.clone());
        }
        Ok(counted
            .into_iter()
            .map(|(tags, records)| self.stale.rows(&tags, records))
            .collect())
    }

    pub(super) fn note_true(&mut self, path: Arc<str>) {
        self.stale.note_true(path);
    }

    /// Returns the retagging of the rows of a piece of work; `None` if no notice concerns them any
    /// more.
    pub(super) fn retagging(&mut self, work: &Task) -> Option<Arc<dyn Retagging>> {
        let by = (&self.calendar, &self.records);
        let differs = differs(&self.table, self.outdated.as_ref());
        let suspects = self
            .stale
            .suspected(&self.table, &work.segments, differs, by);
        // The suspect with the most notices has all those of the others: all segments are checked
        // for them.
        Some(
            self.stale
                .retagging(suspects.iter().max_by_key(|suspect| suspect.notices())?, by),
        )
    }

    /// Returns the version of the newest notice that concerns the product.
    pub(super) fn newest_notice(&self) -> ControlsVersion {
        self.stale.notices().newest()
    }

    /// Returns the time at which a notice came, by category, for each segment whose deadlines
    /// depend on a notice.
    pub(super) fn told_at_all(&mut self) -> BTreeMap<Arc<str>, BTreeMap<Category, DateTime<Utc>>> {
        let mut all = BTreeMap::new();
        if self.stale.notices().is_empty() {
            return all;
        }
        for segment in self.index.iter() {
            let Some(profile) = self.stale.profile(&self.table, &segment.profile) else {
                continue;
            };
            let told = profile.terms.iter().filter_map(|term| {
                Some((
                    term.category.clone(),
                    self.stale.notices().recorded(term.trigger, term.known?)?,
                ))
            });
            let told: BTreeMap<_, _> = told.collect();
            if !told.is_empty() {
                all.insert(segment.path.clone(), told);
            }
        }
        all
    }

    /// Plans what is due at `now`, without the segments that are held or for which `wait` returns
    /// true.
    pub fn plan(
        &mut self,
        now: DateTime<Utc>,
        held: &SweepHolds,
        bounds: PlanBounds,
        wait: impl Fn(&StoredSegment) -> bool,
    ) -> SweepPlan {
        // This first records that the tags of segments that no notice can concern are true.
        let suspected: Vec<StoredSegment> = self
            .suspected()
            .into_iter()
            .map(|suspect| suspect.segment)
            .collect();
        let bare = self.bare();
        let open = |profile: &ProfileId| self.is_open(profile);
        // Outdated segments are retagged first: their deadlines are not those of the active policy.
        // Nothing is deleted either by a tag that may be no longer true.
        let waits = |segment: &StoredSegment| {
            self.is_held(segment, held)
                || self.is_outdated(segment)
                || self.suspects(segment)
                || wait(segment)
        };
        let segments = self
            .index
            .iter()
            .map(|segment| bare.get(&segment.path).unwrap_or(segment));
        let mut plan = select(segments, now, bounds, open, waits);
        let outdated = self
            .index
            .iter()
            .filter(|segment| !self.is_held(segment, held) && self.is_outdated(segment));
        // The deadlines under the active policy decide which instance does the work and whether it
        // is late.
        let outdated = outdated
            .map(|segment| (segment, self.as_due(segment)))
            .filter(|(_, as_due)| !wait(as_due));
        let outdated: Vec<(&StoredSegment, Cow<'_, StoredSegment>)> = outdated.collect();
        // Their people may belong among those that would be counted: nothing ends in their buckets
        // before they are retagged.
        let suspected = suspected
            .iter()
            .filter(|segment| !self.is_outdated(segment) && !wait(segment));
        let stale = outdated
            .iter()
            .map(|(segment, _)| *segment)
            .chain(suspected);
        let buckets: BTreeSet<_> = stale.map(|segment| segment.bucket).collect();
        let planned = plan.works.len();
        plan.works
            .retain(|work| work.action != SweepAction::End || !buckets.contains(&work.bucket));
        plan.more |= plan.works.len() < planned;
        retags(outdated.into_iter(), now, bounds, &mut plan);
        plan
    }

    /// Returns the segments that have no category with a deadline and no open one, by path. Each
    /// gets the deadline at which its records end: the last of its profile. They exist if a policy
    /// stops classifying the last category that was left in a segment.
    fn bare(&mut self) -> BTreeMap<Arc<str>, StoredSegment> {
        let mut bare = BTreeMap::new();
        for segment in self
            .index
            .iter()
            .filter(|segment| !segment.cells && segment.deadlines.is_empty())
        {
            let Some(profile) = self.stale.profile(&self.table, &segment.profile) else {
                continue;
            };
            if self.is_open(&segment.profile) {
                continue;
            }
            let deadlines = profile.deadlines(&self.calendar, segment.bucket);
            let dated = profile
                .terms
                .iter()
                .zip(deadlines)
                .filter_map(|(term, at)| Some((at?, term.category.clone())));
            if let Some((at, category)) = dated.max() {
                let deadlines = Arc::new(BTreeMap::from([(category, at)]));
                bare.insert(
                    segment.path.clone(),
                    StoredSegment {
                        deadlines,
                        ..segment.clone()
                    },
                );
            }
        }
        bare
    }

    /// Returns true if a piece of work brings tags up to date with the active policy, and not with
    /// notices.
    pub(super) fn is_by_policy(&self, work: &Task) -> bool {
        work.action == SweepAction::Retag
            && work
                .segments
                .first()
                .is_some_and(|segment| self.is_outdated(segment))
    }

    /// Plans the retags after notices. Each piece of work has segments of one bucket and profile.
    /// Outdated segments are first brought up to date with the active policy, since their columns
    /// may have other names.
    ///
    /// Pieces with a segment of which something is due by its own tags come first: nothing of it is
    /// deleted before it was checked. The others may have nothing to delete.
    pub fn plan_retags(
        &mut self,
        now: DateTime<Utc>,
        bounds: PlanBounds,
        wait: impl Fn(&RetagCandidate) -> bool,
    ) -> SweepPlan {
        let mut works: Vec<Task> = Vec::new();
        let mut suspects = self.suspected();
        suspects.retain(|suspect| !self.is_outdated(&suspect.segment) && !wait(suspect));
        for suspect in suspects {
            let due = suspect.urgent.unwrap_or(Deadline(now)).min(Deadline(now));
            let segment = suspect.segment;
            let full = |work: &Task| {
                work.segments.len() >= bounds.segments || work.bytes() >= bounds.bytes
            };
            match works.last_mut() {
                Some(work)
                    if (work.bucket, &work.profile) == (segment.bucket, &segment.profile)
                        && !full(work) =>
                {
                    work.due = work.due.min(due);
                    work.segments.push(segment);
                }
                _ => {
                    let (bucket, profile) = (segment.bucket, segment.profile.clone());
                    works.push(Task {
                        bucket,
                        profile,
                        action: SweepAction::Retag,
                        due,
                        segments: vec![segment],
                    });
                }
            }
        }
        works.sort_by_cached_key(|work| {
            (
                !work
                    .segments
                    .iter()
                    .any(|segment| first_due(segment, now).is_some()),
                work.due,
            )
        });
        let more = works.len() > bounds.works;
        works.truncate(bounds.works);
        SweepPlan { works, more }
    }

    /// Returns true if some category of a profile has no deadline yet, or if the table does not
    /// have the profile's text.
    pub(super) fn is_open(&self, profile: &ProfileId) -> bool {
        self.table
            .profile_text(profile)
            .is_none_or(Profile::is_open_text)
    }

    /// Returns a predicate for the rows of a segment that the holds cover; `None` if they can cover
    /// none.
    pub(super) fn predicate(
        &self,
        segment: &StoredSegment,
        held: &SweepHolds,
    ) -> Option<Predicate> {
        let rows = |records: &Records| {
            let view = SegmentView::of(&self.calendar, segment, records);
            held.holds.predicate(&self.key, records, &view)
        };
        // In a segment of an earlier policy, columns may have other names, and columns may identify
        // subjects that no longer do.
        let before = self
            .outdated
            .as_ref()
            .and_then(|outdated| outdated.records_of(segment))
            .and_then(&rows);
        match (rows(&self.records), before) {
            (Some(now), Some(before)) if now != before => Some(Predicate::Any(vec![now, before])),
            (now, before) => now.or(before),
        }
    }

    /// Returns true if all rows of a segment are known to be held.
    #[must_use]
    pub fn is_held(&self, segment: &StoredSegment, held: &SweepHolds) -> bool {
        self.held.get(&segment.path) == Some(&held.mark)
    }

    pub(super) fn note_held(&mut self, segment: Arc<str>, held: &SweepHolds) {
        self.held.insert(segment, held.mark);
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
            // After a notice, the tags of held rows change too; their data does not.
            if work.action == SweepAction::Retag && !self.is_by_policy(work) {
                continue;
            }
            let mut free = Vec::with_capacity(work.segments.len());
            for segment in std::mem::take(&mut work.segments) {
                let whole = match self.predicate(&segment, held) {
                    Some(predicate) => {
                        self.table.matches(&segment, &predicate).await? == segment.rows
                    }
                    None => false,
                };
                if whole {
                    some = true;
                    self.note_held(segment.path, held);
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
        // After a notice the tags of held rows change too.
        if work.action == SweepAction::Retag && !self.is_by_policy(work) {
            return Ok(0);
        }
        let mut records = 0;
        for segment in &work.segments {
            if let Some(predicate) = self.predicate(segment, held) {
                records += self.table.matches(segment, &predicate).await?;
            }
        }
        Ok(records)
    }

    /// Returns the state of segments of earlier policies.
    pub(super) fn outdated(&mut self) -> Option<&mut PolicyLag> {
        self.outdated.as_mut()
    }

    /// Returns the paths of the segments of earlier policies that were checked and need no change.
    pub fn settled_paths(&self) -> BTreeSet<Arc<str>> {
        self.outdated
            .as_ref()
            .map(|outdated| outdated.settled().clone())
            .unwrap_or_default()
    }

    /// Removes the segments whose tags are true from the retags of a plan, by reading them. Returns
    /// true if there were any. In the segments that are left, `records` counts only the records
    /// with stale tags. Retags for the active policy are not changed.
    pub(super) async fn leave_true(&mut self, plan: &mut SweepPlan) -> Result<bool, RewriteError> {
        let mut some = false;
        for work in plan
            .works
            .iter_mut()
            .filter(|work| work.action == SweepAction::Retag)
        {
            if self.is_by_policy(work) {
                continue;
            }
            let mut left = Vec::with_capacity(work.segments.len());
            for mut segment in std::mem::take(&mut work.segments) {
                let by = (&self.calendar, &self.records);
                let differs = differs(&self.table, self.outdated.as_ref());
                let Some(suspect) = self
                    .stale
                    .suspected(&self.table, [&segment], differs, by)
                    .pop()
                else {
                    continue;
                };
                segment.records = self
                    .stale_rows(&suspect)
                    .await?
                    .iter()
                    .map(|rows| rows.records)
                    .sum();
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

    /// Returns the newest notice for which each segment was checked, by path.
    pub fn seen(&self) -> Arc<ReviewedNotices> {
        self.stale.seen()
    }

    /// Takes over the results of another task that checks the same segments.
    pub(super) fn take_seen(&mut self, seen: &ReviewedNotices) {
        for (path, notice) in seen
            .iter()
            .filter(|(path, _)| self.index.get(path).is_some())
        {
            self.stale.note_known(Arc::clone(path), *notice);
        }
    }

    /// Returns the paths of the segments that are known to be entirely held by exactly these holds.
    pub fn held_paths(&self, held: &SweepHolds) -> BTreeSet<Arc<str>> {
        self.held
            .iter()
            .filter(|(_, mark)| **mark == held.mark)
            .map(|(path, _)| path.clone())
            .collect()
    }
}

/// Returns a function that is true for a segment of an earlier policy whose tags would differ under
/// the active one.
fn differs(table: &Table, outdated: Option<&PolicyLag>) -> impl Fn(&StoredSegment) -> bool {
    move |segment| {
        outdated
            .is_some_and(|outdated| outdated.differs(segment, table.profile_text(&segment.profile)))
    }
}

/// The holds that a sweep uses.
#[derive(Debug, Clone)]
pub struct SweepHolds {
    /// The holds in force.
    pub holds: Holds,
    /// The version of the controls that the table is under.
    pub version: ControlsVersion,
    /// A hash of the ids of the holds.
    mark: u64,
}

impl SweepHolds {
    /// Returns the holds of `controls` that are in force at `now`. `version` is the version that
    /// the table is under.
    #[must_use]
    pub fn at(controls: &Controls, now: DateTime<Utc>, version: ControlsVersion) -> SweepHolds {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let holds = controls.in_force(now);
        let mut hasher = DefaultHasher::new();
        holds
            .iter()
            .for_each(|hold| hold.id.as_str().hash(&mut hasher));
        SweepHolds {
            holds,
            version,
            mark: hasher.finish(),
        }
    }
}
