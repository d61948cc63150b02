//! Segments whose work failed, and when it is tried again.
//!
//! Promises that a segment that fails waits, longer each time up to a bound, while its neighbours go on; and that what
//! succeeds once is forgotten.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::error::SweepError;
use crate::store::{RewriteError, StoredSegment};

/// The first wait.
const FIRST: Duration = Duration::from_secs(10);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Which segments wait.
#[derive(Debug, Default)]
pub struct Failures {
    waiting: HashMap<Arc<str>, (u32, Duration)>,
}

impl Failures {
    /// Notes that work on `segments` failed at `now`, a time that the process has run. Where the error names one of them, that
    /// one alone waits: the others can do without it. Whether there are such others.
    pub fn note(&mut self, segments: &[StoredSegment], error: &SweepError, now: Duration) -> bool {
        let culprit = culprit(error);
        let others = segments.iter().any(|segment| culprit.is_some_and(|path| path != &*segment.path));
        for segment in segments {
            if culprit.is_none_or(|path| path == &*segment.path) {
                let (tries, until) = self.waiting.entry(segment.path.clone()).or_insert((0, now));
                *until = now + FIRST.saturating_mul(1_u32.checked_shl(*tries).unwrap_or(u32::MAX)).min(LONGEST);
                *tries = tries.saturating_add(1).min(16);
            }
        }
        others
    }

    /// Notes that work on `segments` was done.
    pub fn forget(&mut self, segments: &[StoredSegment]) {
        for segment in segments {
            self.waiting.remove(&segment.path);
        }
    }

    /// Whether a segment waits at `now`.
    #[must_use]
    pub fn waits(&self, path: &str, now: Duration) -> bool {
        self.waiting.get(path).is_some_and(|(_, until)| now < *until)
    }

    /// Forgets what `there` says is no longer in any table.
    pub fn retain(&mut self, there: impl Fn(&str) -> bool) {
        self.waiting.retain(|path, _| there(path));
    }
}

/// The segment that is at fault, where the error tells.
fn culprit(error: &SweepError) -> Option<&String> {
    match error {
        SweepError::Rewrite(RewriteError::Gone { path } | RewriteError::Damaged { path, .. })
        | SweepError::Cells(crate::anonymize::CellsError::Source(
            RewriteError::Gone { path } | RewriteError::Damaged { path, .. },
        )) => Some(path),
        _ => None,
    }
}
