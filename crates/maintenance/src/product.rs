//! One product as a sweep sees it: its table and segments, and the state that decisions use.
//!
//! Decisions are made on a [`SweepView`], without I/O; the product reads and writes the table. A
//! segment whose rows are all held is read once for each set of holds, not once per round.

pub mod end_plan;
pub mod holds;
mod opening;
pub mod state;
pub mod view;

use std::sync::Arc;

use super::review::ReviewCache;
use super::triggers::candidate::{StaleRows, TriggerCandidate};
use ebbtide_base::ids::ProductKey;
use ebbtide_controls::{Controls, SharedControls};
use ebbtide_policy::Policy;
use ebbtide_table::{
    ControlsVersion, Retagging, RewriteError, SegmentedTable, StoreError, StoredSegment,
};
use holds::SweepHolds;
pub use opening::OpenProductError;
use state::ProductState;
use view::SweepView;

/// One product's table as a sweep sees it. Clones share the results of checks of segments.
#[derive(Clone)]
pub struct SweptProduct {
    /// Its table, with its segments.
    pub table: SegmentedTable,
    /// The state that decisions use.
    pub(crate) state: ProductState,
}

impl SweptProduct {
    /// Returns the product's key.
    #[must_use]
    pub fn key(&self) -> &ProductKey {
        &self.state.key
    }

    /// Uses the store of review records that the tasks of this process share.
    pub(crate) fn share_reviews(&mut self, reviews: &ReviewCache) {
        self.state.reviews = reviews.share(&self.state.key, &self.state.reviews);
    }

    /// Returns the product at this moment, for decisions. The results of checks are locked until
    /// the view is dropped.
    #[must_use]
    pub fn view(&self) -> SweepView<'_> {
        SweepView {
            state: &self.state,
            table: &self.table,
            recorded_notice: self.table.recorded_notice(),
            reviews: self.state.reviews.lock(),
        }
    }

    /// Reads what was committed since the last call.
    pub async fn refresh(&mut self) -> Result<(), StoreError> {
        self.table.refresh().await?;
        let ingested = self.table.take_ingested();
        let segments = self.table.segments();
        let mut reviews = self.state.reviews.lock();
        for segment in ingested {
            reviews.record_triggers(segment.path, ControlsVersion(segment.controls));
        }
        reviews.retain(segments.version(), |path| segments.get(path).is_some());
        Ok(())
    }

    /// Updates the active policy and the earlier ones, if the controls that were read last changed
    /// them. `policy` is the active one.
    pub fn update_policies(&mut self, policy: &Policy) {
        self.state.take_policies(policy);
    }

    /// Returns the controls, read up to the version that the table is under or later.
    pub async fn controls(&mut self, of: &SharedControls) -> Result<&Controls, StoreError> {
        let controls = of.newest(self.table.controls()).await?;
        self.state.take_controls(controls);
        Ok(&self.state.controls)
    }

    /// Returns the segments that notices may concern and that were not checked for them.
    pub fn suspected(&mut self) -> Vec<TriggerCandidate> {
        let mut view = self.view();
        let found = view.suspected(view.segments().iter());
        view.record_unconcerned(found)
    }

    /// Returns those of `segments` that notices may concern and that were not checked for them.
    pub(crate) fn suspected_of(&self, segments: &[StoredSegment]) -> Vec<TriggerCandidate> {
        let mut view = self.view();
        let found = view.suspected(segments);
        view.record_unconcerned(found)
    }

    /// Returns the rows of a suspect's segment whose tags are no longer true, with their new
    /// deadlines. If there are none, the segment's tags are recorded as true.
    pub(crate) async fn stale_rows(
        &self,
        suspect: &TriggerCandidate,
    ) -> Result<Vec<StaleRows>, RewriteError> {
        let (triggers, segment) = (&self.state.triggers, &suspect.segment);
        let by = triggers.retagging(suspect, &self.state.rules);
        let counted = self.table.retag_count(segment, by).await?;
        if counted.is_empty() {
            self.state.record_triggers([Arc::clone(&segment.path)]);
        }
        let stale = counted.into_iter();
        Ok(stale
            .map(|(tags, records)| triggers.rows(&tags, records))
            .collect())
    }

    /// Returns the retagging of the rows of segments of one bucket and profile; `None` if no notice
    /// concerns them any more.
    pub(crate) fn retagging(&self, segments: &[StoredSegment]) -> Option<Arc<dyn Retagging>> {
        let suspects = self.suspected_of(segments);
        // The suspect with the most notices has all those of the others: all segments are checked
        // for them.
        let most = suspects.iter().max_by_key(|suspect| suspect.notices())?;
        Some(self.state.triggers.retagging(most, &self.state.rules))
    }

    /// Returns true if the holds cover all rows of a segment, by reading it, and records that.
    pub(crate) async fn finds_held(
        &self,
        segment: &StoredSegment,
        held: &SweepHolds,
    ) -> Result<bool, RewriteError> {
        let Some(predicate) = self.state.predicate(segment, held) else {
            return Ok(false);
        };
        let is_held = self.table.matches(segment, &predicate).await? == segment.rows;
        if is_held {
            self.state.record_held(Arc::clone(&segment.path), held);
        }
        Ok(is_held)
    }
}
