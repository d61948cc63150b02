//! Carries out one piece of work on one table: held rows are split off, the rest loses columns or
//! ends.
//!
//! Each step is one commit, made under the controls that the work was planned with. It is applied
//! completely or not at all. The data of rows that a hold in force covers must never change.

mod ending;
mod policy;
mod retag;

use uuid::Uuid;

use super::error::SweepError;
use super::product::{SweepHolds, SweptProduct};
use super::select::{SweepAction, Task};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::PolicyVersion;
use ebbtide_table::{
    Evidence, RewriteCommit, RewriteEvidence, Segment, SplitResult, StoredSegment,
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
    fn count(&mut self, did: &RewriteEvidence) {
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

impl SweptProduct {
    /// Does a piece of work. Returns an error if a part of it was not done; commits made before
    /// that remain.
    pub async fn carry_out(
        &mut self,
        work: &Task,
        held: &SweepHolds,
        by: &CommitContext,
    ) -> Result<TaskOutcome, SweepError> {
        if work.action == SweepAction::Retag && !self.is_by_policy(work) {
            return self.bring_up(work, held, by).await;
        }
        let mut done = TaskOutcome::default();
        let mut free = Vec::with_capacity(work.segments.len());
        for segment in &work.segments {
            if let Some(segment) = self.part(segment, held, by, &mut done).await? {
                free.push(segment);
            }
        }
        if free.is_empty() {
            return Ok(done);
        }
        let step = match &work.action {
            SweepAction::Drop(categories) => {
                let spliced = self.table.splice(&free, categories).await?;
                let did = RewriteEvidence {
                    dropped: spliced.dropped,
                    bytes_copied: spliced.bytes_copied,
                    bytes_dropped: spliced.bytes_dropped,
                    ..RewriteEvidence::default()
                };
                PlannedCommit {
                    operation: "drop",
                    removes: free,
                    adds: spliced.segments,
                    did,
                    renewed: false,
                }
            }
            SweepAction::End => self.end(&work.profile, free, by).await?,
            SweepAction::Retag => {
                self.take_policy(free, held, by, &mut done).await?;
                return Ok(done);
            }
        };
        done.count(&self.commit(step, held, by).await?);
        Ok(done)
    }

    /// Splits the held rows of a segment off into a segment of their own and returns the rest;
    /// `None` if all rows are held.
    async fn part(
        &mut self,
        segment: &StoredSegment,
        held: &SweepHolds,
        by: &CommitContext,
        done: &mut TaskOutcome,
    ) -> Result<Option<StoredSegment>, SweepError> {
        let Some(predicate) = self.predicate(segment, held) else {
            return Ok(Some(segment.clone()));
        };
        match self.table.split(segment, &predicate).await? {
            SplitResult::None => Ok(Some(segment.clone())),
            SplitResult::All => {
                self.note_held(segment.path.clone(), held);
                done.did.held += segment.records;
                Ok(None)
            }
            SplitResult::Both { matching, rest } => {
                let (kept, freed) = (matching.path().to_owned(), rest.path().to_owned());
                let did = RewriteEvidence {
                    held: matching.rows(),
                    ..RewriteEvidence::default()
                };
                let (removes, adds) = (vec![segment.clone()], vec![matching, rest]);
                let step = PlannedCommit {
                    operation: "split",
                    removes,
                    adds,
                    did,
                    renewed: false,
                };
                done.count(&self.commit(step, held, by).await?);
                self.note_held(kept.into(), held);
                Ok(self.index.get(&freed).cloned())
            }
        }
    }

    /// Makes a commit, refreshes the index, and returns all effects. If the commit was not made,
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
        let (seen_at, controls) = (self.index.version(), held.version);
        let written = adds.clone();
        // The index was refreshed since the plan was made, after a commit of this process. If
        // another process removed a segment before that refresh, no log entry after `seen_at` shows
        // it.
        if let Some(moved) = removes
            .iter()
            .find(|segment| self.index.get(&segment.path).is_none())
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
        let made = self.table.commit_rewrite(rewrite).await;
        match made {
            Ok(_) => {}
            // The commit may have been applied: its files may belong to the table.
            Err(error @ ebbtide_table::CommitError::Unknown(_)) => return Err(error.into()),
            Err(error) => {
                self.table.discard(written).await;
                return Err(error.into());
            }
        }
        self.index.refresh().await?;
        Ok(did)
    }
}
