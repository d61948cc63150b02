//! What is done to segments once they are stored: columns left out (splice), rows parted (split), rows read back, cells put.
//!
//! Promises that the table itself is never changed here: new files are written and made durable, and no reader sees them
//! before `Table::commit_rewrite`. Must never hold a whole segment in memory.

mod cells;
mod error;
mod matching;
mod predicate;
mod read;
mod source;
mod splice;
mod split;
mod upload;

pub(super) use cells::count as count_cells;
pub use error::RewriteError;
pub use predicate::Predicate;
pub use read::{Rows, RowsOf};
pub use splice::Spliced;
pub use split::Split;

use super::index::StoredSegment;
use super::segment::Home;

impl Home {
    /// The place of what a segment becomes: the table explains its profile already.
    fn of(source: &StoredSegment) -> Home {
        let cells = source.cells.then_some(source.records);
        Home { bucket: source.bucket, profile: source.profile.clone(), profile_text: None, cells }
    }
}

/// Work that may block, on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RewriteError> + Send + 'static,
) -> Result<T, RewriteError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(super::StoreError::Refused(format!("the work on a segment was stopped: {error}")).into())
    })
}

#[cfg(test)]
mod tests;
