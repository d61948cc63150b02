//! The commit: files and offsets become part of the table in one step, or not at all.
//!
//! A commit is a pure compare-and-swap: an entry lands only directly after the version that it was
//! checked against. After any error the log is checked before another attempt. The cost must not
//! grow with the table.

use deltalake_core::kernel::Action;
use futures::future::ready;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use uuid::Uuid;

use super::actions::{check, offsets, topics};
use super::attempt::{CommitAttempt, attempt};
use super::open::same_type;
use super::rewrite::RemovedFilesCheck;
use super::{ControlsVersion, IngestCommit, OffsetAdvance, Table};
use crate::error::{CommitError, StoreError};
use crate::evidence::Evidence;
use crate::index::StoredSegment;
use crate::log::read_entry;
use crate::objects::CommitOutcomeUnknown;
use crate::segment::Segment;
use crate::spec::PARTITION_COLUMNS;
use ebbtide_base::ids::{PolicyVersion, TopicId};

/// The number of files that are checked concurrently.
const LOOKING: usize = 16;

/// A change of the table by a commit of any kind.
pub(super) struct TableChange<'a> {
    /// The files that it adds.
    pub(super) segments: &'a [Segment],
    /// The segments that it removes.
    pub(super) removes: &'a [StoredSegment],
    /// The controls under which it was made.
    pub(super) controls: ControlsVersion,
    pub(super) evidence: &'a Evidence,
    /// Further actions besides `commitInfo`, profiles and added files: offsets, or removed files.
    pub(super) actions: Vec<Action>,
}

/// The check of a commit that finds out whether it landed before, or whether the table moved
/// meanwhile.
pub(super) enum ConflictCheck<'a> {
    /// By the offsets that the commit moves.
    Offsets(&'a [OffsetAdvance]),
    /// By the files that the commit removes.
    Segments(RemovedFilesCheck<'a>),
}

impl Table {
    /// Commits the batch and returns the version at which it landed.
    ///
    /// Repeats the attempt if another writer was faster. Errors if the batch no longer fits the
    /// table, or if the store fails. It may be called again with the same batch, in another process
    /// too: a commit that landed before is found by its id.
    pub async fn commit(&mut self, batch: IngestCommit) -> Result<u64, CommitError> {
        check(&batch).map_err(CommitError::Store)?;
        let mut actions = offsets(&batch.advances, batch.evidence.at);
        actions.extend(topics(&batch.advances, batch.evidence.at, |partition| {
            self.topic_mark(partition)
        }));
        let change = TableChange {
            segments: &batch.segments,
            removes: &[],
            controls: batch.controls,
            evidence: &batch.evidence,
            actions,
        };
        self.swap(&change, ConflictCheck::Offsets(&batch.advances))
            .await
    }

    /// The loop of every commit: check the log, validate, try, and check again.
    pub(super) async fn swap(
        &mut self,
        change: &TableChange<'_>,
        mut place: ConflictCheck<'_>,
    ) -> Result<u64, CommitError> {
        let mut failed: Option<StoreError> = None;
        loop {
            self.refresh().await.map_err(CommitError::Unknown)?;
            let landed = match &mut place {
                ConflictCheck::Offsets(advances) => match advances
                    .iter()
                    .find(|advance| self.has_moved(advance))
                {
                    Some(moved) => Some(self.landed_or_moved(change.evidence.commit, moved).await?),
                    None => None,
                },
                ConflictCheck::Segments(watch) => watch.look(&self.log, self.state.version).await?,
            };
            if let Some(version) = landed {
                return Ok(version);
            }
            // The log was checked: the commit is not in it.
            if let Some(error) = failed {
                return Err(not_there(error));
            }
            self.validate(change)?;
            self.still_there(change).await?;
            let actions = self.actions(change).map_err(CommitError::Store)?;
            let tried = attempt(&self.log, &mut self.state, change.evidence, actions).await;
            match tried.map_err(CommitError::Store)? {
                CommitAttempt::Landed(version) => return Ok(version),
                CommitAttempt::Lost => self.lost_races += 1,
                CommitAttempt::Failed(error) => failed = Some(error),
            }
        }
    }

    /// Returns true if the table's next offset is not the one that the batch begins at, or belongs
    /// to another topic.
    fn has_moved(&self, advance: &OffsetAdvance) -> bool {
        self.next_offset(&advance.partition) != advance.from || self.is_of_other_topic(advance)
    }

    /// Returns true if the table's offset belongs to another topic than the batch was read from.
    fn is_of_other_topic(&self, advance: &OffsetAdvance) -> bool {
        let topics = self
            .topic_mark(&advance.partition)
            .zip(advance.topic.map(TopicId::mark));
        topics.is_some_and(|(stored, ours)| stored != ours)
    }

    /// Returns the version at which this batch was committed, from the evidence of the commits
    /// since.
    ///
    /// Within one topic, at most one commit moves a partition past an offset, so the search ends
    /// there. In a topic that was recreated, offsets repeat: a batch of the old topic is searched
    /// for in all commits, and beyond a decision too.
    async fn landed_or_moved(
        &self,
        commit: Uuid,
        moved: &OffsetAdvance,
    ) -> Result<u64, CommitError> {
        let mut decided = self.is_of_other_topic(moved);
        for version in (0..=self.state.version).rev() {
            let Some(entry) = read_entry(&self.log, version)
                .await
                .map_err(CommitError::Unknown)?
            else {
                break;
            };
            let Some(evidence) = entry.evidence else {
                continue;
            };
            if evidence.commit == commit {
                return Ok(version);
            }
            decided |= evidence
                .losses
                .iter()
                .any(|loss| loss.partition == moved.partition);
            if decided {
                continue;
            }
            let mut moves = evidence
                .partitions
                .iter()
                .filter(|progress| progress.partition == moved.partition);
            if moves.any(|progress| progress.from == moved.from) {
                break;
            }
        }
        Err(CommitError::OffsetsMoved(moved.partition.clone()))
    }

    /// Errors if `policy` is not the active policy.
    pub(super) fn goes_by(&self, policy: &PolicyVersion) -> Result<(), CommitError> {
        match self.policy().filter(|active| *active != policy.as_str()) {
            Some(active) => Err(CommitError::PolicyMoved {
                active: active.to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// Checks the change against the version that it would follow; its [`ConflictCheck`] is checked
    /// already.
    fn validate(&self, change: &TableChange<'_>) -> Result<(), CommitError> {
        self.goes_by(&change.evidence.policy_version)?;
        if self.controls() != change.controls {
            return Err(CommitError::ControlsMoved);
        }
        let stored = self
            .state
            .metadata
            .parse_schema()
            .map_err(|_| CommitError::SchemaMoved)?;
        let still_fits = |name: &String| match (stored.field(name), self.schema.field(name)) {
            (Some(stored), Some(ours)) => {
                stored.is_nullable() && same_type(stored.data_type(), ours.data_type())
            }
            // A column of an earlier policy that held rows still have.
            (Some(stored), None) => stored.is_nullable(),
            _ => false,
        };
        self.check_categories(change)?;
        let partitioned = self.state.metadata.partition_columns() == PARTITION_COLUMNS.as_slice();
        if partitioned
            && change
                .segments
                .iter()
                .flat_map(|segment| &segment.contents.columns)
                .all(still_fits)
        {
            Ok(())
        } else {
            Err(CommitError::SchemaMoved)
        }
    }

    /// Errors if a file of the change was deleted: a process that was frozen for longer than the
    /// janitor waits must not commit it.
    async fn still_there(&self, change: &TableChange<'_>) -> Result<(), CommitError> {
        let store = self.log.object_store(None);
        let looked = change.segments.iter().map(|segment| {
            let (store, path) = (store.clone(), Path::from(segment.path.as_str()));
            async move { store.head(&path).await }.boxed()
        });
        let looked: Vec<_> = looked.collect();
        let looked = futures::stream::iter(looked)
            .buffer_unordered(LOOKING)
            .try_for_each(|_| ready(Ok(())));
        looked.await.map_err(|error| match error {
            object_store::Error::NotFound { .. } => CommitError::SegmentGone,
            error => CommitError::Store(error.into()),
        })
    }
}

/// Classifies an error after which the log was searched and the entry was not found.
pub(super) fn not_there(error: StoreError) -> CommitError {
    // The files of a commit that may still land must be kept.
    if CommitOutcomeUnknown::is_behind(&error) {
        CommitError::Unknown(error)
    } else {
        CommitError::Store(error)
    }
}
