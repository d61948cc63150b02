//! The contents and the audit of a table as text for people.

use std::fmt::{self, Write};

use crate::cli::report::counted;
use ebbtide_query::{Audit, AuditedContents, Leftovers};
use ebbtide_services::tables::{AuditReport, TableReport};

/// Returns the contents of a table as text.
pub(super) fn overview(report: &TableReport) -> String {
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = write_overview(report, &mut out);
    out
}

/// Returns the result of an audit as text.
pub(super) fn audit(report: &AuditReport) -> String {
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = write_audit(report, &mut out);
    out
}

/// Writes the lines about files that should be deleted and still exist; no line if there are none.
fn leftover_lines(out: &mut String, left: &Leftovers) -> fmt::Result {
    if left.in_grace > 0 {
        writeln!(
            out,
            "  replaced  {} within the readers' grace",
            counted(left.in_grace, "file")
        )?;
    }
    if left.undeleted > 0 {
        let since = left.undeleted_since.map_or_else(String::new, |since| {
            format!(
                ", the first since {}",
                since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
            )
        });
        let files = counted(left.undeleted, "file");
        writeln!(
            out,
            "  UNDELETED {files} should be deleted and still exist{since}; `ebbtide sweep` deletes or says why not"
        )?;
    }
    Ok(())
}

fn write_overview(report: &TableReport, out: &mut String) -> fmt::Result {
    let TableReport {
        overview: seen,
        leftovers: left,
    } = report;
    writeln!(out, "Table {} at version {}", seen.product, seen.version)?;
    writeln!(out, "  records   {}", seen.records)?;
    writeln!(out, "  segments  {}", seen.segments)?;
    writeln!(out, "  bytes     {}", seen.bytes)?;
    writeln!(out, "  controls  {}", seen.controls)?;
    leftover_lines(out, left)?;
    if !seen.deadlines.is_empty() {
        writeln!(out, "\nRecords by when a category is due")?;
        let head = [
            "category",
            "nearest deadline",
            "due",
            "24 hours",
            "7 days",
            "30 days",
            "later",
            "open",
        ];
        let mut lines = vec![head.map(str::to_owned)];
        lines.extend(seen.deadlines.iter().map(|ahead| {
            let next = ahead
                .next
                .map_or_else(|| "-".to_owned(), |next| next.to_string());
            let count = |n: u64| n.to_string();
            [
                ahead.category.to_string(),
                next,
                count(ahead.due),
                count(ahead.within_a_day),
                count(ahead.within_a_week),
                count(ahead.within_a_month),
                count(ahead.later),
                count(ahead.open),
            ]
        }));
        columns(out, &lines)?;
    }
    if !seen.partitions.is_empty() {
        writeln!(out, "\nNext offsets")?;
        let lines: Vec<_> = seen
            .partitions
            .iter()
            .map(|at| [at.partition.to_string(), at.next.to_string()])
            .collect();
        columns(out, &lines)?;
    }
    Ok(())
}

fn write_audit(report: &AuditReport, out: &mut String) -> fmt::Result {
    let AuditReport {
        audit: found,
        leftovers: left,
        ..
    } = report;
    writeln!(
        out,
        "Audit of table {} at version {}",
        found.product, found.version
    )?;
    if found.oldest_entry > 0 {
        let before = found.oldest_entry;
        writeln!(
            out,
            "  entries before version {before} are cleaned away: what they did is known by its sums alone"
        )?;
    }
    if let Some(totals) = &found.totals {
        let skipped = if totals.skipped > 0 {
            format!(" + skipped {}", totals.skipped)
        } else {
            String::new()
        };
        writeln!(
            out,
            "  read {} = stored {} + expired {}{skipped} + dead letters {} in {} commits, {} of them seen",
            totals.read,
            totals.stored,
            totals.expired,
            totals.dead_letters,
            totals.commits,
            found.commits
        )?;
    }
    if let Some(totals) = found
        .totals
        .filter(|totals| totals.removed + totals.suppressed > 0)
    {
        let (removed, suppressed) = (totals.removed, totals.suppressed);
        writeln!(
            out,
            "  of those stored, {removed} were removed and {suppressed} suppressed: {} are left",
            totals.kept()
        )?;
    }
    if let Some(lost) = found
        .totals
        .map(|totals| totals.lost_offsets)
        .filter(|lost| *lost > 0)
    {
        writeln!(
            out,
            "  {lost} offsets were lost before they were read, and accepted as lost by an operator"
        )?;
    }
    if found.foreign_commits > 0 {
        writeln!(
            out,
            "  other engines made {} commits and added {} rows",
            found.foreign_commits, found.foreign_rows
        )?;
    }
    writeln!(
        out,
        "  the table holds {} records in {} files, {} bytes",
        found.records, found.segments, found.bytes
    )?;
    leftover_lines(out, left)?;
    if let Some(contents) = &found.contents {
        let AuditedContents {
            bytes,
            digests,
            pages,
            pages_without_checksum,
        } = contents;
        writeln!(
            out,
            "  read {bytes} bytes: {digests} files have a digest, {pages} pages a checksum"
        )?;
        if *pages_without_checksum > 0 {
            writeln!(
                out,
                "  {pages_without_checksum} pages have no checksum: they were unpacked, that is all that can be checked"
            )?;
        }
    }
    for broken in &found.broken {
        writeln!(out, "  BROKEN: {broken}")?;
    }
    write!(out, "{}", verdict(found, left))
}

/// Returns the last line of an audit. Files that should be deleted are not an error, but the line
/// does not say then that everything holds.
fn verdict(found: &Audit, left: &Leftovers) -> String {
    let holds = match (found.holds(), left.undeleted) {
        (false, _) => return "It does not hold.\n".to_owned(),
        (true, 0) => "Everything holds.",
        (true, _) => "No error was found, but files that should be deleted still exist.",
    };
    let unread = match found.contents {
        Some(_) => "",
        None => " The bytes of the files were not read: --bytes reads and checks them.",
    };
    format!("{holds}{unread}\n")
}

/// Writes lines of cells. The first column is aligned left, the others right; each is as wide as
/// its widest cell.
fn columns<const N: usize>(out: &mut String, lines: &[[String; N]]) -> fmt::Result {
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    for line in lines {
        write!(out, "  {:<first$}", line[0], first = width(0))?;
        for (column, cell) in line.iter().enumerate().skip(1) {
            write!(out, "  {cell:>width$}", width = width(column))?;
        }
        writeln!(out)?;
    }
    Ok(())
}
