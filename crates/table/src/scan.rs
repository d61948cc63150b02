//! The scan of files: one predicate for rows, and one pruner that finds the row groups that may
//! match it. Holds, retags, splits, look-ups and `why` use both.
//!
//! Does no I/O: the callers read the bytes and decode the rows. The pruner answers "certainly not
//! in this row group" or "maybe". A wrong "not" would delete a held record.

mod bloom;
mod bounds;
mod predicate;
mod prune;

pub use bloom::BloomPlaces;
pub use bounds::{ColumnBounds, FileColumn, PartAnswer, TextBounds, all_null};
pub use predicate::{ColumnTypeError, Predicate};
pub use prune::{FilePruner, ScannedFile};

#[cfg(test)]
mod tests;
