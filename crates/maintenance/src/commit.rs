//! One commit of a sweep or a merge on one table, made under the controls that the work was planned
//! with. It is applied completely or not at all.

use uuid::Uuid;

use super::error::SweepError;
use super::product::SweptProduct;
use super::product::holds::SweepHolds;
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::PolicyVersion;
use ebbtide_table::{
    Evidence, RetagResult, RewriteCommit, RewriteEvidence, Segment, StoredSegment,
};

/// The context of a sweep's commits: who makes them, when, and with how much memory.
#[derive(Clone)]
pub struct CommitContext {
    /// The random id of the process.
    pub writer: Uuid,
    /// The clock that dates commits: readers of replaced files have their grace period from then,
    /// however long the work took.
    pub clock: SharedClock,
    /// The policy in use.
    pub policy_version: PolicyVersion,
    /// The bytes of memory that cells or a merge in progress may use.
    pub memory: usize,
}

/// The result of a piece of work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskOutcome {
    /// Commits that were made.
    pub commits: u64,
    /// The sum of their effects.
    pub did: RewriteEvidence,
}

impl TaskOutcome {
    /// Counts a commit that was made.
    pub(super) fn count(&mut self, did: &RewriteEvidence) {
        self.commits += 1;
        self.did.add(did);
    }
}

/// One commit to make.
pub(super) struct PlannedCommit {
    /// Its name in the evidence.
    pub(super) operation: &'static str,
    /// The segments that are removed.
    pub(super) removes: Vec<StoredSegment>,
    /// The segments that replace them, already written.
    pub(super) adds: Vec<Segment>,
    /// The effects, without the counts of rows and records.
    pub(super) did: RewriteEvidence,
    /// True if the rows come under another policy.
    pub(super) renewed: bool,
}

impl PlannedCommit {
    /// Creates the commit of retagged segments; `renewed` if their rows come under another policy.
    pub(super) fn retag(result: RetagResult, renewed: bool) -> PlannedCommit {
        PlannedCommit {
            operation: "retag",
            removes: result.replaced,
            adds: result.segments,
            did: RewriteEvidence {
                retagged: result.retagged,
                moved: result.moved,
                bytes_copied: result.bytes_copied,
                ..RewriteEvidence::default()
            },
            renewed,
        }
    }
}

impl SweptProduct {
    /// Makes a commit and returns all effects. If the commit was not made,
    /// its written files are deleted; if its outcome is unknown, they are kept.
    pub(super) async fn commit(
        &mut self,
        step: PlannedCommit,
        held: &SweepHolds,
        by: &CommitContext,
    ) -> Result<RewriteEvidence, SweepError> {
        let PlannedCommit {
            operation,
            removes,
            adds,
            mut did,
            renewed,
        } = step;
        did.rows_in = removes.iter().map(|segment| segment.rows).sum();
        did.records_in = removes.iter().map(|segment| segment.records).sum();
        did.rows_out = adds.iter().map(Segment::rows).sum();
        did.records_out = adds.iter().map(Segment::records).sum();
        let mut evidence = Evidence::rewrite(
            operation,
            by.writer,
            by.clock.now(),
            by.policy_version.clone(),
            did.clone(),
        );
        evidence.buckets = removes
            .iter()
            .map(|segment| segment.bucket.to_string())
            .collect();
        let (seen_at, controls) = (self.table.version(), held.version);
        let written = adds.clone();
        // The table may be newer than the plan: each commit of this process reads the log. If
        // another process removed a segment meanwhile, no log entry after `seen_at` shows it.
        let segments = self.table.segments();
        if let Some(moved) = removes
            .iter()
            .find(|segment| segments.get(&segment.path).is_none())
        {
            self.table.discard(written).await;
            return Err(ebbtide_table::CommitError::SegmentMoved(moved.path.to_string()).into());
        }
        let rewrite = RewriteCommit {
            removes,
            seen_at,
            adds,
            controls,
            renewed,
            evidence,
        };
        match self.table.commit_rewrite(rewrite).await {
            Ok(_) => Ok(did),
            // The commit may have been applied: its files may belong to the table.
            Err(error @ ebbtide_table::CommitError::Unknown(_)) => Err(error.into()),
            Err(error) => {
                self.table.discard(written).await;
                Err(error.into())
            }
        }
    }
}
