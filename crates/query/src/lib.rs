//! Reads the tables: look-up of subjects, reports about tables and records, residue search, and
//! export to Parquet.
//!
//! Nothing here changes a table. A value that is searched for must never be part of an error or a
//! log line.

mod export;
mod lookup;
pub mod residue;
mod view;

pub use export::{ExportError, ParquetFile};
pub use lookup::{FoundBatch, FoundRows, RecordFinder, SegmentScan, TableSnapshot};
pub use view::{
    Audit, AuditViolation, AuditedContents, CategoryState, CommitFilter, CommitKind, CommitRecord,
    DeadlineForecast, HistorySpan, Leftovers, NextOffset, RecordCommit, RecordHints, RecordHistory,
    RecordKey, RecordStatus, StoredCategory, StoredRecord, StoredTags, TableOverview, ViewError,
    audit, audit_contents, history, leftovers, newest_commit, products, show, stored_columns,
    stored_tags, takes_in, why,
};
