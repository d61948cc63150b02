//! The problems of a schema, by the path of the field, with the fix.
//!
//! All unfit fields are reported together. No problem contains a value of a record.

use std::fmt;

/// One problem of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaProblem {
    /// The path of the field (`sender.id`), empty for the schema as a whole.
    pub path: String,
    /// The problem, in one sentence without a full stop.
    pub what: String,
    /// The fix, in one sentence without a full stop.
    pub help: String,
}

impl fmt::Display for SchemaProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}; {}", self.what, self.help)
    }
}

impl SchemaProblem {
    pub(super) fn brief(&self) -> String {
        let path = if self.path.is_empty() {
            String::new()
        } else {
            format!("{}: ", self.path)
        };
        format!("{path}{}", self.what)
            .replace(char::is_control, " ")
            .chars()
            .take(MOST_REASON)
            .collect()
    }
}

/// A schema that cannot be used: not Avro, not for a Delta table, or not readable as the product's
/// schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SchemaError {
    /// All problems, in the order of the schema; never empty.
    pub found: Vec<SchemaProblem>,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, unfit) in self.found.iter().enumerate() {
            let between = if index == 0 { "" } else { "\n" };
            write!(f, "{between}{unfit}")?;
        }
        Ok(())
    }
}

/// The reason why a decoder refuses messages of its writer's schema, or those of one branch of it,
/// whatever their bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaRefusal {
    /// The reason, which depends only on the schemas.
    pub reason: String,
    /// True for records of another name than the product's.
    pub is_other_record: bool,
}

/// The maximum number of characters of a reason.
const MOST_REASON: usize = 300;

impl SchemaError {
    /// Returns the first problem found, on one line of at most 300 characters.
    #[must_use]
    pub fn brief(&self) -> String {
        self.found
            .first()
            .map_or_else(String::new, SchemaProblem::brief)
    }

    pub(super) fn one(path: &str, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            found: vec![SchemaProblem {
                path: path.to_owned(),
                what: what.into(),
                help: help.into(),
            }],
        }
    }
}
