//! Columns of the input by name and type.

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};

use super::error::TagError;

/// Returns the text column `name`.
pub(super) fn texts<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a StringArray, TagError> {
    typed(rows.column_by_name(name), name, "text")
}

/// Returns the column of times `name`, in microseconds.
pub(super) fn times<'a>(
    rows: &'a RecordBatch,
    name: &str,
) -> Result<&'a TimestampMicrosecondArray, TagError> {
    typed(
        rows.column_by_name(name),
        name,
        "a timestamp in microseconds",
    )
}

fn typed<'a, A: Array + 'static>(
    column: Option<&'a ArrayRef>,
    name: &str,
    wanted: &'static str,
) -> Result<&'a A, TagError> {
    let found = column.and_then(|column| column.as_any().downcast_ref::<A>());
    found.ok_or_else(|| TagError::Column {
        column: name.to_owned(),
        wanted,
    })
}
