//! A table for readers that need its state and its segments: both are loaded for the same version,
//! by one listing of the log, and advanced by the same entries.

use super::error::StoreError;
use super::index::SegmentIndex;
use super::log::{LogState, TableLog, files, follow};
use super::root::Root;
use ebbtide_base::ids::ProductKey;
use ebbtide_policy::is_expires_column;

/// The state and the segments of a table at one version.
pub struct LogSnapshot {
    log: TableLog,
    state: LogState,
    segments: SegmentIndex,
}

/// The files of other engines that count as segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignFiles {
    /// Only those whose statistics show which data in them is due.
    WithDeadlines,
    /// Also those whose statistics mention no deadline.
    All,
}

impl LogSnapshot {
    /// Loads the newest version of a product's table; `None` if there is no table.
    pub async fn load(
        root: &Root,
        product: &ProductKey,
        foreign: ForeignFiles,
    ) -> Result<Option<LogSnapshot>, StoreError> {
        let log = root.table_log(product);
        let listed = files::list(&log).await?;
        let Some((state, _)) = LogState::load_snapshot(&log, &listed).await? else {
            return Ok(None);
        };
        let has_deadlines = foreign == ForeignFiles::WithDeadlines
            && state
                .columns()?
                .iter()
                .any(|column| is_expires_column(column));
        let segments = SegmentIndex::at(&log, &listed, state.version, has_deadlines).await?;
        Ok(Some(LogSnapshot {
            log,
            state,
            segments,
        }))
    }

    /// Applies the entries committed since the last call. Two requests if there are none. Returns
    /// false if the log has deleted entries that are needed: the table must be loaded again then.
    pub async fn advance(&mut self) -> Result<bool, StoreError> {
        advance(&self.log, &mut self.state, &mut self.segments).await
    }

    /// Returns the log of the table.
    #[must_use]
    pub fn log(&self) -> &TableLog {
        &self.log
    }

    /// Returns the schema, the properties and the transactions.
    #[must_use]
    pub fn state(&self) -> &LogState {
        &self.state
    }

    /// Returns the segments.
    #[must_use]
    pub fn segments(&self) -> &SegmentIndex {
        &self.segments
    }
}

/// Does the same as [`LogSnapshot::advance`] to the parts of a snapshot.
async fn advance(
    log: &TableLog,
    state: &mut LogState,
    segments: &mut SegmentIndex,
) -> Result<bool, StoreError> {
    let newest = follow(log, state.version, |entry| {
        segments.apply(entry, state.controls());
        state.apply(entry);
    });
    let is_complete = newest.await?.is_some();
    // What a reader has of a log that was cut says nothing about the newest version.
    if is_complete {
        state.supported()?;
    }
    Ok(is_complete)
}

/// Applies the entries committed since the version of both. Loads a newer version of both if the
/// log has deleted entries that are needed.
pub(super) async fn advance_or_load(
    log: &TableLog,
    state: &mut LogState,
    segments: &mut SegmentIndex,
) -> Result<(), StoreError> {
    if !advance(log, state, segments).await? {
        let listed = files::list(log).await?;
        let loaded = LogState::load_snapshot(log, &listed).await?;
        let newest = loaded.filter(|(newest, _)| newest.version >= state.version);
        let (newest, _) = newest.ok_or_else(|| log.cut_short(state.version))?;
        segments.begin(&listed, newest.version).await?;
        *state = newest;
    }
    Ok(())
}
