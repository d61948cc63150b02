//! The rows of a batch that are kept, and their order: one permutation for all its columns.
//!
//! A batch whose rows all remain in place is not copied. Values are never examined.

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute;
use arrow::error::ArrowError;

/// The rows of the input that are in the output, in its order.
pub(super) struct RowPermutation {
    rows: Option<UInt32Array>,
    kept: usize,
}

impl RowPermutation {
    /// Keeps all `rows` rows in their order.
    pub(super) fn all(rows: usize) -> Self {
        Self {
            rows: None,
            kept: rows,
        }
    }

    /// Keeps these rows.
    pub(super) fn from_rows(rows: Vec<u32>) -> Self {
        Self {
            kept: rows.len(),
            rows: Some(UInt32Array::from(rows)),
        }
    }

    /// Returns the number of kept rows.
    pub(super) fn len(&self) -> usize {
        self.kept
    }

    /// Returns the rows of the input, in the order of the output.
    pub(super) fn rows(&self) -> impl Iterator<Item = usize> {
        let rows = self.rows.as_ref().map(|rows| rows.values());
        (0..self.kept).map(move |at| rows.map_or(at, |rows| rows[at] as usize))
    }

    /// Returns the output column for a column of the input.
    pub(super) fn take(&self, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        match &self.rows {
            None => Ok(column.clone()),
            Some(rows) => compute::take(column, rows, None),
        }
    }
}
