//! Partitions and decisions about them as text for people.

use std::fmt::{self, Write};

use ebbtide_base::ids::Offset;
use ebbtide_ingest::partitions::PartitionReport;
use ebbtide_services::partitions::{AcceptLossReport, AllPartitions};

/// Returns a decision as text.
pub(super) fn decision(report: &AcceptLossReport) -> String {
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = write_decision(report, &mut out);
    out
}

fn write_decision(report: &AcceptLossReport, out: &mut String) -> fmt::Result {
    let at = report.table.map_or_else(
        || "has nothing of it".to_owned(),
        |next| format!("is at offset {next}"),
    );
    writeln!(
        out,
        "{}: table {} {at}, Kafka has {}.",
        report.partition, report.product, report.range
    )?;
    let (Some(loss), Some(resume)) = (&report.loss, report.resume) else {
        writeln!(
            out,
            "The partition is not refused: there is nothing to decide, and nothing was changed."
        )?;
        return Ok(());
    };
    writeln!(out, "Loss: {loss}.")?;
    match report.version {
        Some(version) => writeln!(
            out,
            "Accepted in version {version} of the table: reading continues at offset {resume}. Running instances \
                 continue within seconds."
        )?,
        None => writeln!(
            out,
            "Nothing was changed. Without --dry-run the loss is recorded in the table, and reading continues at offset {resume}."
        )?,
    }
    Ok(())
}

/// Returns the partitions as text, one per line.
pub(super) fn list(found: &AllPartitions) -> String {
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = write_list(&found.reports, &mut out);
    out
}

fn write_list(reports: &[PartitionReport], out: &mut String) -> fmt::Result {
    if reports.is_empty() {
        return writeln!(out, "No partition that could be read is refused.");
    }
    let offset =
        |offset: Option<Offset>| offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
    let mut lines = vec![["partition", "table", "first", "end"].map(str::to_owned)];
    lines.extend(reports.iter().map(|report| {
        [
            report.partition.to_string(),
            offset(report.table),
            offset(report.first),
            offset(report.end),
        ]
    }));
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths = [0, 1, 2, 3].map(width);
    let states = std::iter::once("state".to_owned()).chain(reports.iter().map(state));
    for ([partition, table, first, end], state) in lines.iter().zip(states) {
        let [a, b, c, d] = widths;
        writeln!(
            out,
            "{partition:<a$}  {table:>b$}  {first:>c$}  {end:>d$}  {state}"
        )?;
    }
    Ok(())
}

fn state(report: &PartitionReport) -> String {
    match (&report.refused, report.first) {
        (Some(why), _) => format!("refused: {why}"),
        (None, None) if report.fault.is_some() => {
            "unknown: Kafka's position could not be read".to_owned()
        }
        (None, None) => "not in Kafka".to_owned(),
        (None, Some(_)) => "read".to_owned(),
    }
}
