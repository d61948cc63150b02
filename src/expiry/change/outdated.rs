//! Which segments of a product were tagged under a policy that is no longer active, and what the active one says of them.
//!
//! Promises that such a segment is not gone by before its tags are brought up to date, and that what is overdue in it is told by
//! the active policy. A segment that was looked into and needs nothing is not looked into again. Pure but for its memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::passage::{Answer, Passage, Promised};
use crate::controls::Controls;
use crate::expiry::memo::Memo;
use crate::ids::{Bucket, Category, Deadline, PolicyVersion, ProductKey, ProfileId};
use crate::policy::{Policy, Records};
use crate::store::{ControlsVersion, StoredSegment};
use crate::tag::FormsMark;

/// A product under the active policy, seen from the ones before.
#[derive(Debug, Clone)]
pub struct Outdated {
    /// The control that activated the policy.
    control: ControlsVersion,
    active: PolicyVersion,
    /// The way from each earlier policy that is known, and the records as it had them.
    known: HashMap<PolicyVersion, (Arc<Passage>, Option<Records>)>,
    /// The way from one that is not.
    unknown: Arc<Passage>,
    /// The new name of what had another, by the old one.
    former: BTreeMap<String, String>,
    /// Segments that were looked into: none of their rows changes.
    settled: BTreeSet<Arc<str>>,
    /// What was worked out: segments share their tags with many others.
    worked_out: Arc<Mutex<WorkedOut>>,
}

/// The parts of a segment that determine its answer: its policy, profile, bucket, deadlines and the forms of its
/// subjects.
type Tags = (Option<PolicyVersion>, ProfileId, Bucket, Arc<BTreeMap<Category, Deadline>>, Option<FormsMark>);

#[derive(Debug, Default)]
struct WorkedOut {
    current: Memo<Tags, bool>,
    deadlines: Memo<Tags, Arc<BTreeMap<Category, Deadline>>>,
}

fn tags(segment: &StoredSegment) -> Tags {
    let deadlines = Arc::clone(&segment.deadlines);
    (segment.policy_version.clone(), segment.profile.clone(), segment.bucket, deadlines, segment.forms())
}

impl Outdated {
    /// What there is to know of `product` under `policy`, which is active by `controls`. `None` before the first activation, or
    /// where the policy has no records of it.
    #[must_use]
    pub fn of(controls: &Controls, policy: &Policy, product: &ProductKey) -> Option<Outdated> {
        let (control, _) = controls.active()?;
        let records = policy.products.get(product)?.records.as_ref()?;
        let mut known = HashMap::new();
        for old in controls.policies().iter().filter(|old| old.version != policy.version) {
            let before = old.products.get(product).and_then(|product| product.records.clone());
            known.insert(old.version.clone(), (Arc::new(Passage::new(old, policy, product)?), before));
        }
        let columns = records.schema.columns.iter().filter(|column| records.fields.contains_key(&column.name));
        let former = columns.flat_map(|column| column.former_names().into_iter().map(|old| (old, column.name.clone())));
        Some(Outdated {
            control,
            active: policy.version.clone(),
            known,
            unknown: Arc::new(Passage::unknown(policy, product)?),
            former: former.collect(),
            settled: BTreeSet::new(),
            worked_out: Arc::default(),
        })
    }

    /// Whether it is that of the newest activation.
    #[must_use]
    pub fn is_of(&self, controls: &Controls) -> bool {
        controls.active().is_some_and(|(control, _)| control == self.control)
    }

    /// Whether a segment's tags are to be brought up to date. `text` is what the table tells of its profile.
    #[must_use]
    pub fn is_outdated(&self, segment: &StoredSegment, text: Option<&str>) -> bool {
        !self.settled.contains(&segment.path) && self.differs(segment, text)
    }

    /// The same by what the log tells alone, whoever may have looked into it.
    #[must_use]
    pub fn differs(&self, segment: &StoredSegment, text: Option<&str>) -> bool {
        if segment.cells || segment.policy_version.as_ref() == Some(&self.active) {
            return false;
        }
        let is_current = || self.passage(segment).is_current(&Promised::new(segment, text));
        !*self.worked_out().current.of(tags(segment), is_current)
    }

    fn worked_out(&self) -> MutexGuard<'_, WorkedOut> {
        self.worked_out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way that a segment's rows take.
    #[must_use]
    pub fn passage(&self, segment: &StoredSegment) -> &Arc<Passage> {
        let known = segment.policy_version.as_ref().and_then(|version| self.known.get(version));
        known.map_or(&self.unknown, |(passage, _)| passage)
    }

    /// The records as the policy had them under which a segment was tagged, where that is another and known.
    #[must_use]
    pub fn records_of(&self, segment: &StoredSegment) -> Option<&Records> {
        let (_, records) = self.known.get(segment.policy_version.as_ref()?)?;
        records.as_ref()
    }

    /// The new name of each column that had another, by the old one.
    #[must_use]
    pub fn former(&self) -> &BTreeMap<String, String> {
        &self.former
    }

    /// Notes a segment none of whose rows changes.
    pub fn settle(&mut self, path: Arc<str>) {
        self.settled.insert(path);
    }

    /// Those that were looked into.
    #[must_use]
    pub fn settled(&self) -> &BTreeSet<Arc<str>> {
        &self.settled
    }

    /// Forgets segments that are no longer there.
    pub fn retain(&mut self, there: impl Fn(&str) -> bool) {
        self.settled.retain(|path| there(path));
    }

    /// When what an outdated segment holds is due by the active policy: of each category the earliest that any of its rows can have.
    #[must_use]
    pub fn deadlines(&self, segment: &StoredSegment, text: Option<&str>) -> Arc<BTreeMap<Category, Deadline>> {
        let work_out = || Arc::new(self.work_out(segment, text));
        Arc::clone(self.worked_out().deadlines.of(tags(segment), work_out))
    }

    fn work_out(&self, segment: &StoredSegment, text: Option<&str>) -> BTreeMap<Category, Deadline> {
        let (passage, promised) = (self.passage(segment), Promised::new(segment, text));
        let profiles = match passage.answer(&promised) {
            Answer::One(profile) => vec![profile],
            Answer::Rows(_) => {
                let late = promised.profile.late;
                let kinds = passage.kinds(&promised).into_iter();
                kinds.filter_map(|kind| passage.profile(kind, late, &promised)).collect()
            }
        };
        let mut earliest: BTreeMap<Category, Deadline> = BTreeMap::new();
        for profile in &profiles {
            for (term, at) in profile.terms.iter().zip(profile.deadlines(passage.calendar(), segment.bucket)) {
                let Some(at) = at.filter(|_| passage.holds(&term.category, &promised)) else { continue };
                earliest.entry(term.category.clone()).and_modify(|found| *found = at.min(*found)).or_insert(at);
            }
        }
        earliest
    }
}
