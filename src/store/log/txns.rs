//! All `txn` actions of a table, which the kernel gives one app id at a time only: from the newest checkpoint and on.

use std::collections::HashMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use deltalake_core::logstore::LogStoreRef;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{GetResultPayload, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::ChunkReader;

use super::{Entry, read_entry};
use crate::store::error::StoreError;

/// The version of every `txn` app id at `version`.
pub async fn load(log: &LogStoreRef, version: u64) -> Result<HashMap<String, i64>, StoreError> {
    let mut txns = HashMap::new();
    let mut next = 0;
    if let Some(checkpoint) = newest_checkpoint(log, version).await? {
        next = checkpoint.version + 1;
        for file in checkpoint.files {
            txns.extend(read_checkpoint(log, checkpoint.version, &file).await?);
        }
    }
    for version in next..=version {
        let entry = read_entry(log, version).await?;
        let missing = StoreError::Damaged { version, what: "the entry is missing".to_owned() };
        txns.extend(entry.ok_or(missing)?.txns);
    }
    Ok(txns)
}

/// A checkpoint with all of its parts.
struct Checkpoint {
    version: u64,
    files: Vec<Path>,
}

/// The newest checkpoint up to `version` of which every part is there.
async fn newest_checkpoint(log: &LogStoreRef, version: u64) -> Result<Option<Checkpoint>, StoreError> {
    let listed: Vec<_> = log.object_store(None).list(Some(log.log_path())).try_collect().await?;
    let mut parts: HashMap<(u64, usize), Vec<Path>> = HashMap::new();
    for file in listed {
        if let Some((of, count)) = file.location.filename().and_then(checkpoint_part).filter(|(of, _)| *of <= version) {
            parts.entry((of, count)).or_default().push(file.location);
        }
    }
    // Files of one part each (classic, or several with a uuid) say the same: one of them is enough.
    let complete = parts.into_iter().filter(|((_, count), files)| files.len() >= *count);
    let newest = complete.max_by_key(|((of, count), _)| (*of, std::cmp::Reverse(*count)));
    Ok(newest.map(|((version, count), mut files)| {
        files.truncate(count);
        Checkpoint { version, files }
    }))
}

/// The version of a checkpoint's file and how many files make it whole; `None` for any other file.
fn checkpoint_part(name: &str) -> Option<(u64, usize)> {
    let (version, rest) = name.split_once(".checkpoint")?;
    let version = version.parse().ok()?;
    let parts: Vec<&str> = rest.trim_start_matches('.').split('.').collect();
    match parts[..] {
        ["parquet"] | [_, "parquet" | "json"] => Some((version, 1)),
        [_, count, "parquet"] => Some((version, count.parse().ok()?)),
        _ => None,
    }
}

async fn read_checkpoint(log: &LogStoreRef, version: u64, file: &Path) -> Result<HashMap<String, i64>, StoreError> {
    let got = log.object_store(None).get(file).await?;
    if file.as_ref().ends_with(".json") {
        return Ok(Entry::parse(version, &got.bytes().await?)?.txns.into_iter().collect());
    }
    let read = match got.payload {
        GetResultPayload::File(file, _) => tokio::task::spawn_blocking(move || read_txns(file)).await,
        GetResultPayload::Stream(_) => {
            let bytes: Bytes = got.bytes().await?;
            tokio::task::spawn_blocking(move || read_txns(bytes)).await
        }
    };
    let damaged = |what: String| StoreError::Damaged { version, what };
    read.map_err(|error| damaged(error.to_string()))?.map_err(|error| damaged(format!("its checkpoint: {error}")))
}

/// Reads the column `txn` alone, so that the cost is not that of the list of files.
fn read_txns(file: impl ChunkReader + 'static) -> Result<HashMap<String, i64>, parquet::errors::ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let wanted = ["txn.appId", "txn.version"];
    let mask = ProjectionMask::columns(builder.parquet_schema(), wanted);
    let mut txns = HashMap::new();
    for batch in builder.with_projection(mask).build()? {
        let batch = batch?;
        let Some(column) = batch.column_by_name("txn").and_then(|column| column.as_struct_opt()) else { continue };
        let (Some(ids), Some(versions)) = (
            column.column_by_name("appId").and_then(|ids| ids.as_string_opt::<i32>()),
            column.column_by_name("version").and_then(|versions| versions.as_primitive_opt::<Int64Type>()),
        ) else {
            continue;
        };
        for row in (0..batch.num_rows()).filter(|row| column.is_valid(*row) && ids.is_valid(*row)) {
            txns.insert(ids.value(row).to_owned(), versions.value(row));
        }
    }
    Ok(txns)
}
