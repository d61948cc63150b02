//! What a new policy does to the stored records of one product, in counts. Pure: lots of alike rows in, sums out.
//!
//! Promises that a field is one category of one record, as in everything that counts fields, and that nothing is counted of
//! what has gone already.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::passage::{Passage, Promised};
use crate::ids::{Category, Deadline, ProductKey};
use crate::policy::{FieldDiff, Kind};

/// Rows of one segment that fare alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lot {
    /// Their kind.
    pub kind: Kind,
    /// How many buckets after their own their minimums count from.
    pub late: u32,
    /// True if their subjects change their form.
    pub edited: bool,
    /// How many.
    pub rows: u64,
}

/// What becomes of one product's stored records.
#[derive(Debug, Clone, Serialize)]
pub struct Effect {
    /// The product.
    pub product: ProductKey,
    /// Records that are stored, but for those in cells, which no policy changes any more.
    pub records: u64,
    /// Records whose tags are to be written anew.
    pub stale: u64,
    /// Fields whose deadline moves, by category and jurisdictions.
    pub moved: Vec<MovedFields>,
    /// Columns that go, or come to another category or name.
    pub columns: Vec<ColumnEffect>,
    /// Records of which a subject changes to another canonical form.
    pub reformed: u64,
    /// Bytes of segments that are copied, tags written anew: their rows stay together.
    pub bytes_copied: u64,
    /// Bytes of segments that are parted, and so decoded and encoded.
    pub bytes_rewritten: u64,
    /// Segments that had to be opened to tell.
    pub opened: u64,
    /// Files of which nobody can tell what is due in them, since another engine wrote them.
    pub unknown_files: u64,
    #[serde(skip)]
    by_kind: BTreeMap<(Category, usize), Movement>,
    #[serde(skip)]
    by_column: BTreeMap<FieldDiff, (u64, Movement)>,
}

/// Where deadlines move to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Movement {
    /// Fields whose deadline becomes earlier.
    pub earlier: u64,
    /// Fields whose deadline becomes later, or open.
    pub later: u64,
    /// Of the earlier ones, those that are due at once and were not.
    pub due_at_once: u64,
}

/// The fields of one category and of some jurisdictions whose deadline moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MovedFields {
    /// The category.
    pub category: Category,
    /// The jurisdictions, which the rules tell apart in the same way; none given: those that no rule names.
    pub jurisdictions: Vec<crate::ids::Country>,
    /// How many, and where to.
    #[serde(flatten)]
    pub movement: Movement,
}

/// What becomes of one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnEffect {
    /// What changes.
    #[serde(flatten)]
    pub change: FieldDiff,
    /// Records that have it.
    pub records: u64,
    /// Where its deadline moves to, where it comes to another category.
    #[serde(flatten)]
    pub movement: Movement,
}

impl Movement {
    /// Counts `rows` fields that were due at `before` and will be at `after`; `None` is never, as far as it is known.
    fn count(&mut self, rows: u64, (before, after): (Option<Deadline>, Option<Deadline>), now: DateTime<Utc>) {
        let at = |deadline: Option<Deadline>| deadline.map_or(i64::MAX, |deadline| deadline.micros());
        if at(after) > at(before) {
            self.later += rows;
        } else if at(after) < at(before) {
            self.earlier += rows;
            let is_due = |deadline: Option<Deadline>| deadline.is_some_and(|deadline| deadline.is_due(now));
            self.due_at_once += if is_due(after) && !is_due(before) { rows } else { 0 };
        }
    }

    fn is_none(&self) -> bool {
        *self == Movement::default()
    }
}

impl Effect {
    /// Nothing counted yet.
    #[must_use]
    pub fn of(product: &ProductKey) -> Effect {
        Effect {
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

    /// Counts a segment whose rows are these lots.
    pub fn count(&mut self, passage: &Passage, promised: &Promised<'_>, lots: &[Lot], now: DateTime<Utc>) {
        let (mut profiles, mut changed, mut edited) = (BTreeSet::new(), 0, 0);
        let reforms = passage.subjects().concerns(promised.segment);
        for lot in lots {
            let Some(profile) = passage.profile(lot.kind, lot.late, promised) else { continue };
            let deadlines = profile.deadlines(passage.calendar(), promised.segment.bucket);
            let after: BTreeMap<&Category, Option<Deadline>> =
                profile.terms.iter().map(|term| &term.category).zip(deadlines).collect();
            for (category, after) in &after {
                if let Some(before) = promised.stored(category).filter(|_| passage.stays(category)) {
                    let moved = self.by_kind.entry(((*category).clone(), lot.kind.country)).or_default();
                    moved.count(lot.rows, (before, *after), now);
                }
            }
            self.columns_of(passage, promised, (lot.rows, &after), now);
            let changes = reforms || profile.id != promised.segment.profile || !passage.keeps_columns();
            edited += if lot.edited { lot.rows } else { 0 };
            changed += if changes { lot.rows } else { 0 };
            profiles.insert(profile.id);
        }
        self.records += promised.segment.records;
        if changed == 0 {
            return;
        }
        self.stale += changed;
        self.reformed += edited;
        // Columns first, tags behind them.
        self.bytes_copied += if passage.moved.reforms() { promised.segment.size } else { 0 };
        match profiles.len() {
            0 | 1 if edited == 0 => self.bytes_copied += promised.segment.size,
            _ => self.bytes_rewritten += promised.segment.size,
        }
    }

    fn columns_of(
        &mut self,
        passage: &Passage,
        promised: &Promised<'_>,
        (rows, after): (u64, &BTreeMap<&Category, Option<Deadline>>),
        now: DateTime<Utc>,
    ) {
        for change in &passage.moved.fields {
            let class = match change {
                FieldDiff::Added { .. } => continue,
                FieldDiff::Removed { class, .. } => Some(class),
                FieldDiff::Reclassified { from, .. } => Some(from),
                FieldDiff::Renamed { from, .. } => passage.moved.class(from),
            };
            let before = match class.and_then(|class| class.category()) {
                None => None,
                Some(category) => match promised.stored(category) {
                    Some(before) => before,
                    // It has gone.
                    None => continue,
                },
            };
            let (records, movement) = self.by_column.entry(change.clone()).or_default();
            *records += rows;
            if let FieldDiff::Reclassified { to, .. } = change
                && let Some(to) = to.category()
            {
                movement.count(rows, (before, after.get(to).copied().flatten()), now);
            }
        }
    }

    /// The sums, in order.
    #[must_use]
    pub fn finish(mut self, passage: &Passage) -> Effect {
        let moved = std::mem::take(&mut self.by_kind).into_iter().filter(|(_, movement)| !movement.is_none());
        self.moved = moved
            .map(|((category, country), movement)| {
                let jurisdictions = passage.pairs.jurisdictions(Kind { country, tenant: 0 });
                MovedFields { category, jurisdictions, movement }
            })
            .collect();
        let columns = std::mem::take(&mut self.by_column).into_iter();
        self.columns =
            columns.map(|(change, (records, movement))| ColumnEffect { change, records, movement }).collect();
        self
    }
}
