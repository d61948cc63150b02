//! Reads the newest checkpoint and the entries after it without the kernel, which returns the `txn`
//! actions of only one app id per call, and no tombstones.
//!
//! Only the needed columns are read, so that the cost of finding offsets does not depend on the
//! list of files.

mod adds;

use std::collections::{HashMap, HashSet};
use std::pin::pin;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use futures::{StreamExt, stream};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::reader::ChunkReader;

use super::files::{self, Checkpoint, LogFile};
use super::{AddedFile, LogEntry, TableLog, read_entry};
use crate::error::StoreError;
use crate::source::StoreFile;

/// The number of entries requested at the same time: a hundred may follow a checkpoint, and most of
/// the time of each is waiting.
const CONCURRENT_READS: usize = 16;

/// Returns the version of every `txn` app id at `version`.
pub async fn txns(
    log: &TableLog,
    listed: &[LogFile],
    version: u64,
) -> Result<HashMap<String, i64>, StoreError> {
    let asked = CheckpointRequest {
        version,
        columns: &["txn.appId", "txn.version"],
    };
    let (mut txns, tail) = replay(log, listed, asked, HashMap::new(), take_txns).await?;
    for entry in tail {
        txns.extend(entry.txns);
    }
    Ok(txns)
}

/// The files that a log names up to some version, by their paths as written in the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedFiles {
    /// Files that the version lists.
    pub active: HashSet<String>,
    /// Files that it no longer lists, with the time of their removal in milliseconds since 1970, if
    /// the log has it.
    pub removed: HashMap<String, Option<i64>>,
}

impl NamedFiles {
    fn add(&mut self, path: String) {
        self.removed.remove(&path);
        self.active.insert(path);
    }

    fn remove(&mut self, path: String, at: Option<i64>) {
        self.active.remove(&path);
        self.removed.insert(path, at);
    }
}

/// Returns every file that the log names up to `version`, as added or as removed.
pub async fn named(
    log: &TableLog,
    listed: &[LogFile],
    version: u64,
) -> Result<NamedFiles, StoreError> {
    let asked = CheckpointRequest {
        version,
        columns: &["add.path", "remove.path", "remove.deletionTimestamp"],
    };
    let (mut named, tail) = replay(log, listed, asked, NamedFiles::default(), take_named).await?;
    for entry in tail {
        // A restored version adds files that it also removes: a file that an entry adds exists
        // after the entry.
        entry
            .removed
            .into_iter()
            .for_each(|path| named.remove(path, entry.removed_at));
        entry
            .added
            .into_iter()
            .for_each(|added| named.add(added.path));
    }
    Ok(named)
}

/// Passes each active file of the newest checkpoint up to `version` to `take`, which collects into
/// `so_far`. Returns the result and the entries after the checkpoint.
pub async fn files<T: Clone + Send + 'static>(
    log: &TableLog,
    listed: &[LogFile],
    version: u64,
    so_far: T,
    take: fn(&mut T, &AddedFile),
) -> Result<(T, Vec<LogEntry>), StoreError> {
    let asked = CheckpointRequest {
        version,
        columns: &["add.path", "add.partitionValues", "add.size", "add.stats"],
    };
    replay(log, listed, asked, so_far, move |batch, so_far| {
        adds::take(batch, &mut |added| take(so_far, added))
    })
    .await
}

/// Returns the XXH64 of each active file at `version` whose `add` action has one, by its path as
/// written in the log.
pub async fn digests(
    log: &TableLog,
    listed: &[LogFile],
    version: u64,
) -> Result<HashMap<String, u64>, StoreError> {
    let asked = CheckpointRequest {
        version,
        columns: &["add.path", "add.tags"],
    };
    let take = |added: &AddedFile, digests: &mut HashMap<String, u64>| {
        digests.extend(added.xxh64.map(|digest| (added.path.clone(), digest)));
    };
    let (mut digests, tail) = replay(log, listed, asked, HashMap::new(), move |batch, digests| {
        adds::take(batch, &mut |added| take(added, digests));
    })
    .await?;
    for entry in tail {
        for path in &entry.removed {
            digests.remove(path);
        }
        entry
            .added
            .iter()
            .for_each(|added| take(added, &mut digests));
    }
    Ok(digests)
}

/// A request to read these columns of the newest checkpoint up to a version, and the entries from
/// there to the version.
struct CheckpointRequest {
    version: u64,
    columns: &'static [&'static str],
}

/// Folds the batches of the newest readable checkpoint into `so_far`, one at a time, and returns
/// the entries after it.
async fn replay<T: Clone + Send + 'static>(
    log: &TableLog,
    listed: &[LogFile],
    asked: CheckpointRequest,
    so_far: T,
    take: impl Fn(&RecordBatch, &mut T) + Copy + Send + 'static,
) -> Result<(T, Vec<LogEntry>), StoreError> {
    let mut unreadable: Option<StoreError> = None;
    let (folded, mut entries, next) = loop {
        let shown: Vec<LogFile> = listed
            .iter()
            .filter(|file| !log.hides(&file.path))
            .cloned()
            .collect();
        let Some(checkpoint) = files::newest_checkpoint(&shown, asked.version) else {
            break (so_far, Vec::new(), 0);
        };
        match fold_checkpoint(log, &checkpoint, asked.columns, so_far.clone(), take).await {
            Ok((folded, entries)) => break (folded, entries, checkpoint.version + 1),
            Err(error @ StoreError::Damaged { .. }) => {
                log.hide(&checkpoint, &error);
                unreadable = unreadable.or(Some(error));
            }
            Err(error) => return Err(error),
        }
    };
    let entry = async |version| match read_entry(log, version).await {
        Ok(Some(entry)) => Ok(entry),
        Ok(None) => Err(log.damaged_entry(version, "it is missing".to_owned())),
        Err(error) => Err(error),
    };
    let mut later_entries = pin!(
        stream::iter(next..=asked.version)
            .map(entry)
            .buffered(CONCURRENT_READS)
    );
    while let Some(entry) = later_entries.next().await {
        // If the entries before a checkpoint were cleaned up, the checkpoint is what must be
        // restored.
        entries.push(entry.map_err(|error| unreadable.take().unwrap_or(error))?);
    }
    Ok((folded, entries))
}

/// Folds the batches of one checkpoint into `so_far`. Returns the entries of a checkpoint that is
/// written as an entry.
async fn fold_checkpoint<T: Send + 'static>(
    log: &TableLog,
    checkpoint: &Checkpoint,
    columns: &'static [&'static str],
    mut so_far: T,
    take: impl Fn(&RecordBatch, &mut T) + Copy + Send + 'static,
) -> Result<(T, Vec<LogEntry>), StoreError> {
    let mut entries = Vec::new();
    for file in &checkpoint.files {
        let damaged = |what: String| log.damaged_checkpoint(file, what);
        if file.as_ref().ends_with(".json") {
            let bytes = log.object_store(None).get(file).await?.bytes().await?;
            entries.push(LogEntry::parse(checkpoint.version, &bytes).map_err(damaged)?);
            continue;
        }
        let read = read(
            log,
            file,
            columns,
            move |batch, so_far| take(batch, so_far),
            so_far,
        )
        .await?;
        so_far = read.map_err(|error| damaged(error.to_string()))?;
    }
    Ok((so_far, entries))
}

/// Reads a complete checkpoint. Errors if any part of it cannot be read.
pub async fn check(log: &TableLog, checkpoint: &Checkpoint) -> Result<(), StoreError> {
    fold_checkpoint(log, checkpoint, &[], (), |_, ()| {})
        .await
        .map(drop)
}

async fn read<T: Send + 'static>(
    log: &TableLog,
    file: &Path,
    columns: &'static [&'static str],
    take: impl Fn(&RecordBatch, &mut T) + Send + 'static,
    so_far: T,
) -> Result<Result<T, ParquetError>, StoreError> {
    let source = StoreFile::open(&log.object_store(None), file.clone()).await?;
    let asked = source.clone();
    let read = tokio::task::spawn_blocking(move || fold(asked, columns, take, so_far)).await;
    let read = read.map_err(|error| {
        StoreError::Refused(format!("reading a checkpoint was stopped: {error}"))
    })?;
    // A failure of the store is not damage.
    source.failure().map_or(Ok(read), |error| Err(error.into()))
}

fn fold<T>(
    file: impl ChunkReader + 'static,
    columns: &[&str],
    take: impl Fn(&RecordBatch, &mut T),
    mut so_far: T,
) -> Result<T, ParquetError> {
    // The file is read by its Parquet types alone: with another engine's hint at wider types the
    // values would not be found.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?;
    // An empty list selects all columns.
    let mask = match columns {
        [] => ProjectionMask::all(),
        some => ProjectionMask::columns(builder.parquet_schema(), some.iter().copied()),
    };
    for batch in builder.with_projection(mask).build()? {
        take(&batch?, &mut so_far);
    }
    Ok(so_far)
}

fn take_txns(batch: &RecordBatch, txns: &mut HashMap<String, i64>) {
    let Some(column) = batch
        .column_by_name("txn")
        .and_then(|column| column.as_struct_opt())
    else {
        return;
    };
    let versions = column
        .column_by_name("version")
        .and_then(|versions| versions.as_primitive_opt::<Int64Type>());
    let (Some(ids), Some(versions)) = (texts(column.column_by_name("appId")), versions) else {
        return;
    };
    for row in (0..column.len()).filter(|row| column.is_valid(*row) && ids.is_valid(*row)) {
        txns.insert(ids.value(row).to_owned(), versions.value(row));
    }
}

fn take_named(batch: &RecordBatch, named: &mut NamedFiles) {
    let column = |name: &str| {
        batch
            .column_by_name(name)
            .and_then(|column| column.as_struct_opt())
    };
    if let Some(removes) = column("remove")
        && let Some(paths) = texts(removes.column_by_name("path"))
    {
        let at = removes
            .column_by_name("deletionTimestamp")
            .and_then(|at| at.as_primitive_opt::<Int64Type>());
        for row in (0..removes.len()).filter(|row| removes.is_valid(*row) && paths.is_valid(*row)) {
            let at = at.filter(|at| at.is_valid(row)).map(|at| at.value(row));
            named.remove(paths.value(row).to_owned(), at);
        }
    }
    if let Some(adds) = column("add")
        && let Some(paths) = texts(adds.column_by_name("path"))
    {
        let there = (0..adds.len()).filter(|row| adds.is_valid(*row) && paths.is_valid(*row));
        there.for_each(|row| named.add(paths.value(row).to_owned()));
    }
}

fn texts(column: Option<&arrow::array::ArrayRef>) -> Option<&StringArray> {
    column?.as_string_opt::<i32>()
}
