//! Which stored tags are no longer true: of a tenant whose contract ended, of a person who withdrew.
//!
//! Promises that a segment is looked into once for each notice that may concern it, not once a round, and that rows get the
//! tags that they would have had on arrival. What may be stale is decided without I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};

use super::memo::Memo;
use crate::controls::{Controls, Notices};
use crate::ids::{Bucket, Category, Deadline, ProductKey, ProfileId};
use crate::policy::{Calendar, Profile, Records, Triggered};
use crate::store::{
    ControlsVersion, NewTags, Predicate, Retagging, RewriteError, SegmentIndex, StoreError, StoredSegment, Table,
};
use crate::tag::Triggers;

/// By path, the newest notice for which a segment was looked into.
pub type Seen = HashMap<Arc<str>, ControlsVersion>;

/// What is known of one table's stale tags.
#[derive(Clone)]
pub struct Stale {
    notices: Notices,
    triggers: Arc<Triggers>,
    /// The controls that the notices are of.
    version: ControlsVersion,
    /// When the active policy was activated, if one ever was.
    activated_at: Option<DateTime<Utc>>,
    /// The newest notice that the tags of all segments tell of by what the table says, but for those of an earlier policy.
    noted: ControlsVersion,
    /// By path, the newest notice for which a segment was looked into.
    seen: Arc<Seen>,
    /// What the table's texts of profiles say; `None`: nothing that this version understands.
    profiles: HashMap<ProfileId, Option<Arc<Profile>>>,
    /// What was worked out: many segments are of one bucket and profile, and each round asks for them again.
    moved: Memo<(ProfileId, Bucket, Triggered), Moved>,
}

/// A segment in which rows may have tags that are no longer true.
#[derive(Debug, Clone)]
pub struct Suspect {
    /// The segment.
    pub segment: StoredSegment,
    /// When the first of the notices came that it was not looked into for.
    pub recorded_at: DateTime<Utc>,
    /// The deadlines that rows of it may get, each with the instant from which on it could be known: the earliest of each
    /// category.
    pub due: BTreeMap<Category, Deadline>,
    /// The earliest of the deadlines that a notice since the active policy makes, if there is one. Under the policy before, the
    /// others were carried out: a look for them is due, and seldom finds anything.
    pub urgent: Option<Deadline>,
    /// The profile of its rows.
    profile: Arc<Profile>,
    /// The rows that may have them.
    rows: Predicate,
}

/// Rows of one segment that are to get the same tags.
#[derive(Debug, Clone)]
pub struct StaleRows {
    /// How many.
    pub records: u64,
    /// The deadlines that they get, or the notice of each if that is later.
    pub due: BTreeMap<Category, Deadline>,
}

impl Suspect {
    /// How many notices it is suspected for.
    #[must_use]
    pub fn notices(&self) -> usize {
        match &self.rows {
            Predicate::Any(rows) => rows.len(),
            _ => 1,
        }
    }

    /// The earliest instant at which something may be due that its tags do not tell, or its notice if that is later.
    #[must_use]
    pub fn first_due(&self) -> Deadline {
        self.due.values().min().copied().unwrap_or(Deadline(self.recorded_at))
    }
}

impl Stale {
    /// Nothing is known yet.
    #[must_use]
    pub fn new() -> Stale {
        Stale {
            notices: Notices::default(),
            triggers: Arc::default(),
            version: ControlsVersion(0),
            activated_at: None,
            noted: ControlsVersion(0),
            seen: Arc::default(),
            profiles: HashMap::new(),
            moved: Memo::default(),
        }
    }

    /// Goes by those controls from now on.
    pub fn know(&mut self, controls: &Controls, product: &ProductKey, (calendar, records): (&Calendar, &Records)) {
        if controls.version() != self.version {
            self.version = controls.version();
            self.activated_at = controls.active().map(|(_, active)| active.activated_at);
            self.notices = Notices::of(controls, product, calendar);
            self.triggers = Arc::new(self.notices.triggers(records));
        }
    }

    /// The notices in force.
    #[must_use]
    pub fn notices(&self) -> &Notices {
        &self.notices
    }

    /// Forgets segments that are gone.
    pub fn retain(&mut self, index: &SegmentIndex) {
        if self.seen.keys().any(|path| index.get(path).is_none()) {
            Arc::make_mut(&mut self.seen).retain(|path, _| index.get(path).is_some());
        }
    }

    /// Goes by what the table says from now on: that tags tell of the notices up to `noted`.
    pub fn know_noted(&mut self, noted: ControlsVersion) {
        self.noted = noted;
    }

    /// The newest notice that the tags of all segments tell of by what the table says, but for those of an earlier policy.
    #[must_use]
    pub fn noted(&self) -> ControlsVersion {
        self.noted
    }

    /// Whether a segment may hold stale tags as far as it is known. `differs` tells whether it is of an earlier policy by which its
    /// tags would be others.
    #[must_use]
    pub fn suspects(&self, segment: &StoredSegment, differs: impl FnOnce() -> bool) -> bool {
        !self.notices.is_empty() && !segment.cells && self.since(segment, differs) < self.notices.newest()
    }

    /// The newest notice that the tags of a segment tell of for sure.
    fn since(&self, segment: &StoredSegment, differs: impl FnOnce() -> bool) -> ControlsVersion {
        // To look up what was seen costs least.
        let seen = self.seen.get(&segment.path).copied().unwrap_or_default();
        if seen >= self.noted || differs() { seen } else { self.noted }
    }

    /// By path, the newest notice for which a segment was looked into.
    #[must_use]
    pub fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen)
    }

    /// Notes that the segment at that path has true tags.
    pub fn note_true(&mut self, path: Arc<str>) {
        Arc::make_mut(&mut self.seen).insert(path, self.notices.newest());
    }

    /// Notes that the tags of the segment at that path are those of a writer that knew the controls up to these.
    pub fn note_known(&mut self, path: Arc<str>, controls: ControlsVersion) {
        let seen = Arc::make_mut(&mut self.seen).entry(path).or_default();
        *seen = controls.max(*seen);
    }

    /// The profile of that id, as the table tells it.
    pub fn profile(&mut self, table: &Table, id: &ProfileId) -> Option<Arc<Profile>> {
        if let Some(known) = self.profiles.get(id) {
            return known.clone();
        }
        let profile = Profile::parse(table.profile_text(id)?).map(Arc::new);
        self.profiles.insert(id.clone(), profile.clone());
        profile
    }

    /// Rows that are to get those tags.
    #[must_use]
    pub fn rows(&self, tags: &NewTags, records: u64) -> StaleRows {
        let terms = Profile::parse(&tags.profile_text).map(|profile| profile.terms).unwrap_or_default();
        let due = tags.deadlines.iter().filter_map(|(category, at)| {
            let term = terms.iter().find(|term| term.category == *category);
            let told = term.and_then(|term| self.notices.recorded(term.trigger, term.known?));
            Some((category.clone(), (*at)?.max(told.map_or((*at)?, Deadline))))
        });
        StaleRows { records, due: due.collect() }
    }

    /// Those of some segments that must be looked into. `differs` tells whether one is of an earlier policy by which its tags would
    /// be others. Those that no notice can concern are noted as true.
    pub fn suspected<'s>(
        &mut self,
        table: &Table,
        segments: impl IntoIterator<Item = &'s StoredSegment>,
        differs: impl Fn(&StoredSegment) -> bool,
        (calendar, records): (&Calendar, &Records),
    ) -> Vec<Suspect> {
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
    ) -> Option<Suspect> {
        let (mut rows, mut due, mut first) = (Vec::new(), BTreeMap::new(), None::<DateTime<Utc>>);
        let mut urgent: Option<Deadline> = None;
        for notice in self.notices.after(since).filter(|notice| profile.has_trigger(notice.trigger())) {
            let triggered = notice.triggered();
            let work_out = || profile.moved_by(triggered, calendar, segment.bucket).1;
            let moved = self.moved.of((segment.profile.clone(), segment.bucket, triggered), work_out);
            let Some(of) = (!moved.is_empty()).then(|| notice.rows(records)).flatten() else { continue };
            rows.push(of);
            first = Some(first.map_or(notice.recorded_at, |first| first.min(notice.recorded_at)));
            for (category, at) in moved.iter() {
                let Some(at) = at.map(|at| at.max(Deadline(notice.recorded_at))) else { continue };
                due.entry(category.clone()).and_modify(|due: &mut Deadline| *due = at.min(*due)).or_insert(at);
                if self.activated_at.is_none_or(|activated| activated <= notice.recorded_at) {
                    urgent = Some(urgent.map_or(at, |urgent| at.min(urgent)));
                }
            }
        }
        let recorded_at = first?;
        let (segment, rows) = (segment.clone(), Predicate::Any(rows));
        Some(Suspect { segment, recorded_at, due, urgent, profile, rows })
    }

    /// How the rows of a suspect's segment, and of others of its bucket and profile, get their tags.
    #[must_use]
    pub fn retagging(&self, suspect: &Suspect, (calendar, records): (&Calendar, &Records)) -> Arc<dyn Retagging> {
        let tenant = records.tenant.iter().filter(|tenant| records.fields.contains_key(*tenant)).map(String::as_str);
        let columns: BTreeSet<&str> = tenant.chain(self.triggers.columns()).collect();
        Arc::new(ByTriggers {
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

/// Deadlines that change.
type Moved = Vec<(Category, Option<Deadline>)>;

/// Gives the rows of one bucket and profile the tags that they would have on arrival.
struct ByTriggers {
    columns: Vec<String>,
    rows: Predicate,
    /// Every bucket that a trigger came in, in order: targets are numbered by them.
    buckets: Vec<Bucket>,
    triggers: Arc<Triggers>,
    records: Records,
    profile: Arc<Profile>,
    calendar: Calendar,
    bucket: Bucket,
}

impl ByTriggers {
    fn number(&self, bucket: Option<Bucket>) -> u64 {
        let at = bucket.and_then(|bucket| self.buckets.binary_search(&bucket).ok());
        at.map_or(0, |at| at as u64 + 1)
    }

    fn bucket(&self, number: u64) -> Option<Bucket> {
        self.buckets.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
    }
}

impl Retagging for ByTriggers {
    fn columns(&self) -> Vec<&str> {
        self.columns.iter().map(String::as_str).collect()
    }

    fn concerns(&self) -> Option<Predicate> {
        Some(self.rows.clone())
    }

    fn assign(&self, rows: &RecordBatch) -> Result<Vec<u64>, RewriteError> {
        let triggered = self.triggers.of_stored(&self.records, rows, self.bucket);
        let triggered = triggered.map_err(|error| StoreError::Refused(error.to_string()))?;
        let number = |of: Triggered| self.number(of.contract_end) << 32 | self.number(of.withdrawn);
        Ok(triggered.into_iter().map(number).collect())
    }

    fn target(&self, number: u64) -> Option<NewTags> {
        let (contract_end, withdrawn) = (self.bucket(number >> 32), self.bucket(number & u64::from(u32::MAX)));
        let triggered = Triggered { contract_end, withdrawn };
        let (new, deadlines) = self.profile.moved_by(triggered, &self.calendar, self.bucket);
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
