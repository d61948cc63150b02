//! Carries out one piece of work on one table: held rows are split off, the action is applied to the
//! rest. Records in the table that all tags reflect the notices so far.

use super::commit::{CommitContext, TaskOutcome};
use super::error::SweepError;
use super::product::SweptProduct;
use super::product::holds::SweepHolds;
use super::segment_action::ActionRun;
use super::task::Task;
use ebbtide_table::Evidence;

impl SweptProduct {
    /// Does a piece of work. Returns an error if a part of it was not done; commits made before
    /// that remain.
    pub async fn carry_out(
        &mut self,
        work: &Task,
        held: &SweepHolds,
        by: &CommitContext,
    ) -> Result<TaskOutcome, SweepError> {
        let action = work.action.kind();
        let mut done = TaskOutcome::default();
        let mut segments = Vec::with_capacity(work.segments.len());
        for segment in &work.segments {
            if !action.spares_held() {
                segments.push(segment.clone());
            } else if let Some(free) = self.split_held(segment, held, by, &mut done).await? {
                segments.push(free);
            }
        }
        if segments.is_empty() {
            return Ok(done);
        }
        let run = ActionRun {
            product: self,
            held,
            by,
            done: &mut done,
        };
        action.carry_out(run, segments).await?;
        Ok(done)
    }

    /// Records in the table that all tags reflect the notices so far, if that is true and not
    /// recorded yet. Returns true if it was recorded.
    pub async fn record_notices(
        &mut self,
        held: &SweepHolds,
        by: &CommitContext,
    ) -> Result<bool, SweepError> {
        let Some(newest) = self.view().notice_to_record(held) else {
            return Ok(false);
        };
        let evidence = Evidence::control(
            "notices",
            by.writer,
            by.clock.now(),
            by.policy_version.clone(),
        );
        Ok(self.table.record_notices(newest, evidence).await?)
    }
}
