//! Which rows are looked for: texts that columns hold, and a range of instants.
//!
//! Pure: looks at rows, or at bounds of a part of a file. Promises to say no to a part only where no row of it can match. Must
//! never print the values that it looks for.

use std::fmt;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::TimestampMicrosecondType;
use chrono::{DateTime, Utc};

use crate::tag::{FormsMark, SubjectValue};

/// Rows for which every condition is true. Every row, where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Texts that must be there.
    pub texts: Vec<AnyOf>,
    /// Where the row's event must lie.
    pub within: Option<Within>,
}

/// A text that at least one of some columns holds. A null, and a column that is not there, holds nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct AnyOf {
    /// The columns.
    pub columns: Vec<String>,
    /// The text.
    pub value: String,
    /// The subject, if the text is one: files of an earlier canonical form hold a different text.
    pub subject: Option<SubjectValue>,
}

/// A range of instants, `from <= t < to`, in which a column's value must lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Within {
    /// The column.
    pub column: String,
    /// The first instant in it; `None`: any.
    pub from: Option<DateTime<Utc>>,
    /// The first instant behind it; `None`: none.
    pub to: Option<DateTime<Utc>>,
    /// Whether a row without a value is in it.
    pub nulls: bool,
}

/// The text may be personal.
impl fmt::Debug for AnyOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "any of {:?} is ...", self.columns)
    }
}

impl Filter {
    /// The rows of a batch that match.
    #[must_use]
    pub fn rows(&self, rows: &RecordBatch) -> BooleanBuffer {
        let mut all = BooleanBuffer::new_set(rows.num_rows());
        for text in &self.texts {
            all = &all & &text.rows(rows);
        }
        match &self.within {
            Some(within) => &all & &within.rows(rows),
            None => all,
        }
    }
}

impl AnyOf {
    /// The rows in which one of the columns holds the text.
    #[must_use]
    pub fn rows(&self, rows: &RecordBatch) -> BooleanBuffer {
        let mut any = BooleanBuffer::new_unset(rows.num_rows());
        for column in &self.columns {
            let texts = rows.column_by_name(column).and_then(|found| found.as_string_opt::<i32>());
            let Some(texts) = texts else { continue };
            let mut buffer = Vec::new();
            let is_it = |row| texts.is_valid(row) && self.is(texts.value(row), &mut buffer);
            any = &any | &BooleanBuffer::collect_bool(rows.num_rows(), is_it);
        }
        any
    }

    fn is(&self, text: &str, buffer: &mut Vec<u8>) -> bool {
        match &self.subject {
            Some(subject) => subject.is_named_by(text, buffer),
            None => text == self.value,
        }
    }

    /// Returns the filter for a file whose subjects are in those canonical forms: if they are the subject's forms, only
    /// its text can match.
    pub(super) fn within(&self, forms: Option<FormsMark>) -> AnyOf {
        let subject = self.subject.clone().filter(|subject| Some(subject.mark()) != forms);
        AnyOf { columns: self.columns.clone(), value: self.value.clone(), subject }
    }

    /// Whether a part whose least and greatest text are those, or beyond, may hold it.
    pub(super) fn reaches(&self, least: Option<&[u8]>, greatest: Option<&[u8]>) -> bool {
        let value = self.value.as_bytes();
        if self.subject.is_some() {
            return true;
        }
        least.is_none_or(|least| least <= value) && greatest.is_none_or(|greatest| value <= greatest)
    }
}

impl Within {
    /// The rows in the range.
    #[must_use]
    pub fn rows(&self, rows: &RecordBatch) -> BooleanBuffer {
        let instants = rows.column_by_name(&self.column);
        let instants = instants.and_then(|found| found.as_primitive_opt::<TimestampMicrosecondType>());
        BooleanBuffer::collect_bool(rows.num_rows(), |row| match instants {
            Some(instants) if instants.is_valid(row) => {
                self.reaches(Some(instants.value(row)), Some(instants.value(row)))
            }
            _ => self.nulls,
        })
    }

    /// Whether a part whose least and greatest instant, in microseconds, are those, or beyond, may hold one of the range.
    pub(super) fn reaches(&self, least: Option<i64>, greatest: Option<i64>) -> bool {
        let from = self.from.map(micros);
        let to = self.to.map(micros);
        from.is_none_or(|from| greatest.is_none_or(|greatest| greatest >= from))
            && to.is_none_or(|to| least.is_none_or(|least| least < to))
    }
}

/// The first microsecond that is not before an instant: what columns hold has no finer parts.
fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros() + i64::from(!at.timestamp_subsec_nanos().is_multiple_of(1000))
}
