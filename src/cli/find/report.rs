//! The report after the found records: their number, the versions of the tables, and what was not
//! shown or not read.
//!
//! Must never name what was searched for.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::report::{counted, national_note};
use ebbtide_base::ids::{Category, ProductKey};
use ebbtide_services::record_search::{SearchRequest, SearchSummary};

/// The report about one table, once its answer is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct TableSearchReport {
    pub(super) product: ProductKey,
    /// The version of the table that was read; null if there is no table.
    pub(super) version: Option<u64>,
    /// The number of records that were written.
    pub(super) records: u64,
    /// The number of these records that a hold covers.
    pub(super) held: u64,
    /// The number of these records of which a category is withheld, for each category.
    pub(super) withheld: BTreeMap<Category, u64>,
    /// The number of files of another engine, which were not read.
    pub(super) unknown: u64,
    /// Columns that the policy does not name, which are not shown.
    pub(super) unnamed: Vec<String>,
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
pub(super) struct SearchReport {
    pub(super) tables: Vec<TableSearchReport>,
    /// The tables that were not read, with the reason.
    pub(super) passed: Vec<SkippedTable>,
    /// True if there may be more records than were asked for.
    pub(super) more: bool,
}

/// A table that was not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct SkippedTable {
    pub(super) product: ProductKey,
    pub(super) why: String,
}

impl SearchReport {
    /// Returns the report as text.
    pub(super) fn text(&self, inquiry: &SearchRequest) -> String {
        let records: u64 = self.tables.iter().map(|table| table.records).sum();
        let there = self
            .tables
            .iter()
            .filter_map(|table| Some((table, table.version?)));
        let versions: Vec<String> = there
            .map(|(table, version)| format!("{} at version {version}", table.product))
            .collect();
        let looked = match versions.is_empty() {
            true => "there is no table to look into".to_owned(),
            false => format!("looked into {}", versions.join(", ")),
        };
        let mut out = format!("{}; {looked}\n", counted(records, "record"));
        for table in &self.tables {
            let product = &table.product;
            if table.held > 0 {
                out += &format!(
                    "note: {product}: {} under a hold, shown whole\n",
                    counted(table.held, "record")
                );
            }
            for (category, count) in &table.withheld {
                let records = counted(*count, "record");
                out += &format!(
                    "note: {product}: {category} of {records} is withheld: it is due, and no sweep has been there yet\n"
                );
            }
            if table.unknown > 0 {
                let files = counted(table.unknown, "file");
                out += &format!(
                    "note: {product}: {files} of another engine could not be looked into\n"
                );
            }
            if !table.unnamed.is_empty() {
                let columns = table.unnamed.join(", ");
                out += &format!(
                    "note: {product}: the policy does not name {columns}, so that is not shown\n"
                );
            }
        }
        for SkippedTable { product, why } in &self.passed {
            out += &format!("note: table {product} was not looked into: it {why}\n");
        }
        if let Some(note) = national_note(inquiry.subject.as_ref(), "found") {
            out += &format!("note: {note}\n");
        }
        if self.more {
            out += "note: the limit is reached; there may be more records\n";
        }
        out
    }
}
