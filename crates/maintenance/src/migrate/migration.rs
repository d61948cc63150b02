//! The profiles of a stored segment's rows under a new policy. Pure: a segment's tags in, profiles
//! out.
//!
//! Each row gets the profile that ingest would give it under the new policy, with what its old
//! profile contains: how late it came, and when its trigger came. An old profile without a minimum
//! does not record how late: then the row itself is read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::subjects::SubjectConversion;
use ebbtide_base::ids::{
    Bucket, Category, Country, Deadline, PolicyVersion, ProductKey, ProfileId,
};
use ebbtide_policy::{
    Calendar, ColumnChanges, FieldDiff, Policy, Profile, RecordKind, RecordTriggers, ResolverPair,
    Trigger,
};
use ebbtide_table::StoredSegment;

/// The change of one product from an old policy to a new one.
#[derive(Debug, Clone)]
pub struct Migration {
    /// The kinds of records, with the profile that each policy gives them.
    pub pairs: ResolverPair,
    /// The changes of the columns.
    pub moved: ColumnChanges,
    /// The version of the old policy; `None` if it is not known.
    from: Option<PolicyVersion>,
    calendar: Calendar,
    /// The old policy's profiles, each with the kinds that have it.
    old: HashMap<ProfileId, (Arc<Profile>, Vec<RecordKind>)>,
    /// The categories in which some stored column stays; `None` where the old policy did not have
    /// the product.
    staying: Option<BTreeSet<Category>>,
    /// The tenant's column, by the name that it is stored under.
    pub(super) tenant: Option<String>,
    /// The event's column, by the name that it is stored under.
    pub(super) event: String,
    /// The treatment of subjects, by the names under which their columns are stored.
    pub(super) subjects: SubjectConversion,
    /// The same by the column names of the new policy.
    subjects_now: Arc<SubjectConversion>,
}

/// A segment and the profile of its rows.
#[derive(Debug, Clone)]
pub struct StoredTerms<'s> {
    /// The segment.
    pub segment: &'s StoredSegment,
    /// Its profile as recorded in the table; without terms if the table does not have it.
    pub profile: Profile,
}

/// The result for a segment's rows, as far as it is known without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SegmentProfiles {
    /// All rows get this profile.
    One(Profile),
    /// The rows must be read.
    Rows(ProfileInputs),
}

/// The values that decide the profile of a row, besides its jurisdiction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfileInputs {
    /// True if its tenant decides.
    pub tenant: bool,
    /// True if its arrival decides: minimums count from there, and its old tags do not contain it.
    pub arrival: bool,
    /// True if its subjects may be in an earlier canonical form.
    pub subjects: bool,
}

impl<'s> StoredTerms<'s> {
    /// Creates it from a segment; `text` is the text of its profile in the table.
    #[must_use]
    pub fn new(segment: &'s StoredSegment, text: Option<&str>) -> StoredTerms<'s> {
        let profile = text
            .and_then(Profile::parse)
            .unwrap_or_else(|| Profile::new(Vec::new()));
        StoredTerms { segment, profile }
    }

    /// Returns the deadline of a category's data in the segment: `Some(None)` while it is open,
    /// `None` if there is no data.
    #[must_use]
    pub fn stored(&self, category: &Category) -> Option<Option<Deadline>> {
        let open = |term: &&ebbtide_policy::RetentionTerm| {
            term.category == *category
                && term.trigger == Trigger::ContractEnd
                && term.known.is_none()
        };
        match self.segment.deadlines.get(category) {
            Some(deadline) => Some(Some(*deadline)),
            None => self.profile.terms.iter().find(open).map(|_| None),
        }
    }

    /// Returns the buckets in which the triggers of its rows came, as far as they are known.
    fn triggered(&self) -> RecordTriggers {
        let known = |trigger: Trigger| {
            let terms = self
                .profile
                .terms
                .iter()
                .filter(move |term| term.trigger == trigger);
            terms.filter_map(|term| term.known).min()
        };
        RecordTriggers {
            contract_end: known(Trigger::ContractEnd),
            withdrawn: known(Trigger::ConsentWithdrawn),
        }
    }
}

impl Migration {
    /// Creates the migration of `product` from `old` to `new`; `None` if the new policy has no
    /// records of it.
    #[must_use]
    pub fn new(old: &Policy, new: &Policy, product: &ProductKey) -> Option<Migration> {
        let records = |policy: &'_ Policy| {
            policy
                .products
                .get(product)
                .and_then(|product| product.records.clone())
        };
        let (before, after) = (records(old), records(new)?);
        let pairs = ResolverPair::of(old, new, product)?;
        let moved = ColumnChanges::of(before.as_ref(), Some(&after));
        let mut profiles: HashMap<ProfileId, (Arc<Profile>, Vec<RecordKind>)> = HashMap::new();
        for kind in pairs.all() {
            if let Some(profile) = pairs.before(kind) {
                let kinds = profiles
                    .entry(profile.id.clone())
                    .or_insert_with(|| (Arc::clone(profile), Vec::new()));
                kinds.1.push(kind);
            }
        }
        let kept = moved.kept().filter(|(_, _, from, to)| from == to);
        let staying: BTreeSet<Category> = kept
            .filter_map(|(_, _, _, to)| to.category().cloned())
            .collect();
        let stored = |column: &str| moved.before(column).to_owned();
        Some(Migration {
            staying: before.is_some().then_some(staying),
            tenant: after.tenant.as_deref().map(stored),
            event: stored(&after.event_time),
            subjects: SubjectConversion::new(&after, stored),
            subjects_now: Arc::new(SubjectConversion::new(&after, str::to_owned)),
            from: Some(old.version.clone()),
            calendar: Calendar::new(new.zone, new.bucket),
            pairs,
            moved,
            old: profiles,
        })
    }

    /// Creates the migration to `new` from a policy that is not known any more. Rows may be of any
    /// kind, so they are read unless all kinds get the same profile.
    #[must_use]
    pub fn unknown(new: &Policy, product: &ProductKey) -> Option<Migration> {
        let migration = Migration::new(new, new, product)?;
        Some(Migration {
            from: None,
            staying: None,
            ..migration
        })
    }

    /// Returns the calendar of the deadlines.
    #[must_use]
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// Returns the kinds that rows of a segment can have.
    #[must_use]
    pub fn kinds(&self, promised: &StoredTerms<'_>) -> Vec<RecordKind> {
        let segment = promised.segment;
        if self.from.is_some() && segment.policy_version == self.from {
            let is_its = |old: &Profile| {
                old.id == segment.profile
                    || self.with_known(old, promised.profile.late, promised).id == segment.profile
            };
            let mut kinds: Vec<RecordKind> = self
                .old
                .values()
                .filter(|(old, _)| is_its(old))
                .flat_map(|(_, kinds)| kinds.iter().copied())
                .collect();
            if !kinds.is_empty() {
                kinds.sort();
                return kinds;
            }
        }
        self.pairs.all().collect()
    }

    /// Returns what is known of the rows of a segment without opening it.
    #[must_use]
    pub fn answer(&self, promised: &StoredTerms<'_>) -> SegmentProfiles {
        let subjects = self.subjects.concerns(promised.segment);
        // A number that was stored as text may belong to any country.
        let kinds = if subjects {
            self.pairs.all().collect()
        } else {
            self.kinds(promised)
        };
        let profiles: BTreeMap<ProfileId, Profile> = kinds
            .iter()
            .filter_map(|kind| self.profile(*kind, promised.profile.late, promised))
            .map(|profile| (profile.id.clone(), profile))
            .collect();
        let arrival =
            !promised.profile.has_minimum() && profiles.values().any(Profile::has_minimum);
        let one = if profiles.len() == 1 {
            profiles.into_values().next()
        } else {
            None
        };
        match one {
            Some(profile) if !arrival && !subjects => SegmentProfiles::One(profile),
            _ => SegmentProfiles::Rows(ProfileInputs {
                subjects,
                ..self.need(arrival)
            }),
        }
    }

    /// Returns the values of rows that must be read.
    #[must_use]
    pub fn need(&self, arrival: bool) -> ProfileInputs {
        ProfileInputs {
            tenant: self.pairs.tells_tenants(),
            arrival,
            subjects: false,
        }
    }

    /// Returns the profile of rows of a kind that came `late` buckets after their own.
    #[must_use]
    pub fn profile(
        &self,
        kind: RecordKind,
        late: u32,
        promised: &StoredTerms<'_>,
    ) -> Option<Profile> {
        Some(self.with_known(self.pairs.after(kind)?, late, promised))
    }

    fn with_known(&self, profile: &Profile, late: u32, promised: &StoredTerms<'_>) -> Profile {
        profile.with_late(late).with_triggered(
            promised.triggered(),
            &self.calendar,
            promised.segment.bucket,
        )
    }

    /// Returns true if a segment needs no change, as far as is known without opening it: its tags
    /// would be identical.
    #[must_use]
    pub fn is_current(&self, promised: &StoredTerms<'_>) -> bool {
        match self.answer(promised) {
            SegmentProfiles::One(profile) => {
                profile.id == promised.segment.profile && self.keeps_columns()
            }
            SegmentProfiles::Rows(_) => false,
        }
    }

    /// Returns true if stored columns keep their names and classes.
    #[must_use]
    pub fn keeps_columns(&self) -> bool {
        self.staying.is_some() && !self.moved.touches_stored()
    }

    /// Returns true if some stored column stays in a category, so that the category's deadline
    /// before and after can be compared.
    #[must_use]
    pub fn stays(&self, category: &Category) -> bool {
        self.staying
            .as_ref()
            .is_none_or(|staying| staying.contains(category))
    }

    /// Returns true if a segment may contain data of a category of the new policy: of the category
    /// itself, or in a column that moves to it.
    #[must_use]
    pub fn holds(&self, category: &Category, promised: &StoredTerms<'_>) -> bool {
        let comes = |field: &FieldDiff| match field {
            FieldDiff::Reclassified { from, to, .. } => {
                to.category() == Some(category)
                    && from
                        .category()
                        .is_none_or(|from| promised.stored(from).is_some())
            }
            _ => false,
        };
        (self.stays(category) && promised.stored(category).is_some())
            || self.moved.fields.iter().any(comes)
    }

    /// Returns the columns of the tenant and of the event, by their names under the new policy.
    #[must_use]
    pub fn now(&self) -> (Option<String>, String) {
        let now = |column: &String| self.moved.now(column).to_owned();
        (self.tenant.as_ref().map(now), now(&self.event))
    }

    /// Returns the treatment of subjects in earlier canonical forms, by the column names of the new
    /// policy.
    #[must_use]
    pub fn subjects(&self) -> &Arc<SubjectConversion> {
        &self.subjects_now
    }

    /// Returns the number of buckets after `bucket` from which a row's minimums count. The row came
    /// at `arrival`, in microseconds since the Unix epoch.
    #[must_use]
    pub fn late(&self, bucket: Bucket, arrival: i64) -> u32 {
        let at = chrono::DateTime::from_timestamp_micros(arrival);
        let came = at.and_then(|at| self.calendar.bucket_of(at));
        came.map_or(0, |came| self.calendar.distance(bucket, came))
    }

    /// Returns the kind of a row.
    #[must_use]
    pub fn kind(&self, jurisdiction: Option<&str>, tenant: Option<&str>) -> RecordKind {
        let country = jurisdiction
            .and_then(|code| Country::new(code).ok())
            .unwrap_or(Country::UNKNOWN);
        self.pairs.kind(country, tenant)
    }
}
