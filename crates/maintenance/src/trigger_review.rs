//! Stored tags that are no longer true: of a tenant whose contract ended, or of a person who
//! withdrew consent.
//!
//! A segment is checked once for each notice that may concern it, not once per round. Rows get the
//! tags that they would have had on arrival, had the notice been known. What may be stale is
//! decided without I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};

use super::bounded_cache::BoundedCache;
use ebbtide_base::ids::{Bucket, Category, Deadline, ProductKey, ProfileId};
use ebbtide_controls::{Controls, ProductNotices};
use ebbtide_policy::tag::Triggers;
use ebbtide_policy::{Calendar, Profile, RecordTriggers, Records};
use ebbtide_table::{
    ControlsVersion, NewTags, Predicate, Retagging, RewriteError, SegmentIndex, StoreError,
    StoredSegment, Table,
};

/// The newest notice for which each segment was checked, by path.
pub type ReviewedNotices = HashMap<Arc<str>, ControlsVersion>;

/// The state of one table's stale tags.
#[derive(Clone)]
pub struct TriggerReview {
    notices: ProductNotices,
    triggers: Arc<Triggers>,
    /// The version of the controls that the notices were read from.
    version: ControlsVersion,
    /// The time at which the active policy was activated, if one ever was.
    activated_at: Option<DateTime<Utc>>,
    /// The newest notice that the tags of all segments reflect according to the table, except those
    /// of an earlier policy.
    noted: ControlsVersion,
    /// The newest notice for which each segment was checked, by path.
    seen: Arc<ReviewedNotices>,
    /// The parsed profiles of the table; `None` for a text that this version does not understand.
    profiles: HashMap<ProfileId, Option<Arc<Profile>>>,
    /// The deadlines that change, cached: many segments share a bucket and profile, and each round
    /// needs them again.
    moved: BoundedCache<(ProfileId, Bucket, RecordTriggers), MovedDeadlines>,
}

/// A segment with rows that may have tags that are no longer true.
#[derive(Debug, Clone)]
pub struct RetagCandidate {
    /// The segment.
    pub segment: StoredSegment,
    /// The time of the earliest notice for which it was not checked.
    pub recorded_at: DateTime<Utc>,
    /// The deadlines that its rows may get, or the time of the notice if that is later: the
    /// earliest of each category.
    pub due: BTreeMap<Category, Deadline>,
    /// The earliest of the deadlines caused by notices since the activation of the active policy,
    /// if any. The effects of other notices were carried out under the earlier policy: a check for
    /// them is due, but rarely finds anything.
    pub urgent: Option<Deadline>,
    /// The profile of its rows.
    profile: Arc<Profile>,
    /// The rows that may have stale tags.
    rows: Predicate,
}

/// Rows of one segment that are to get the same tags.
#[derive(Debug, Clone)]
pub struct StaleRows {
    /// The number of records.
    pub records: u64,
    /// The deadlines that they get, or the time of the notice if that is later.
    pub due: BTreeMap<Category, Deadline>,
}

impl RetagCandidate {
    /// Returns the number of notices for which it must be checked.
    #[must_use]
    pub fn notices(&self) -> usize {
        match &self.rows {
            Predicate::Any(rows) => rows.len(),
            _ => 1,
        }
    }

    /// Returns the earliest instant at which data may be due that the tags do not show; never
    /// before its notice.
    #[must_use]
    pub fn first_due(&self) -> Deadline {
        self.due
            .values()
            .min()
            .copied()
            .unwrap_or(Deadline(self.recorded_at))
    }
}

impl TriggerReview {
    /// Creates an empty state.
    #[must_use]
    pub fn new() -> TriggerReview {
        TriggerReview {
            notices: ProductNotices::default(),
            triggers: Arc::default(),
            version: ControlsVersion(0),
            activated_at: None,
            noted: ControlsVersion(0),
            seen: Arc::default(),
            profiles: HashMap::new(),
            moved: BoundedCache::default(),
        }
    }

    /// Uses those controls from now on.
    pub fn know(
        &mut self,
        controls: &Controls,
        product: &ProductKey,
        (calendar, records): (&Calendar, &Records),
    ) {
        if controls.version() != self.version {
            self.version = controls.version();
            self.activated_at = controls.active().map(|(_, active)| active.activated_at);
            self.notices = ProductNotices::of(controls, product, calendar);
            self.triggers = Arc::new(self.notices.triggers(records));
        }
    }

    /// Returns the notices in force.
    #[must_use]
    pub fn notices(&self) -> &ProductNotices {
        &self.notices
    }

    /// Forgets segments that are no longer in the index.
    pub fn retain(&mut self, index: &SegmentIndex) {
        if self.seen.keys().any(|path| index.get(path).is_none()) {
            Arc::make_mut(&mut self.seen).retain(|path, _| index.get(path).is_some());
        }
    }

    /// Uses the table's note from now on: tags reflect the notices up to `noted`.
    pub fn know_noted(&mut self, noted: ControlsVersion) {
        self.noted = noted;
    }

    /// Returns the newest notice that the tags of all segments reflect according to the table,
    /// except those of an earlier policy.
    #[must_use]
    pub fn noted(&self) -> ControlsVersion {
        self.noted
    }

    /// Returns true if a segment may have stale tags, as far as is known without reading it.
    /// `differs` returns true if it is of an earlier policy and its tags would differ under the
    /// active one.
    #[must_use]
    pub fn suspects(&self, segment: &StoredSegment, differs: impl FnOnce() -> bool) -> bool {
        !self.notices.is_empty()
            && !segment.cells
            && self.since(segment, differs) < self.notices.newest()
    }

    /// Returns the newest notice that the tags of a segment certainly reflect.
    fn since(&self, segment: &StoredSegment, differs: impl FnOnce() -> bool) -> ControlsVersion {
        // The lookup in `seen` is the cheapest check.
        let seen = self.seen.get(&segment.path).copied().unwrap_or_default();
        if seen >= self.noted || differs() {
            seen
        } else {
            self.noted
        }
    }

    /// Returns the newest notice for which each segment was checked, by path.
    #[must_use]
    pub fn seen(&self) -> Arc<ReviewedNotices> {
        Arc::clone(&self.seen)
    }

    /// Records that the tags of the segment at that path are true.
    pub fn note_true(&mut self, path: Arc<str>) {
        Arc::make_mut(&mut self.seen).insert(path, self.notices.newest());
    }

    /// Records that the tags of the segment at that path were written by a writer that knew the
    /// controls up to these.
    pub fn note_known(&mut self, path: Arc<str>, controls: ControlsVersion) {
        let seen = Arc::make_mut(&mut self.seen).entry(path).or_default();
        *seen = controls.max(*seen);
    }

    /// Returns the profile with that id; `None` if the table has no text for it that this version
    /// understands.
    pub fn profile(&mut self, table: &Table, id: &ProfileId) -> Option<Arc<Profile>> {
        if let Some(known) = self.profiles.get(id) {
            return known.clone();
        }
        let profile = Profile::parse(table.profile_text(id)?).map(Arc::new);
        self.profiles.insert(id.clone(), profile.clone());
        profile
    }

    /// Returns the stale rows of `records` records that are to get those tags.
    #[must_use]
    pub fn rows(&self, tags: &NewTags, records: u64) -> StaleRows {
        let terms = Profile::parse(&tags.profile_text)
            .map(|profile| profile.terms)
            .unwrap_or_default();
        let due = tags.deadlines.iter().filter_map(|(category, at)| {
            let term = terms.iter().find(|term| term.category == *category);
            let told = term.and_then(|term| self.notices.recorded(term.trigger, term.known?));
            Some((category.clone(), (*at)?.max(told.map_or((*at)?, Deadline))))
        });
        StaleRows {
            records,
            due: due.collect(),
        }
    }

    /// Returns the segments that must be checked. `differs` returns true if one is of an earlier
    /// policy and its tags would differ under the active one. The tags of segments that no notice
    /// can concern are recorded as true.
    pub fn suspected<'s>(
        &mut self,
        table: &Table,
        segments: impl IntoIterator<Item = &'s StoredSegment>,
        differs: impl Fn(&StoredSegment) -> bool,
        (calendar, records): (&Calendar, &Records),
    ) -> Vec<RetagCandidate> {
        let mut found = Vec::new();
        if self.notices.is_empty() {
            return found;
        }
        for segment in segments {
            if !self.suspects(segment, || differs(segment)) {
                continue;
            }
            let since = self.since(segment, || differs(segment));
            let suspect = self
                .profile(table, &segment.profile)
                .and_then(|profile| self.suspect((segment, since), profile, (calendar, records)));
            match suspect {
                Some(suspect) => found.push(suspect),
                None => self.note_true(segment.path.clone()),
            }
        }
        found
    }

    fn suspect(
        &mut self,
        (segment, since): (&StoredSegment, ControlsVersion),
        profile: Arc<Profile>,
        (calendar, records): (&Calendar, &Records),
    ) -> Option<RetagCandidate> {
        let (mut rows, mut due, mut first) = (Vec::new(), BTreeMap::new(), None::<DateTime<Utc>>);
        let mut urgent: Option<Deadline> = None;
        for notice in self
            .notices
            .after(since)
            .filter(|notice| profile.has_trigger(notice.trigger()))
        {
            let triggered = notice.triggered();
            let work_out = || profile.moved_by(triggered, calendar, segment.bucket).1;
            let moved = self.moved.of(
                (segment.profile.clone(), segment.bucket, triggered),
                work_out,
            );
            let Some(of) = (!moved.is_empty()).then(|| notice.rows(records)).flatten() else {
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
        let recorded_at = first?;
        let (segment, rows) = (segment.clone(), Predicate::Any(rows));
        Some(RetagCandidate {
            segment,
            recorded_at,
            due,
            urgent,
            profile,
            rows,
        })
    }

    /// Returns the retagging of the rows of a suspect's segment, and of others with its bucket and
    /// profile.
    #[must_use]
    pub fn retagging(
        &self,
        suspect: &RetagCandidate,
        (calendar, records): (&Calendar, &Records),
    ) -> Arc<dyn Retagging> {
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
            records: records.clone(),
            profile: Arc::clone(&suspect.profile),
            calendar: *calendar,
            bucket: suspect.segment.bucket,
        })
    }
}

/// The deadlines that change.
type MovedDeadlines = Vec<(Category, Option<Deadline>)>;

/// The retagging of rows of one bucket and profile with the tags that they would have on arrival.
struct TriggerRetagging {
    columns: Vec<String>,
    rows: Predicate,
    /// The buckets of all triggers, sorted: targets are numbered by them.
    buckets: Vec<Bucket>,
    triggers: Arc<Triggers>,
    records: Records,
    profile: Arc<Profile>,
    calendar: Calendar,
    bucket: Bucket,
}

impl TriggerRetagging {
    fn number(&self, bucket: Option<Bucket>) -> u64 {
        let at = bucket.and_then(|bucket| self.buckets.binary_search(&bucket).ok());
        at.map_or(0, |at| at as u64 + 1)
    }

    fn bucket(&self, number: u64) -> Option<Bucket> {
        self.buckets
            .get(usize::try_from(number).ok()?.checked_sub(1)?)
            .copied()
    }
}

impl Retagging for TriggerRetagging {
    fn columns(&self) -> Vec<&str> {
        self.columns.iter().map(String::as_str).collect()
    }

    fn concerns(&self) -> Option<Predicate> {
        Some(self.rows.clone())
    }

    fn assign(&self, rows: &RecordBatch) -> Result<Vec<u64>, RewriteError> {
        let triggered = self.triggers.of_stored(&self.records, rows, self.bucket);
        let triggered = triggered.map_err(|error| StoreError::Refused(error.to_string()))?;
        let number =
            |of: RecordTriggers| self.number(of.contract_end) << 32 | self.number(of.withdrawn);
        Ok(triggered.into_iter().map(number).collect())
    }

    fn target(&self, number: u64) -> Option<NewTags> {
        let (contract_end, withdrawn) = (
            self.bucket(number >> 32),
            self.bucket(number & u64::from(u32::MAX)),
        );
        let triggered = RecordTriggers {
            contract_end,
            withdrawn,
        };
        let (new, deadlines) = self
            .profile
            .moved_by(triggered, &self.calendar, self.bucket);
        let (profile, profile_text) = (new.id, new.text);
        (profile != self.profile.id).then_some(NewTags {
            profile,
            profile_text,
            deadlines,
            policy_version: None,
            forms: None,
        })
    }
}
