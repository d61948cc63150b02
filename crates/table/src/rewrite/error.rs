//! The errors of rewriting and reading segments.

use parquet::errors::ParquetError;

use crate::error::StoreError;
use crate::scan::ColumnTypeError;
use crate::segment::SegmentError;
use crate::source::StoreFile;

/// A segment could not be rewritten or read. The table did not change.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// Its file does not exist: it was replaced since the segment was listed. Read the segments
    /// again.
    #[error("segment {path} no longer exists")]
    SegmentDeleted {
        /// Its path.
        path: String,
    },
    /// Its file is not a valid segment.
    #[error("segment {path} is damaged: {why}")]
    Damaged {
        /// Its path.
        path: String,
        /// The problem.
        why: String,
    },
    /// A column is not of the requested kind.
    #[error("column {column}: {why}")]
    Column {
        /// The column.
        column: String,
        /// The problem.
        why: String,
    },
    /// The new segment could not be encoded.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ColumnTypeError> for RewriteError {
    fn from(ColumnTypeError { column, why }: ColumnTypeError) -> RewriteError {
        RewriteError::Column { column, why }
    }
}

impl RewriteError {
    /// Creates the error for a segment that the Parquet reader rejects.
    pub fn damaged(path: &str, error: &ParquetError) -> RewriteError {
        RewriteError::Damaged {
            path: path.to_owned(),
            why: error.to_string(),
        }
    }

    /// Creates the error for a segment that cannot be read: that of the store if the store failed,
    /// otherwise that of the Parquet reader.
    pub(super) fn read(path: &str, source: &StoreFile, error: &ParquetError) -> RewriteError {
        match source.failure() {
            Some(failed) => RewriteError::store(path, failed),
            None => RewriteError::damaged(path, error),
        }
    }

    /// Creates the error for an error of the store.
    pub(crate) fn store(path: &str, error: object_store::Error) -> RewriteError {
        match error {
            object_store::Error::NotFound { .. } => RewriteError::SegmentDeleted {
                path: path.to_owned(),
            },
            error => StoreError::from(error).into(),
        }
    }
}
