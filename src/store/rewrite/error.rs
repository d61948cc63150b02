//! Why a segment could not be rewritten or read.

use parquet::errors::ParquetError;

use crate::store::error::StoreError;
use crate::store::segment::SegmentError;
use crate::store::source::Source;

/// A segment could not be rewritten or read. Nothing of the table changed.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// Its file is gone: it was replaced since the segment was seen. Read the segments anew.
    #[error("segment {path} is gone")]
    Gone {
        /// Its path.
        path: String,
    },
    /// Its file is not what a segment is.
    #[error("segment {path} is damaged: {why}")]
    Damaged {
        /// Its path.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A column is not of the kind that was asked for.
    #[error("column {column}: {why}")]
    Column {
        /// The column.
        column: String,
        /// What is wrong with it.
        why: String,
    },
    /// The new segment could not be encoded.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RewriteError {
    /// What the Parquet reader says of a segment.
    pub(in crate::store) fn damaged(path: &str, error: &ParquetError) -> RewriteError {
        RewriteError::Damaged { path: path.to_owned(), why: error.to_string() }
    }

    /// What the Parquet reader says of a segment, or what its store does: then the segment is not to blame.
    pub(super) fn read(path: &str, source: &Source, error: &ParquetError) -> RewriteError {
        match source.failure() {
            Some(failed) => RewriteError::store(path, failed),
            None => RewriteError::damaged(path, error),
        }
    }

    /// What the store says of a segment.
    pub(in crate::store) fn store(path: &str, error: object_store::Error) -> RewriteError {
        match error {
            object_store::Error::NotFound { .. } => RewriteError::Gone { path: path.to_owned() },
            error => StoreError::from(error).into(),
        }
    }
}
