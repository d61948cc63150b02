//! One product in the hands of a sweep: its table, its segments, how it ends, and what is known of holds on them.
//!
//! Promises that what a sweep goes by is what the table says now, and that a segment whose rows are all held is looked into
//! once for each set of holds, not once a round.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::change::Outdated;
use super::error::SweepError;
use super::select::{Action, Bounds, Plan, retags, select};
use crate::anonymize::CellPlan;
use crate::controls::{Controls, Holds, SegmentView};
use crate::ids::{Category, ProductKey, ProfileId};
use crate::policy::{Calendar, End, Policy, Records};
use crate::store::{
    ControlsVersion, OpenError, Predicate, RewriteError, Root, SegmentIndex, StoreError, StoredSegment, Table,
    TableSpec,
};

/// How the records of a product end.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// They go.
    Remove,
    /// They become cells.
    Anonymize(CellPlan),
}

/// One product's table as a sweep sees it.
pub struct Product {
    /// The product.
    pub key: ProductKey,
    /// Its table.
    pub table: Table,
    /// The table's segments.
    pub index: SegmentIndex,
    /// How its records end.
    pub ending: Ending,
    /// Its categories.
    pub categories: BTreeSet<Category>,
    pub(super) records: Records,
    pub(super) calendar: Calendar,
    /// What is known of segments that are held whole: by path, the holds that were looked at.
    held: HashMap<Arc<str>, u64>,
    /// What is to be known of segments of earlier policies; `None` before the first activation.
    outdated: Option<Outdated>,
}

impl Product {
    /// Opens a product's table under a policy; `None` for a product that has no records.
    pub async fn open(root: &Root, policy: &Policy, key: &ProductKey) -> Result<Option<Product>, OpenProductError> {
        let (Some(spec), Some(records)) =
            (TableSpec::of(policy, key), policy.products.get(key).and_then(|product| product.records.clone()))
        else {
            return Ok(None);
        };
        let ending = match &records.end {
            End::Remove => Ending::Remove,
            End::Anonymize(anonymize) => Ending::Anonymize(CellPlan::new(anonymize, |name| {
                spec.column(name).map(|column| column.data_type.clone())
            })?),
        };
        let categories = records.fields.values().filter_map(|class| class.category().cloned()).collect();
        let table = Table::open(root, Arc::new(spec)).await?;
        let index = SegmentIndex::load(&table).await?;
        let calendar = Calendar::new(policy.zone, policy.bucket);
        let (key, held) = (key.clone(), HashMap::new());
        Ok(Some(Product { key, table, index, ending, categories, records, calendar, held, outdated: None }))
    }

    /// Reads what was committed since.
    pub async fn refresh(&mut self) -> Result<(), StoreError> {
        self.table.refresh().await?;
        self.index.refresh().await?;
        let index = &self.index;
        self.held.retain(|path, _| index.get(path).is_some());
        if let Some(outdated) = &mut self.outdated {
            outdated.retain(|path| index.get(path).is_some());
        }
        Ok(())
    }

    /// Takes note of which policy is active and which were before, where that is new. `policy` is the active one.
    pub fn note_policies(&mut self, controls: &Controls, policy: &Policy) {
        if controls.active().is_some() && !self.outdated.as_ref().is_some_and(|outdated| outdated.is_of(controls)) {
            self.outdated = Outdated::of(controls, policy, &self.key);
        }
    }

    /// Whether a segment's tags are those of an earlier policy and are to be brought up to date before it is gone by.
    #[must_use]
    pub fn is_outdated(&self, segment: &StoredSegment) -> bool {
        let text = || self.table.profile_text(&segment.profile);
        self.outdated.as_ref().is_some_and(|outdated| outdated.is_outdated(segment, text()))
    }

    /// A segment as the active policy sees it: one that is outdated with the deadlines that its rows will have.
    #[must_use]
    pub fn as_due<'s>(&self, segment: &'s StoredSegment) -> Cow<'s, StoredSegment> {
        match self.outdated.as_ref().filter(|_| self.is_outdated(segment)) {
            None => Cow::Borrowed(segment),
            Some(outdated) => {
                let deadlines = outdated.deadlines(segment, self.table.profile_text(&segment.profile));
                Cow::Owned(StoredSegment { deadlines, ..segment.clone() })
            }
        }
    }

    /// The controls that the table is under, read up to at least its own version of them.
    pub async fn controls(&self, root: &Root) -> Result<Controls, StoreError> {
        Controls::load(root, self.table.controls()).await
    }

    /// What is due at `now`, but for what is held and what `wait` names.
    pub fn plan(
        &self,
        now: DateTime<Utc>,
        held: &HeldBy,
        bounds: Bounds,
        wait: impl Fn(&StoredSegment) -> bool,
    ) -> Plan {
        let open = |profile: &ProfileId| self.is_open(profile);
        // What is outdated is retagged first: its deadlines are not what the active policy says.
        let waits = |segment: &StoredSegment| self.is_held(segment, held) || self.is_outdated(segment) || wait(segment);
        let mut plan = select(self.index.iter(), now, bounds, open, waits);
        let outdated = self.index.iter().filter(|segment| !self.is_held(segment, held) && self.is_outdated(segment));
        // Whose work it is, and whether it is late, is told by what the active policy says.
        let outdated = outdated.map(|segment| (segment, self.as_due(segment))).filter(|(_, as_due)| !wait(as_due));
        let outdated: Vec<(&StoredSegment, Cow<'_, StoredSegment>)> = outdated.collect();
        // Its people may belong among those that would be counted.
        let buckets: BTreeSet<_> = outdated.iter().map(|(segment, _)| segment.bucket).collect();
        let planned = plan.works.len();
        plan.works.retain(|work| work.action != Action::End || !buckets.contains(&work.bucket));
        plan.more |= plan.works.len() < planned;
        retags(outdated.into_iter(), now, bounds, &mut plan);
        plan
    }

    /// Whether some category of a profile has no deadline yet. One whose text the table does not tell is taken for such.
    pub(super) fn is_open(&self, profile: &ProfileId) -> bool {
        self.table.profile_text(profile).is_none_or(|text| text.split(';').any(|term| term.ends_with(" contract_end")))
    }

    /// The rows of a segment that the holds cover; `None` if none can be.
    pub(super) fn predicate(&self, segment: &StoredSegment, held: &HeldBy) -> Option<Predicate> {
        let rows = |records: &Records| {
            let view = SegmentView::of(&self.calendar, segment, records);
            held.holds.predicate(&self.key, records, &view)
        };
        // Of a segment of an earlier policy the columns may have other names, and people may have been named that are not now.
        let before = self.outdated.as_ref().and_then(|outdated| outdated.records_of(segment)).and_then(&rows);
        match (rows(&self.records), before) {
            (Some(now), Some(before)) if now != before => Some(Predicate::Any(vec![now, before])),
            (now, before) => now.or(before),
        }
    }

    /// Whether all rows of a segment are known to be held.
    #[must_use]
    pub fn is_held(&self, segment: &StoredSegment, held: &HeldBy) -> bool {
        self.held.get(&segment.path) == Some(&held.mark)
    }

    pub(super) fn note_held(&mut self, segment: Arc<str>, held: &HeldBy) {
        self.held.insert(segment, held.mark);
    }

    /// Takes the segments whose rows are all held out of a plan, by a look into them; whether there were any.
    pub(super) async fn leave_held(&mut self, plan: &mut Plan, held: &HeldBy) -> Result<bool, RewriteError> {
        let mut some = false;
        for work in &mut plan.works {
            let mut free = Vec::with_capacity(work.segments.len());
            for segment in std::mem::take(&mut work.segments) {
                let whole = match self.predicate(&segment, held) {
                    Some(predicate) => self.table.matches(&segment, &predicate).await? == segment.rows,
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

    /// What is to be known of segments of earlier policies.
    pub(super) fn outdated(&mut self) -> Option<&mut Outdated> {
        self.outdated.as_mut()
    }

    /// The paths of the segments of earlier policies that were looked into and need nothing.
    pub fn settled_paths(&self) -> BTreeSet<Arc<str>> {
        self.outdated.as_ref().map(|outdated| outdated.settled().clone()).unwrap_or_default()
    }

    /// The paths of the segments that are known to be held whole by exactly these holds.
    pub fn held_paths(&self, held: &HeldBy) -> BTreeSet<Arc<str>> {
        self.held.iter().filter(|(_, mark)| **mark == held.mark).map(|(path, _)| path.clone()).collect()
    }
}

/// The holds that a sweep goes by.
#[derive(Debug, Clone)]
pub struct HeldBy {
    /// The holds in force.
    pub holds: Holds,
    /// The controls that they were read from.
    pub version: ControlsVersion,
    /// The same for the same holds.
    mark: u64,
}

impl HeldBy {
    /// The holds of `controls` that are in force at `now`, of those that the table is under.
    #[must_use]
    pub fn at(controls: &Controls, now: DateTime<Utc>, version: ControlsVersion) -> HeldBy {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let holds = controls.in_force(now);
        let mut hasher = DefaultHasher::new();
        holds.iter().for_each(|hold| hold.id.as_str().hash(&mut hasher));
        HeldBy { holds, version, mark: hasher.finish() }
    }
}

/// Why a product's table cannot be swept.
#[derive(Debug, thiserror::Error)]
pub enum OpenProductError {
    /// The table cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its segments cannot be listed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The policy's `anonymize` does not fit it.
    #[error(transparent)]
    Plan(#[from] crate::anonymize::PlanError),
}

impl From<OpenProductError> for SweepError {
    fn from(error: OpenProductError) -> Self {
        match error {
            OpenProductError::Store(error) => SweepError::Store(error),
            OpenProductError::Plan(error) => SweepError::Plan(error),
            OpenProductError::Open(error) => SweepError::Store(StoreError::Refused(error.to_string())),
        }
    }
}
