//! The writer's view of one product's table: its state, its writes, its commits.
//!
//! The state is that of one version, and a commit lands only directly after that version.

mod actions;
mod categories;
mod commit;
mod controls;
mod controls_cache;
mod losses;
mod maintain;
mod notices;
mod open;
mod policy;
mod removed_files;
mod requirement;
mod rewrite;
mod row_change;
mod segmented;
mod transaction;

pub use controls::{controls_of, raise_controls};
pub use controls_cache::{TableControls, TableControlsCache};
pub use losses::{AcceptLossError, LossDecision};
pub use maintain::MaintenanceReport;
pub use policy::{PolicyCommit, take_force};
pub use rewrite::RewriteCommit;
pub use segmented::SegmentedTable;

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use deltalake_core::kernel::StructType;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::Serialize;

use self::row_change::profile_key;
use super::error::StoreError;
use super::evidence::Evidence;
use super::janitor::LastPass;
use super::log::{LogState, TableLog, app_id, partition_of, topic_app_id};
use super::objects::put_unique;
use super::root::Root;
use super::segment::{EncodedSegment, FileContents, Segment, SegmentLocation};
use super::spec::TableSpec;
use ebbtide_base::ids::{Offset, ProfileId, TopicId, TopicMark, TopicPartition};

/// The version of a table's controls: the commit of each control in force raises it. 0 before the
/// first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(transparent)]
pub struct ControlsVersion(pub i64);

/// The offsets of one topic partition before and after a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetAdvance {
    /// The partition.
    pub partition: TopicPartition,
    /// The table's next offset from which the batch was read; `None` if the table had none.
    pub from: Option<Offset>,
    /// The table's next offset after it.
    pub next: Offset,
    /// The id of the topic that the batch was read from; `None` if the brokers do not report ids.
    pub topic: Option<TopicId>,
}

/// The input of one ingest commit: segments, and the offsets at which they end.
#[derive(Debug, Clone)]
pub struct IngestCommit {
    /// The files to add, already written.
    pub segments: Vec<Segment>,
    /// The offsets of each partition of the batch.
    pub advances: Vec<OffsetAdvance>,
    /// The controls under which the batch was made.
    pub controls: ControlsVersion,
    /// The evidence of the commit. A repeated commit is recognised by the id in it.
    pub evidence: Evidence,
}

/// The location of a table's files.
#[derive(Debug, Clone)]
pub struct SegmentStore(Arc<dyn ObjectStore>);

impl SegmentStore {
    /// Writes a segment's file and makes it durable. No reader sees it before the commit that adds
    /// it.
    pub async fn put(&self, segment: EncodedSegment) -> Result<Segment, StoreError> {
        let EncodedSegment {
            tags,
            forms,
            contents,
            bytes,
        } = segment;
        let profile_text = Some(tags.profile_text);
        let home = SegmentLocation {
            bucket: tags.bucket,
            profile: tags.profile,
            profile_text,
            cells: None,
            forms,
        };
        self.put_file(home, contents, bytes).await
    }

    /// Writes a file that is complete in memory to its location.
    pub(super) async fn put_file(
        &self,
        home: SegmentLocation,
        contents: FileContents,
        bytes: Bytes,
    ) -> Result<Segment, StoreError> {
        let (path, size) = (home.path(), bytes.len() as u64);
        put_unique(&self.0, &Path::from(path.as_str()), bytes.into()).await?;
        Ok(Segment {
            path,
            home,
            contents,
            size,
        })
    }
}

/// One product's table, at the newest version that it has seen. A clone is refreshed separately.
#[derive(Clone)]
pub struct Table {
    spec: Arc<TableSpec>,
    /// The columns of `spec` in Delta's types.
    schema: StructType,
    pub(super) log: TableLog,
    pub(super) state: LogState,
    /// The number of attempts that lost their version to another commit.
    lost_races: u64,
    /// The newest known checkpoint. There may be a newer one; if that one was deleted, the next
    /// checkpoint is delayed accordingly.
    checkpointed: Option<u64>,
    /// Files that the last pass of maintenance found due.
    last_pass: LastPass,
}

impl Table {
    /// The number of tables opened concurrently: while the store answers for one, another is
    /// processed.
    pub const AT_ONCE: usize = 4;

    /// Opens tables like [`Table::open`], [`Table::AT_ONCE`] at a time, and returns them in the
    /// same order.
    ///
    /// Errors with the first that cannot be opened.
    pub async fn open_all(
        root: &Root,
        specs: Vec<Arc<TableSpec>>,
    ) -> Result<Vec<Table>, super::OpenError> {
        let opened = stream::iter(specs).map(|spec| Table::open(root, spec));
        opened.buffered(Self::AT_ONCE).try_collect().await
    }

    /// Opens a product's table at its newest version; creates it if it does not exist, and adds the
    /// columns that it lacks.
    pub async fn open(root: &Root, spec: Arc<TableSpec>) -> Result<Table, super::OpenError> {
        open::open(root, spec).await
    }

    /// Opens a product's table for reading: creates and changes nothing. Returns `None`
    /// if it does not exist. Errors if it could not be given the columns of `spec`.
    pub async fn existing(
        root: &Root,
        spec: Arc<TableSpec>,
    ) -> Result<Option<Table>, super::OpenError> {
        open::existing(root, spec).await
    }

    /// Applies the entries committed since the last call. The cost depends on them and not on the
    /// size of the table.
    pub async fn refresh(&mut self) -> Result<(), StoreError> {
        self.state.read_on(&self.log).await.map(drop)
    }

    /// Returns the number of attempts that lost their version to another commit and were repeated,
    /// since the table was opened.
    #[must_use]
    pub fn lost_races(&self) -> u64 {
        self.lost_races
    }

    /// Returns the newest version that it has seen.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.state.version
    }

    /// Returns the next offset to read in a partition; `None` if the table has no records of it.
    #[must_use]
    pub fn next_offset(&self, partition: &TopicPartition) -> Option<Offset> {
        self.state.next_offset(partition)
    }

    /// Returns the mark of the topic that the partition was read from; `None` if the table has not
    /// recorded one.
    #[must_use]
    pub fn topic_mark(&self, partition: &TopicPartition) -> Option<TopicMark> {
        self.state.topic_mark(partition)
    }

    /// Returns the next offset to read in every partition that the table has records of, sorted.
    #[must_use]
    pub fn next_offsets(&self) -> Vec<(TopicPartition, Offset)> {
        let mut offsets: Vec<_> = self
            .state
            .txns()
            .filter_map(|(app, version)| Some((partition_of(app)?, Offset(version))))
            .collect();
        offsets.sort();
        offsets
    }

    /// Returns the partitions that it has records of, in order.
    #[must_use]
    pub fn partitions(&self) -> Vec<TopicPartition> {
        self.next_offsets()
            .into_iter()
            .map(|(partition, _)| partition)
            .collect()
    }

    /// Returns the version of the table's controls.
    #[must_use]
    pub fn controls(&self) -> ControlsVersion {
        ControlsVersion(self.state.controls())
    }

    /// Returns the time at which the newest commit with evidence was made, by the clock of its
    /// writer.
    #[must_use]
    pub fn newest_commit(&self) -> Option<DateTime<Utc>> {
        self.state.made_at
    }

    /// Returns the text form of a profile; `None` if the table does not have it.
    #[must_use]
    pub fn profile_text(&self, profile: &ProfileId) -> Option<&str> {
        self.state.profile_text(profile)
    }

    /// Returns the table's columns.
    #[must_use]
    pub fn spec(&self) -> &Arc<TableSpec> {
        &self.spec
    }

    /// Writes a segment's file like [`SegmentStore::put`].
    pub async fn put(&self, segment: EncodedSegment) -> Result<Segment, StoreError> {
        self.segment_store().put(segment).await
    }

    /// Returns the location of this table's files, for callers that write several concurrently.
    #[must_use]
    pub fn segment_store(&self) -> SegmentStore {
        SegmentStore(self.log.object_store(None))
    }

    /// Deletes files that were written and never committed. The janitor deletes those that fail
    /// here.
    pub async fn discard(&self, segments: Vec<Segment>) {
        let store = self.log.object_store(None);
        for segment in segments {
            if let Err(error) = store.delete(&Path::from(segment.path.as_str())).await {
                tracing::debug!(store.error = %error, "an uncommitted segment was left to the janitor");
            }
        }
    }
}

impl LogState {
    /// Returns the next offset to read in a partition; `None` if the table has no records of it.
    pub fn next_offset(&self, partition: &TopicPartition) -> Option<Offset> {
        self.txn(&app_id(partition)).map(Offset)
    }

    /// Returns the mark of the topic that the partition was read from.
    pub fn topic_mark(&self, partition: &TopicPartition) -> Option<TopicMark> {
        self.txn(&topic_app_id(partition)).map(TopicMark)
    }

    /// Returns the text form of a profile; `None` if the table does not have it.
    pub fn profile_text(&self, profile: &ProfileId) -> Option<&str> {
        let properties = self.metadata.configuration();
        properties.get(&profile_key(profile)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests;
