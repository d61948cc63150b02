//! Segments of a product that were tagged under a policy that is no longer active, and their
//! deadlines under the active one.
//!
//! The tags of such a segment are brought up to date before they are used, and its overdue data is
//! counted by the active policy. A segment that was checked and needs no change is not checked
//! again. Pure except for its cache.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::migration::{Migration, SegmentProfiles, StoredTerms};
use crate::bounded_cache::BoundedCache;
use ebbtide_base::ids::{Bucket, Category, Deadline, PolicyVersion, ProductKey, ProfileId};
use ebbtide_controls::Controls;
use ebbtide_policy::tag::FormsMark;
use ebbtide_policy::{Policy, Records};
use ebbtide_table::{ControlsVersion, StoredSegment};

/// The migrations of a product from the earlier policies to the active one.
#[derive(Debug, Clone)]
pub struct PolicyLag {
    /// The version of the control that activated the policy.
    control: ControlsVersion,
    active: PolicyVersion,
    /// The migration from each earlier policy that is known, and the records as that policy defined
    /// them.
    known: HashMap<PolicyVersion, (Arc<Migration>, Option<Records>)>,
    /// The migration from a policy that is not known.
    unknown: Arc<Migration>,
    /// The new name of each renamed column, by its former name.
    former: BTreeMap<String, String>,
    /// Cached results: segments share their tags with many others.
    worked_out: Arc<Mutex<PolicyLagCache>>,
}

/// The parts of a segment that determine its answer: its policy, profile, bucket, deadlines and the
/// forms of its subjects.
type Tags = (
    Option<PolicyVersion>,
    ProfileId,
    Bucket,
    Arc<BTreeMap<Category, Deadline>>,
    Option<FormsMark>,
);

#[derive(Debug, Default)]
struct PolicyLagCache {
    current: BoundedCache<Tags, bool>,
    deadlines: BoundedCache<Tags, Arc<BTreeMap<Category, Deadline>>>,
}

fn tags(segment: &StoredSegment) -> Tags {
    let deadlines = Arc::clone(&segment.deadlines);
    (
        segment.policy_version.clone(),
        segment.profile.clone(),
        segment.bucket,
        deadlines,
        segment.forms(),
    )
}

impl PolicyLag {
    /// Creates the migrations of `product` to `policy`, which is active according to `controls`.
    /// Returns `None` before the first activation, or if the policy has no records of the product.
    #[must_use]
    pub fn of(controls: &Controls, policy: &Policy, product: &ProductKey) -> Option<PolicyLag> {
        let (control, _) = controls.active()?;
        let records = policy.products.get(product)?.records.as_ref()?;
        let mut known = HashMap::new();
        for old in controls
            .policies()
            .iter()
            .filter(|old| old.version != policy.version)
        {
            let before = old
                .products
                .get(product)
                .and_then(|product| product.records.clone());
            known.insert(
                old.version.clone(),
                (Arc::new(Migration::new(old, policy, product)?), before),
            );
        }
        let columns = records
            .schema
            .columns
            .iter()
            .filter(|column| records.fields.contains_key(&column.name));
        let former = columns.flat_map(|column| {
            column
                .former_names()
                .into_iter()
                .map(|old| (old, column.name.clone()))
        });
        Some(PolicyLag {
            control,
            active: policy.version.clone(),
            known,
            unknown: Arc::new(Migration::unknown(policy, product)?),
            former: former.collect(),
            worked_out: Arc::default(),
        })
    }

    /// Returns true if it belongs to the newest activation.
    #[must_use]
    pub fn is_of(&self, controls: &Controls) -> bool {
        controls
            .active()
            .is_some_and(|(control, _)| control == self.control)
    }

    /// Returns the version of the control that activated the policy.
    #[must_use]
    pub fn activation(&self) -> ControlsVersion {
        self.control
    }

    /// Returns true if a segment's tags would differ under the active policy, according to the log
    /// alone: whether or not the segment was checked.
    #[must_use]
    pub fn differs(&self, segment: &StoredSegment, text: Option<&str>) -> bool {
        if segment.cells || segment.policy_version.as_ref() == Some(&self.active) {
            return false;
        }
        let is_current = || {
            self.migration(segment)
                .is_current(&StoredTerms::new(segment, text))
        };
        !*self.worked_out().current.of(tags(segment), is_current)
    }

    fn worked_out(&self) -> MutexGuard<'_, PolicyLagCache> {
        self.worked_out
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the migration of a segment's rows.
    #[must_use]
    pub fn migration(&self, segment: &StoredSegment) -> &Arc<Migration> {
        let known = segment
            .policy_version
            .as_ref()
            .and_then(|version| self.known.get(version));
        known.map_or(&self.unknown, |(migration, _)| migration)
    }

    /// Returns the records as defined by the policy under which a segment was tagged, if that is
    /// another policy and known.
    #[must_use]
    pub fn records_of(&self, segment: &StoredSegment) -> Option<&Records> {
        let (_, records) = self.known.get(segment.policy_version.as_ref()?)?;
        records.as_ref()
    }

    /// Returns the new name of each renamed column, by its former name.
    #[must_use]
    pub fn former(&self) -> &BTreeMap<String, String> {
        &self.former
    }

    /// Returns the deadlines of an outdated segment under the active policy: of each category that
    /// it may contain, the earliest that any of its rows can have.
    #[must_use]
    pub fn deadlines(
        &self,
        segment: &StoredSegment,
        text: Option<&str>,
    ) -> Arc<BTreeMap<Category, Deadline>> {
        let work_out = || Arc::new(self.work_out(segment, text));
        Arc::clone(self.worked_out().deadlines.of(tags(segment), work_out))
    }

    fn work_out(
        &self,
        segment: &StoredSegment,
        text: Option<&str>,
    ) -> BTreeMap<Category, Deadline> {
        let (migration, promised) = (self.migration(segment), StoredTerms::new(segment, text));
        let profiles = match migration.answer(&promised) {
            SegmentProfiles::One(profile) => vec![profile],
            SegmentProfiles::Rows(_) => {
                let late = promised.profile.late;
                let kinds = migration.kinds(&promised).into_iter();
                kinds
                    .filter_map(|kind| migration.profile(kind, late, &promised))
                    .collect()
            }
        };
        let mut earliest: BTreeMap<Category, Deadline> = BTreeMap::new();
        for profile in &profiles {
            for (term, at) in profile
                .terms
                .iter()
                .zip(profile.deadlines(migration.calendar(), segment.bucket))
            {
                let Some(at) = at.filter(|_| migration.holds(&term.category, &promised)) else {
                    continue;
                };
                earliest
                    .entry(term.category.clone())
                    .and_modify(|found| *found = at.min(*found))
                    .or_insert(at);
            }
        }
        earliest
    }
}
