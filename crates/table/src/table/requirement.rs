//! The conditions under which a commit may follow a version of a table.
//!
//! A requirement that an earlier attempt of the same commit has changed also finds that attempt, in
//! another process too.

use deltalake_core::kernel::StructType;
use futures::future::ready;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use uuid::Uuid;

use super::open::same_type;
use super::removed_files::RemovedFilesCheck;
use super::row_change::RowChange;
use super::{ControlsVersion, OffsetAdvance};
use crate::error::{CommitError, StoreError};
use crate::log::{LogState, NOTICES_APP, TableLog, next_entry, read_entry};
use crate::segment::Segment;
use crate::spec::PARTITION_COLUMNS;
use ebbtide_base::ids::{Offset, PolicyVersion, TopicId, TopicMark, TopicPartition};

/// The number of files that are checked concurrently.
const LOOKING: usize = 16;

/// A condition of a commit.
pub(super) enum Requirement<'a> {
    /// The table's next offsets are those at which the batch begins, in the same topics.
    OffsetsAt(&'a [OffsetAdvance]),
    /// The table's position in a partition is this one.
    PositionIs {
        /// The partition.
        partition: &'a TopicPartition,
        /// Its next offset.
        next: Offset,
        /// The mark of its topic.
        mark: Option<TopicMark>,
    },
    /// The segments that a rewrite removes are in the table.
    SegmentsActive(RemovedFilesCheck<'a>),
    /// The table's controls are older than these; otherwise nothing is left to commit.
    ControlsBefore(ControlsVersion),
    /// No commit after this version renewed the tags of rows.
    TagsUnchangedSince(u64),
    /// No policy is active in the table, or this one.
    PolicyIs(&'a PolicyVersion),
    /// The table's controls are exactly these.
    ControlsAt(ControlsVersion),
    /// The table has the columns of the new segments, and their categories are those of the policy.
    SchemaFits(&'a RowChange<'a>, &'a PolicyVersion),
    /// The files of the new segments exist. A process that was frozen for longer than the janitor
    /// waits must not commit deleted files.
    FilesExist(&'a [Segment]),
}

impl Requirement<'_> {
    /// Searches the log as read for the commit `id`. Returns the version that has it or its effect.
    /// Errors if another commit made it impossible.
    pub(super) async fn search(
        &mut self,
        log: &TableLog,
        state: &LogState,
        id: Uuid,
    ) -> Result<Option<u64>, CommitError> {
        match self {
            Requirement::OffsetsAt(advances) => {
                match advances.iter().find(|advance| has_moved(state, advance)) {
                    Some(moved) => landed_or_moved(log, state, id, moved).await.map(Some),
                    None => Ok(None),
                }
            }
            Requirement::SegmentsActive(check) => check.look(log, state.version).await,
            // Another process may have raised them: they are in force.
            Requirement::ControlsBefore(version) => {
                Ok((state.controls() >= version.0).then_some(state.version))
            }
            _ => Ok(None),
        }
    }

    /// Checks the requirement against the version that the commit would follow.
    pub(super) async fn check(&self, log: &TableLog, state: &LogState) -> Result<(), CommitError> {
        let holds = |holds: bool, error: CommitError| if holds { Ok(()) } else { Err(error) };
        match self {
            // The search has checked them.
            Requirement::OffsetsAt(_)
            | Requirement::SegmentsActive(_)
            | Requirement::ControlsBefore(_) => Ok(()),
            Requirement::PositionIs {
                partition,
                next,
                mark,
            } => holds(
                state.next_offset(partition) == Some(*next) && state.topic_mark(partition) == *mark,
                CommitError::OffsetsMoved((*partition).clone()),
            ),
            Requirement::TagsUnchangedSince(version) => tags_unchanged(log, state, *version).await,
            Requirement::PolicyIs(policy) => match state.policy() {
                Some(active) if active != policy.as_str() => Err(CommitError::PolicyMoved {
                    active: active.to_owned(),
                }),
                _ => Ok(()),
            },
            Requirement::ControlsAt(version) => {
                holds(state.controls() == version.0, CommitError::ControlsMoved)
            }
            Requirement::SchemaFits(rows, policy) => schema_fits(state, rows, policy),
            Requirement::FilesExist(segments) => files_exist(log, segments).await,
        }
    }
}

/// Returns true if the table's next offset is not the one that the batch begins at, or belongs to
/// another topic.
fn has_moved(state: &LogState, advance: &OffsetAdvance) -> bool {
    state.next_offset(&advance.partition) != advance.from || is_of_other_topic(state, advance)
}

/// Returns true if the table's offset belongs to another topic than the batch was read from.
fn is_of_other_topic(state: &LogState, advance: &OffsetAdvance) -> bool {
    let topics = state
        .topic_mark(&advance.partition)
        .zip(advance.topic.map(TopicId::mark));
    topics.is_some_and(|(stored, ours)| stored != ours)
}

/// Returns the version at which the batch `commit` was committed, from the evidence of the commits
/// since.
///
/// Within one topic, at most one commit moves a partition past an offset, so the search ends there.
/// In a topic that was recreated, offsets repeat: a batch of the old topic is searched for in all
/// commits, and beyond a decision too.
async fn landed_or_moved(
    log: &TableLog,
    state: &LogState,
    commit: Uuid,
    moved: &OffsetAdvance,
) -> Result<u64, CommitError> {
    let mut decided = is_of_other_topic(state, moved);
    for version in (0..=state.version).rev() {
        let Some(entry) = read_entry(log, version)
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

/// Errors if a commit after `seen_at` added rows under another policy.
async fn tags_unchanged(log: &TableLog, state: &LogState, seen_at: u64) -> Result<(), CommitError> {
    for version in seen_at + 1..=state.version {
        let entry = next_entry(log, version).await.map_err(CommitError::Store)?;
        if entry.is_none_or(|entry| entry.txns.iter().any(|(app, _)| app == NOTICES_APP)) {
            return Err(CommitError::TagsMoved);
        }
    }
    Ok(())
}

/// Errors if the table's columns are no longer those that the segments were written for, or belong
/// to other categories.
fn schema_fits(
    state: &LogState,
    rows: &RowChange<'_>,
    policy: &PolicyVersion,
) -> Result<(), CommitError> {
    let stored = state
        .metadata
        .parse_schema()
        .map_err(|_| CommitError::SchemaMoved)?;
    rows.check_categories(state, policy)?;
    let partitioned = state.metadata.partition_columns() == PARTITION_COLUMNS.as_slice();
    let fits = rows
        .segments
        .iter()
        .flat_map(|segment| &segment.contents.columns)
        .all(|name| still_fits(name, &stored, rows.schema));
    if partitioned && fits {
        Ok(())
    } else {
        Err(CommitError::SchemaMoved)
    }
}

fn still_fits(name: &str, stored: &StructType, ours: &StructType) -> bool {
    match (stored.field(name), ours.field(name)) {
        (Some(stored), Some(ours)) => {
            stored.is_nullable() && same_type(stored.data_type(), ours.data_type())
        }
        // A column of an earlier policy that held rows still have.
        (Some(stored), None) => stored.is_nullable(),
        _ => false,
    }
}

async fn files_exist(log: &TableLog, segments: &[Segment]) -> Result<(), CommitError> {
    let store = log.object_store(None);
    let looked = segments.iter().map(|segment| {
        let (store, path) = (store.clone(), Path::from(segment.path.as_str()));
        async move { store.head(&path).await }.boxed()
    });
    let looked: Vec<_> = looked.collect();
    let looked = futures::stream::iter(looked)
        .buffer_unordered(LOOKING)
        .try_for_each(|_| ready(Ok(())));
    looked.await.map_err(|error| match error {
        object_store::Error::NotFound { .. } => CommitError::SegmentDeleted,
        error => CommitError::Store(StoreError::from(error)),
    })
}
