//! The review record of each segment: the results of earlier checks of its rows, and the time of
//! the next try after a failure.
//!
//! The sweep, compaction and the watch of a process share one store. A record only saves work: if
//! it is lost, the segment is checked again. A record is kept as long as its segment is in the
//! newest index of the table that any task has read.

mod retry;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::SweepError;
use super::triggers::candidate::StaleRows;
use ebbtide_base::ids::ProductKey;
use ebbtide_table::{ControlsVersion, StoredSegment};
use retry::culprit;
pub use retry::{RetryKind, RetryTime};

/// A hash of the ids of the holds in force at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldsMark(pub u64);

/// The results of the checks of one segment.
#[derive(Debug, Clone, Default)]
pub struct SegmentReview {
    /// The holds that were found to cover all of its rows.
    held: Option<HoldsMark>,
    /// The activation of the policy under which none of its rows was found to change.
    settled: Option<ControlsVersion>,
    /// The newest notice that its tags reflect; 0 if none is known.
    triggers: ControlsVersion,
    /// Its rows that were found to have stale tags, and the newest notice at that time.
    stale: Option<(ControlsVersion, Vec<StaleRows>)>,
    /// The time of the next try after a failed piece of work of the sweep.
    sweep_retry: Option<RetryTime>,
    /// The time of the next try after a failed merge.
    merge_retry: Option<RetryTime>,
}

impl SegmentReview {
    fn retry(&mut self, kind: RetryKind) -> &mut Option<RetryTime> {
        match kind {
            RetryKind::Sweep => &mut self.sweep_retry,
            RetryKind::Merge => &mut self.merge_retry,
        }
    }
}

/// The review records of a product's segments, by path.
#[derive(Debug, Default)]
pub struct SegmentReviews {
    by_path: HashMap<Arc<str>, SegmentReview>,
    /// The newest version of the table whose index decided what is kept.
    kept_at: u64,
}

impl SegmentReviews {
    /// Returns true if exactly these holds were found to cover all rows of a segment.
    #[must_use]
    pub fn is_held_by(&self, path: &str, holds: HoldsMark) -> bool {
        self.by_path
            .get(path)
            .is_some_and(|review| review.held == Some(holds))
    }

    /// Returns true if holds of the last round were found to cover all rows of a segment.
    #[must_use]
    pub fn is_held(&self, path: &str) -> bool {
        self.by_path
            .get(path)
            .is_some_and(|review| review.held.is_some())
    }

    /// Records that these holds cover all rows of a segment.
    pub fn record_held(&mut self, path: Arc<str>, holds: HoldsMark) {
        self.by_path.entry(path).or_default().held = Some(holds);
    }

    /// Forgets the segments that were found to be held by other holds than these.
    pub fn keep_held_by(&mut self, holds: HoldsMark) {
        for review in self.by_path.values_mut() {
            review.held.take_if(|held| *held != holds);
        }
    }

    /// Returns true if none of a segment's rows changes under the policy of this activation.
    #[must_use]
    pub fn is_settled(&self, path: &str, activation: ControlsVersion) -> bool {
        self.by_path
            .get(path)
            .is_some_and(|review| review.settled == Some(activation))
    }

    /// Records that none of a segment's rows changes under the policy of this activation.
    pub fn settle(&mut self, path: Arc<str>, activation: ControlsVersion) {
        self.by_path.entry(path).or_default().settled = Some(activation);
    }

    /// Returns the newest notice that a segment's tags reflect; 0 if none is known.
    #[must_use]
    pub fn triggers(&self, path: &str) -> ControlsVersion {
        self.by_path
            .get(path)
            .map(|review| review.triggers)
            .unwrap_or_default()
    }

    /// Records that a segment's tags reflect the notices up to `newest`.
    pub fn record_triggers(&mut self, path: Arc<str>, newest: ControlsVersion) {
        let review = self.by_path.entry(path).or_default();
        review.triggers = newest.max(review.triggers);
    }

    /// Returns the rows of a segment that have stale tags after the notices up to `newest`; `None`
    /// if they were not counted since.
    #[must_use]
    pub fn stale(&self, path: &str, newest: ControlsVersion) -> Option<&[StaleRows]> {
        let (counted_at, rows) = self.by_path.get(path)?.stale.as_ref()?;
        (*counted_at == newest).then_some(rows.as_slice())
    }

    /// Records the rows of a segment that have stale tags after the notices up to `newest`.
    pub fn record_stale(&mut self, path: Arc<str>, newest: ControlsVersion, rows: Vec<StaleRows>) {
        self.by_path.entry(path).or_default().stale = Some((newest, rows));
    }

    /// Returns the segments that wait at `now`, in the time that the process has run.
    #[must_use]
    pub fn waiting(&self, kind: RetryKind, now: Duration) -> HashSet<Arc<str>> {
        let mut waiting = HashSet::new();
        for (path, review) in &self.by_path {
            let retry = match kind {
                RetryKind::Sweep => &review.sweep_retry,
                RetryKind::Merge => &review.merge_retry,
            };
            if retry.as_ref().is_some_and(|retry| retry.waits(now)) {
                waiting.insert(Arc::clone(path));
            }
        }
        waiting
    }

    /// Records that work on `segments` failed at `now`, in the time that the process has run. If
    /// the error names a segment of them, only that one waits, since the others can be processed
    /// without it. Returns true if there are such others.
    pub fn record_failure(
        &mut self,
        kind: RetryKind,
        segments: &[StoredSegment],
        error: &SweepError,
        now: Duration,
    ) -> bool {
        // The error may also name a part that the work itself wrote.
        let culprit = culprit(error)
            .filter(|path| segments.iter().any(|segment| segment.path[..] == path[..]));
        let others = segments
            .iter()
            .any(|segment| culprit.is_some_and(|path| path != &*segment.path));
        for segment in segments {
            if culprit.is_none_or(|path| path == &*segment.path) {
                let review = self.by_path.entry(Arc::clone(&segment.path)).or_default();
                let retry = review.retry(kind);
                *retry = Some(RetryTime::after(retry.take(), now));
            }
        }
        others
    }

    /// Forgets the failures of `segments`, since work on them was done.
    pub fn forget_failures(&mut self, kind: RetryKind, segments: &[StoredSegment]) {
        for segment in segments {
            if let Some(review) = self.by_path.get_mut(&segment.path) {
                *review.retry(kind) = None;
            }
        }
    }

    /// Forgets the segments for which `is_in_index` returns false, in the index of the table at
    /// `version`. An index that is older than one before forgets nothing: the tasks that share the
    /// records refresh their indexes at different times, and a newer task may have recorded
    /// segments that the older index does not have yet.
    pub fn retain(&mut self, version: u64, is_in_index: impl Fn(&str) -> bool) {
        if version < self.kept_at {
            return;
        }
        self.kept_at = version;
        self.by_path.retain(|path, _| is_in_index(path));
    }
}

/// The shared review records of one product's segments.
#[derive(Debug, Clone, Default)]
pub struct ProductReviews(Arc<Mutex<SegmentReviews>>);

impl ProductReviews {
    /// Returns the records, locked until the result is dropped.
    pub fn lock(&self) -> MutexGuard<'_, SegmentReviews> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The review records of all products: the one store that the tasks of a process share.
#[derive(Debug, Clone, Default)]
pub struct ReviewCache(Arc<Mutex<BTreeMap<ProductKey, ProductReviews>>>);

impl ReviewCache {
    /// Returns the shared records of a product. The first task brings its own.
    pub(super) fn share(&self, product: &ProductKey, own: &ProductReviews) -> ProductReviews {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(product.clone())
            .or_insert_with(|| own.clone())
            .clone()
    }
}

#[cfg(test)]
mod tests;
