//! Why work that was due could not be done. None of it ever holds a value of a record.

use crate::anonymize::{CellsError, PlanError};
use crate::controls::NotActive;
use crate::store::{CommitError, RewriteError, StoreError};

/// A piece of work was not done; the table is as it was.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// A segment could not be read or rewritten.
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
    /// The commit was not made.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The records could not be made cells.
    #[error(transparent)]
    Cells(#[from] CellsError<RewriteError>),
    /// The policy's `anonymize` does not fit the table.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Another policy is active than the one in hand: nothing may be done by the old one.
    #[error(transparent)]
    NotActive(#[from] NotActive),
    /// The table cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SweepError {
    /// Whether somebody else was faster, or moved the controls: look again, it is no failure.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        matches!(
            self,
            SweepError::Rewrite(RewriteError::Gone { .. })
                | SweepError::Cells(CellsError::Source(RewriteError::Gone { .. }))
                | SweepError::Commit(
                    CommitError::ControlsMoved
                        | CommitError::SchemaMoved
                        | CommitError::SegmentMoved(_)
                        | CommitError::SegmentGone
                        | CommitError::PolicyMoved { .. }
                )
        )
    }
}
