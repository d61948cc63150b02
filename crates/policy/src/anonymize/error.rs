//! The reasons why cells cannot be made. They are not caused by the content of a record, and
//! contain no value of one.

use arrow::datatypes::DataType;
use arrow::error::ArrowError;

/// The reason why a product's `anonymize` does not fit its columns. It does not occur for a policy
/// that passed `policy check`.
#[derive(Debug, thiserror::Error)]
pub enum CellPlanError {
    /// The table has no such column.
    #[error("cells need the column {column}, which the table does not have")]
    Missing {
        /// The column.
        column: String,
    },
    /// The type of a column does not fit its use.
    #[error("column {column} is {found}, which cannot be {part}")]
    Type {
        /// The column.
        column: String,
        /// Its type.
        found: DataType,
        /// The use of the column: part of a cell, a sum, or the subject.
        part: &'static str,
    },
}

/// The reason why cells could not be made from the rows of a bucket.
#[derive(Debug, thiserror::Error)]
pub enum CellsError<E: std::error::Error + 'static> {
    /// The rows could not be read.
    #[error("the rows that are to end could not be read: {0}")]
    Source(E),
    /// A column of the rows does not have the type of the plan.
    #[error("column {column} of the rows is {found} and should be {wanted}")]
    Column {
        /// The column.
        column: String,
        /// The type of the plan.
        wanted: DataType,
        /// The type of the column.
        found: DataType,
    },
    /// The rows were read more than once, and their number changed.
    #[error("the rows that are to end changed while they were read: {first} records, then {then}")]
    Changed {
        /// The number of records in the first reading.
        first: u64,
        /// The number of records in the later reading.
        then: u64,
    },
    /// Arrow returned an error.
    #[error("the cells' columns cannot be built")]
    Arrow(#[source] ArrowError),
}

/// The reason why a batch is refused, whatever the type of the source's own errors.
#[derive(Debug)]
pub(super) enum BatchError {
    Column {
        column: String,
        wanted: DataType,
        found: DataType,
    },
    Arrow(ArrowError),
}

impl From<ArrowError> for BatchError {
    fn from(error: ArrowError) -> Self {
        BatchError::Arrow(error)
    }
}

impl<E: std::error::Error + 'static> From<BatchError> for CellsError<E> {
    fn from(refused: BatchError) -> Self {
        match refused {
            BatchError::Column {
                column,
                wanted,
                found,
            } => CellsError::Column {
                column,
                wanted,
                found,
            },
            BatchError::Arrow(error) => CellsError::Arrow(error),
        }
    }
}
