//! What is said of an answer behind its records: how many, of which versions, and what was not shown or not looked into.
//!
//! Must never name what was looked for.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::report::{counted, national_note};
use crate::disclosure::{Inquiry, Summary};
use crate::ids::{Category, ProductKey};

/// What was looked into of one table, once its answer is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct TableTold {
    pub(super) product: ProductKey,
    /// The version that the answer is of; null where there is no table.
    pub(super) version: Option<u64>,
    /// Records that were written.
    pub(super) records: u64,
    /// Of these, those that a hold covers.
    pub(super) held: u64,
    /// Of how many of them a category is withheld.
    pub(super) withheld: BTreeMap<Category, u64>,
    /// Files of another engine, which were not looked into.
    pub(super) unknown: u64,
    /// Columns that the policy does not name, which are not shown.
    pub(super) unnamed: Vec<String>,
}

impl TableTold {
    pub(super) fn new(product: &ProductKey, version: Option<u64>, summary: Summary) -> TableTold {
        let Summary { records, held, withheld, unknown, unnamed } = summary;
        TableTold { product: product.clone(), version, records, held, withheld, unknown, unnamed }
    }
}

/// What else is told once all answers are whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Told {
    pub(super) tables: Vec<TableTold>,
    /// Tables that were not looked into, and why.
    pub(super) passed: Vec<PassedBy>,
    /// Whether there may be more records than were asked for.
    pub(super) more: bool,
}

/// A table that was not looked into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct PassedBy {
    pub(super) product: ProductKey,
    pub(super) why: String,
}

impl Told {
    /// It all in words.
    pub(super) fn text(&self, inquiry: &Inquiry) -> String {
        let records: u64 = self.tables.iter().map(|table| table.records).sum();
        let there = self.tables.iter().filter_map(|table| Some((table, table.version?)));
        let versions: Vec<String> =
            there.map(|(table, version)| format!("{} at version {version}", table.product)).collect();
        let looked = match versions.is_empty() {
            true => "there is no table to look into".to_owned(),
            false => format!("looked into {}", versions.join(", ")),
        };
        let mut out = format!("{}; {looked}\n", counted(records, "record"));
        for table in &self.tables {
            let product = &table.product;
            if table.held > 0 {
                out += &format!("note: {product}: {} under a hold, shown whole\n", counted(table.held, "record"));
            }
            for (category, count) in &table.withheld {
                let records = counted(*count, "record");
                out += &format!(
                    "note: {product}: {category} of {records} is withheld: it is due, and no sweep has been there yet\n"
                );
            }
            if table.unknown > 0 {
                let files = counted(table.unknown, "file");
                out += &format!("note: {product}: {files} of another engine could not be looked into\n");
            }
            if !table.unnamed.is_empty() {
                let columns = table.unnamed.join(", ");
                out += &format!("note: {product}: the policy does not name {columns}, so that is not shown\n");
            }
        }
        for PassedBy { product, why } in &self.passed {
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
