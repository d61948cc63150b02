//! The report about the problems of one file that a user wrote, for every `check` command.
//!
//! Exit code 0: no error (there may be warnings). 1: at least one error.

use std::path::Path;

use serde::Serialize;

use super::{CommandOutput, OutputFormat, json};
use ebbtide_base::problem::{Problem, Severity};
use ebbtide_controls::Subject;

#[derive(Serialize)]
struct ProblemReport<'a> {
    file: String,
    errors: usize,
    warnings: usize,
    problems: &'a [Problem],
}

/// Returns the report about `file`.
pub(super) fn problems(file: &Path, problems: &[Problem], output: OutputFormat) -> CommandOutput {
    let count = |severity| {
        problems
            .iter()
            .filter(|problem| problem.severity == severity)
            .count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let file = file.display().to_string();
    let text = match output {
        OutputFormat::Json => json(&ProblemReport {
            file,
            errors,
            warnings,
            problems,
        }),
        OutputFormat::Text => {
            let lines: String = problems
                .iter()
                .map(|problem| format!("{problem}\n"))
                .collect();
            match (errors, warnings) {
                (0, 0) => format!("{lines}{file}: no problems\n"),
                _ => format!(
                    "{lines}{file}: {}, {}\n",
                    counted(errors, "error"),
                    counted(warnings, "warning")
                ),
            }
        }
    };
    if errors == 0 {
        CommandOutput::done(text)
    } else {
        CommandOutput::problem(text)
    }
}

/// Returns the note for a number without a calling code: some of its records may not be `done`
/// ("found", "held"). `None` for any other subject.
pub(super) fn national_note(subject: Option<&Subject>, done: &str) -> Option<String> {
    subject.filter(|subject| subject.is_national()).map(|_| {
        format!(
            "the number has no country code: each product reads it by its default_country, and where it has none, only records \
             that carry it in this very form are {done}"
        )
    })
}

/// Formats a number of things, with the singular or plural of `what`.
pub(super) fn counted<N: std::fmt::Display + PartialEq + From<u8>>(
    number: N,
    what: &str,
) -> String {
    let plural = if number == N::from(1) { "" } else { "s" };
    format!("{number} {what}{plural}")
}
