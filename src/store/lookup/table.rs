//! A table as a look-up sees it: its segments and its controls at one version. Reads only.
//!
//! Promises that what one look-up goes by is of one version, and that reading on costs what is new.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;

use crate::ids::{ProductKey, ProfileId};
use crate::store::error::StoreError;
use crate::store::index::{SegmentIndex, StoredSegment};
use crate::store::log::{Log, LogState, still_has};
use crate::store::root::Root;
use crate::store::table::ControlsVersion;

/// A table at one version.
pub struct TableAt {
    /// Which of the finder's tables it is.
    pub(super) number: usize,
    pub(super) store: Arc<dyn ObjectStore>,
    /// Its folder in the local file system, if it is there.
    pub(super) folder: Option<Arc<PathBuf>>,
    version: u64,
    controls: ControlsVersion,
    columns: Vec<String>,
    segments: Vec<Arc<StoredSegment>>,
    unknown: usize,
    texts: HashMap<String, String>,
}

impl TableAt {
    /// The version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The version of its controls.
    #[must_use]
    pub fn controls(&self) -> ControlsVersion {
        self.controls
    }

    /// Its columns' names.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Its segments, by path.
    #[must_use]
    pub fn segments(&self) -> &[Arc<StoredSegment>] {
        &self.segments
    }

    /// How many files it lists that are no segments: another engine's, of which nothing is known.
    #[must_use]
    pub fn unknown(&self) -> usize {
        self.unknown
    }

    /// The text form of a profile; `None` if the table does not explain it.
    #[must_use]
    pub fn profile_text(&self, profile: &ProfileId) -> Option<&str> {
        self.texts.get(profile.as_str()).map(String::as_str)
    }
}

/// A table that is kept open.
pub(super) struct Kept {
    number: usize,
    log: Log,
    state: LogState,
    index: SegmentIndex,
    at: Arc<TableAt>,
}

impl Kept {
    /// Opens a product's table; `None` if there is none.
    pub(super) async fn open(root: &Root, product: &ProductKey, number: usize) -> Result<Option<Kept>, StoreError> {
        let log = Log::of(root, product);
        let Some(state) = LogState::load(&log).await? else { return Ok(None) };
        let has_deadlines = state.columns()?.iter().any(|column| column.starts_with("expires_"));
        let index = SegmentIndex::at(&log, state.version, has_deadlines).await?;
        let at = snapshot(number, &log, &state, &index)?;
        Ok(Some(Kept { number, log, state, index, at }))
    }

    /// The table as it was last read.
    pub(super) fn at(&self) -> Arc<TableAt> {
        Arc::clone(&self.at)
    }

    /// The table at its newest version; `None` where that cannot be told by reading on, and it must be opened anew.
    pub(super) async fn newest(&mut self) -> Result<Option<Arc<TableAt>>, StoreError> {
        // Two looks at the log where nothing is new, and in this order: what is cleaned away goes from the oldest on, so that
        // nothing comes behind an entry that is there still after the next one was not.
        if !still_has(&self.log, self.at.version + 1).await? {
            return Ok(still_has(&self.log, self.at.version).await?.then(|| self.at()));
        }
        // Controls first: what is then read of the table is as new as they, or newer.
        self.state.read_on(&self.log).await?;
        self.index.refresh().await?;
        self.at = snapshot(self.number, &self.log, &self.state, &self.index)?;
        Ok(Some(self.at()))
    }
}

/// The table's folder, if it is in the local file system.
fn folder(log: &Log) -> Option<Arc<PathBuf>> {
    let url = log.root_url();
    (url.scheme() == "file").then(|| url.to_file_path().ok()).flatten().map(Arc::new)
}

fn snapshot(number: usize, log: &Log, state: &LogState, index: &SegmentIndex) -> Result<Arc<TableAt>, StoreError> {
    let texts = state.metadata.configuration().iter();
    let texts = texts.filter_map(|(key, text)| Some((key.strip_prefix("ebbtide.profile.")?.to_owned(), text.clone())));
    Ok(Arc::new(TableAt {
        number,
        store: log.object_store(None),
        folder: folder(log),
        version: index.version(),
        controls: ControlsVersion(state.controls()),
        columns: state.columns()?,
        segments: index.iter().cloned().map(Arc::new).collect(),
        unknown: index.unknown().count(),
        texts: texts.collect(),
    }))
}
