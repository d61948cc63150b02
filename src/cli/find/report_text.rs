//! The report after the found records as text for people.
//!
//! Must never name what was searched for.

use crate::cli::report::counted;
use ebbtide_services::find::{SearchReport, SkippedTable};
use ebbtide_services::record_search::SearchRequest;
use ebbtide_services::subject_notes::national_note;

/// Returns the report as text.
pub(super) fn text(report: &SearchReport, inquiry: &SearchRequest) -> String {
    let there = report
        .tables
        .iter()
        .filter_map(|table| Some((table, table.version?)));
    let versions: Vec<String> = there
        .map(|(table, version)| format!("{} at version {version}", table.product))
        .collect();
    let looked = match versions.is_empty() {
        true => "there is no table to search".to_owned(),
        false => format!("searched {}", versions.join(", ")),
    };
    let mut out = format!("{}; {looked}\n", counted(report.records(), "record"));
    for table in &report.tables {
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
                "note: {product}: {category} of {records} is withheld: it is due, and not swept yet\n"
            );
        }
        if table.unknown > 0 {
            let files = counted(table.unknown, "file");
            out += &format!("note: {product}: {files} of another engine could not be searched\n");
        }
        if !table.unnamed.is_empty() {
            let columns = table.unnamed.join(", ");
            out += &format!(
                "note: {product}: the policy does not name {columns}, so that is not shown\n"
            );
        }
    }
    for SkippedTable { product, why } in &report.passed {
        out += &format!("note: table {product} was not searched: it {why}\n");
    }
    if let Some(note) = national_note(inquiry.subject.as_ref(), "found") {
        out += &format!("note: {note}\n");
    }
    if report.more {
        out += "note: the limit is reached; there may be more records\n";
    }
    out
}
