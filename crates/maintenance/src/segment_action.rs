//! The interface of an action on segments. Each kind of action is a type of its own.

use std::fmt::Debug;

use futures::future::BoxFuture;

use super::commit::{CommitContext, PlannedCommit, TaskOutcome};
use super::error::SweepError;
use super::product::SweptProduct;
use super::product::holds::SweepHolds;
use ebbtide_table::StoredSegment;

/// An action on segments of one bucket and profile.
pub trait SegmentAction: Debug + Sync {
    /// Returns its name in metrics.
    fn name(&self) -> &'static str;

    /// Returns its description for people.
    fn describe(&self) -> String {
        self.name().to_owned()
    }

    /// Returns true if it deletes data. Of work with the same deadline, actions that only change
    /// tags come first.
    fn deletes(&self) -> bool;

    /// Returns true if rows that holds cover must not take part in it. They are split off first.
    fn spares_held(&self) -> bool {
        true
    }

    /// Returns true if it may use much memory whatever the size of the segments.
    fn needs_memory(&self) -> bool {
        false
    }

    /// Carries it out on `segments`. Returns an error if a part was not done; commits made before
    /// that remain.
    fn carry_out<'r>(
        &'r self,
        run: ActionRun<'r>,
        segments: Vec<StoredSegment>,
    ) -> BoxFuture<'r, Result<(), SweepError>>;
}

/// The context in which an action is carried out.
pub struct ActionRun<'r> {
    pub(super) product: &'r mut SweptProduct,
    /// The holds that the work was planned with.
    pub(super) held: &'r SweepHolds,
    pub(super) by: &'r CommitContext,
    /// The result so far.
    pub(super) done: &'r mut TaskOutcome,
}

impl ActionRun<'_> {
    /// Makes a commit and counts its effects.
    pub(super) async fn commit(&mut self, step: PlannedCommit) -> Result<(), SweepError> {
        let did = self.product.commit(step, self.held, self.by).await?;
        self.done.count(&did);
        Ok(())
    }
}
