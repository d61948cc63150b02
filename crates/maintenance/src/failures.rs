//! Segments whose work failed, and the times of their retries.
//!
//! A segment that fails waits, longer each time up to a bound, while other segments are processed.
//! After a success, its failures are forgotten.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::error::SweepError;
use ebbtide_base::backoff::Backoff;
use ebbtide_table::{RewriteError, StoredSegment};

/// The wait after the first failure.
const FIRST: Duration = Duration::from_secs(10);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// The segments that wait.
#[derive(Debug, Default)]
pub struct FailedSegments {
    waiting: HashMap<Arc<str>, SegmentWait>,
}

/// The wait of one segment.
#[derive(Debug)]
struct SegmentWait {
    backoff: Backoff,
    until: Duration,
}

impl FailedSegments {
    /// Records that work on `segments` failed at `now`, in the time that the process has run. If
    /// the error names a segment of them, only that one waits, since the others can be processed
    /// without it. Returns true if there are such others.
    pub fn note(&mut self, segments: &[StoredSegment], error: &SweepError, now: Duration) -> bool {
        // The error may also name a part that the work itself wrote.
        let culprit = culprit(error)
            .filter(|path| segments.iter().any(|segment| segment.path[..] == path[..]));
        let others = segments
            .iter()
            .any(|segment| culprit.is_some_and(|path| path != &*segment.path));
        for segment in segments {
            if culprit.is_none_or(|path| path == &*segment.path) {
                let wait =
                    self.waiting
                        .entry(segment.path.clone())
                        .or_insert_with(|| SegmentWait {
                            backoff: Backoff::new(FIRST, LONGEST),
                            until: now,
                        });
                wait.until = now + wait.backoff.next_limit();
            }
        }
        others
    }

    /// Forgets the failures of `segments`, since work on them was done.
    pub fn forget(&mut self, segments: &[StoredSegment]) {
        for segment in segments {
            self.waiting.remove(&segment.path);
        }
    }

    /// Returns true if a segment waits at `now`.
    #[must_use]
    pub fn waits(&self, path: &str, now: Duration) -> bool {
        self.waiting.get(path).is_some_and(|wait| now < wait.until)
    }

    /// Forgets the segments for which `there` returns false, since they are no longer in any table.
    pub fn retain(&mut self, there: impl Fn(&str) -> bool) {
        self.waiting.retain(|path, _| there(path));
    }
}

/// Returns the path of the segment that caused the error, if the error names it.
fn culprit(error: &SweepError) -> Option<&String> {
    match error {
        SweepError::Rewrite(RewriteError::Gone { path } | RewriteError::Damaged { path, .. })
        | SweepError::Cells(ebbtide_policy::anonymize::CellsError::Source(
            RewriteError::Gone { path } | RewriteError::Damaged { path, .. },
        )) => Some(path),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebbtide_table::testing::stored_segment;

    #[test]
    fn segment_that_is_named_waits_alone_and_all_wait_if_none_of_them_is_named() {
        let segments = ["a", "b"].map(stored_segment);
        let damaged = |path: &str| {
            SweepError::Rewrite(RewriteError::Damaged {
                path: path.to_owned(),
                why: "bytes".to_owned(),
            })
        };
        let now = Duration::from_secs(100);
        for (path, others, waiting) in [
            ("a", true, [true, false]),
            ("b", true, [false, true]),
            ("part", false, [true, true]),
        ] {
            let mut failures = FailedSegments::default();
            assert_eq!(
                failures.note(&segments, &damaged(path), now),
                others,
                "{path}"
            );
            assert_eq!(
                ["a", "b"].map(|of| failures.waits(of, now)),
                waiting,
                "{path}"
            );
            assert!(!failures.waits("a", now + FIRST), "{path}");
        }
    }
}
