//! Segments: one Parquet file of one product, bucket and profile.
//!
//! Columns of a category can later be dropped by copying the bytes of the others: a category's
//! values, bounds, bloom filter and page index are in its own column chunks only, and the footer
//! contains no value.

mod checksum;
mod encode;
mod nulls;
mod rows;
mod runs;
mod stats;
mod writer;

pub use checksum::{ChecksumResult, page_checksum};
pub(super) use encode::{ExpectedRows, order_entry, recorded_order};
pub(super) use nulls::nulls;
pub(super) use rows::{ByteSink, RowWriter};
pub(super) use runs::{ColumnRuns, RunValue, chunk as chunk_of_runs};
pub(super) use stats::stats;
pub use writer::SegmentWriter;

use std::collections::BTreeSet;

use bytes::Bytes;
use uuid::Uuid;

use ebbtide_base::ids::{Bucket, Category, Deadline, PolicyVersion, ProfileId};
use ebbtide_policy::tag::FormsMark;

/// The tags that all rows of a segment share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentTags {
    /// The bucket of the rows.
    pub bucket: Bucket,
    /// The profile of the rows.
    pub profile: ProfileId,
    /// The profile's text form.
    pub profile_text: String,
    /// The deadline of each category; `None` while it is open, or where the category is absent.
    pub deadlines: Vec<(Category, Option<Deadline>)>,
    /// The policy under which the deadlines were written.
    pub policy_version: PolicyVersion,
}

/// The rows could not be written as a segment.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The rows do not have the table's columns.
    #[error("column {column} of the rows is not what the table has: {why}")]
    Column {
        /// The column.
        column: String,
        /// The problem.
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

/// The properties of a complete file.
#[derive(Debug, Clone)]
pub(super) struct FileContents {
    /// The names of its columns.
    pub(super) columns: BTreeSet<String>,
    pub(super) rows: u64,
    /// The statistics for the log, as JSON.
    pub(super) stats: String,
    /// The XXH64 of all of its bytes.
    pub(super) xxh64: u64,
}

/// The location and the kind of a segment in its table.
#[derive(Debug, Clone)]
pub(super) struct SegmentLocation {
    pub(super) bucket: Bucket,
    pub(super) profile: ProfileId,
    /// The profile's text form; `None` if the table already has it.
    pub(super) profile_text: Option<String>,
    /// The number of records that its rows stand for, if they are cells.
    pub(super) cells: Option<u64>,
    /// The canonical forms of all its subjects; `None` if some may be in an earlier form.
    pub(super) forms: Option<FormsMark>,
}

/// The prefix of the name of a file of cells; the number of records that they stand for follows.
const CELLS: &str = "cells-";

impl SegmentLocation {
    /// Returns a new path for a segment of this kind.
    pub(super) fn path(&self) -> String {
        // Some engines read partitions from paths, so the bucket is written as they parse it: an
        // hour with its time zone.
        let (bucket, profile, name) = (&self.bucket, &self.profile, Uuid::new_v4());
        match (self.cells, self.forms) {
            (None, None) => format!("bucket={bucket}/profile={profile}/{name}.parquet"),
            (None, Some(forms)) => {
                format!("bucket={bucket}/profile={profile}/{forms}-{name}.parquet")
            }
            (Some(records), _) => {
                format!("bucket={bucket}/profile={profile}/{CELLS}{records}-{name}.parquet")
            }
        }
    }
}

/// Returns the number of records that the rows of the file at `path` stand for, if its name marks
/// them as cells.
#[must_use]
pub fn cell_records(path: &str) -> Option<u64> {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    name.strip_prefix(CELLS)?.split_once('-')?.0.parse().ok()
}

/// Returns the canonical forms of the subjects in the file at `path`, by its name.
#[must_use]
pub(super) fn forms_of(path: &str) -> Option<FormsMark> {
    FormsMark::of_name(path.rsplit_once('/').map_or(path, |(_, name)| name))
}

/// A complete Parquet file in memory, not yet written.
#[derive(Debug, Clone)]
pub struct EncodedSegment {
    pub(super) tags: SegmentTags,
    pub(super) forms: Option<FormsMark>,
    pub(super) contents: FileContents,
    pub(super) bytes: Bytes,
}

impl EncodedSegment {
    /// Returns its size in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns true if it has no rows; never true, since such a segment is not encoded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.contents.rows == 0
    }

    /// Returns the number of its rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.contents.rows
    }

    /// Returns the file itself.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// A segment that is durably written and that no table lists yet.
#[derive(Debug, Clone)]
pub struct Segment {
    pub(super) path: String,
    pub(super) home: SegmentLocation,
    pub(super) contents: FileContents,
    pub(super) size: u64,
}

impl Segment {
    /// Returns its path in the table's folder.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the number of its rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.contents.rows
    }

    /// Returns the number of records that its rows stand for: equal to the rows, or more if they
    /// are cells.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.home.cells.unwrap_or(self.contents.rows)
    }

    /// Returns true if its rows are cells.
    #[must_use]
    pub fn cells(&self) -> bool {
        self.home.cells.is_some()
    }

    /// Returns its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the bucket of its rows.
    #[must_use]
    pub fn bucket(&self) -> Bucket {
        self.home.bucket
    }

    /// Returns the profile of its rows.
    #[must_use]
    pub fn profile(&self) -> &ProfileId {
        &self.home.profile
    }
}

#[cfg(test)]
mod tests;
