//! The problems of one file that a user wrote, as every `check` tells them.
//!
//! Promises exit code 0 where there is no error (there may be warnings), 1 where there is one.

use std::path::Path;

use serde::Serialize;

use super::{Outcome, Output, json};
use crate::problem::{Problem, Severity};

#[derive(Serialize)]
struct Report<'a> {
    file: String,
    errors: usize,
    warnings: usize,
    problems: &'a [Problem],
}

/// What is wrong with `file`.
pub(super) fn problems(file: &Path, problems: &[Problem], output: Output) -> Outcome {
    let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let file = file.display().to_string();
    let text = match output {
        Output::Json => json(&Report { file, errors, warnings, problems }),
        Output::Text => {
            let lines: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
            match (errors, warnings) {
                (0, 0) => format!("{lines}{file}: no problems\n"),
                _ => format!("{lines}{file}: {}, {}\n", counted(errors, "error"), counted(warnings, "warning")),
            }
        }
    };
    if errors == 0 { Outcome::done(text) } else { Outcome::problem(text) }
}

/// A number of things, in words.
pub(super) fn counted<N: std::fmt::Display + PartialEq + From<u8>>(number: N, what: &str) -> String {
    let plural = if number == N::from(1) { "" } else { "s" };
    format!("{number} {what}{plural}")
}
