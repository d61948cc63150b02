//! A problem in a file that a user wrote: its place, its description and its fix. Policy,
//! configuration and schemas use the same form.
//!
//! Every problem names its file, line and column. Must never contain a secret or a record's value.

use std::fmt;

use serde::Serialize;

/// The severity of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Prevents the start.
    Error,
    /// Is reported and counted, and prevents nothing.
    Warning,
}

/// A place in a text: both numbers count from 1, columns in characters. Zero means the file as a
/// whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
pub struct TextPosition {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// One problem of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The severity.
    pub severity: Severity,
    /// The file, as the user named it.
    pub file: String,
    /// The place in the file.
    #[serde(flatten)]
    pub at: TextPosition,
    /// The key's path in the file: `products.sms.fields.body`.
    pub path: String,
    /// The description, in one sentence without a full stop.
    pub what: String,
    /// The fix, in one sentence without a full stop.
    #[serde(rename = "mend")]
    pub help: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(
            f,
            "{}:{}:{}: {severity}: ",
            self.file, self.at.line, self.at.column
        )?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}; {}", self.what, self.help)
    }
}

/// Collects the problems of one file, so that all are reported together and not only the first.
#[derive(Debug)]
pub struct Problems {
    file: String,
    found: Vec<Problem>,
}

impl Problems {
    /// Creates an empty collection for `file`.
    #[must_use]
    pub fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            found: Vec::new(),
        }
    }

    /// Adds an error. Both texts are one sentence without a full stop.
    pub fn error(
        &mut self,
        at: TextPosition,
        path: &str,
        what: impl Into<String>,
        help: impl Into<String>,
    ) {
        let (file, path) = (self.file.clone(), path.to_owned());
        self.found.push(Problem {
            severity: Severity::Error,
            file,
            at,
            path,
            what: what.into(),
            help: help.into(),
        });
    }

    /// Adds a warning. Both texts are one sentence without a full stop.
    pub fn warning(
        &mut self,
        at: TextPosition,
        path: &str,
        what: impl Into<String>,
        help: impl Into<String>,
    ) {
        let (file, path) = (self.file.clone(), path.to_owned());
        self.found.push(Problem {
            severity: Severity::Warning,
            file,
            at,
            path,
            what: what.into(),
            help: help.into(),
        });
    }

    /// Returns true if any of them is an error.
    #[must_use]
    pub fn any_error(&self) -> bool {
        self.found
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }

    /// Returns all problems, in the order of the file.
    #[must_use]
    pub fn into_sorted(mut self) -> Vec<Problem> {
        self.found
            .sort_by(|a, b| (a.at, &a.path).cmp(&(b.at, &b.path)));
        self.found
    }
}

/// Returns the word of `known` that a mistyped `word` most likely means, if any is similar enough.
#[must_use]
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().max(word.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
