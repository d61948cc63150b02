//! The history of a table, commit by commit, from the evidence in the log, oldest first.
//!
//! One entry is in memory at a time. Of another engine's commit only its existence is reported: the
//! texts of such an engine may contain personal values.

use chrono::{DateTime, Utc};
use futures::{Stream, TryStreamExt, stream};
use serde::Serialize;

use super::audit::oldest_entry;
use super::{TableView, ViewError};
use ebbtide_base::ids::{Bucket, ProductKey};
use ebbtide_table::evidence::Evidence;
use ebbtide_table::log::{LogEntry, read_entry};
use ebbtide_table::root::Root;

/// A filter for commits. Each given field restricts it further.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommitFilter {
    /// Only commits of this operation: `ingest`, `drop`, ...
    pub operation: Option<String>,
    /// Only commits made at this instant or later.
    pub since: Option<DateTime<Utc>>,
    /// Only commits made before this instant.
    pub until: Option<DateTime<Utc>>,
    /// Only commits that touched this bucket.
    pub bucket: Option<Bucket>,
}

/// One commit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CommitRecord {
    /// The version that it made.
    pub version: u64,
    /// Files that it added.
    pub added: usize,
    /// Files that it removed.
    pub removed: usize,
    /// The content of the commit.
    #[serde(flatten)]
    pub did: CommitKind,
}

/// The content of a commit.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitKind {
    /// The evidence of the commit.
    Evidence(Box<Evidence>),
    /// The commit has no evidence: it is of another engine, or one that only changed the table's
    /// metadata.
    #[serde(rename = "untold")]
    NoEvidence {
        /// True if it changed the table's files.
        foreign: bool,
    },
}

/// The range of versions of a table's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HistorySpan {
    /// The oldest version whose entry still exists.
    pub oldest_entry: u64,
    /// The newest version.
    pub version: u64,
}

impl CommitFilter {
    /// Returns true if an entry passes the filter. Another engine's commit has no time and no
    /// operation that could be reported, so it passes only if the filter has neither.
    fn takes(&self, entry: &LogEntry) -> bool {
        let paths = || {
            entry
                .added
                .iter()
                .map(|file| file.path.as_str())
                .chain(entry.removed.iter().map(String::as_str))
        };
        let in_bucket = |bucket: &Bucket| {
            let is_in_evidence = entry
                .evidence
                .as_ref()
                .is_some_and(|evidence| evidence.buckets.contains(&bucket.to_string()));
            is_in_evidence || paths().any(|path| super::why::bucket_of(path) == Some(*bucket))
        };
        if self
            .bucket
            .as_ref()
            .is_some_and(|bucket| !in_bucket(bucket))
        {
            return false;
        }
        let Some(evidence) = &entry.evidence else {
            return self.operation.is_none() && self.since.is_none() && self.until.is_none();
        };
        self.operation
            .as_ref()
            .is_none_or(|operation| *operation == evidence.operation)
            && self.since.is_none_or(|since| evidence.at >= since)
            && self.until.is_none_or(|until| evidence.at < until)
    }
}

/// Returns the commits of a product's table that pass the filter, one by one, and the range of its
/// history. Errors if there is no table.
pub async fn history(
    root: &Root,
    product: &ProductKey,
    wanted: CommitFilter,
) -> Result<
    (
        HistorySpan,
        impl Stream<Item = Result<CommitRecord, ViewError>> + use<>,
    ),
    ViewError,
> {
    let view = TableView::open(root, product).await?;
    wanted
        .bucket
        .map_or(Ok(()), |bucket| view.check_bucket(product, bucket))?;
    let span = HistorySpan {
        oldest_entry: oldest_entry(&view).await?,
        version: view.state.version,
    };
    let log = view.log;
    let entries =
        stream::iter((span.oldest_entry..=span.version).map(Ok)).try_filter_map(move |version| {
            let log = log.clone();
            // Deleted since it was listed: the history now begins after it.
            async move { Ok(read_entry(&log, version).await?) }
        });
    let wanted = entries.try_filter_map(move |entry: LogEntry| {
        let found = wanted.takes(&entry).then(|| CommitRecord {
            version: entry.version,
            added: entry.added.len(),
            removed: entry.removed.len(),
            did: match entry.evidence {
                Some(evidence) => CommitKind::Evidence(Box::new(evidence)),
                None => CommitKind::NoEvidence {
                    foreign: !entry.added.is_empty() || !entry.removed.is_empty(),
                },
            },
        });
        futures::future::ok::<_, ViewError>(found)
    });
    Ok((span, wanted))
}

#[cfg(test)]
mod tests;
