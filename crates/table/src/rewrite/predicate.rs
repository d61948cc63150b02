//! Predicates for rows: a tree of simple conditions on columns.
//!
//! A null and a missing column never match. Predicates do no I/O: they evaluate a batch, or hints
//! about a part of a file. The values in a predicate must never be printed.

use std::collections::BTreeSet;
use std::fmt;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use chrono::{DateTime, Utc};

use super::RewriteError;
use ebbtide_policy::tag::SubjectValue;

/// A condition on the columns of a row.
#[derive(Clone, PartialEq, Eq)]
pub enum Predicate {
    /// A text column contains exactly this text.
    Is {
        /// The column.
        column: String,
        /// The text.
        value: String,
    },
    /// A subject column names a subject, in the canonical form of its file.
    Names {
        /// The column.
        column: String,
        /// The subject.
        subject: SubjectValue,
    },
    /// A column of instants contains one of a range.
    Between {
        /// The column.
        column: String,
        /// The first instant of the range; `None` if it has no start.
        from: Option<DateTime<Utc>>,
        /// The first instant after the range; `None` if it has no end.
        to: Option<DateTime<Utc>>,
    },
    /// All of these match. Every row matches if the list is empty.
    All(Vec<Predicate>),
    /// At least one of these matches. No row matches if the list is empty.
    Any(Vec<Predicate>),
}

/// The values of the conditions are personal: they are left out.
impl fmt::Debug for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Predicate::Is { column, .. } => write!(f, "{column} is ..."),
            Predicate::Names { column, .. } => write!(f, "{column} names ..."),
            Predicate::Between { column, .. } => write!(f, "{column} is between ..."),
            Predicate::All(all) => f.debug_tuple("All").field(all).finish(),
            Predicate::Any(any) => f.debug_tuple("Any").field(any).finish(),
        }
    }
}

/// Statements about a part of a file that can be made without reading its rows.
pub(super) trait FileHints {
    /// Returns true if the column may contain the text.
    fn may_hold(&mut self, column: &str, value: &str) -> Result<bool, RewriteError>;
    /// Returns true if the column may name the subject.
    fn may_name(&mut self, column: &str, subject: &SubjectValue) -> Result<bool, RewriteError>;
    /// Returns true if the column may contain an instant of `from..to`, in microseconds.
    fn may_reach(
        &mut self,
        column: &str,
        from: Option<i64>,
        to: Option<i64>,
    ) -> Result<bool, RewriteError>;
}

impl Predicate {
    /// Returns the columns of its conditions.
    #[must_use]
    pub fn columns(&self) -> BTreeSet<&str> {
        match self {
            Predicate::Is { column, .. }
            | Predicate::Names { column, .. }
            | Predicate::Between { column, .. } => [column.as_str()].into(),
            Predicate::All(parts) | Predicate::Any(parts) => {
                parts.iter().flat_map(Predicate::columns).collect()
            }
        }
    }

    /// Returns the rows of a batch that match. Errors if a column is not of the kind that its
    /// condition needs.
    pub fn evaluate(&self, rows: &RecordBatch) -> Result<BooleanBuffer, RewriteError> {
        let count = rows.num_rows();
        match self {
            Predicate::Is { column, value } => {
                let Some(found) = rows.column_by_name(column) else {
                    return Ok(BooleanBuffer::new_unset(count));
                };
                let texts = found
                    .as_string_opt::<i32>()
                    .ok_or_else(|| wrong(column, "text", found.data_type()))?;
                Ok(BooleanBuffer::collect_bool(count, |row| {
                    texts.is_valid(row) && texts.value(row) == value
                }))
            }
            Predicate::Names { column, subject } => {
                let Some(found) = rows.column_by_name(column) else {
                    return Ok(BooleanBuffer::new_unset(count));
                };
                let texts = found
                    .as_string_opt::<i32>()
                    .ok_or_else(|| wrong(column, "text", found.data_type()))?;
                let mut buffer = Vec::new();
                let names =
                    |row| texts.is_valid(row) && subject.is_named_by(texts.value(row), &mut buffer);
                Ok(BooleanBuffer::collect_bool(count, names))
            }
            Predicate::Between { column, from, to } => {
                let Some(found) = rows.column_by_name(column) else {
                    return Ok(BooleanBuffer::new_unset(count));
                };
                let instants = found
                    .as_primitive_opt::<TimestampMicrosecondType>()
                    .ok_or_else(|| wrong(column, "an instant", found.data_type()))?;
                let (from, to) = (from.map(micros), to.map(micros));
                let within =
                    |at: i64| from.is_none_or(|from| from <= at) && to.is_none_or(|to| at < to);
                Ok(BooleanBuffer::collect_bool(count, |row| {
                    instants.is_valid(row) && within(instants.value(row))
                }))
            }
            Predicate::All(parts) => {
                let all = BooleanBuffer::new_set(count);
                parts
                    .iter()
                    .try_fold(all, |all, part| Ok(&all & &part.evaluate(rows)?))
            }
            Predicate::Any(parts) => {
                let none = BooleanBuffer::new_unset(count);
                parts
                    .iter()
                    .try_fold(none, |any, part| Ok(&any | &part.evaluate(rows)?))
            }
        }
    }

    /// Returns true if a row of a part of a file may match, by its hints.
    pub(super) fn may_match(&self, hints: &mut impl FileHints) -> Result<bool, RewriteError> {
        match self {
            Predicate::Is { column, value } => hints.may_hold(column, value),
            Predicate::Names { column, subject } => hints.may_name(column, subject),
            Predicate::Between { column, from, to } => {
                hints.may_reach(column, from.map(micros), to.map(micros))
            }
            Predicate::All(parts) => {
                for part in parts {
                    if !part.may_match(hints)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Predicate::Any(parts) => {
                for part in parts {
                    if part.may_match(hints)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }
}

/// Returns the first microsecond that is not before an instant: columns have microsecond precision.
fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros() + i64::from(!at.timestamp_subsec_nanos().is_multiple_of(1000))
}

fn wrong(column: &str, wanted: &str, found: &DataType) -> RewriteError {
    RewriteError::Column {
        column: column.to_owned(),
        why: format!("it is {found} and not {wanted}"),
    }
}
