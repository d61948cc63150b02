//! What is read from the newest checkpoint and the entries after it without the kernel, which gives `txn` actions one app id
//! at a time only, and no tombstones.
//!
//! Promises to read only the columns it needs, so that the cost of finding offsets is not that of the list of files.

use std::collections::{HashMap, HashSet};

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use deltalake_core::logstore::LogStoreRef;
use object_store::path::Path;
use object_store::{GetResultPayload, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::reader::ChunkReader;

use super::files::{self, LogFile};
use super::{Entry, read_entry};
use crate::store::error::StoreError;

/// The version of every `txn` app id at `version`.
pub async fn txns(log: &LogStoreRef, listed: &[LogFile], version: u64) -> Result<HashMap<String, i64>, StoreError> {
    let mut txns = HashMap::new();
    let (batches, tail) = replay(log, listed, version, &["txn.appId", "txn.version"]).await?;
    batches.iter().for_each(|batch| take_txns(batch, &mut txns));
    for entry in tail {
        txns.extend(entry.txns);
    }
    Ok(txns)
}

/// Every path that the log names up to `version`, as added or as removed, as it is written there.
pub async fn paths(log: &LogStoreRef, listed: &[LogFile], version: u64) -> Result<HashSet<String>, StoreError> {
    let mut paths = HashSet::new();
    let (batches, tail) = replay(log, listed, version, &["add.path", "remove.path"]).await?;
    batches.iter().for_each(|batch| take_paths(batch, &mut paths));
    for entry in tail {
        paths.extend(entry.added.into_iter().map(|file| file.path));
        paths.extend(entry.removed);
    }
    Ok(paths)
}

/// Those columns of the newest checkpoint up to `version`, and the entries after it.
async fn replay(
    log: &LogStoreRef,
    listed: &[LogFile],
    version: u64,
    columns: &'static [&'static str],
) -> Result<(Vec<RecordBatch>, Vec<Entry>), StoreError> {
    let (mut next, mut batches, mut entries) = (0, Vec::new(), Vec::new());
    if let Some(checkpoint) = files::newest_checkpoint(listed, version) {
        next = checkpoint.version + 1;
        for file in &checkpoint.files {
            if file.as_ref().ends_with(".json") {
                let bytes = log.object_store(None).get(file).await?.bytes().await?;
                entries.push(Entry::parse(checkpoint.version, &bytes)?);
                continue;
            }
            let read = read(log, file, columns).await?;
            let damaged = |error: ParquetError| StoreError::Damaged {
                version: checkpoint.version,
                what: format!("its checkpoint: {error}"),
            };
            batches.extend(read.map_err(damaged)?);
        }
    }
    for version in next..=version {
        let missing = StoreError::Damaged { version, what: "the entry is missing".to_owned() };
        entries.push(read_entry(log, version).await?.ok_or(missing)?);
    }
    Ok((batches, entries))
}

async fn read(
    log: &LogStoreRef,
    file: &Path,
    columns: &'static [&'static str],
) -> Result<Result<Vec<RecordBatch>, ParquetError>, StoreError> {
    let got = log.object_store(None).get(file).await?;
    let read = match got.payload {
        GetResultPayload::File(file, _) => tokio::task::spawn_blocking(move || read_columns(file, columns)).await,
        GetResultPayload::Stream(_) => {
            let bytes: Bytes = got.bytes().await?;
            tokio::task::spawn_blocking(move || read_columns(bytes, columns)).await
        }
    };
    read.map_err(|error| StoreError::Refused(format!("reading a checkpoint was stopped: {error}")))
}

fn read_columns(file: impl ChunkReader + 'static, columns: &[&str]) -> Result<Vec<RecordBatch>, ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let batches = builder.with_projection(mask).build()?;
    batches.map(|batch| batch.map_err(ParquetError::from)).collect()
}

fn take_txns(batch: &RecordBatch, txns: &mut HashMap<String, i64>) {
    let Some(column) = batch.column_by_name("txn").and_then(|column| column.as_struct_opt()) else { return };
    let versions = column.column_by_name("version").and_then(|versions| versions.as_primitive_opt::<Int64Type>());
    let (Some(ids), Some(versions)) = (texts(column.column_by_name("appId")), versions) else { return };
    for row in (0..column.len()).filter(|row| column.is_valid(*row) && ids.is_valid(*row)) {
        txns.insert(ids.value(row).to_owned(), versions.value(row));
    }
}

fn take_paths(batch: &RecordBatch, paths: &mut HashSet<String>) {
    for name in ["add", "remove"] {
        let Some(column) = batch.column_by_name(name).and_then(|column| column.as_struct_opt()) else { continue };
        let Some(found) = texts(column.column_by_name("path")) else { continue };
        let valid = (0..column.len()).filter(|row| column.is_valid(*row) && found.is_valid(*row));
        paths.extend(valid.map(|row| found.value(row).to_owned()));
    }
}

fn texts(column: Option<&arrow::array::ArrayRef>) -> Option<&StringArray> {
    column?.as_string_opt::<i32>()
}
