//! The notices in force for a product: of contracts that ended, and of persons who withdrew consent.
//!
//! Decides without I/O which segments notices may concern, and which tags their rows get: those that
//! they would have had on arrival, had the notice been known.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::candidate::{StaleRows, TriggerCandidate};
use super::retagging::TriggerRetagging;
use crate::bounded_cache::BoundedCache;
use crate::record_rules::RecordRules;
use ebbtide_base::ids::{Bucket, Category, Deadline, ProductKey, ProfileId};
use ebbtide_controls::{Controls, ProductNotices};
use ebbtide_policy::tag::Triggers;
use ebbtide_policy::{Profile, RecordTriggers};
use ebbtide_table::{ControlsVersion, NewTags, Predicate, Retagging, StoredSegment};

/// The notices in force for one product.
#[derive(Clone)]
pub struct TriggerState {
    notices: ProductNotices,
    triggers: Arc<Triggers>,
    /// The version of the controls that the notices were read from.
    version: ControlsVersion,
    /// The time at which the active policy was activated, if one ever was.
    activated_at: Option<DateTime<Utc>>,
    /// Cached results: many segments share a bucket and profile, and each round needs them again.
    worked_out: Arc<Mutex<TriggerCache>>,
}

#[derive(Default)]
struct TriggerCache {
    /// The parsed profiles of the table; `None` for a text that this version does not understand.
    profiles: HashMap<ProfileId, Option<Arc<Profile>>>,
    /// The deadlines that change.
    moved: BoundedCache<(ProfileId, Bucket, RecordTriggers), MovedDeadlines>,
}

impl TriggerState {
    /// Creates an empty state.
    #[must_use]
    pub fn new() -> TriggerState {
        TriggerState {
            notices: ProductNotices::default(),
            triggers: Arc::default(),
            version: ControlsVersion(0),
            activated_at: None,
            worked_out: Arc::default(),
        }
    }

    /// Uses those controls from now on.
    pub fn know(&mut self, controls: &Controls, product: &ProductKey, rules: &RecordRules) {
        if controls.version() != self.version {
            self.version = controls.version();
            self.activated_at = controls.active().map(|(_, active)| active.activated_at);
            self.notices = ProductNotices::of(controls, product, &rules.calendar);
            self.triggers = Arc::new(self.notices.triggers(&rules.records));
        }
    }

    /// Returns the notices in force.
    #[must_use]
    pub fn notices(&self) -> &ProductNotices {
        &self.notices
    }

    /// Returns the profile with that id; `None` if the table has no text for it that this version
    /// understands. `text` is its text in the table.
    #[must_use]
    pub fn profile(&self, id: &ProfileId, text: Option<&str>) -> Option<Arc<Profile>> {
        let mut worked_out = self.worked_out();
        if let Some(known) = worked_out.profiles.get(id) {
            return known.clone();
        }
        let profile = Profile::parse(text?).map(Arc::new);
        worked_out.profiles.insert(id.clone(), profile.clone());
        profile
    }

    fn worked_out(&self) -> MutexGuard<'_, TriggerCache> {
        self.worked_out
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the stale rows of `records` records that are to get those tags.
    #[must_use]
    pub fn rows(&self, tags: &NewTags, records: u64) -> StaleRows {
        let terms = Profile::parse(&tags.profile_text)
            .map(|profile| profile.terms)
            .unwrap_or_default();
        let due = tags.deadlines.iter().filter_map(|(category, at)| {
            let term = terms.iter().find(|term| term.category == *category);
            let recorded = term.and_then(|term| self.notices.recorded(term.trigger, term.known?));
            Some((
                category.clone(),
                (*at)?.max(recorded.map_or((*at)?, Deadline)),
            ))
        });
        StaleRows {
            records,
            due: due.collect(),
        }
    }

    /// Returns a segment as one that must be checked for the notices after `since`; `None` if none
    /// of them can concern it. `profile` is that of its rows.
    #[must_use]
    pub fn candidate(
        &self,
        segment: &StoredSegment,
        since: ControlsVersion,
        profile: Arc<Profile>,
        rules: &RecordRules,
    ) -> Option<TriggerCandidate> {
        let (mut rows, mut due, mut first) = (Vec::new(), BTreeMap::new(), None::<DateTime<Utc>>);
        let mut urgent: Option<Deadline> = None;
        let mut worked_out = self.worked_out();
        for notice in self
            .notices
            .after(since)
            .filter(|notice| profile.has_trigger(notice.trigger()))
        {
            let triggered = notice.triggered();
            let work_out = || {
                profile
                    .moved_by(triggered, &rules.calendar, segment.bucket)
                    .1
            };
            let key = (segment.profile.clone(), segment.bucket, triggered);
            let moved = worked_out.moved.of(key, work_out);
            if moved.is_empty() {
                continue;
            }
            let Some(of) = notice.rows(&rules.records) else {
                continue;
            };
            rows.push(of);
            first = Some(first.map_or(notice.recorded_at, |first| first.min(notice.recorded_at)));
            for (category, at) in moved.iter() {
                let Some(at) = at.map(|at| at.max(Deadline(notice.recorded_at))) else {
                    continue;
                };
                due.entry(category.clone())
                    .and_modify(|due: &mut Deadline| *due = at.min(*due))
                    .or_insert(at);
                if self
                    .activated_at
                    .is_none_or(|activated| activated <= notice.recorded_at)
                {
                    urgent = Some(urgent.map_or(at, |urgent| at.min(urgent)));
                }
            }
        }
        Some(TriggerCandidate {
            recorded_at: first?,
            segment: segment.clone(),
            due,
            urgent,
            profile,
            rows: Predicate::Any(rows),
        })
    }

    /// Returns the retagging of the rows of a suspect's segment, and of others with its bucket and
    /// profile.
    #[must_use]
    pub fn retagging(&self, suspect: &TriggerCandidate, rules: &RecordRules) -> Arc<dyn Retagging> {
        let records = &rules.records;
        let tenant = records
            .tenant
            .iter()
            .filter(|tenant| records.fields.contains_key(*tenant))
            .map(String::as_str);
        let columns: BTreeSet<&str> = tenant.chain(self.triggers.columns()).collect();
        Arc::new(TriggerRetagging {
            columns: columns.into_iter().map(str::to_owned).collect(),
            rows: suspect.rows.clone(),
            buckets: self.notices.buckets(),
            triggers: Arc::clone(&self.triggers),
            rules: rules.clone(),
            profile: Arc::clone(&suspect.profile),
            bucket: suspect.segment.bucket,
        })
    }
}

/// The deadlines that change.
type MovedDeadlines = Vec<(Category, Option<Deadline>)>;
