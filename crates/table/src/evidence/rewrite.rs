//! Evidence of one rewrite: the fields that it dropped, and the records that became cells, were
//! removed, suppressed or held back.
//!
//! It contains only counts and names of categories. Every record of the removed segments is
//! accounted for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use ebbtide_base::ids::Category;

/// The part of the evidence that only a rewrite has. The caller fills it in; the commit checks it
/// against the segments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RewriteEvidence {
    /// Rows of the segments that it removed.
    pub rows_in: u64,
    /// Rows of the segments that it added, including cells.
    pub rows_out: u64,
    /// Records that the removed segments stood for.
    pub records_in: u64,
    /// Records that the added segments stand for.
    pub records_out: u64,
    /// Fields that were left out, by category.
    pub dropped: BTreeMap<Category, u64>,
    /// Records that were removed without a cell.
    pub removed: u64,
    /// Cells that were added.
    pub cells: u64,
    /// Records that those cells stand for.
    pub cell_records: u64,
    /// Records of cells that stood for too few subjects and were therefore not kept.
    pub suppressed: u64,
    /// Records that were due and stay because they are held.
    pub held: u64,
    /// Records whose tags were brought up to date.
    #[serde(skip_serializing_if = "is_zero")]
    pub retagged: u64,
    /// Fields whose deadline moved, was added or became open by these new tags, by category.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub moved: BTreeMap<Category, u64>,
    /// Fields that the policy no longer names and that were therefore dropped.
    #[serde(skip_serializing_if = "is_zero")]
    pub unclassified: u64,
    /// Bytes of column chunks that were copied as they are.
    pub bytes_copied: u64,
    /// Bytes of column chunks that were left out.
    pub bytes_dropped: u64,
}

impl RewriteEvidence {
    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &RewriteEvidence) {
        self.rows_in += other.rows_in;
        self.rows_out += other.rows_out;
        self.records_in += other.records_in;
        self.records_out += other.records_out;
        for (category, fields) in &other.dropped {
            *self.dropped.entry(category.clone()).or_default() += fields;
        }
        self.removed += other.removed;
        self.cells += other.cells;
        self.cell_records += other.cell_records;
        self.suppressed += other.suppressed;
        self.held += other.held;
        self.retagged += other.retagged;
        for (category, fields) in &other.moved {
            *self.moved.entry(category.clone()).or_default() += fields;
        }
        self.unclassified += other.unclassified;
        self.bytes_copied += other.bytes_copied;
        self.bytes_dropped += other.bytes_dropped;
    }

    /// Returns true if every record of the removed segments is in the added ones, removed or
    /// suppressed.
    #[must_use]
    pub fn conserves(&self) -> bool {
        let ended = self.removed.checked_add(self.suppressed);
        ended.and_then(|ended| ended.checked_add(self.records_out)) == Some(self.records_in)
            && self.cell_records <= self.records_out
            && self.cells <= self.rows_out
            && self.retagged <= self.records_out
    }
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
