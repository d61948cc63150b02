//! The plan and the result of a sweep as text for people.

use std::fmt::Write;

use crate::cli::report::counted;
use ebbtide_maintenance::SweepReport;
use ebbtide_services::sweep::{SweepOutcome, SweepPlanReport, TaskReport};

/// Returns the planned work as text, one line for each piece.
pub(super) fn plan(plan: &SweepPlanReport) -> String {
    let mut out = String::new();
    for TaskReport {
        product,
        bucket,
        profile,
        action,
        due,
        segments,
        records,
        held,
        bytes,
    } in &plan.works
    {
        let held = if *held > 0 {
            format!(", {held} more held")
        } else {
            String::new()
        };
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            out,
            "{product} {bucket} {profile}: {action}, due {due}: {} in {}, {}{held}",
            counted(*records, "record"),
            counted(*segments, "segment"),
            counted(*bytes, "byte"),
        );
    }
    if plan.works.is_empty() {
        out.push_str("nothing is due\n");
    }
    if plan.more {
        out.push_str("and more, which one plan does not list\n");
    }
    out
}

/// Returns the result of a sweep as text.
pub(super) fn outcome(done: &SweepOutcome) -> String {
    let round = &done.round;
    // Writing to a `String` cannot fail.
    let mut out = done_lines(round, done.unlinked);
    if let Some((clock, reason)) = round.clock.zip(done.reason.as_ref()) {
        let _ = writeln!(out, "stopped: the clock is not trusted ({clock}): {reason}");
    }
    if !done.failures.is_empty() {
        let files = counted(done.undeleted, "file");
        let _ = writeln!(out, "{files} could not be deleted: {}", done.failures);
    }
    if done.unknown_tables > 0 {
        let tables = counted(done.unknown_tables, "table");
        let _ = writeln!(
            out,
            "files to delete are not known in {tables}; the log says why"
        );
    }
    if round.failed > 0 {
        let _ = writeln!(out, "{} failed; the log says why", pieces(round.failed));
    } else if round.more {
        out.push_str("more is due\n");
    }
    out
}

/// Returns the lines that describe the result of a round.
fn done_lines(round: &SweepReport, unlinked: usize) -> String {
    let did = &round.did;
    let fields: u64 = did.dropped.values().sum();
    let mut out = format!(
        "{} in {}: {} dropped, {} ended ({} in {}, {} suppressed, {} removed), {} held; {} copied, {} dropped; \
         {} unlinked\n",
        pieces(round.works),
        counted(round.commits, "commit"),
        counted(fields, "field"),
        counted(did.cell_records + did.suppressed + did.removed, "record"),
        did.cell_records,
        counted(did.cells, "cell"),
        did.suppressed,
        did.removed,
        did.held,
        counted(did.bytes_copied, "byte"),
        counted(did.bytes_dropped, "byte"),
        counted(unlinked, "replaced file"),
    );
    // Writing to a `String` cannot fail.
    if did.retagged > 0 {
        let _ = writeln!(
            out,
            "{} brought up to date",
            counted(did.retagged, "record")
        );
    }
    if did.unclassified > 0 {
        let fields = counted(did.unclassified, "field");
        let _ = writeln!(
            out,
            "{fields} left out that the active policy does not name"
        );
    }
    out
}

/// Formats a number of pieces of work.
pub(super) fn pieces(number: u64) -> String {
    if number == 1 {
        "1 piece of work".to_owned()
    } else {
        format!("{number} pieces of work")
    }
}
