//! The state of a table for a look-up: its segments and its controls at one version. Read-only.
//!
//! One look-up uses the state of one version. A refresh reads only new commits.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;

use ebbtide_base::ids::{ProductKey, ProfileId};
use ebbtide_table::error::StoreError;
use ebbtide_table::index::StoredSegment;
use ebbtide_table::log::TableLog;
use ebbtide_table::root::Root;
use ebbtide_table::snapshot::{ForeignFiles, LogSnapshot};
use ebbtide_table::table::ControlsVersion;

/// A table at one version.
pub struct TableSnapshot {
    /// The number of the table in the finder.
    pub(super) number: usize,
    pub(super) store: Arc<dyn ObjectStore>,
    /// The table's folder, if it is in the local file system.
    pub(super) folder: Option<Arc<PathBuf>>,
    version: u64,
    controls: ControlsVersion,
    columns: Vec<String>,
    segments: Vec<Arc<StoredSegment>>,
    unknown: usize,
    texts: HashMap<String, String>,
}

impl TableSnapshot {
    /// Returns the version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns the version of the table's controls.
    #[must_use]
    pub fn controls(&self) -> ControlsVersion {
        self.controls
    }

    /// Returns the names of the table's columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns the table's segments, by path.
    #[must_use]
    pub fn segments(&self) -> &[Arc<StoredSegment>] {
        &self.segments
    }

    /// Returns the number of files that the table lists but that are not segments: files of another
    /// engine, of which nothing is known.
    #[must_use]
    pub fn unknown(&self) -> usize {
        self.unknown
    }

    /// Returns the text form of a profile; `None` if the table has no text for it.
    #[must_use]
    pub fn profile_text(&self, profile: &ProfileId) -> Option<&str> {
        self.texts.get(profile.as_str()).map(String::as_str)
    }
}

/// A table that is kept open.
pub(super) struct CachedTable {
    number: usize,
    table: LogSnapshot,
    at: Arc<TableSnapshot>,
}

impl CachedTable {
    /// Opens a product's table; `None` if it does not exist.
    pub(super) async fn open(
        root: &Root,
        product: &ProductKey,
        number: usize,
    ) -> Result<Option<CachedTable>, StoreError> {
        let loaded = LogSnapshot::load(root, product, ForeignFiles::WithDeadlines).await?;
        let Some(table) = loaded else {
            return Ok(None);
        };
        let at = snapshot(number, &table)?;
        Ok(Some(CachedTable { number, table, at }))
    }

    /// Returns the table as it was last read.
    pub(super) fn at(&self) -> Arc<TableSnapshot> {
        Arc::clone(&self.at)
    }

    /// Returns the table at its newest version; `None` if new commits cannot be read one by one, so
    /// that the table must be opened again.
    pub(super) async fn newest(&mut self) -> Result<Option<Arc<TableSnapshot>>, StoreError> {
        if !self.table.advance().await? {
            return Ok(None);
        }
        if self.table.state().version > self.at.version {
            self.at = snapshot(self.number, &self.table)?;
        }
        Ok(Some(self.at()))
    }
}

/// Returns the table's folder, if it is in the local file system.
fn folder(log: &TableLog) -> Option<Arc<PathBuf>> {
    let url = log.root_url();
    (url.scheme() == "file")
        .then(|| url.to_file_path().ok())
        .flatten()
        .map(Arc::new)
}

fn snapshot(number: usize, table: &LogSnapshot) -> Result<Arc<TableSnapshot>, StoreError> {
    let (log, state, segments) = (table.log(), table.state(), table.segments());
    let texts = state.metadata.configuration().iter();
    let texts = texts.filter_map(|(key, text)| {
        Some((
            key.strip_prefix("ebbtide.profile.")?.to_owned(),
            text.clone(),
        ))
    });
    Ok(Arc::new(TableSnapshot {
        number,
        store: log.object_store(None),
        folder: folder(log),
        version: state.version,
        controls: ControlsVersion(state.controls()),
        columns: state.columns()?,
        segments: segments.iter().cloned().map(Arc::new).collect(),
        unknown: segments.unknown().count(),
        texts: texts.collect(),
    }))
}
