//! The state of one product that decisions use, apart from its table and the list of its segments.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::end_plan::EndPlan;
use super::holds::SweepHolds;
use crate::migrate::policy_lag::PolicyLag;
use crate::record_rules::RecordRules;
use crate::review::ProductReviews;
use crate::triggers::state::TriggerState;
use ebbtide_base::ids::{Category, ProductKey};
use ebbtide_controls::{Controls, SegmentView};
use ebbtide_policy::{Policy, Records};
use ebbtide_table::{Predicate, StoredSegment};

/// The rules of one product, the controls that were read last, and the results of earlier checks of
/// its segments. Clones share these results.
#[derive(Clone)]
pub struct ProductState {
    /// The product.
    pub key: ProductKey,
    /// The way in which its records end.
    pub ending: EndPlan,
    /// Its categories.
    pub categories: BTreeSet<Category>,
    /// Its records and their calendar.
    pub rules: RecordRules,
    /// The policies that its segments may still be tagged under; `None` before the first
    /// activation.
    pub lag: Option<Arc<PolicyLag>>,
    /// The notices that may concern its segments.
    pub triggers: TriggerState,
    /// The results of the checks of its segments.
    pub reviews: ProductReviews,
    /// The controls that were read last.
    pub controls: Arc<Controls>,
}

impl ProductState {
    /// Uses those controls from now on.
    pub fn take_controls(&mut self, controls: Arc<Controls>) {
        self.controls = controls;
        self.triggers.know(&self.controls, &self.key, &self.rules);
    }

    /// Updates the active policy and the earlier ones, if the controls that were read last changed
    /// them. `policy` is the active one.
    pub fn take_policies(&mut self, policy: &Policy) {
        let controls = &self.controls;
        let is_known = self.lag.as_ref().is_some_and(|lag| lag.is_of(controls));
        if controls.active().is_some() && !is_known {
            self.lag = PolicyLag::of(controls, policy, &self.key).map(Arc::new);
        }
    }

    /// Returns a predicate for the rows of a segment that the holds cover; `None` if they can cover
    /// none.
    #[must_use]
    pub fn predicate(&self, segment: &StoredSegment, held: &SweepHolds) -> Option<Predicate> {
        let rows = |records: &Records| {
            let view = SegmentView::of(&self.rules.calendar, segment, records);
            held.holds.predicate(&self.key, records, &view)
        };
        // In a segment of an earlier policy, columns may have other names, and columns may identify
        // subjects that no longer do.
        let before = self
            .lag
            .as_ref()
            .and_then(|lag| lag.records_of(segment))
            .and_then(&rows);
        match (rows(&self.rules.records), before) {
            (Some(now), Some(before)) if now != before => Some(Predicate::Any(vec![now, before])),
            (now, before) => now.or(before),
        }
    }

    /// Records that the holds cover all rows of a segment.
    pub fn record_held(&self, path: Arc<str>, held: &SweepHolds) {
        self.reviews.lock().record_held(path, held.mark);
    }

    /// Records that the tags of segments reflect all notices.
    pub fn record_triggers(&self, paths: impl IntoIterator<Item = Arc<str>>) {
        let newest = self.triggers.notices().newest();
        let mut reviews = self.reviews.lock();
        for path in paths {
            reviews.record_triggers(path, newest);
        }
    }

    /// Records that none of the rows of segments changes under the policy of `lag`.
    pub fn settle(&self, paths: impl IntoIterator<Item = Arc<str>>, lag: &PolicyLag) {
        let mut reviews = self.reviews.lock();
        for path in paths {
            reviews.settle(path, lag.activation());
        }
    }
}
