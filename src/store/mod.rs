//! The tables: one Delta Lake table for each product, its segments, and the commit that makes records durable exactly
//! once.
//!
//! A commit lands whole or not at all, on exactly the version that it was checked against. No personal value is stored
//! outside data pages. This is the only layer that uses the Delta, Parquet and object-store crates.

mod clock_records;
mod controls;
mod deletions;
mod durable;
mod error;
mod evidence;
mod export;
mod index;
mod janitor;
mod log;
mod lookup;
mod objects;
mod quarantine;
pub mod residue;
mod rewrite;
mod root;
mod segment;
mod source;
mod spec;
mod table;
#[cfg(test)]
pub mod testing;
mod thrift;
mod view;

pub use clock_records::{ClockJump, ClockRecords, Confirmation, TrustedTime};
pub use controls::{AppendError, ControlLog};
pub use deletions::{DeleteFailure, DeleteFailures, Deletions, OverdueFiles};
pub use error::{CommitError, OpenError, StoreError};
pub use evidence::{
    ACCEPT_LOSS, COMPACT, Evidence, Loss, LossCause, OPERATIONS, PartitionProgress, RewriteEvidence, Totals,
};
pub use export::{ExportError, ParquetFile};
pub use index::{SegmentIndex, StoredSegment};
pub use janitor::{Maintained, Plan, Upkeep};
pub use lookup::{AnyOf, Filter, Finder, Found, FoundRows, Look, TableAt, Within};
pub use objects::UnfitError;
pub use quarantine::{Quarantine, QuarantinePass};
pub use rewrite::{
    Merging, NewTags, Predicate, Reader, Reformed, Retagged, Retagging, RewriteError, Rows, RowsOf, Spliced, Split,
};
pub use root::{Root, RootError};
pub use segment::{EncodedSegment, Segment, SegmentError, SegmentTags, SegmentWriter};
pub use spec::{Role, TableColumn, TableSpec};
pub use table::{
    AcceptLossError, Advance, ControlsVersion, IngestCommit, KnownTables, LossDecision, RewriteCommit, Shelf, Table,
    TableControls, TakesForce, controls_of, raise_controls, take_force,
};
pub use view::{
    Ahead, Audit, AuditedContents, Break, Fate, Happened, Happening, History, Known, Leftovers, NextOffset, Overview,
    Place, Sought, Standing, State, Step, StoredTags, Story, ViewError, Wanted, audit, audit_contents, history,
    leftovers, newest_commit, products, show, stored_columns, stored_tags, takes_in, why,
};
