//! The effect of a new policy on the stored records of one product, in counts. Pure: cohorts of
//! like rows in, sums out.
//!
//! A field is one category of one record, as in all counts of fields. Data that is already deleted
//! is not counted.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::migration::{Migration, StoredTerms};
use ebbtide_base::ids::{Category, Deadline, ProductKey};
use ebbtide_policy::{FieldDiff, RecordKind};

/// Rows of one segment that are affected in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cohort {
    /// Their kind.
    pub kind: RecordKind,
    /// The number of buckets after their own from which their minimums count.
    pub late: u32,
    /// True if their subjects change their form.
    pub edited: bool,
    /// The number of rows.
    pub rows: u64,
}

/// The effect on one product's stored records.
#[derive(Debug, Clone, Serialize)]
pub struct ProductEffect {
    /// The product.
    pub product: ProductKey,
    /// Stored records, without those in cells, which no policy changes any more.
    pub records: u64,
    /// Records whose tags must be rewritten.
    pub stale: u64,
    /// Fields whose deadline moves, by category and jurisdictions.
    pub moved: Vec<MovedFields>,
    /// Columns that are removed, renamed or moved to another category.
    pub columns: Vec<ColumnEffect>,
    /// Records with a subject that changes to another canonical form.
    pub reformed: u64,
    /// Bytes of segments that are copied with rewritten tags: their rows stay together.
    pub bytes_copied: u64,
    /// Bytes of segments that are split, and so decoded and encoded.
    pub bytes_rewritten: u64,
    /// Segments that had to be opened for the counts.
    pub opened: u64,
    /// Files whose due data is not known, since another engine wrote them.
    pub unknown_files: u64,
    #[serde(skip)]
    by_kind: BTreeMap<(Category, usize), DeadlineMoves>,
    #[serde(skip)]
    by_column: BTreeMap<FieldDiff, (u64, DeadlineMoves)>,
}

/// The number of fields whose deadline moves, by direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DeadlineMoves {
    /// Fields whose deadline becomes earlier.
    pub earlier: u64,
    /// Fields whose deadline becomes later, or open.
    pub later: u64,
    /// Of the earlier ones, those that become due immediately.
    pub due_at_once: u64,
}

/// The fields of one category and of some jurisdictions whose deadline moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MovedFields {
    /// The category.
    pub category: Category,
    /// The jurisdictions, which the rules treat alike; empty for those that no rule names.
    pub jurisdictions: Vec<ebbtide_base::ids::Country>,
    /// The number of fields, by direction.
    #[serde(flatten)]
    pub movement: DeadlineMoves,
}

/// The effect on one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnEffect {
    /// The change.
    #[serde(flatten)]
    pub change: FieldDiff,
    /// Records that have the column.
    pub records: u64,
    /// The movement of its deadlines, if it moves to another category.
    #[serde(flatten)]
    pub movement: DeadlineMoves,
}

/// Rows of a segment that get the same deadlines.
struct DeadlineGroup<'d> {
    rows: u64,
    /// The deadline of each category under the new policy; `None` if it is not known.
    deadlines: &'d BTreeMap<&'d Category, Option<Deadline>>,
}

impl DeadlineMoves {
    /// Counts `rows` fields that were due at `before` and will be at `after`; `None` means that no
    /// deadline is known.
    fn count(
        &mut self,
        rows: u64,
        before: Option<Deadline>,
        after: Option<Deadline>,
        now: DateTime<Utc>,
    ) {
        let at =
            |deadline: Option<Deadline>| deadline.map_or(i64::MAX, |deadline| deadline.micros());
        if at(after) > at(before) {
            self.later += rows;
        } else if at(after) < at(before) {
            self.earlier += rows;
            let is_due =
                |deadline: Option<Deadline>| deadline.is_some_and(|deadline| deadline.is_due(now));
            self.due_at_once += if is_due(after) && !is_due(before) {
                rows
            } else {
                0
            };
        }
    }

    fn is_none(&self) -> bool {
        *self == DeadlineMoves::default()
    }
}

impl ProductEffect {
    /// Creates an effect without counts.
    #[must_use]
    pub fn of(product: &ProductKey) -> ProductEffect {
        ProductEffect {
            product: product.clone(),
            records: 0,
            stale: 0,
            moved: Vec::new(),
            columns: Vec::new(),
            reformed: 0,
            bytes_copied: 0,
            bytes_rewritten: 0,
            opened: 0,
            unknown_files: 0,
            by_kind: BTreeMap::new(),
            by_column: BTreeMap::new(),
        }
    }

    /// Counts a segment whose rows are in these cohorts.
    pub fn count(
        &mut self,
        migration: &Migration,
        promised: &StoredTerms<'_>,
        cohorts: &[Cohort],
        now: DateTime<Utc>,
    ) {
        let (mut profiles, mut changed, mut edited) = (BTreeSet::new(), 0, 0);
        let reforms = migration.subjects().concerns(promised.segment);
        for cohort in cohorts {
            let Some(profile) = migration.profile(cohort.kind, cohort.late, promised) else {
                continue;
            };
            let deadlines = profile.deadlines(migration.calendar(), promised.segment.bucket);
            let after: BTreeMap<&Category, Option<Deadline>> = profile
                .terms
                .iter()
                .map(|term| &term.category)
                .zip(deadlines)
                .collect();
            for (category, after) in &after {
                if let Some(before) = promised
                    .stored(category)
                    .filter(|_| migration.stays(category))
                {
                    let moved = self
                        .by_kind
                        .entry(((*category).clone(), cohort.kind.country))
                        .or_default();
                    moved.count(cohort.rows, before, *after, now);
                }
            }
            let group = DeadlineGroup {
                rows: cohort.rows,
                deadlines: &after,
            };
            self.columns_of(migration, promised, group, now);
            let changes =
                reforms || profile.id != promised.segment.profile || !migration.keeps_columns();
            edited += if cohort.edited { cohort.rows } else { 0 };
            changed += if changes { cohort.rows } else { 0 };
            profiles.insert(profile.id);
        }
        self.records += promised.segment.records;
        if changed == 0 {
            return;
        }
        self.stale += changed;
        self.reformed += edited;
        // Columns are copied first, then the tags.
        self.bytes_copied += if migration.moved.reforms() {
            promised.segment.size
        } else {
            0
        };
        match profiles.len() {
            0 | 1 if edited == 0 => self.bytes_copied += promised.segment.size,
            _ => self.bytes_rewritten += promised.segment.size,
        }
    }

    fn columns_of(
        &mut self,
        migration: &Migration,
        promised: &StoredTerms<'_>,
        group: DeadlineGroup<'_>,
        now: DateTime<Utc>,
    ) {
        for change in &migration.moved.fields {
            let class = match change {
                FieldDiff::Added { .. } => continue,
                FieldDiff::Removed { class, .. } => Some(class),
                FieldDiff::Reclassified { from, .. } => Some(from),
                FieldDiff::Renamed { from, .. } => migration.moved.class(from),
            };
            let before = match class.and_then(|class| class.category()) {
                None => None,
                Some(category) => match promised.stored(category) {
                    Some(before) => before,
                    // It is already deleted.
                    None => continue,
                },
            };
            let (records, movement) = self.by_column.entry(change.clone()).or_default();
            *records += group.rows;
            if let FieldDiff::Reclassified { to, .. } = change
                && let Some(to) = to.category()
            {
                let after = group.deadlines.get(to).copied().flatten();
                movement.count(group.rows, before, after, now);
            }
        }
    }

    /// Returns the effect with its sums in order.
    #[must_use]
    pub fn finish(mut self, migration: &Migration) -> ProductEffect {
        let moved = std::mem::take(&mut self.by_kind)
            .into_iter()
            .filter(|(_, movement)| !movement.is_none());
        self.moved = moved
            .map(|((category, country), movement)| {
                let jurisdictions = migration
                    .pairs
                    .jurisdictions(RecordKind { country, tenant: 0 });
                MovedFields {
                    category,
                    jurisdictions,
                    movement,
                }
            })
            .collect();
        let columns = std::mem::take(&mut self.by_column).into_iter();
        self.columns = columns
            .map(|(change, (records, movement))| ColumnEffect {
                change,
                records,
                movement,
            })
            .collect();
        self
    }
}
