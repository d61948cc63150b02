//! Errors of the store, one type for each operation. They never contain a value of a record.

use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::TransactionError;

use ebbtide_base::ids::{Category, PolicyVersion, TopicPartition};

/// The store could not be read or written, or contains something that this version does not
/// understand.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file could not be read or written.
    #[error("the store failed: {0}")]
    Object(#[from] object_store::Error),
    /// The Delta log could not be read or written.
    #[error("the table's log failed: {}", first_line(.0))]
    Delta(#[from] Box<DeltaTableError>),
    /// Another engine gave the table a protocol or a property that this version must not write to.
    #[error("the table asks for {0}, which this version must not write to")]
    Unsupported(String),
    /// A file of a table's log is missing, or its content is invalid in any Delta log.
    #[error("table {table}: {file} is damaged: {what}; {fix}")]
    Damaged {
        /// The table's product.
        table: String,
        /// The file, by its path in the table's folder.
        file: String,
        /// The damage; never a value of the file.
        what: String,
        /// The fix, in one sentence without a full stop.
        fix: &'static str,
    },
    /// A control is missing, or contains something that this version does not understand: it may be
    /// an order.
    #[error(
        "control {version} is unreadable: {what}; nothing is deleted or committed until `_controls` is restored from a backup"
    )]
    ControlsUnreadable {
        /// The control's version.
        version: u64,
        /// The problem; never a value of the control.
        what: String,
    },
    /// The store refuses an entry because its name is taken, and shows no object of that name.
    #[error(
        "the store says that entry {version} of the log exists, and does not show it; use a store that shows every \
         completed write"
    )]
    EntryHidden {
        /// The version of the entry.
        version: u64,
    },
    /// An entry may have landed, and the check failed too.
    #[error("it is unknown whether the entry landed, so check before trying again: {0}")]
    OutcomeUnknown(#[source] Box<StoreError>),
    /// The caller's request cannot be valid; nothing was tried.
    #[error("refused: {0}")]
    Refused(String),
}

/// Returns the first line of a library's message: the rest is a backtrace of the library.
fn first_line(error: &DeltaTableError) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

impl From<DeltaTableError> for StoreError {
    fn from(error: DeltaTableError) -> Self {
        StoreError::Delta(Box::new(error))
    }
}

impl From<TransactionError> for StoreError {
    fn from(error: TransactionError) -> Self {
        DeltaTableError::from(error).into()
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        object_store::Error::Generic {
            store: "local",
            source: Box::new(error),
        }
        .into()
    }
}

/// The reason why a table could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A column has another type in the table than in the policy.
    #[error(
        "column {column} of table {table} is {stored} and the policy's schema makes it {wanted}; \
         rename the field in the schema, or start a new product"
    )]
    ColumnType {
        /// The table's product.
        table: String,
        /// The column.
        column: String,
        /// Its type in the table, in Delta's words.
        stored: String,
        /// Its type by the policy, in Delta's words.
        wanted: String,
    },
    /// The table is not partitioned by bucket and profile.
    #[error(
        "table {table} is partitioned by {found} and not by bucket, profile; it is not a table of Ebbtide's, move it away"
    )]
    Partitions {
        /// The table's product.
        table: String,
        /// Its partition columns.
        found: String,
    },
    /// The policy's bucket is not the table's.
    #[error(
        "table {table} holds buckets of a {stored} and the policy says {wanted}; set `bucket: {stored}` in the policy, \
         or start a new root"
    )]
    BucketUnit {
        /// The table's product.
        table: String,
        /// The unit in the table.
        stored: &'static str,
        /// The unit by the policy.
        wanted: &'static str,
    },
    /// A column of the policy cannot be stored in a Delta table.
    #[error("the columns of table {table} have no Delta type: {why}")]
    NoDeltaType {
        /// The table's product.
        table: String,
        /// The reason.
        why: String,
    },
    /// The store failed, or contains something that this version must not change.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DeltaTableError> for OpenError {
    fn from(error: DeltaTableError) -> Self {
        OpenError::Store(error.into())
    }
}

/// The reason why a commit was not made.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The table's next offset is not the one at which this batch begins: another writer has the
    /// partition. Drop the batch.
    #[error("another writer moved the offsets of {0}")]
    OffsetsMoved(TopicPartition),
    /// A hold, suppression or other control came into force that this batch has not seen. Read it
    /// and make the batch again.
    #[error("the table's controls moved")]
    ControlsMoved,
    /// The active policy is not the one that the commit was made under. No further commit may be
    /// made under the old one.
    #[error("policy {active} is active in the table, and this was made under another")]
    PolicyMoved {
        /// The version of the active policy.
        active: String,
    },
    /// The table records other columns for the categories of that policy: the policy's text was
    /// edited without a new version. No commit may be made under it.
    #[error(
        "policy {version} has its columns in other categories here than in the table: its text was edited under its version; \
         start with the text that `ebbtide policy history --show {version}` prints, or give the new one a version of its own \
         and see `ebbtide policy plan`"
    )]
    OtherColumns {
        /// The version of the policy.
        version: PolicyVersion,
    },
    /// The commit would clear the deadline of a category although one of its columns stays. The
    /// whole commit is refused.
    #[error("it would clear the deadline of {category} although its column {column} stays")]
    DeadlineCleared {
        /// The category.
        category: Category,
        /// The column that stays.
        column: String,
    },
    /// The table's columns are no longer the ones that the segments were written for. Open the
    /// table again.
    #[error("the table's columns moved")]
    SchemaMoved,
    /// A segment that a rewrite replaces is no longer in the table: another rewrite was faster.
    /// Drop this one and choose segments again.
    #[error("segment {0} is no longer in the table")]
    SegmentMoved(String),
    /// A file of the batch is no longer there: the process slept for longer than files without a
    /// commit are kept. Drop the batch and read its records again.
    #[error("a segment of the batch was deleted")]
    SegmentDeleted,
    /// A commit renewed the tags of rows since they were checked. Check them again.
    #[error("the tags of the table's rows moved")]
    TagsMoved,
    /// Nothing was committed. It is safe to call again with the same batch.
    #[error("nothing was committed: {0}")]
    Store(#[source] StoreError),
    /// The commit may have landed, and the check failed too. Call again with the same batch: the
    /// call checks first.
    #[error("it is unknown whether the commit landed: {0}")]
    Unknown(#[source] StoreError),
}
