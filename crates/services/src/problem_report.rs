//! The report about the problems of one file that a user wrote.

use std::path::Path;

use serde::Serialize;

use ebbtide_base::problem::{Problem, Severity};

/// The problems of one file, with their numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProblemReport {
    /// The file.
    pub file: String,
    /// The number of errors. A file with errors cannot be used.
    pub errors: usize,
    /// The number of warnings.
    pub warnings: usize,
    /// The problems, in the order in which they were found.
    pub problems: Vec<Problem>,
}

impl ProblemReport {
    /// Returns the report about `file`.
    #[must_use]
    pub fn new(file: &Path, problems: Vec<Problem>) -> ProblemReport {
        let count = |severity| {
            problems
                .iter()
                .filter(|problem| problem.severity == severity)
                .count()
        };
        ProblemReport {
            file: file.display().to_string(),
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            problems,
        }
    }
}
