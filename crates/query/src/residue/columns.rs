//! Searches every part of a Parquet file: its bytes, and the contents of its codecs, encodings,
//! footer and filters.
//!
//! Each part is searched even if another is damaged, and a damaged part is reported. The file may
//! come from any source, so a library that panics on it must not end the search.

mod blooms;
mod chunk;
mod cuts;
mod decode;
mod footer;
mod kind;
mod leftovers;
mod regions;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

use self::chunk::ChunkSearch;
use self::regions::FileRegions;
use super::ProgressMeter;
use super::finding::{FileFindings, FileLocation, LocationKind};
use super::values::SearchValues;
use ebbtide_table::source::StoreFile;

/// Searches a file that begins and ends as Parquet does.
pub fn search(
    file: &StoreFile,
    length: u64,
    values: &Arc<SearchValues>,
    meter: &ProgressMeter<'_>,
    found: &mut FileFindings,
) -> io::Result<()> {
    let file = Arc::new(file.clone());
    let footer = guarded(|| ParquetMetaDataReader::new().parse_and_finish(file.as_ref()));
    let meta = match footer {
        Ok(meta) => meta,
        Err(why) => {
            found.missed(format!(
                "its footer cannot be read, so only its bytes were searched, as they are: {why}"
            ));
            bytes(&file, &FileRegions::default(), values, meter, found)?;
            return Ok(());
        }
    };
    let regions = FileRegions::from_footer(&meta, &file, length);
    bytes(&file, &regions, values, meter, found)?;
    let mut cuts = footer::search(&meta, values, found);
    match guarded(|| with_indexes(&meta, &file)) {
        Ok(meta) => footer::search_indexes(&meta, values, &mut cuts, found),
        Err(why) => found.missed(format!("its column indexes cannot be read: {why}")),
    }
    for (number, group) in meta.row_groups().iter().enumerate() {
        for (at, column) in group.columns().iter().enumerate() {
            let cuts = cuts.remove(&(number, at)).unwrap_or_default();
            decode::search(
                &ChunkSearch::new(&file, column, number, group.num_rows()),
                cuts,
                values,
                found,
            );
        }
    }
    leftovers::search(&file, &regions, values, found)
}

/// Searches the raw bytes. Labels each hit with the part that the footer names at that place.
fn bytes(
    file: &StoreFile,
    regions: &FileRegions,
    values: &SearchValues,
    meter: &ProgressMeter<'_>,
    found: &mut FileFindings,
) -> io::Result<()> {
    let read = |bytes: &[u8]| meter.read(bytes.len());
    found.bytes = values
        .automaton
        .stream(file.read_from(0), read, |line, at| {
            let spot = regions
                .at(at)
                .cloned()
                .unwrap_or_else(|| FileLocation::from(regions.elsewhere()));
            found.hit(line, spot, Some(at));
        })?;
    Ok(())
}

fn with_indexes(
    meta: &ParquetMetaData,
    file: &Arc<StoreFile>,
) -> Result<ParquetMetaData, ParquetError> {
    let mut reader = ParquetMetaDataReader::new_with_metadata(meta.clone())
        .with_page_index_policy(PageIndexPolicy::Optional);
    reader.read_page_indexes(file.as_ref())?;
    reader.finish()
}

/// Returns the result of `work`, or the reason why it failed: an error, or a panic of a library on
/// unexpected bytes.
fn guarded<T>(work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the reader gave up on it".to_owned()),
    }
}

/// Creates a spot of a column in a row group.
fn spot(place: LocationKind, column: &Arc<str>, row_group: usize) -> FileLocation {
    FileLocation {
        place,
        column: Some(Arc::clone(column)),
        row_group: Some(row_group),
    }
}
