//! All active segments of a table by its log, kept in memory and updated from new entries alone.
//!
//! The index contains exactly the segments that the table lists at its version, in bounded memory:
//! shared values are stored once. Files that cannot be read as segments (of another engine, without
//! statistics) are counted, and nothing about them is guessed.

mod intern;
mod stored_segment;

pub(super) use intern::{deadlines_in_stats, policy_in_stats};
pub use stored_segment::StoredSegment;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::StoreError;
use super::evidence::Evidence;
use super::log::files::LogFile;
use super::log::{AddedFile, LogEntry, TableLog, checkpoint};
use intern::Interner;

/// All active segments of a table at one version.
#[derive(Clone)]
pub struct SegmentIndex {
    log: TableLog,
    version: u64,
    files: IndexedFiles,
    /// True if the table's segments can have deadlines.
    has_deadlines: bool,
}

/// The segments, and the state needed to parse more of them.
#[derive(Clone, Default)]
struct IndexedFiles {
    segments: BTreeMap<Arc<str>, StoredSegment>,
    /// Paths of active files that this version does not understand as segments.
    unknown: BTreeSet<String>,
    interner: Interner,
    /// The segments that ingest added since the last call of `take_ingested`; `None` if nothing
    /// follows ingest.
    ingested: Option<Vec<IngestedSegment>>,
}

/// A segment that ingest added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestedSegment {
    /// Its path.
    pub path: Arc<str>,
    /// The version of the controls that its rows were stored under.
    pub controls: i64,
}

impl SegmentIndex {
    /// Loads the segments of exactly `version`. `listed` are the files of the log. `has_deadlines`
    /// is true if segments can have deadlines: a file that mentions none is no segment then.
    pub(super) async fn at(
        log: &TableLog,
        listed: &[LogFile],
        version: u64,
        has_deadlines: bool,
    ) -> Result<SegmentIndex, StoreError> {
        let mut index = SegmentIndex {
            log: log.clone(),
            version,
            files: IndexedFiles::default(),
            has_deadlines,
        };
        index.begin(listed, version).await?;
        Ok(index)
    }

    /// Applies one more entry. `controls` is the version of the table's controls before it.
    pub(super) fn apply(&mut self, entry: &LogEntry, controls: i64) {
        self.version = entry.version;
        self.files.enter(entry);
        self.files.record_ingested(entry, controls);
    }

    /// Starts to collect segments for [`SegmentIndex::take_ingested`].
    pub(super) fn follow_ingest(&mut self) {
        self.files.ingested.get_or_insert_default();
    }

    /// Returns the segments that ingest commits added, among the entries read since the last call.
    /// Some of them may be removed again. The collection starts empty again if the index had to
    /// start again.
    pub(super) fn take_ingested(&mut self) -> Vec<IngestedSegment> {
        self.files
            .ingested
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Replaces all segments by those of a version.
    pub(super) async fn begin(
        &mut self,
        listed: &[LogFile],
        version: u64,
    ) -> Result<(), StoreError> {
        let follows = self.files.ingested.is_some();
        let empty = IndexedFiles {
            interner: Interner::new(self.has_deadlines),
            ..IndexedFiles::default()
        };
        let (files, tail) =
            checkpoint::files(&self.log, listed, version, empty, IndexedFiles::add).await?;
        (self.files, self.version) = (files, version);
        tail.iter().for_each(|entry| self.files.enter(entry));
        self.files.ingested = follows.then(Vec::new);
        Ok(())
    }

    /// Returns the version of the table that the index shows.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns the segments, sorted by path: those of one bucket and profile together.
    pub fn iter(&self) -> impl Iterator<Item = &StoredSegment> {
        self.files.segments.values()
    }

    /// Returns the segment at that path, if the table lists it.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&StoredSegment> {
        self.files.segments.get(path)
    }

    /// Returns the number of segments.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.segments.len()
    }

    /// Returns true if there are no segments.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.segments.is_empty()
    }

    /// Returns the active files that are not segments: another engine wrote them without the
    /// statistics or partitions that show which data in them is due. Their data is never swept, so
    /// they must be reported.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        self.files.unknown.iter().map(String::as_str)
    }
}

impl IndexedFiles {
    fn enter(&mut self, entry: &LogEntry) {
        for path in &entry.removed {
            let path = stored_segment::decoded(path);
            if self.segments.remove(path.as_ref()).is_none() {
                self.unknown.remove(path.as_ref());
            }
        }
        entry.added.iter().for_each(|added| self.add(added));
    }

    fn record_ingested(&mut self, entry: &LogEntry, controls: i64) {
        if let Some(ingested) = &mut self.ingested
            && entry.evidence.as_ref().is_some_and(Evidence::is_ingest)
        {
            ingested.extend(entry.added.iter().map(|added| IngestedSegment {
                path: Arc::from(stored_segment::decoded(&added.path)),
                controls,
            }));
        }
    }

    fn add(&mut self, added: &AddedFile) {
        match stored_segment::parse(added, &mut self.interner) {
            Some(segment) => {
                self.segments.insert(segment.path.clone(), segment);
            }
            None => {
                self.unknown
                    .insert(stored_segment::decoded(&added.path).into_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests;
