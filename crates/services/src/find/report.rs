//! The report after the found records: their number, the versions of the tables, and what was not
//! shown or not read.
//!
//! Must never name what was searched for.

use std::collections::BTreeMap;

use serde::Serialize;

use ebbtide_base::ids::{Category, ProductKey};

use crate::record_search::{SearchSummary, SkipReason};

/// The report about one table, once its answer is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableSearchReport {
    /// The product of the table.
    pub product: ProductKey,
    /// The version of the table that was read; null if there is no table.
    pub version: Option<u64>,
    /// The number of records that were written.
    pub records: u64,
    /// The number of these records that a hold covers.
    pub held: u64,
    /// The number of these records of which a category is withheld, for each category.
    pub withheld: BTreeMap<Category, u64>,
    /// The number of files of another engine, which were not read.
    pub unknown: u64,
    /// Columns that the policy does not name, which are not shown.
    pub unnamed: Vec<String>,
}

impl TableSearchReport {
    pub(super) fn new(
        product: &ProductKey,
        version: Option<u64>,
        summary: SearchSummary,
    ) -> TableSearchReport {
        let SearchSummary {
            records,
            held,
            withheld,
            unknown,
            unnamed,
        } = summary;
        TableSearchReport {
            product: product.clone(),
            version,
            records,
            held,
            withheld,
            unknown,
            unnamed,
        }
    }
}

/// The report about all tables, once all answers are complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SearchReport {
    /// The tables that were read.
    pub tables: Vec<TableSearchReport>,
    /// The tables that were not read, with the reason.
    pub passed: Vec<SkippedTable>,
    /// True if there may be more records than were asked for.
    pub more: bool,
}

/// A table that was not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SkippedTable {
    /// The product of the table.
    pub product: ProductKey,
    /// The reason.
    pub why: SkipReason,
}

impl SearchReport {
    /// Returns the number of records that were written.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.tables.iter().map(|table| table.records).sum()
    }

    /// Returns true if everything that may have such records was read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let unknown = self.tables.iter().any(|table| table.unknown > 0);
        let mut skipped = self.passed.iter();
        !unknown && !skipped.any(|table| table.why == SkipReason::NotInPolicy)
    }
}
