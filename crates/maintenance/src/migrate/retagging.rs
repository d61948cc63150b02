//! A new policy's tags for the rows of segments of one bucket and profile.
//!
//! A row gets the same profile that [`super::cohorts::read_cohorts()`] predicts. A category that
//! the policy no longer has for the product keeps no deadline.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::cohorts::{DecidingColumns, RowEffect};
use super::migration::{Migration, ProfileInputs, SegmentProfiles, StoredTerms};
use ebbtide_base::ids::{Category, PolicyVersion};
use ebbtide_policy::{Profile, RecordKind};
use ebbtide_table::{NewTags, Predicate, Retagging, RewriteError, StoredSegment};

/// The retagging of rows by a new policy: the rows, and what decides their tags.
pub struct PolicyRetagging {
    migration: Arc<Migration>,
    /// One of the segments: they share everything that decides.
    segment: StoredSegment,
    profile: Profile,
    version: PolicyVersion,
    need: Option<ProfileInputs>,
    /// The columns that decide, by their current names.
    tenant: Option<String>,
    event: String,
    /// The categories for which some of the segments have a deadline, or their profile a term.
    before: BTreeSet<Category>,
}

impl PolicyRetagging {
    /// Creates the retagging of `segments`, which share bucket, profile and policy; `text` is the
    /// text of their profile in the table.
    #[must_use]
    pub fn new(
        migration: &Arc<Migration>,
        segments: &[StoredSegment],
        text: Option<&str>,
        version: &PolicyVersion,
    ) -> Option<PolicyRetagging> {
        // Some may already be in the policy's canonical forms: their subjects do not change.
        let reformed = segments
            .iter()
            .find(|segment| migration.subjects().concerns(segment));
        let segment = reformed.or(segments.first())?.clone();
        let promised = StoredTerms::new(&segment, text);
        let need = match migration.answer(&promised) {
            SegmentProfiles::One(_) => None,
            SegmentProfiles::Rows(need) => Some(need),
        };
        let with_deadlines = segments.iter().flat_map(|segment| segment.deadlines.keys());
        let before = with_deadlines
            .chain(promised.profile.terms.iter().map(|term| &term.category))
            .cloned()
            .collect();
        let profile = promised.profile;
        let (tenant, event) = migration.now();
        Some(PolicyRetagging {
            migration: Arc::clone(migration),
            segment,
            profile,
            version: version.clone(),
            need,
            tenant,
            event,
            before,
        })
    }

    fn deciding(&self) -> DecidingColumns<'_> {
        DecidingColumns {
            tenant: self
                .tenant
                .as_deref()
                .filter(|_| self.need.is_some_and(|need| need.tenant)),
            event: Some(self.event.as_str()).filter(|_| self.need.is_some_and(|need| need.arrival)),
            subjects: Some(&**self.migration.subjects()).filter(|_| self.reforms()),
        }
    }

    fn reforms(&self) -> bool {
        self.need.is_some_and(|need| need.subjects)
    }

    fn promised(&self) -> StoredTerms<'_> {
        StoredTerms {
            segment: &self.segment,
            profile: self.profile.clone(),
        }
    }
}

/// The maximum number of classes of jurisdictions, and of tenants.
const CLASSES: u64 = 1 << 16;

/// The bit of a number that marks rows whose subjects change.
const EDITED: u64 = 1 << 31;

/// Encodes the effect on a row as one number.
fn number(RowEffect { kind, late, edited }: RowEffect) -> u64 {
    let part = |class: usize| u64::try_from(class).unwrap_or(0) % CLASSES;
    let late = u64::from(late) % EDITED + if edited { EDITED } else { 0 };
    ((part(kind.country) * CLASSES + part(kind.tenant)) << 32) + late
}

fn parts(number: u64) -> (RecordKind, u32) {
    let class = |class: u64| usize::try_from(class % CLASSES).unwrap_or(0);
    let (kind, late) = (number >> 32, number % EDITED);
    (
        RecordKind {
            country: class(kind / CLASSES),
            tenant: class(kind),
        },
        u32::try_from(late).unwrap_or(0),
    )
}

impl Retagging for PolicyRetagging {
    fn columns(&self) -> Vec<&str> {
        self.deciding().columns()
    }

    fn concerns(&self) -> Option<Predicate> {
        None
    }

    fn assign(&self, rows: &RecordBatch) -> Result<Vec<u64>, RewriteError> {
        if self.need.is_none() {
            let kind = self.migration.kinds(&self.promised()).first().copied();
            let one = kind.map_or(0, |kind| {
                number(RowEffect {
                    kind,
                    late: self.profile.late,
                    edited: false,
                })
            });
            return Ok(vec![one; rows.num_rows()]);
        }
        let promised = self.promised();
        Ok(self
            .deciding()
            .rows(rows, &self.migration, &promised)
            .map(number)
            .collect())
    }

    fn target(&self, number: u64) -> Option<NewTags> {
        let promised = self.promised();
        let (kind, late) = parts(number);
        let profile = self.migration.profile(kind, late, &promised)?;
        if profile.id == self.segment.profile && self.migration.keeps_columns() && !self.reforms() {
            return None;
        }
        let deadlines = profile.deadlines(self.migration.calendar(), self.segment.bucket);
        let removed = self
            .before
            .iter()
            .filter(|category| !profile.terms.iter().any(|term| term.category == **category));
        let removed: Vec<_> = removed.map(|category| (category.clone(), None)).collect();
        let deadlines = profile
            .terms
            .iter()
            .map(|term| term.category.clone())
            .zip(deadlines)
            .chain(removed)
            .collect();
        Some(NewTags {
            profile: profile.id,
            profile_text: profile.text,
            deadlines,
            policy_version: Some(self.version.clone()),
            forms: self.migration.subjects().mark().filter(|_| self.reforms()),
        })
    }

    fn edits(&self, number: u64) -> bool {
        self.reforms() && number & EDITED != 0
    }

    fn edit(&self, rows: &RecordBatch) -> Result<RecordBatch, RewriteError> {
        if self.reforms() {
            self.migration.subjects().edit(rows)
        } else {
            Ok(rows.clone())
        }
    }
}
