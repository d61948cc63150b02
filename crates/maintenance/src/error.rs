//! The errors of due work that could not be done. No error contains a value of a record.

use ebbtide_controls::InactivePolicy;
use ebbtide_policy::anonymize::{CellPlanError, CellsError};
use ebbtide_table::{CommitError, RewriteError, StoreError};

/// The reason why a piece of work was not done. Earlier commits of the work remain; the failed step
/// changed nothing, unless the outcome of its commit is unknown.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// A segment could not be read or rewritten.
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
    /// The commit was not made, or its outcome is unknown.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The records could not be aggregated into cells.
    #[error(transparent)]
    Cells(#[from] CellsError<RewriteError>),
    /// The policy's `anonymize` does not fit the table.
    #[error(transparent)]
    Plan(#[from] CellPlanError),
    /// The active policy is not the policy of this instance: nothing may be done under the old one.
    #[error(transparent)]
    NotActive(#[from] InactivePolicy),
    /// The table cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SweepError {
    /// Returns true if another instance was faster or the controls moved. Then the work is planned
    /// again; it is not a failure.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        matches!(
            self,
            SweepError::Rewrite(RewriteError::SegmentDeleted { .. })
                | SweepError::Cells(CellsError::Source(RewriteError::SegmentDeleted { .. }))
                | SweepError::Commit(
                    CommitError::ControlsMoved
                        | CommitError::SchemaMoved
                        | CommitError::SegmentMoved(_)
                        | CommitError::SegmentDeleted
                        | CommitError::PolicyMoved { .. }
                )
        )
    }
}
