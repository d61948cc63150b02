//! One product in the hands of a sweep: its table, its segments, how it ends, and what is known of holds on them.
//!
//! Promises that what a sweep goes by is what the table says now, and that a segment whose rows are all held is looked into
//! once for each set of holds, not once a round.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::error::SweepError;
use super::select::{Bounds, Plan, select};
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
        let held = HashMap::new();
        Ok(Some(Product { key: key.clone(), table, index, ending, categories, records, calendar, held }))
    }

    /// Reads what was committed since.
    pub async fn refresh(&mut self) -> Result<(), StoreError> {
        self.table.refresh().await?;
        self.index.refresh().await?;
        let index = &self.index;
        self.held.retain(|path, _| index.get(path).is_some());
        Ok(())
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
        select(self.index.iter(), now, bounds, open, |segment| self.is_held(segment, held) || wait(segment))
    }

    /// Whether some category of a profile has no deadline yet. One whose text the table does not tell is taken for such.
    pub(super) fn is_open(&self, profile: &ProfileId) -> bool {
        self.table.profile_text(profile).is_none_or(|text| text.split(';').any(|term| term.ends_with(" contract_end")))
    }

    /// The rows of a segment that the holds cover; `None` if none can be.
    pub(super) fn predicate(&self, segment: &StoredSegment, held: &HeldBy) -> Option<Predicate> {
        let view = SegmentView::of(&self.calendar, segment, &self.records);
        held.holds.predicate(&self.key, &self.records, &view)
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
