//! The check of every byte of a segment: against the digest of the file in the log, and page by
//! page against the checksum in the page's header.
//!
//! A file of another engine, or of a version before checksums, is at least decompressed page by
//! page.

use std::hash::Hasher;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;
use parquet::column::page::PageReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader,
};
use parquet::file::serialized_reader::SerializedPageReader;
use twox_hash::XxHash64;

use ebbtide_table::error::StoreError;
use ebbtide_table::segment::{ChecksumResult, page_checksum};
use ebbtide_table::source::StoreFile;

/// Bytes that are read in one step.
const STEP: usize = 256 << 10;

/// The checked parts of a file, and its damage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckedContents {
    /// The number of its bytes.
    pub bytes: u64,
    /// Pages whose checksum was compared.
    pub pages: u64,
    /// Pages without a checksum, which were decompressed.
    pub without_checksum: u64,
    /// True if the log has a digest of the file.
    pub has_digest: bool,
    /// The first damage found; `None` if there is no damage.
    pub wrong: Option<String>,
}

/// Reads the file at `path` and checks it. `None` if the file does not exist.
pub async fn check_contents(
    store: &Arc<dyn ObjectStore>,
    path: &str,
    digest: Option<u64>,
) -> std::result::Result<Option<CheckedContents>, StoreError> {
    let source = match StoreFile::open(store, Path::from(path)).await {
        Ok(source) => source,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let asked = source.clone();
    let checked = tokio::task::spawn_blocking(move || check(&Arc::new(asked), digest)).await;
    let checked = checked
        .map_err(|error| StoreError::Refused(format!("reading {path} was stopped: {error}")))?;
    match source.failure() {
        Some(error) => Err(error.into()),
        None => Ok(Some(checked)),
    }
}

fn check(source: &Arc<StoreFile>, digest: Option<u64>) -> CheckedContents {
    let mut checked = CheckedContents {
        has_digest: digest.is_some(),
        ..CheckedContents::default()
    };
    let of_pages = catch_unwind(AssertUnwindSafe(|| check_pages(source, &mut checked)));
    let wrong = match of_pages {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("the reader gave up on it".to_owned()),
    };
    let whole = check_digest(source, digest, &mut checked);
    // The damage of a page is more specific than a different digest of the file.
    checked.wrong = wrong.or(whole.err().map(|error| error.to_string()));
    checked
}

fn check_digest(
    source: &StoreFile,
    digest: Option<u64>,
    checked: &mut CheckedContents,
) -> Result<()> {
    let (mut reader, mut hash, mut step) =
        (source.read_from(0), XxHash64::default(), vec![0; STEP]);
    loop {
        let read = reader.read(&mut step)?;
        if read == 0 {
            break;
        }
        checked.bytes += read as u64;
        hash.write(step.get(..read).unwrap_or_default());
    }
    match digest.is_none_or(|digest| digest == hash.finish()) {
        true => Ok(()),
        false => Err(wrong("its bytes are not those that were written")),
    }
}

fn check_pages(source: &Arc<StoreFile>, checked: &mut CheckedContents) -> Result<()> {
    let metadata: ParquetMetaData = ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Optional)
        .parse_and_finish(&**source)?;
    for (number, group) in metadata.row_groups().iter().enumerate() {
        for chunk in group.columns() {
            let (column, rows) = (
                chunk.column_path(),
                usize::try_from(group.num_rows()).unwrap_or(0),
            );
            check_chunk(source, chunk, rows, checked)
                .map_err(|error| wrong(&format!("row group {number}, column {column}: {error}")))?;
        }
    }
    Ok(())
}

fn check_chunk(
    source: &Arc<StoreFile>,
    chunk: &ColumnChunkMetaData,
    rows: usize,
    checked: &mut CheckedContents,
) -> Result<()> {
    let begins = chunk
        .dictionary_page_offset()
        .filter(|offset| *offset > 0 && *offset < chunk.data_page_offset());
    let outside = || wrong("it is outside of the file");
    let mut at =
        u64::try_from(begins.unwrap_or(chunk.data_page_offset())).map_err(|_| outside())?;
    let length = u64::try_from(chunk.compressed_size()).map_err(|_| outside())?;
    let end = at.checked_add(length).ok_or_else(outside)?;
    let mut without = 0;
    for page in 0_u64.. {
        if at >= end {
            break;
        }
        let checksum = page_checksum(source, at..end)
            .map_err(|error| wrong(&format!("page {page}: {error}")))?;
        match checksum {
            ChecksumResult::Right { next } => (at, checked.pages) = (next, checked.pages + 1),
            ChecksumResult::Missing { next } => (at, without) = (next, without + 1),
            ChecksumResult::Wrong => {
                return Err(wrong(&format!(
                    "page {page} does not have the checksum of its header"
                )));
            }
        }
    }
    checked.without_checksum += without;
    if without > 0 {
        let mut pages = SerializedPageReader::new(Arc::clone(source), chunk, rows, None)?;
        while pages.get_next_page()?.is_some() {}
    }
    Ok(())
}

fn wrong(why: &str) -> ParquetError {
    ParquetError::External(why.to_owned().into())
}
