//! What the rows of a stored segment become under a new policy. Pure: a segment's tags in, profiles out.
//!
//! Promises the profile that ingest would give each row under the new policy, with what its old profile knows: how late it
//! came, and when its trigger came. Where the old profile had no minimum it does not tell how late: then the row itself does.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::lots::Deciding;
use super::subjects::SubjectReform;
use crate::ids::{Bucket, Category, Country, Deadline, PolicyVersion, ProductKey, ProfileId};
use crate::policy::{Calendar, FieldDiff, Kind, Moved, Pairs, Policy, Profile, Trigger, Triggered};
use crate::store::StoredSegment;

/// One product's way from an old policy to a new one.
#[derive(Debug, Clone)]
pub struct Passage {
    /// The kinds of record, and what each policy says of them.
    pub pairs: Pairs,
    /// The columns.
    pub moved: Moved,
    /// The version that it leads from; `None`: nobody knows.
    from: Option<PolicyVersion>,
    calendar: Calendar,
    /// The old policy's profiles, each with the kinds that it stands for.
    old: HashMap<ProfileId, (Arc<Profile>, Vec<Kind>)>,
    /// The categories in which some stored column stays; `None` where the old policy did not have the product.
    staying: Option<BTreeSet<Category>>,
    /// The tenant's column, by the name that it is stored under.
    tenant: Option<String>,
    /// The event's column, by the name that it is stored under.
    event: String,
    /// The treatment of subjects, by the names under which their columns are stored.
    subjects: SubjectReform,
    /// The same by the column names of the new policy.
    subjects_now: Arc<SubjectReform>,
}

/// A segment and what its rows were promised.
#[derive(Debug, Clone)]
pub struct Promised<'s> {
    /// The segment.
    pub segment: &'s StoredSegment,
    /// Its profile, read back from the table; without a term where the table does not tell it.
    pub profile: Profile,
}

/// What is known of a segment's rows without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// All of them have this profile from now on.
    One(Profile),
    /// They must be looked at.
    Rows(Need),
}

/// What decides the profile of a row, beside its jurisdiction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Its tenant.
    pub tenant: bool,
    /// When it came: minimums count from there, and its old tags do not tell.
    pub arrival: bool,
    /// True if its subjects may be in an earlier canonical form.
    pub subjects: bool,
}

impl<'s> Promised<'s> {
    /// `text` is what the table tells of the segment's profile.
    #[must_use]
    pub fn new(segment: &'s StoredSegment, text: Option<&str>) -> Promised<'s> {
        let profile = text.and_then(Profile::parse).unwrap_or_else(|| Profile::new(Vec::new()));
        Promised { segment, profile }
    }

    /// Until when what the segment has of a category was to stay: `Some(None)` while that is open, `None` if there is nothing.
    #[must_use]
    pub fn stored(&self, category: &Category) -> Option<Option<Deadline>> {
        let open = |term: &&crate::policy::Term| {
            term.category == *category && term.trigger == Trigger::ContractEnd && term.known.is_none()
        };
        match self.segment.deadlines.get(category) {
            Some(deadline) => Some(Some(*deadline)),
            None => self.profile.terms.iter().find(open).map(|_| None),
        }
    }

    /// When the triggers of its rows came, as far as that is known.
    fn triggered(&self) -> Triggered {
        let known = |trigger: Trigger| {
            let terms = self.profile.terms.iter().filter(move |term| term.trigger == trigger);
            terms.filter_map(|term| term.known).min()
        };
        Triggered { contract_end: known(Trigger::ContractEnd), withdrawn: known(Trigger::ConsentWithdrawn) }
    }
}

impl Passage {
    /// The way of `product` from `old` to `new`; `None` if the new policy has no records of it.
    #[must_use]
    pub fn new(old: &Policy, new: &Policy, product: &ProductKey) -> Option<Passage> {
        let records = |policy: &'_ Policy| policy.products.get(product).and_then(|product| product.records.clone());
        let (before, after) = (records(old), records(new)?);
        let pairs = Pairs::of(old, new, product)?;
        let moved = Moved::of(before.as_ref(), Some(&after));
        let mut profiles: HashMap<ProfileId, (Arc<Profile>, Vec<Kind>)> = HashMap::new();
        for kind in pairs.all() {
            if let Some(profile) = pairs.before(kind) {
                let kinds = profiles.entry(profile.id.clone()).or_insert_with(|| (Arc::clone(profile), Vec::new()));
                kinds.1.push(kind);
            }
        }
        let kept = moved.kept().filter(|(_, _, from, to)| from == to);
        let staying: BTreeSet<Category> = kept.filter_map(|(_, _, _, to)| to.category().cloned()).collect();
        let stored = |column: &str| moved.before(column).to_owned();
        Some(Passage {
            staying: before.is_some().then_some(staying),
            tenant: after.tenant.as_deref().map(stored),
            event: stored(&after.event_time),
            subjects: SubjectReform::new(&after, stored),
            subjects_now: Arc::new(SubjectReform::new(&after, str::to_owned)),
            from: Some(old.version.clone()),
            calendar: Calendar::new(new.zone, new.bucket),
            pairs,
            moved,
            old: profiles,
        })
    }

    /// The way to `new` from a policy that nobody knows any more: every row must be looked at.
    #[must_use]
    pub fn unknown(new: &Policy, product: &ProductKey) -> Option<Passage> {
        let passage = Passage::new(new, new, product)?;
        Some(Passage { from: None, staying: None, ..passage })
    }

    /// The calendar of the deadlines.
    #[must_use]
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// The kinds that rows of a segment can be of.
    #[must_use]
    pub fn kinds(&self, promised: &Promised<'_>) -> Vec<Kind> {
        let segment = promised.segment;
        if self.from.is_some() && segment.policy_version == self.from {
            let is_its = |old: &Profile| {
                old.id == segment.profile || self.with_known(old, promised.profile.late, promised).id == segment.profile
            };
            let mut kinds: Vec<Kind> =
                self.old.values().filter(|(old, _)| is_its(old)).flat_map(|(_, kinds)| kinds.iter().copied()).collect();
            if !kinds.is_empty() {
                kinds.sort();
                return kinds;
            }
        }
        self.pairs.all().collect()
    }

    /// What is known of the rows of a segment.
    #[must_use]
    pub fn answer(&self, promised: &Promised<'_>) -> Answer {
        let subjects = self.subjects.concerns(promised.segment);
        // A number that was text may belong to any country.
        let kinds = if subjects { self.pairs.all().collect() } else { self.kinds(promised) };
        let profiles: BTreeMap<ProfileId, Profile> = kinds
            .iter()
            .filter_map(|kind| self.profile(*kind, promised.profile.late, promised))
            .map(|profile| (profile.id.clone(), profile))
            .collect();
        let arrival = !promised.profile.has_minimum() && profiles.values().any(Profile::has_minimum);
        let one = if profiles.len() == 1 { profiles.into_values().next() } else { None };
        match one {
            Some(profile) if !arrival && !subjects => Answer::One(profile),
            _ => Answer::Rows(Need { subjects, ..self.need(arrival) }),
        }
    }

    /// What must be looked at of rows.
    #[must_use]
    pub fn need(&self, arrival: bool) -> Need {
        Need { tenant: self.pairs.tells_tenants(), arrival, subjects: false }
    }

    /// The profile of rows of a kind that came `late` buckets after their own.
    #[must_use]
    pub fn profile(&self, kind: Kind, late: u32, promised: &Promised<'_>) -> Option<Profile> {
        Some(self.with_known(self.pairs.after(kind)?, late, promised))
    }

    fn with_known(&self, profile: &Profile, late: u32, promised: &Promised<'_>) -> Profile {
        profile.with_late(late).with_triggered(promised.triggered(), &self.calendar, promised.segment.bucket)
    }

    /// Whether nothing of a segment is to be done, by what is known without opening it: its tags would be word for word the same.
    #[must_use]
    pub fn is_current(&self, promised: &Promised<'_>) -> bool {
        match self.answer(promised) {
            Answer::One(profile) => profile.id == promised.segment.profile && self.keeps_columns(),
            Answer::Rows(_) => false,
        }
    }

    /// Whether stored columns keep their names and classes.
    #[must_use]
    pub fn keeps_columns(&self) -> bool {
        self.staying.is_some() && !self.moved.touches_stored()
    }

    /// Whether some stored column stays in a category, so that the category's deadline before and after can be compared.
    #[must_use]
    pub fn stays(&self, category: &Category) -> bool {
        self.staying.as_ref().is_none_or(|staying| staying.contains(category))
    }

    /// Whether anything of a category of the new policy may be in a segment: of the category itself, or in a column that comes
    /// to it.
    #[must_use]
    pub fn holds(&self, category: &Category, promised: &Promised<'_>) -> bool {
        let comes = |field: &FieldDiff| match field {
            FieldDiff::Reclassified { from, to, .. } => {
                to.category() == Some(category) && from.category().is_none_or(|from| promised.stored(from).is_some())
            }
            _ => false,
        };
        (self.stays(category) && promised.stored(category).is_some()) || self.moved.fields.iter().any(comes)
    }

    /// The columns of the tenant and of the event, by the names that they have under the new policy.
    #[must_use]
    pub fn now(&self) -> (Option<String>, String) {
        let now = |column: &String| self.moved.now(column).to_owned();
        (self.tenant.as_ref().map(now), now(&self.event))
    }

    /// Returns the treatment of subjects in earlier canonical forms, by the column names of the new policy.
    #[must_use]
    pub fn subjects(&self) -> &Arc<SubjectReform> {
        &self.subjects_now
    }

    /// The columns that are read where rows must be looked at.
    #[must_use]
    pub fn deciding(&self, need: Need) -> Deciding<'_> {
        Deciding {
            tenant: self.tenant.as_deref().filter(|_| need.tenant),
            event: Some(self.event.as_str()).filter(|_| need.arrival),
            subjects: Some(&self.subjects).filter(|_| need.subjects),
        }
    }

    /// How many buckets after `bucket` a row's minimums count from that came at `arrival`, in microseconds.
    #[must_use]
    pub fn late(&self, bucket: Bucket, arrival: i64) -> u32 {
        let at = chrono::DateTime::from_timestamp_micros(arrival);
        let came = at.and_then(|at| self.calendar.bucket_of(at));
        came.map_or(0, |came| self.calendar.distance(bucket, came))
    }

    /// The kind of a row.
    #[must_use]
    pub fn kind(&self, jurisdiction: Option<&str>, tenant: Option<&str>) -> Kind {
        let country = jurisdiction.and_then(|code| Country::new(code).ok()).unwrap_or(Country::UNKNOWN);
        self.pairs.kind(country, tenant)
    }
}
