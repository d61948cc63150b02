//! Predicates for rows: a tree of simple conditions on columns.
//!
//! A null and a missing column match no condition but `Null`. Predicates do no I/O: they evaluate a
//! batch, or bounds of a part of a file. The values in a predicate must never be printed.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{can_cast_types, cast};
use arrow::datatypes::{DataType, Schema, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use chrono::{DateTime, Utc};

use super::bounds::{ColumnBounds, PartAnswer};
use ebbtide_policy::tag::{FormsMark, SubjectValue};

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
    /// The value of a column of any type, written as text, is this one. A type that cannot be
    /// written as text shows nothing.
    Shows {
        /// The column.
        column: String,
        /// The text.
        value: String,
    },
    /// A column has no value, or the file lacks it.
    Null {
        /// The column.
        column: String,
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
            Predicate::Shows { column, .. } => write!(f, "{column} shows ..."),
            Predicate::Null { column } => write!(f, "{column} is null"),
            Predicate::All(all) => f.debug_tuple("All").field(all).finish(),
            Predicate::Any(any) => f.debug_tuple("Any").field(any).finish(),
        }
    }
}

impl Predicate {
    /// Returns the columns of its conditions.
    #[must_use]
    pub fn columns(&self) -> BTreeSet<&str> {
        let mut columns = BTreeSet::new();
        self.each(&mut |condition| columns.extend(condition.column()));
        columns
    }

    /// Calls `to` with each condition, in order.
    pub(super) fn each<'p>(&'p self, to: &mut impl FnMut(&'p Predicate)) {
        match self {
            Predicate::All(parts) | Predicate::Any(parts) => {
                parts.iter().for_each(|part| part.each(to));
            }
            condition => to(condition),
        }
    }

    /// Returns the column of a condition; `None` for `All` and `Any`.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        match self {
            Predicate::Is { column, .. }
            | Predicate::Names { column, .. }
            | Predicate::Between { column, .. }
            | Predicate::Shows { column, .. }
            | Predicate::Null { column } => Some(column),
            Predicate::All(_) | Predicate::Any(_) => None,
        }
    }

    /// Returns the predicates that all match if it does.
    #[must_use]
    pub fn conjuncts(&self) -> &[Predicate] {
        match self {
            Predicate::All(parts) => parts,
            other => std::slice::from_ref(other),
        }
    }

    /// Returns the predicate for a file whose subjects are in those canonical forms: where they are
    /// the forms of a subject, only its text can match.
    #[must_use]
    pub fn in_forms(&self, forms: Option<FormsMark>) -> Predicate {
        match self {
            Predicate::Names { column, subject } if forms == Some(subject.mark()) => {
                Predicate::Is {
                    column: column.clone(),
                    value: subject.value().to_owned(),
                }
            }
            Predicate::All(parts) => {
                Predicate::All(parts.iter().map(|part| part.in_forms(forms)).collect())
            }
            Predicate::Any(parts) => {
                Predicate::Any(parts.iter().map(|part| part.in_forms(forms)).collect())
            }
            other => other.clone(),
        }
    }

    /// Returns true if it matches every row.
    #[must_use]
    pub fn is_always(&self) -> bool {
        matches!(self, Predicate::All(parts) if parts.is_empty())
    }

    /// Returns true if it matches no row.
    #[must_use]
    pub fn is_never(&self) -> bool {
        matches!(self, Predicate::Any(parts) if parts.is_empty())
    }

    /// Errors if a column of a file is not of the type that its condition needs.
    pub fn check_types(&self, file: &Schema) -> Result<(), ColumnTypeError> {
        let mut checked = Ok(());
        self.each(&mut |condition| {
            let column = condition.column().unwrap_or_default();
            let found = file.fields().iter().find(|field| field.name() == column);
            let Some(found) = found.map(|field| field.data_type()) else {
                return;
            };
            let wrong = match condition {
                Predicate::Is { .. } | Predicate::Names { .. } if *found != DataType::Utf8 => {
                    ColumnTypeError::new(column, TEXT, found)
                }
                Predicate::Between { .. }
                    if !matches!(found, DataType::Timestamp(TimeUnit::Microsecond, _)) =>
                {
                    ColumnTypeError::new(column, INSTANT, found)
                }
                _ => return,
            };
            checked = Err(wrong);
        });
        checked
    }

    /// Returns the rows of a batch that match. Errors if a column is not of the kind that its
    /// condition needs.
    pub fn evaluate(&self, rows: &RecordBatch) -> Result<BooleanBuffer, ColumnTypeError> {
        let count = rows.num_rows();
        match self {
            Predicate::Is { column, value } => {
                let texts = texts(rows, column)?;
                Ok(rows_with(count, texts, |text| text == value))
            }
            Predicate::Names { column, subject } => {
                let mut buffer = Vec::new();
                let names = |text: &str| subject.is_named_by(text, &mut buffer);
                Ok(rows_with(count, texts(rows, column)?, names))
            }
            Predicate::Between { column, from, to } => {
                let Some(found) = rows.column_by_name(column) else {
                    return Ok(BooleanBuffer::new_unset(count));
                };
                let instants = found
                    .as_primitive_opt::<TimestampMicrosecondType>()
                    .ok_or_else(|| ColumnTypeError::new(column, INSTANT, found.data_type()))?;
                let (from, to) = (from.map(micros), to.map(micros));
                let within =
                    |at: i64| from.is_none_or(|from| from <= at) && to.is_none_or(|to| at < to);
                Ok(BooleanBuffer::collect_bool(count, |row| {
                    instants.is_valid(row) && within(instants.value(row))
                }))
            }
            Predicate::Shows { column, value } => {
                let shown = rows.column_by_name(column).and_then(shown);
                let texts = shown.as_ref().and_then(|shown| shown.as_string_opt());
                Ok(rows_with(count, texts, |text| text == value))
            }
            Predicate::Null { column } => match rows.column_by_name(column) {
                None => Ok(BooleanBuffer::new_set(count)),
                Some(found) => Ok(found
                    .logical_nulls()
                    .map_or_else(|| BooleanBuffer::new_unset(count), |nulls| !nulls.inner())),
            },
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

    /// Returns whether rows of a part of a file meet a simple condition, by the bounds of its column
    /// there. The file's subjects are in those canonical forms.
    #[must_use]
    pub fn answer(&self, bounds: &ColumnBounds<'_>, forms: Option<FormsMark>) -> PartAnswer {
        let may = match self {
            Predicate::Null { .. } if !bounds.may_have_value => return PartAnswer::Always,
            Predicate::Null { .. } => bounds.may_have_null,
            Predicate::Is { .. } | Predicate::Names { .. } => {
                let text = self.text(forms).map(str::as_bytes);
                bounds.may_have_value && bounds.texts.reaches(text, text)
            }
            Predicate::Between { from, to, .. } => {
                let last = to.map(|to| micros(to).saturating_sub(1));
                bounds.may_have_value && bounds.instants.reaches(from.map(micros), last)
            }
            // The bounds of a column are those of texts or of integers.
            Predicate::Shows { value, .. } => {
                let (text, integer) = (Some(value.as_bytes()), value.parse().ok());
                bounds.may_have_value
                    && bounds.texts.reaches(text, text)
                    && bounds.integers.reaches(integer, integer)
            }
            Predicate::All(_) | Predicate::Any(_) => true,
        };
        if may {
            PartAnswer::Maybe
        } else {
            PartAnswer::Never
        }
    }

    /// Returns the only text that a column can have in matching rows of a file with subjects in
    /// those canonical forms; `None` if there may be several.
    #[must_use]
    pub(super) fn text(&self, forms: Option<FormsMark>) -> Option<&str> {
        match self {
            Predicate::Is { value, .. } | Predicate::Shows { value, .. } => Some(value),
            Predicate::Names { subject, .. } => {
                (forms == Some(subject.mark())).then(|| subject.value())
            }
            _ => None,
        }
    }

    /// Returns the predicate without the conditions that are always or never met, as `answer` says
    /// for each condition, in order.
    #[must_use]
    pub(super) fn narrowed(&self, answer: &mut impl FnMut(&Predicate) -> PartAnswer) -> Predicate {
        let (parts, join, other): (_, fn(_) -> _, fn(_) -> _) = match self {
            Predicate::All(parts) => (parts, Predicate::All, Predicate::Any),
            Predicate::Any(parts) => (parts, Predicate::Any, Predicate::All),
            condition => {
                return match answer(condition) {
                    PartAnswer::Never => Predicate::Any(Vec::new()),
                    PartAnswer::Maybe => condition.clone(),
                    PartAnswer::Always => Predicate::All(Vec::new()),
                };
            }
        };
        // Empty, one changes nothing and the other decides.
        let (neutral, deciding) = (join(Vec::new()), other(Vec::new()));
        let mut parts: Vec<Predicate> = parts.iter().map(|part| part.narrowed(answer)).collect();
        parts.retain(|part| *part != neutral);
        match parts.len() {
            _ if parts.contains(&deciding) => deciding,
            1 => parts.remove(0),
            _ => join(parts),
        }
    }
}

/// Returns the values of a column as texts; `None` if its type cannot be written as text. A value
/// that cannot, such as an instant after the last year of the calendar, is null.
fn shown(column: &ArrayRef) -> Option<ArrayRef> {
    if !can_cast_types(column.data_type(), &DataType::Utf8) {
        return None;
    }
    // One value that cannot be written fails the cast of all.
    cast(column, &DataType::Utf8).ok().or_else(|| {
        let one = |row| {
            let shown = cast(&column.slice(row, 1), &DataType::Utf8).ok()?;
            let text = shown.as_string_opt::<i32>()?;
            text.is_valid(0).then(|| text.value(0).to_owned())
        };
        let texts: StringArray = (0..column.len()).map(one).collect();
        Some(Arc::new(texts) as ArrayRef)
    })
}

/// Returns the rows, of `count`, whose text `is_it`.
fn rows_with(
    count: usize,
    texts: Option<&StringArray>,
    mut is_it: impl FnMut(&str) -> bool,
) -> BooleanBuffer {
    match texts {
        Some(texts) => {
            BooleanBuffer::collect_bool(count, |row| texts.is_valid(row) && is_it(texts.value(row)))
        }
        None => BooleanBuffer::new_unset(count),
    }
}

/// Returns a column of texts; `None` if the batch lacks it. Errors if it is of another type.
fn texts<'r>(
    rows: &'r RecordBatch,
    column: &str,
) -> Result<Option<&'r StringArray>, ColumnTypeError> {
    let Some(found) = rows.column_by_name(column) else {
        return Ok(None);
    };
    let texts = found.as_string_opt::<i32>();
    texts
        .map(Some)
        .ok_or_else(|| ColumnTypeError::new(column, TEXT, found.data_type()))
}

/// Returns the first microsecond that is not before an instant: columns have microsecond precision.
fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros() + i64::from(!at.timestamp_subsec_nanos().is_multiple_of(1000))
}

/// A column is not of the type that a condition needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {why}")]
pub struct ColumnTypeError {
    /// The column.
    pub column: String,
    /// The problem.
    pub why: String,
}

const TEXT: &str = "text";
const INSTANT: &str = "an instant";

impl ColumnTypeError {
    fn new(column: &str, wanted: &str, found: &DataType) -> ColumnTypeError {
        ColumnTypeError {
            column: column.to_owned(),
            why: format!("it is {found} and not {wanted}"),
        }
    }
}

impl From<ColumnTypeError> for ArrowError {
    fn from(error: ColumnTypeError) -> ArrowError {
        ArrowError::ExternalError(error.into())
    }
}
