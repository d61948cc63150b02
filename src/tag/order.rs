//! Which rows of a batch are kept, and in which order: one permutation for all columns of it.
//!
//! Promises that a batch whose rows all stay as they are is not copied. Must never look at a value.

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute;
use arrow::error::ArrowError;

/// The rows of the input that the output has, in its order.
pub(super) struct Order {
    rows: Option<UInt32Array>,
    kept: usize,
}

impl Order {
    /// All `rows` rows as they are.
    pub(super) fn all(rows: usize) -> Self {
        Self { rows: None, kept: rows }
    }

    /// These rows.
    pub(super) fn of(rows: Vec<u32>) -> Self {
        Self { kept: rows.len(), rows: Some(UInt32Array::from(rows)) }
    }

    /// How many rows are kept.
    pub(super) fn len(&self) -> usize {
        self.kept
    }

    /// The rows of the input, in the order of the output.
    pub(super) fn rows(&self) -> impl Iterator<Item = usize> {
        let rows = self.rows.as_ref().map(|rows| rows.values());
        (0..self.kept).map(move |at| rows.map_or(at, |rows| rows[at] as usize))
    }

    /// A column of the output, of a column of the input.
    pub(super) fn take(&self, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        match &self.rows {
            None => Ok(column.clone()),
            Some(rows) => compute::take(column, rows, None),
        }
    }
}
