//! The condition on the rows to find: texts that columns contain, and a range of instants.
//!
//! Pure: evaluates rows, or the bounds of a part of a file. A part is excluded only if none of its
//! rows can match. The values must never be printed.

use std::fmt;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::TimestampMicrosecondType;
use chrono::{DateTime, Utc};

use ebbtide_policy::tag::{FormsMark, SubjectValue};

/// The rows for which all conditions are true; all rows if there are no conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordFilter {
    /// The texts that a row must contain.
    pub texts: Vec<TextCondition>,
    /// The range of the row's event.
    pub within: Option<TimeCondition>,
}

/// A text that at least one of several columns contains. A null or a missing column contains
/// nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct TextCondition {
    /// The columns.
    pub columns: Vec<String>,
    /// The text.
    pub value: String,
    /// The subject, if the text is one: files with an earlier canonical form contain a different
    /// text.
    pub subject: Option<SubjectValue>,
}

/// A range of instants, `from <= t < to`, that must contain a column's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeCondition {
    /// The column.
    pub column: String,
    /// The first instant in the range; `None` if it has no start.
    pub from: Option<DateTime<Utc>>,
    /// The first instant after the range; `None` if it has no end.
    pub to: Option<DateTime<Utc>>,
    /// True if a row without a value is in the range.
    pub nulls: bool,
}

/// Omits the text, which may be personal.
impl fmt::Debug for TextCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "any of {:?} is ...", self.columns)
    }
}

impl RecordFilter {
    /// Returns the rows of a batch that match.
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

impl TextCondition {
    /// Returns the rows in which one of the columns contains the text.
    #[must_use]
    pub fn rows(&self, rows: &RecordBatch) -> BooleanBuffer {
        let mut any = BooleanBuffer::new_unset(rows.num_rows());
        for column in &self.columns {
            let texts = rows
                .column_by_name(column)
                .and_then(|found| found.as_string_opt::<i32>());
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

    /// Returns the filter for a file whose subjects are in those canonical forms. If they are the
    /// subject's forms, only its text can match.
    pub(super) fn within(&self, forms: Option<FormsMark>) -> TextCondition {
        let subject = self
            .subject
            .clone()
            .filter(|subject| Some(subject.mark()) != forms);
        TextCondition {
            columns: self.columns.clone(),
            value: self.value.clone(),
            subject,
        }
    }

    /// Returns true if a part may contain the text, given bounds of its texts. `None` is an unknown
    /// bound.
    pub(super) fn reaches(&self, least: Option<&[u8]>, greatest: Option<&[u8]>) -> bool {
        let value = self.value.as_bytes();
        if self.subject.is_some() {
            return true;
        }
        least.is_none_or(|least| least <= value)
            && greatest.is_none_or(|greatest| value <= greatest)
    }
}

impl TimeCondition {
    /// Returns the rows in the range.
    #[must_use]
    pub fn rows(&self, rows: &RecordBatch) -> BooleanBuffer {
        let instants = rows.column_by_name(&self.column);
        let instants =
            instants.and_then(|found| found.as_primitive_opt::<TimestampMicrosecondType>());
        BooleanBuffer::collect_bool(rows.num_rows(), |row| match instants {
            Some(instants) if instants.is_valid(row) => {
                self.reaches(Some(instants.value(row)), Some(instants.value(row)))
            }
            _ => self.nulls,
        })
    }

    /// Returns true if a part may contain an instant of the range, given bounds of its instants in
    /// microseconds. `None` is an unknown bound.
    pub(super) fn reaches(&self, least: Option<i64>, greatest: Option<i64>) -> bool {
        let from = self.from.map(micros);
        let to = self.to.map(micros);
        from.is_none_or(|from| greatest.is_none_or(|greatest| greatest >= from))
            && to.is_none_or(|to| least.is_none_or(|least| least < to))
    }
}

/// Returns the first microsecond that is not before an instant: columns store microseconds.
fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros() + i64::from(!at.timestamp_subsec_nanos().is_multiple_of(1000))
}
