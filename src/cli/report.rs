//! The report about the problems of one file that a user wrote, for every `check` command, as text.

use super::{CommandOutput, OutputFormat, json};
use ebbtide_services::problem_report::ProblemReport;

/// Returns the outcome of a command whose result is a report about a file.
pub(super) fn problems(report: &ProblemReport, output: OutputFormat) -> CommandOutput {
    let text = match output {
        OutputFormat::Json => json(report),
        OutputFormat::Text => text(report),
    };
    CommandOutput::checked(text, report.errors == 0)
}

fn text(report: &ProblemReport) -> String {
    let lines: String = report
        .problems
        .iter()
        .map(|problem| format!("{problem}\n"))
        .collect();
    let file = &report.file;
    match (report.errors, report.warnings) {
        (0, 0) => format!("{lines}{file}: no problems\n"),
        (errors, warnings) => format!(
            "{lines}{file}: {}, {}\n",
            counted(errors, "error"),
            counted(warnings, "warning")
        ),
    }
}

/// Formats a number of things, with the singular or plural of `what`.
pub(super) fn counted<N: std::fmt::Display + PartialEq + From<u8>>(
    number: N,
    what: &str,
) -> String {
    let plural = if number == N::from(1) { "" } else { "s" };
    format!("{number} {what}{plural}")
}
