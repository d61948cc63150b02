//! Holds as text for people. A subject's value is shown only if an option asks for it.

use std::fmt::{self, Write};

use crate::cli::time_arg::instant;
use ebbtide_base::ids::ProductKey;
use ebbtide_controls::Scope;
use ebbtide_services::holds::{HoldReport, ListedHold, ReleaseReport};

/// Returns the report about a hold as text. `until` is its end in words.
pub(super) fn report(report: &HoldReport, until: &str) -> String {
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = write_report(report, until, &mut out);
    out
}

fn write_report(report: &HoldReport, until: &str, out: &mut String) -> fmt::Result {
    match (&report.id, report.control) {
        (Some(id), Some(control)) => {
            writeln!(out, "{id} is in force until {until}, as control {control}")?;
        }
        _ => writeln!(
            out,
            "Nothing was placed. This hold would be in force until {until}"
        )?,
    }
    scope_lines(out, &report.scope, false)?;
    let tables = if report.placed {
        "In force in"
    } else {
        "It would be in force in"
    };
    match report.tables.as_slice() {
        [] => writeln!(
            out,
            "\nNo table is covered yet; those made later begin under it"
        )?,
        some => {
            writeln!(out, "\n{tables} these tables, and in those made later:")?;
            let width = some
                .iter()
                .map(|table| table.product.as_str().len())
                .max()
                .unwrap_or(0);
            for table in some {
                writeln!(
                    out,
                    "  {:<width$}  {}",
                    table.product.as_str(),
                    table.reading.join(", ")
                )?;
            }
        }
    }
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    Ok(())
}

/// Returns the report about a release as text.
pub(super) fn release(report: &ReleaseReport) -> String {
    let tables = names(&report.tables);
    format!(
        "{} is released in {tables}, as control {}; what it covered is forgotten\n",
        report.id, report.control
    )
}

/// Returns the holds as text.
pub(super) fn list(holds: &[ListedHold], reveal: bool) -> String {
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = write_list(holds, reveal, &mut out);
    out
}

fn write_list(holds: &[ListedHold], reveal: bool, out: &mut String) -> fmt::Result {
    if holds.is_empty() {
        writeln!(out, "There are no holds.")?;
    }
    for (number, hold) in holds.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        let at = hold
            .released_at
            .map_or_else(String::new, |at| format!(" at {}", instant(at)));
        writeln!(out, "{}  {}{at}", hold.id, hold.state)?;
        writeln!(out, "  case      {}", hold.case)?;
        writeln!(out, "  basis     {}", hold.basis)?;
        writeln!(
            out,
            "  placed    {}, as control {}",
            instant(hold.placed_at),
            hold.control
        )?;
        writeln!(out, "  until     {}", instant(hold.until))?;
        match &hold.scope {
            Some(scope) => scope_lines(out, scope, reveal)?,
            None => writeln!(out, "  covered   is forgotten")?,
        }
        let label = if hold.released_at.is_some() {
            "released"
        } else {
            "tables  "
        };
        writeln!(out, "  {label}  {}", names(&hold.tables))?;
        if !hold.missing.is_empty() {
            writeln!(
                out,
                "  MISSING   {}: finish it with `ebbtide hold list --repair`",
                names(&hold.missing)
            )?;
        }
    }
    Ok(())
}

/// Writes the conditions of a scope, one per line.
fn scope_lines(out: &mut String, scope: &Scope, reveal: bool) -> fmt::Result {
    match &scope.subject {
        Some(subject) if reveal => writeln!(out, "  subject   {}", subject.revealed())?,
        Some(subject) => writeln!(out, "  subject   {subject}")?,
        None => {}
    }
    if let Some(tenant) = &scope.tenant {
        writeln!(out, "  tenant    {tenant}")?;
    }
    writeln!(
        out,
        "  products  {}",
        if scope.products.is_empty() {
            "all".to_owned()
        } else {
            names(&scope.products)
        }
    )?;
    if let Some(range) = scope.events {
        let ends = [
            range.from.map(|from| format!("from {}", instant(from))),
            range.to.map(|to| format!("before {}", instant(to))),
        ];
        writeln!(
            out,
            "  events    {}",
            ends.into_iter().flatten().collect::<Vec<_>>().join(" and ")
        )?;
    }
    Ok(())
}

/// Lists products in one line.
fn names(products: &[ProductKey]) -> String {
    match products {
        [] => "no table".to_owned(),
        some => some
            .iter()
            .map(ProductKey::as_str)
            .collect::<Vec<_>>()
            .join(", "),
    }
}
