//! Why a whole batch cannot be tagged: never a record's fault.
//!
//! Must never hold a value of a record.

use arrow::error::ArrowError;

/// Why a batch cannot be tagged. All of them are ours: the batch is not of the policy's schema, or the clock is off.
#[derive(Debug, thiserror::Error)]
pub enum TagError {
    /// A column that the policy names is not in the batch, or not of the type that its use asks for.
    #[error("column {column} is not in the batch as {wanted}")]
    Column {
        /// The column.
        column: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// There are more or fewer offsets than rows.
    #[error("{offsets} offsets for {rows} rows")]
    Offsets {
        /// How many offsets were given.
        offsets: usize,
        /// How many rows.
        rows: usize,
    },
    /// The time of arrival is in no calendar.
    #[error("the time of arrival is outside any calendar")]
    Arrival,
    /// A text column would be larger than Arrow's 2 GiB, or the batch has 2^32 rows or more.
    #[error("the batch is too large")]
    TooLarge,
    /// Arrow refused.
    #[error("cannot build the tagged columns")]
    Arrow(#[from] ArrowError),
}
