//! Segments: one Parquet file of one product, bucket and profile.
//!
//! Promises that columns of a category can later be left out by copying the others' bytes: a category's values, min/max,
//! bloom filter and page index stand in its own column chunks alone, and the footer names no value.

mod encode;
mod runs;
mod stats;
mod writer;

pub use writer::SegmentWriter;

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::ids::{Bucket, Category, Deadline, PolicyVersion, ProfileId};

/// What all rows of a segment share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentTags {
    /// The bucket that they are in.
    pub bucket: Bucket,
    /// Their profile.
    pub profile: ProfileId,
    /// The profile's text form.
    pub profile_text: String,
    /// The deadline of each category; `None` while it is open, or where the category is absent.
    pub deadlines: Vec<(Category, Option<Deadline>)>,
    /// The policy under which the deadlines were written.
    pub policy_version: PolicyVersion,
}

/// Rows could not be made a segment.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The rows are not of the table's columns.
    #[error("column {column} of the rows is not what the table has: {why}")]
    Column {
        /// The column.
        column: String,
        /// What is wrong with it.
        why: String,
    },
    /// A segment without a row is not written.
    #[error("the segment has no rows")]
    Empty,
    /// The Parquet writer failed.
    #[error("the segment could not be encoded: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Arrow failed.
    #[error("the segment's rows could not be taken: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
}

/// A whole Parquet file in memory, not yet written.
#[derive(Debug, Clone)]
pub struct EncodedSegment {
    pub(super) tags: SegmentTags,
    pub(super) columns: BTreeSet<String>,
    pub(super) rows: u64,
    pub(super) stats: String,
    pub(super) bytes: Bytes,
}

impl EncodedSegment {
    /// Its size in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has no rows; never true, since such a segment is not encoded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The file itself.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// A segment that is durably written and that no table lists yet.
#[derive(Debug, Clone)]
pub struct Segment {
    pub(super) path: String,
    pub(super) tags: SegmentTags,
    pub(super) columns: BTreeSet<String>,
    pub(super) rows: u64,
    pub(super) size: u64,
    pub(super) stats: String,
}

impl Segment {
    /// Its path in the table's folder.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bucket that its rows are in.
    #[must_use]
    pub fn bucket(&self) -> Bucket {
        self.tags.bucket
    }
}

#[cfg(test)]
mod tests;
