//! The tables: one Delta Lake table for each product, its segments, and the commit that makes
//! records durable exactly once.
//!
//! A commit lands whole or not at all, on exactly the version that it was checked against. No
//! personal value is stored outside data pages. This is the only layer that uses the Delta, Parquet
//! and object-store crates.

mod clock_records;
mod controls;
mod deletions;
pub mod durable;
pub mod error;
pub mod evidence;
pub mod index;
pub mod janitor;
pub mod log;
pub mod objects;
mod quarantine;
#[cfg(test)]
mod reports;
pub mod rewrite;
pub mod root;
pub mod scan;
pub mod segment;
pub mod snapshot;
pub mod source;
pub mod spec;
pub mod table;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod thrift;
pub mod transaction;

pub use clock_records::{ClockJump, ClockRecords, Confirmation, TrustedTime};
pub use controls::{AppendError, ControlLog};
pub use deletions::{DeleteFailure, DeleteFailures, Deletions, OverdueFiles};
pub use error::{CommitError, OpenError, StoreError};
pub use evidence::{
    ACCEPT_LOSS, COMPACT, Evidence, LossCause, OPERATIONS, OffsetLoss, PartitionEvidence,
    RewriteEvidence, TableTotals,
};
pub use index::{SegmentIndex, StoredSegment};
pub use janitor::{CleanupPlan, MaintenanceSettings};
pub use objects::ProbeError;
pub use quarantine::{Quarantine, QuarantinePass};
pub use rewrite::{
    MergeSettings, NewTags, ReformResult, RetagResult, Retagging, RewriteError, RowStream,
    SegmentReader, SegmentRows, SpliceResult, SplitResult,
};
pub use root::{Root, RootError};
pub use scan::Predicate;
pub use segment::{EncodedSegment, Segment, SegmentError, SegmentTags, SegmentWriter};
pub use spec::{ColumnRole, TableColumn, TableSpec};
pub use table::{
    AcceptLossError, ControlsVersion, IngestCommit, LossDecision, MaintenanceReport, OffsetAdvance,
    PolicyCommit, RewriteCommit, SegmentStore, SegmentedTable, Table, TableControls,
    TableControlsCache, controls_of, raise_controls, take_force,
};
pub use transaction::{CommitFailure, EntryPut, Transaction, commit};
