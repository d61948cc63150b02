//! The reasons why a whole batch cannot be tagged. Never a fault of a single record.
//!
//! An error never contains a value of a record.

use arrow::error::ArrowError;

/// The reason why a batch cannot be tagged. All are our errors: the batch does not have the
/// policy's schema, or the clock is wrong.
#[derive(Debug, thiserror::Error)]
pub enum TagError {
    /// A column that the policy names is not in the batch, or does not have the required type.
    #[error("column {column} is not in the batch as {wanted}")]
    Column {
        /// The name of the column.
        column: String,
        /// The required type.
        wanted: &'static str,
    },
    /// The numbers of offsets and rows differ.
    #[error("{offsets} offsets for {rows} rows")]
    Offsets {
        /// The number of offsets.
        offsets: usize,
        /// The number of rows.
        rows: usize,
    },
    /// The time of arrival is outside the calendar.
    #[error("the time of arrival is outside any calendar")]
    Arrival,
    /// A text column would be larger than Arrow's 2 GiB, or the batch has 2^32 rows or more.
    #[error("the batch is too large")]
    TooLarge,
    /// Arrow returned an error.
    #[error("cannot build the tagged columns")]
    Arrow(#[from] ArrowError),
}
