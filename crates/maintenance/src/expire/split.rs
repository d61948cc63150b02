//! Splits held rows off before a segment is changed. The data of rows that a hold in force covers must
//! never change.

use crate::commit::{CommitContext, PlannedCommit, TaskOutcome};
use crate::error::SweepError;
use crate::product::SweptProduct;
use crate::product::holds::SweepHolds;
use ebbtide_table::{RewriteEvidence, SplitResult, StoredSegment};

impl SweptProduct {
    /// Splits the held rows of a segment off into a segment of their own and returns the rest;
    /// `None` if all rows are held.
    pub(crate) async fn split_held(
        &mut self,
        segment: &StoredSegment,
        held: &SweepHolds,
        by: &CommitContext,
        done: &mut TaskOutcome,
    ) -> Result<Option<StoredSegment>, SweepError> {
        let Some(predicate) = self.state.predicate(segment, held) else {
            return Ok(Some(segment.clone()));
        };
        match self.table.split(segment, &predicate).await? {
            SplitResult::None => Ok(Some(segment.clone())),
            SplitResult::All => {
                self.state.record_held(segment.path.clone(), held);
                done.did.held += segment.records;
                Ok(None)
            }
            SplitResult::Both { matching, rest } => {
                let (kept, freed) = (matching.path().to_owned(), rest.path().to_owned());
                let did = RewriteEvidence {
                    held: matching.rows(),
                    ..RewriteEvidence::default()
                };
                let (removes, adds) = (vec![segment.clone()], vec![matching, rest]);
                let step = PlannedCommit {
                    operation: "split",
                    removes,
                    adds,
                    did,
                    renewed: false,
                };
                done.count(&self.commit(step, held, by).await?);
                self.state.record_held(kept.into(), held);
                Ok(self.table.segments().get(&freed).cloned())
            }
        }
    }
}
