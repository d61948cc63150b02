//! The result of a search for values as text for people.

use std::fmt::{self, Write};

use crate::cli::report::counted;
use ebbtide_query::residue::{BloomCounts, ResidueOutcome, ResidueReport, SearchCounts};

/// Returns the result as text, with at most `limit` findings.
pub(super) fn text(found: &ResidueReport, root: &str, limit: usize) -> String {
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = write_report(found, root, limit, &mut out);
    out
}

fn write_report(found: &ResidueReport, root: &str, limit: usize, out: &mut String) -> fmt::Result {
    let values = counted(found.values, "value");
    writeln!(
        out,
        "Searched {} under {root}, {}, for {values}",
        counted(found.files, "file"),
        counted(found.bytes, "byte")
    )?;
    write_forms(out, &found.searched_for)?;
    for finding in found.findings.iter().take(limit) {
        writeln!(out, "values line {}: {finding}", finding.line)?;
    }
    if found.findings.len() > limit {
        writeln!(
            out,
            "... and {} more; --limit {} lists them all",
            found.findings.len() - limit,
            found.findings.len()
        )?;
    }
    for missed in found.unsearched.iter().take(limit) {
        writeln!(
            out,
            "COULD NOT BE SEARCHED: {}: {}",
            missed.file, missed.why
        )?;
    }
    if found.unsearched.len() > limit {
        writeln!(
            out,
            "... and {} more that could not be searched",
            found.unsearched.len() - limit
        )?;
    }
    write_blooms(out, &found.blooms)?;
    let places = counted(found.findings.len(), "place");
    let missed = counted(found.unsearched.len(), "part");
    match found.verdict() {
        ResidueOutcome::Clean => writeln!(out, "Clean: none of the values was found.")?,
        ResidueOutcome::Incomplete => {
            writeln!(out, "Nothing found, but {missed} could not be searched.")?
        }
        ResidueOutcome::Found => {
            let but = if found.unsearched.is_empty() {
                String::new()
            } else {
                format!("; {missed} could not be searched")
            };
            writeln!(
                out,
                "Found {} of {values}, in {places}{but}.",
                found.found()
            )?;
        }
    }
    Ok(())
}

/// Writes the number of forms that the values were searched in, so that a misread list is noticed.
fn write_forms(out: &mut String, searched: &SearchCounts) -> fmt::Result {
    let repeated = match searched.repeated {
        0 => String::new(),
        lines => format!(
            "; {} repeated one and {} left out",
            counted(lines, "line"),
            if lines == 1 { "was" } else { "were" }
        ),
    };
    writeln!(
        out,
        "Each value in all of its forms: {}, {}, {}{repeated}",
        counted(searched.texts, "whole text"),
        counted(searched.patterns, "byte pattern"),
        counted(searched.numbers, "number"),
    )
}

fn write_blooms(out: &mut String, blooms: &BloomCounts) -> fmt::Result {
    if blooms.maybe == 0 {
        return Ok(());
    }
    let chance = if blooms.beyond_chance() {
        "more than chance explains"
    } else {
        "as chance has it"
    };
    writeln!(
        out,
        "{} said \"maybe\" {} of values that their columns do not hold, {:.1} expected: {chance}",
        counted(blooms.filters, "bloom filter"),
        counted(blooms.maybe, "time"),
        blooms.expected
    )
}
