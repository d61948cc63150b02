//! The time of the next try after a failure. A segment that fails waits, longer each time up to a
//! bound, while other segments are processed.

use std::time::Duration;

use crate::error::SweepError;
use ebbtide_base::backoff::doubled;
use ebbtide_policy::anonymize::CellsError;
use ebbtide_table::RewriteError;

/// The wait after the first failure.
pub(super) const FIRST: Duration = Duration::from_secs(10);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// The number of failures after which the wait no longer grows.
const MOST_TRIES: u32 = 16;

/// The kind of work that failed. A segment whose merge failed does not wait to be swept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryKind {
    /// A piece of work of the sweep.
    Sweep,
    /// A merge.
    Merge,
}

/// The time until which a segment waits after failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryTime {
    tries: u32,
    /// The end of the wait, in the time that the process has run.
    until: Duration,
}

impl RetryTime {
    /// Returns the time after a failure at `now`, which followed on `earlier` failures.
    #[must_use]
    pub fn after(earlier: Option<RetryTime>, now: Duration) -> RetryTime {
        let tries = earlier.map_or(0, |earlier| earlier.tries);
        RetryTime {
            tries: tries.saturating_add(1).min(MOST_TRIES),
            until: now + doubled(FIRST, LONGEST, tries),
        }
    }

    /// Returns true if the segment waits at `now`.
    #[must_use]
    pub fn waits(&self, now: Duration) -> bool {
        now < self.until
    }
}

/// Returns the path of the segment that caused the error, if the error names it.
pub(super) fn culprit(error: &SweepError) -> Option<&String> {
    match error {
        SweepError::Rewrite(
            RewriteError::SegmentDeleted { path } | RewriteError::Damaged { path, .. },
        )
        | SweepError::Cells(CellsError::Source(
            RewriteError::SegmentDeleted { path } | RewriteError::Damaged { path, .. },
        )) => Some(path),
        _ => None,
    }
}
