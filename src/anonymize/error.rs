//! Why cells cannot be made. Nothing of it is a record's fault, and none of it holds a value of one.

use arrow::datatypes::DataType;
use arrow::error::ArrowError;

/// A product's `anonymize` does not fit its columns. A policy that passed `policy check` never gives one.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The table has no such column.
    #[error("cells need the column {column}, which the table does not have")]
    Missing {
        /// The column.
        column: String,
    },
    /// A column is of a type that its part does not take.
    #[error("column {column} is {found}, which cannot be {part}")]
    Type {
        /// The column.
        column: String,
        /// Its type.
        found: DataType,
        /// What it was to be: part of a cell, a sum, the subject.
        part: &'static str,
    },
}

/// Cells could not be made of a bucket's rows.
#[derive(Debug, thiserror::Error)]
pub enum CellsError<E: std::error::Error + 'static> {
    /// The rows could not be read.
    #[error("the rows that are to end could not be read: {0}")]
    Source(E),
    /// A column of the rows is not what the plan says.
    #[error("column {column} of the rows is {found} and should be {wanted}")]
    Column {
        /// The column.
        column: String,
        /// What it should be.
        wanted: DataType,
        /// What it is.
        found: DataType,
    },
    /// The rows were read more than once and were not the same ones.
    #[error("the rows that are to end changed while they were read: {first} records, then {then}")]
    Changed {
        /// How many there were first.
        first: u64,
        /// How many there were later.
        then: u64,
    },
    /// Arrow refused.
    #[error("the cells' columns cannot be built")]
    Arrow(#[source] ArrowError),
}

/// What a batch may be refused for, whatever the source's own errors are.
#[derive(Debug)]
pub(super) enum Refused {
    Column { column: String, wanted: DataType, found: DataType },
    Arrow(ArrowError),
}

impl From<ArrowError> for Refused {
    fn from(error: ArrowError) -> Self {
        Refused::Arrow(error)
    }
}

impl<E: std::error::Error + 'static> From<Refused> for CellsError<E> {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Column { column, wanted, found } => CellsError::Column { column, wanted, found },
            Refused::Arrow(error) => CellsError::Arrow(error),
        }
    }
}
