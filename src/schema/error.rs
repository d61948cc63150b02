//! What is wrong with a schema, by the path of the field, with the mend.
//!
//! Promises that all unfit fields are told at once; must never hold a record's value.

use std::fmt;

/// One thing in a schema that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// The path of the field (`sender.id`), empty for the schema as a whole.
    pub path: String,
    /// What is wrong, in one sentence without a full stop.
    pub what: String,
    /// How to mend it, in one sentence without a full stop.
    pub mend: String,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}; {}", self.what, self.mend)
    }
}

/// A schema that cannot be used: not Avro, not for a Delta table, or not readable as the product's schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SchemaError {
    /// All that was found, in the order of the schema; never empty.
    pub found: Vec<Unfit>,
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

impl SchemaError {
    pub(super) fn one(path: &str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { found: vec![Unfit { path: path.to_owned(), what: what.into(), mend: mend.into() }] }
    }
}
