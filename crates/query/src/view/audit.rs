//! Audits a table: every record read is stored, expired, skipped or a dead letter, every stored
//! record is in a file, removed or suppressed, and every file exists.
//!
//! The audit checks the log against itself and against the files, and reports what it could not
//! check. If old entries were deleted, it begins at the running totals of the oldest entry that
//! still exists.

mod contents;
mod sums;

use std::collections::HashMap;

use contents::{CheckedContents, check_contents};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde::Serialize;
use sums::EvidenceSums;

use super::{TableView, ViewError};
use ebbtide_base::ids::{Offset, ProductKey};
use ebbtide_table::error::StoreError;
use ebbtide_table::evidence::TableTotals;
use ebbtide_table::log::files::{self, LogFileKind};
use ebbtide_table::log::{checkpoint, partition_of, read_entry};
use ebbtide_table::rewrite::count_cells;
use ebbtide_table::root::Root;
use ebbtide_table::segment::cell_records;

/// The number of files that are checked concurrently.
const LOOKING: usize = 16;
/// The number of files that are read concurrently.
const READING: usize = 4;

/// The result of an audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// The product.
    pub product: ProductKey,
    /// The version that was audited.
    pub version: u64,
    /// The oldest version whose entry still exists. Earlier commits are known only by their totals.
    pub oldest_entry: u64,
    /// Commits whose evidence was checked.
    pub commits: u64,
    /// Commits of other engines.
    pub foreign_commits: u64,
    /// Rows that other engines ever added, if their commits state it.
    pub foreign_rows: u64,
    /// The sums over all commits of the table, including those before the oldest entry; `None` if
    /// there is no evidence.
    pub totals: Option<TableTotals>,
    /// Records that the listed files stand for.
    pub records: u64,
    /// The number of listed files.
    pub segments: u64,
    /// The size of these files in bytes.
    pub bytes: u64,
    /// The checks of the files' contents, if they were requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contents: Option<AuditedContents>,
    /// All violations that were found.
    pub broken: Vec<AuditViolation>,
}

/// The checks of the files' contents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct AuditedContents {
    /// Bytes that were read.
    pub bytes: u64,
    /// Files whose digest is in the log and was compared.
    pub digests: u64,
    /// Pages whose checksum was compared.
    pub pages: u64,
    /// Pages without a checksum, which were decompressed: written by other engines, or by a version
    /// before checksums.
    pub pages_without_checksum: u64,
}

/// The fix for a damaged file.
const RESTORE: &str = "restore it from a backup or a copy of the table";

/// One violation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AuditViolation {
    /// A commit read more or less than it accounts for.
    #[error("version {version}: read {read}, accounted for {accounted}")]
    Unaccounted {
        /// The version.
        version: u64,
        /// Records read.
        read: u64,
        /// Stored, expired, skipped and dead letters together.
        accounted: u64,
    },
    /// A commit's files have more or fewer rows than its evidence says were stored.
    #[error("version {version}: its evidence stored {stored}, its files hold {rows}")]
    Rows {
        /// The version.
        version: u64,
        /// Records stored by the evidence.
        stored: u64,
        /// Rows of the files that the commit added.
        rows: u64,
    },
    /// A rewrite accounts for more or fewer records than it removed.
    #[error("version {version}: of {records} records rewritten, {accounted} are accounted for")]
    Ended {
        /// The version.
        version: u64,
        /// Records removed by its evidence.
        records: u64,
        /// Records added again, removed for good and suppressed together.
        accounted: u64,
    },
    /// A rewrite's evidence removes another number of records than the removed files had.
    #[error(
        "version {version}: its evidence took out {reported} records, the files it removed held {found}"
    )]
    TakenOut {
        /// The version.
        version: u64,
        /// Records by the evidence.
        #[serde(rename = "told")]
        reported: u64,
        /// Records of the files.
        found: u64,
    },
    /// A rewrite's evidence adds another number of records than the added files have.
    #[error(
        "version {version}: its evidence put back {reported} records, the files it added hold {found}"
    )]
    PutBack {
        /// The version.
        version: u64,
        /// Records by the evidence.
        #[serde(rename = "told")]
        reported: u64,
        /// Records of the files.
        found: u64,
    },
    /// A commit's totals are not the sum of the totals of the commit before it and its own counts.
    #[error("version {version}: its running totals do not follow from the commit before it")]
    Totals {
        /// The version.
        version: u64,
    },
    /// A commit began at another offset than the one at which the commit before it ended.
    #[error(
        "version {version}: {partition} continues at {from}, and the table had come to {expected}"
    )]
    Chain {
        /// The version.
        version: u64,
        /// The partition.
        partition: String,
        /// The offset at which the commit began.
        from: String,
        /// The offset at which the commit before it ended.
        expected: String,
    },
    /// A commit did not move an offset forwards, or skipped another number of offsets than its
    /// decision about losses states.
    #[error(
        "version {version}: {partition} moved from {from} to {next}, which no decision about lost offsets explains"
    )]
    Loss {
        /// The version.
        version: u64,
        /// The partition.
        partition: String,
        /// The partition's offset before the commit.
        from: String,
        /// The partition's offset after the commit.
        next: Offset,
    },
    /// A commit's `txn` is not the offset in its evidence.
    #[error("the table continues in {partition} at {stored}, and its evidence ends at {reported}")]
    Offset {
        /// The partition.
        partition: String,
        /// The `txn`.
        stored: Offset,
        /// The offset in the evidence.
        #[serde(rename = "told")]
        reported: Offset,
    },
    /// The table has more or fewer records than were stored and neither removed nor suppressed.
    #[error("{kept} records were stored and have not ended, and the table's files hold {records}")]
    Conservation {
        /// Records stored and neither removed nor suppressed, and rows that other engines added.
        kept: u64,
        /// Records in the files.
        records: u64,
    },
    /// A file that the table lists does not exist.
    #[error("file {path} is missing; {RESTORE}")]
    Missing {
        /// Its path in the table's folder.
        path: String,
    },
    /// A file has another size than in the log.
    #[error("file {path} has {found} bytes, and the table says {listed}; {RESTORE}")]
    Size {
        /// Its path in the table's folder.
        path: String,
        /// Its size in the log.
        listed: u64,
        /// Its size.
        found: u64,
    },
    /// The cells of a file stand for more or fewer records than its name states.
    #[error("file {path} is named for {named} records, and its cells stand for {found}")]
    Cells {
        /// Its path in the table's folder.
        path: String,
        /// The records in its name.
        named: u64,
        /// The records of its cells.
        found: u64,
    },
    /// The cells of a file cannot be counted.
    #[error("the cells of file {path} cannot be counted: {why}; {RESTORE}")]
    Unreadable {
        /// Its path in the table's folder.
        path: String,
        /// The reason.
        why: String,
    },
    /// The bytes of a file are not those that were written.
    #[error("file {path} is damaged: {why}; {RESTORE}")]
    Contents {
        /// Its path in the table's folder.
        path: String,
        /// The damage.
        why: String,
    },
    /// An entry or a checkpoint of the log cannot be read. Another checkpoint is used in its place.
    #[error("{what}")]
    Log {
        /// The file, its damage and the fix.
        what: String,
    },
    /// The log does not have the number of a file's rows.
    #[error("the log does not have the number of rows of file {path}")]
    Uncounted {
        /// Its path in the table's folder.
        path: String,
    },
}

impl Audit {
    /// Returns true if no violation was found.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.broken.is_empty()
    }
}

/// Audits a product's table at its newest version. Errors only if the table cannot be read;
/// violations are in the result.
pub async fn audit(root: &Root, product: &ProductKey) -> Result<Audit, ViewError> {
    let view = TableView::open(root, product).await?;
    let mut sums = EvidenceSums::default();
    let oldest = oldest_entry(&view).await?;
    for version in oldest..=view.state.version {
        match read_entry(&view.log, version).await {
            Ok(Some(entry)) => sums.enter(&entry),
            // Deleted since it was listed: its totals are in the entries that follow.
            Ok(None) => {}
            Err(error @ StoreError::Damaged { .. }) => sums.skip(error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    let mut audit = Audit {
        product: product.clone(),
        version: view.state.version,
        oldest_entry: oldest,
        commits: sums.commits,
        foreign_commits: sums.foreign_commits,
        foreign_rows: view.state.totals.map_or(0, |totals| totals.foreign),
        // Those of the newest evidence, with the rows that other engines added since.
        totals: view.state.totals,
        records: 0,
        segments: 0,
        bytes: 0,
        contents: None,
        broken: std::mem::take(&mut sums.broken),
    };
    check_checkpoints(&view, &mut audit).await?;
    for (partition, reported) in &sums.ends {
        let stored = view
            .state
            .txns()
            .find(|(app, _)| partition_of(app).as_ref() == Some(partition));
        let stored = Offset(stored.map_or(-1, |(_, version)| version));
        if stored != *reported {
            audit.broken.push(AuditViolation::Offset {
                partition: partition.to_string(),
                stored,
                reported: *reported,
            });
        }
    }
    look_at_files(&view, &mut audit).await?;
    let kept = audit.totals.unwrap_or_default().kept();
    if kept != audit.records {
        audit.broken.push(AuditViolation::Conservation {
            kept,
            records: audit.records,
        });
    }
    Ok(audit)
}

/// Audits a product's table like [`audit`], and reads every byte of its files.
pub async fn audit_contents(root: &Root, product: &ProductKey) -> Result<Audit, ViewError> {
    let mut audit = audit(root, product).await?;
    let view = TableView::open(root, product).await?;
    let listed = files::list(&view.log).await?;
    let digests = checkpoint::digests(&view.log, &listed, view.state.version).await?;
    let decoded = |(path, digest): (String, u64)| (files::decode(&path).unwrap_or(path), digest);
    let digests: HashMap<String, u64> = digests.into_iter().map(decoded).collect();
    let store = view.log.object_store(None);
    let checked = view.files().map(|file| {
        let (store, digests) = (store.clone(), &digests);
        async move {
            let file = file?;
            let checked =
                check_contents(&store, &file.path, digests.get(&file.path).copied()).await?;
            Ok::<_, StoreError>((file.path, checked))
        }
    });
    let (mut sums, mut checked) = (
        AuditedContents::default(),
        std::pin::pin!(checked.buffer_unordered(READING)),
    );
    while let Some((path, checked)) = checked.try_next().await? {
        // The audit reports a missing file already.
        let Some(CheckedContents {
            bytes,
            pages,
            without_checksum,
            has_digest,
            wrong,
        }) = checked
        else {
            continue;
        };
        sums.bytes += bytes;
        sums.pages += pages;
        sums.pages_without_checksum += without_checksum;
        sums.digests += u64::from(has_digest);
        audit
            .broken
            .extend(wrong.map(|why| AuditViolation::Contents { path, why }));
    }
    audit.contents = Some(sums);
    Ok(audit)
}

/// Reads every checkpoint of the table, and reports those that cannot be read.
async fn check_checkpoints(view: &TableView, audit: &mut Audit) -> Result<(), StoreError> {
    for checkpoint in files::checkpoints(&files::list(&view.log).await?) {
        match checkpoint::check(&view.log, &checkpoint).await {
            Ok(()) => {}
            Err(error @ StoreError::Damaged { .. }) => audit.broken.push(AuditViolation::Log {
                what: error.to_string(),
            }),
            Err(error) => return Err(error),
        }
    }
    audit.broken.extend(
        view.log
            .passed_over()
            .into_iter()
            .map(|what| AuditViolation::Log { what }),
    );
    Ok(())
}

/// Returns the oldest version from which on every entry up to the newest exists.
pub(super) async fn oldest_entry(view: &TableView) -> Result<u64, StoreError> {
    let listed = files::list(&view.log).await?;
    let mut entries: Vec<u64> = listed
        .iter()
        .filter_map(|file| match file.kind {
            LogFileKind::Entry(version) if version <= view.state.version => Some(version),
            _ => None,
        })
        .collect();
    entries.sort_unstable();
    let unbroken = entries
        .iter()
        .rev()
        .zip((0..=view.state.version).rev())
        .take_while(|(entry, at)| *entry == at);
    Ok(unbroken
        .last()
        .map_or(view.state.version, |(entry, _)| *entry))
}

async fn look_at_files(view: &TableView, audit: &mut Audit) -> Result<(), StoreError> {
    let store = view.log.object_store(None);
    let looked = view.files().map(|file| {
        let store = store.clone();
        async move {
            let file = file?;
            let found = match store.head(&Path::from(file.path.as_str())).await {
                Ok(meta) => Some(meta.size),
                Err(object_store::Error::NotFound { .. }) => None,
                Err(error) => return Err(StoreError::from(error)),
            };
            Ok((file, found))
        }
    });
    let mut looked = std::pin::pin!(looked.buffer_unordered(LOOKING));
    while let Some((file, found)) = looked.try_next().await? {
        audit.segments += 1;
        audit.bytes += file.size;
        audit.records += file.records().unwrap_or(0);
        if let Some(named) = cell_records(&file.path).filter(|_| found == Some(file.size)) {
            match count_cells(&store, &file.path).await {
                Ok(found) if found == named => {}
                Ok(found) => audit.broken.push(AuditViolation::Cells {
                    path: file.path.clone(),
                    named,
                    found,
                }),
                Err(error) => audit.broken.push(AuditViolation::Unreadable {
                    path: file.path.clone(),
                    why: error.to_string(),
                }),
            }
        }
        match found {
            None => audit.broken.push(AuditViolation::Missing {
                path: file.path.clone(),
            }),
            Some(found) if found != file.size => {
                audit.broken.push(AuditViolation::Size {
                    path: file.path.clone(),
                    listed: file.size,
                    found,
                });
            }
            Some(_) => {}
        }
        if file.records().is_none() {
            audit
                .broken
                .push(AuditViolation::Uncounted { path: file.path });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
