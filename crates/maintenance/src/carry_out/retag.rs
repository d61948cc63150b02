//! Brings stored tags up to date: rows whose trigger came get the profile and deadlines that they
//! would get on arrival.
//!
//! Only tags change: a held row keeps its data. Segments without such rows are recorded, not
//! rewritten.

use super::{CommitContext, PlannedCommit, TaskOutcome};
use crate::error::SweepError;
use crate::product::{SweepHolds, SweptProduct};
use crate::select::Task;
use ebbtide_table::{RewriteEvidence, Segment};

impl SweptProduct {
    /// Brings the tags of a piece of work's segments up to date, in one commit.
    pub(super) async fn bring_up(
        &mut self,
        work: &Task,
        held: &SweepHolds,
        by: &CommitContext,
    ) -> Result<TaskOutcome, SweepError> {
        let mut done = TaskOutcome::default();
        let Some(retagging) = self.retagging(work) else {
            return Ok(done);
        };
        let Some(retagged) = self.table.retag(&work.segments, retagging).await? else {
            work.segments
                .iter()
                .for_each(|segment| self.note_true(segment.path.clone()));
            return Ok(done);
        };
        let did = RewriteEvidence {
            retagged: retagged.retagged,
            moved: retagged.moved,
            bytes_copied: retagged.bytes_copied,
            ..RewriteEvidence::default()
        };
        let new: Vec<String> = retagged
            .segments
            .iter()
            .map(|segment: &Segment| segment.path().to_owned())
            .collect();
        let step = PlannedCommit {
            operation: "retag",
            removes: retagged.replaced,
            adds: retagged.segments,
            did,
            renewed: false,
        };
        done.count(&self.commit(step, held, by).await?);
        new.into_iter().for_each(|path| self.note_true(path.into()));
        for segment in &work.segments {
            if self.index.get(&segment.path).is_some() {
                self.note_true(segment.path.clone());
            }
        }
        Ok(done)
    }
}
