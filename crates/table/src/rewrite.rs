//! Rewrites of stored segments: drop columns (splice), divide rows (split), merge segments (merge),
//! write new tags (retag), adapt the columns to the policy (reform), read rows back, add cells.
//!
//! The table itself is never changed here: new files are written and made durable, and no reader
//! sees them before `Table::commit_rewrite`. A whole segment is never held in memory.

mod cells;
mod error;
mod matching;
mod merge;
mod read;
mod reform;
mod retag;
mod splice;
mod split;
mod tagged;
mod upload;

pub use cells::count as count_cells;
pub use error::RewriteError;
pub use matching::{BATCH_ROWS, OpenedSegment};
pub use merge::MergeSettings;
pub use read::of_table;
pub use read::{RowStream, SegmentReader, SegmentRows};
pub use reform::ReformResult;
pub use retag::{NewTags, RetagResult, Retagging};
pub use splice::SpliceResult;
pub use split::SplitResult;

use super::index::{StoredSegment, deadlines_in_stats};
use super::segment::{FileContents, SegmentLocation};
use ebbtide_base::ids::{Category, Deadline};

impl SegmentLocation {
    /// Returns the location of a segment that replaces `source`. It needs no text form of the
    /// profile, because the table already has it.
    fn of(source: &StoredSegment) -> SegmentLocation {
        let cells = source.cells.then_some(source.records);
        let (profile, forms) = (source.profile.clone(), source.forms());
        SegmentLocation {
            bucket: source.bucket,
            profile,
            profile_text: None,
            cells,
            forms,
        }
    }

    /// Creates the location of several segments that become one: its subjects are in a canonical
    /// form only if all of theirs are.
    fn of_all<'s>(
        first: &StoredSegment,
        others: impl IntoIterator<Item = &'s StoredSegment>,
    ) -> SegmentLocation {
        let home = SegmentLocation::of(first);
        let is_one = others.into_iter().all(|other| other.forms() == home.forms);
        SegmentLocation {
            forms: home.forms.filter(|_| is_one),
            ..home
        }
    }
}

/// Refuses new segments whose statistics lack a deadline of the old ones: the expiry would never be
/// noticed.
fn check_deadlines_kept<'a>(
    path: &str,
    mut deadlines: impl Iterator<Item = (&'a Category, &'a Deadline)>,
    new: &[&FileContents],
) -> Result<(), RewriteError> {
    let kept: Vec<_> = new
        .iter()
        .map(|contents| deadlines_in_stats(&contents.stats))
        .collect();
    match deadlines.find(|(category, at)| !kept.iter().any(|kept| kept.get(category) == Some(at))) {
        None => Ok(()),
        Some((category, _)) => {
            let why = format!("its statistics do not show when {category} is due");
            Err(RewriteError::Damaged {
                path: path.to_owned(),
                why,
            })
        }
    }
}

/// Runs blocking work on a separate thread.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RewriteError> + Send + 'static,
) -> Result<T, RewriteError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            Err(
                super::StoreError::Refused(format!("the work on a segment was stopped: {error}"))
                    .into(),
            )
        })
}

#[cfg(test)]
mod tests;
