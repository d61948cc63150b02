//! Read-only views of tables for people: the list of tables, the content of one, and its audit.
//!
//! The views change nothing and show nothing of any record but counts, locations and instants.

mod audit;
mod history;
mod leftovers;
mod show;
mod tagged;
mod why;

pub use audit::{Audit, AuditViolation, AuditedContents, audit, audit_contents};
pub use history::{CommitFilter, CommitKind, CommitRecord, HistorySpan, history};
pub use leftovers::{Leftovers, leftovers, newest_commit};
pub use show::{DeadlineForecast, NextOffset, TableOverview, show};
pub use tagged::{StoredTags, stored_columns, stored_tags};
pub use why::{
    CategoryState, RecordCommit, RecordHints, RecordHistory, RecordKey, RecordStatus,
    StoredCategory, StoredRecord, takes_in, why,
};

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use deltalake_core::kernel::Snapshot;
use futures::{Stream, StreamExt};
use object_store::ObjectStore;
use serde::Deserialize;
use serde_json::Value;

use ebbtide_base::ids::{Bucket, BucketUnit, ProductKey};
use ebbtide_table::error::StoreError;
use ebbtide_table::log::{LogState, TableLog, files};
use ebbtide_table::rewrite::RewriteError;
use ebbtide_table::root::Root;
use ebbtide_table::segment::cell_records;

/// A table could not be read for a view.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// There is no table of that product.
    #[error("there is no table {product} under {root}")]
    NoTable {
        /// The product.
        product: String,
        /// The root.
        root: String,
    },
    /// The table has no such column, or none that can be compared with a text.
    #[error("table {product} has no column {column} to find a record by")]
    NoColumn {
        /// The product.
        product: String,
        /// The column.
        column: String,
    },
    /// The table cannot have such a bucket.
    #[error("table {product} cannot have a bucket {bucket}: {why}")]
    NoBucket {
        /// The product.
        product: String,
        /// The bucket.
        bucket: Bucket,
        /// The reason.
        why: &'static str,
    },
    /// A segment could not be read.
    #[error(transparent)]
    Segment(#[from] RewriteError),
    /// The store failed, or contains something that this version does not understand.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ViewError {
    fn no_table(root: &Root, product: &ProductKey) -> ViewError {
        ViewError::NoTable {
            product: product.to_string(),
            root: root.to_string(),
        }
    }
}

/// Returns the products that have a table under the root, sorted. A root that does not exist has
/// none.
pub async fn products(root: &Root) -> Result<Vec<ProductKey>, StoreError> {
    let mut products = Vec::new();
    for product in root.folders().await? {
        // Other folders may be there: a table is recognised by its log.
        if has_log(root, &product).await? {
            products.push(product);
        }
    }
    Ok(products)
}

/// Returns true if there is any file in the log of a product's table.
async fn has_log(root: &Root, product: &ProductKey) -> Result<bool, StoreError> {
    let log = root.table(product).0.join("_delta_log");
    match root.store().list(Some(&log)).next().await {
        None | Some(Err(object_store::Error::NotFound { .. })) => Ok(false),
        Some(Ok(_)) => Ok(true),
        Some(Err(error)) => Err(error.into()),
    }
}

/// A table at its newest version.
struct TableView {
    log: TableLog,
    state: LogState,
    snapshot: Snapshot,
}

/// One file that the table lists.
struct ListedFile {
    path: String,
    size: u64,
    stats: FileStats,
}

/// The parts of a file's statistics that the views need.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FileStats {
    num_records: Option<u64>,
    min_values: HashMap<String, Value>,
}

impl TableView {
    async fn open(root: &Root, product: &ProductKey) -> Result<TableView, ViewError> {
        let log = root.table_log(product);
        // The kernel lists files lazily: a checkpoint that cannot be read must be hidden before the
        // kernel begins.
        let listed = files::list(&log).await?;
        log.is_readable(&listed, u64::MAX).await?;
        let loaded = LogState::load_snapshot(&log, &listed).await?;
        let (state, snapshot) = loaded.ok_or_else(|| ViewError::no_table(root, product))?;
        Ok(TableView {
            log,
            state,
            snapshot,
        })
    }

    /// Refuses a bucket that the table can never have: the answer would be empty in any case.
    fn check_bucket(&self, product: &ProductKey, bucket: Bucket) -> Result<(), ViewError> {
        let why = match (self.state.bucket_unit()?, bucket) {
            (Some(BucketUnit::Day), Bucket::Hour(_)) => {
                "its buckets are days; write one as 2026-11-24"
            }
            (Some(BucketUnit::Hour), Bucket::Day(_)) => {
                "its buckets are hours; write one as 2026-11-24T13:00:00Z"
            }
            // An hour of any time zone begins at a full quarter of an hour in UTC.
            (_, Bucket::Hour(start))
                if start.timestamp().rem_euclid(900) != 0
                    || start.timestamp_subsec_nanos() != 0 =>
            {
                "no hour begins then; write its beginning as 2026-11-24T13:00:00Z"
            }
            _ => return Ok(()),
        };
        Err(ViewError::NoBucket {
            product: product.to_string(),
            bucket,
            why,
        })
    }

    /// Returns the files of the version, one by one, so that memory does not grow with the table.
    fn files(&self) -> impl Stream<Item = Result<ListedFile, StoreError>> {
        self.snapshot
            .file_views(self.log.as_ref(), None)
            .map(|file| {
                let file = file?;
                Ok(ListedFile {
                    path: file.object_store_path().to_string(),
                    size: u64::try_from(file.size()).unwrap_or(0),
                    stats: file
                        .stats()
                        .and_then(|stats| serde_json::from_str(&stats).ok())
                        .unwrap_or_default(),
                })
            })
    }
}

impl ListedFile {
    /// Returns the number of records that its rows stand for; `None` if neither its name nor its
    /// statistics have it.
    fn records(&self) -> Option<u64> {
        cell_records(&self.path).or(self.stats.num_records)
    }
}

impl FileStats {
    /// Returns the minimum of a column of instants.
    fn instant(&self, column: &str) -> Option<DateTime<Utc>> {
        let text = self.min_values.get(column)?.as_str()?;
        DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|at| at.with_timezone(&Utc))
    }
}

#[cfg(test)]
mod tests;
