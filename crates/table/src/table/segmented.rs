//! A table together with its segments, for those who rewrite them: state and segments are of one
//! version at any time.

use std::ops::Deref;

use super::{ControlsVersion, RewriteCommit, Table};
use crate::error::{CommitError, StoreError};
use crate::evidence::Evidence;
use crate::index::{IngestedSegment, SegmentIndex};
use crate::log::files;
use crate::snapshot::advance_or_load;
use ebbtide_policy::is_expires_column;

/// A table and its segments at one version. A clone is refreshed separately.
#[derive(Clone)]
pub struct SegmentedTable {
    table: Table,
    segments: SegmentIndex,
}

impl Deref for SegmentedTable {
    type Target = Table;

    fn deref(&self) -> &Table {
        &self.table
    }
}

impl SegmentIndex {
    /// Loads the segments of the table's newest version.
    pub async fn load(table: &Table) -> Result<SegmentIndex, StoreError> {
        Ok(SegmentedTable::load(table.clone()).await?.segments)
    }
}

impl SegmentedTable {
    /// Loads the segments of a table, and the newest version of both.
    pub async fn load(table: Table) -> Result<SegmentedTable, StoreError> {
        let columns = &table.spec().columns;
        let has_deadlines = columns.iter().any(|column| is_expires_column(&column.name));
        let (listed, version) = (files::list(&table.log).await?, table.version());
        let segments = SegmentIndex::at(&table.log, &listed, version, has_deadlines).await?;
        let mut table = SegmentedTable { table, segments };
        table.refresh().await?;
        Ok(table)
    }

    /// Applies the entries committed since the last call, like [`Table::refresh`].
    pub async fn refresh(&mut self) -> Result<(), StoreError> {
        let Table { log, state, .. } = &mut self.table;
        advance_or_load(log, state, &mut self.segments).await
    }

    /// Returns the segments.
    #[must_use]
    pub fn segments(&self) -> &SegmentIndex {
        &self.segments
    }

    /// Starts to collect segments for [`SegmentedTable::take_ingested`].
    pub fn follow_ingest(&mut self) {
        self.segments.follow_ingest();
    }

    /// Returns the segments that ingest commits added, among the entries read since the last call.
    /// Some of them may be removed again. The collection starts empty again if the table had to be
    /// loaded again.
    pub fn take_ingested(&mut self) -> Vec<IngestedSegment> {
        self.segments.take_ingested()
    }

    /// Replaces segments like [`Table::commit_rewrite`].
    pub async fn commit_rewrite(&mut self, rewrite: RewriteCommit) -> Result<u64, CommitError> {
        let segments = Some(&mut self.segments);
        self.table.rewrite_with(segments, rewrite).await
    }

    /// Records that all tags of this version reflect the notices up to `newest`, like
    /// [`Table::record_notices`].
    pub async fn record_notices(
        &mut self,
        newest: ControlsVersion,
        evidence: Evidence,
    ) -> Result<bool, CommitError> {
        let (seen_at, segments) = (self.table.version(), Some(&mut self.segments));
        self.table
            .record_notices_with(segments, newest, seen_at, evidence)
            .await
    }
}
