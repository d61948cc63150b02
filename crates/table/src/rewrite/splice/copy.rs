//! Copies the kept column chunks one after the other, and writes a new footer.
//!
//! The footer describes only the kept chunks: nothing of the old footer is carried over but their
//! own metadata.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parquet::bloom_filter::Sbbf;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnDescPtr, Type};

use super::super::RewriteError;
use super::super::merge::RewriteSource;
use super::super::tagged::TagCoverage;
use super::super::upload::PartWriter;
use super::{DueColumns, FileLayout, metadata};
use crate::error::StoreError;
use crate::segment::{
    ByteSink, ColumnRuns, FileContents, chunk_of_runs, nulls, order_entry, stats,
};
use crate::source::{ChunkedFile, StoreFile};
use crate::spec::TableSpec;
use ebbtide_base::failpoint;
use ebbtide_base::ids::Category;

/// The counts of a copy.
#[derive(Debug, Default)]
pub struct CopyCounts {
    pub bytes_copied: u64,
    pub bytes_dropped: u64,
    pub dropped: BTreeMap<Category, u64>,
}

/// The segments to copy from, and the function that opens one.
pub struct CopySources<F> {
    pub sources: Vec<RewriteSource>,
    pub open: F,
}

/// Copies the kept columns of the segments to a new file. Returns its contents, its size in bytes,
/// and the counts.
pub fn copy(
    spec: &TableSpec,
    layout: &FileLayout,
    due: &DueColumns,
    from: CopySources<impl Fn(&str) -> Result<StoreFile, RewriteError>>,
    parts: PartWriter,
) -> Result<(FileContents, u64, CopyCounts), RewriteError> {
    let failed =
        |error: ParquetError| RewriteError::from(StoreError::from(std::io::Error::other(error)));
    let schema = Type::group_type_builder("segment")
        .with_fields(layout.fields.clone())
        .build()
        .map_err(failed)?;
    let properties = WriterProperties::builder()
        .set_created_by(format!("ebbtide {}", env!("CARGO_PKG_VERSION")))
        // The bloom filters follow their row group, so that they need not be kept in memory.
        .set_offset_index_disabled(!layout.indexed)
        // The copied rows keep their order, which a later drop of columns must know.
        .set_key_value_metadata(order_entry(&layout.ordered_by))
        .build();
    let mut file =
        SerializedFileWriter::new(parts, Arc::new(schema), Arc::new(properties)).map_err(failed)?;
    let leaves = file.schema_descr().columns().to_vec();
    let mut copied = CopyCounts::default();
    let mut rows = 0;
    for RewriteSource {
        path,
        rows: expected,
    } in from.sources
    {
        let source = (from.open)(&path)?;
        let old = Old::new(metadata(&source, &path, layout.indexed)?, source, layout);
        let found: u64 = old
            .metadata
            .row_groups()
            .iter()
            .map(|group| u64::try_from(group.num_rows()).unwrap_or(0))
            .sum();
        if found != expected {
            let why = format!("it has {found} rows and the log says {expected}");
            return Err(RewriteError::Damaged {
                path: path.to_string(),
                why,
            });
        }
        rows += found;
        for number in 0..old.metadata.num_row_groups() {
            let group = file.next_row_group().map_err(failed)?;
            old.copy(number, &leaves, group, &mut copied)
                .map_err(|error| RewriteError::read(&path, &old.source, &error))?;
            copied.leave_out(old.metadata.row_group(number), due);
        }
    }
    let metadata = file.finish().map_err(failed)?;
    let parts = std::mem::take(file.inner_mut());
    let xxh64 = parts.xxh64();
    let size = parts.finish().map_err(StoreError::from)?;
    failpoint::reach("segment-encoded");
    let columns: BTreeSet<String> = layout
        .fields
        .iter()
        .map(|field| field.name().to_owned())
        .collect();
    Ok((
        FileContents {
            columns,
            rows,
            stats: stats(spec, &metadata),
            xxh64,
        },
        size,
        copied,
    ))
}

/// A segment to copy from.
struct Old<'a> {
    source: StoreFile,
    metadata: ParquetMetaData,
    layout: &'a FileLayout,
    /// The replaced tags whose old values show which row groups had the category. The others were
    /// open: their old values show nothing, and every row gets the tag, as on arrival.
    tags_with_values: BTreeSet<&'a str>,
}

impl Old<'_> {
    fn new(metadata: ParquetMetaData, source: StoreFile, layout: &FileLayout) -> Old<'_> {
        let has_values = |tag: &&str| {
            metadata
                .row_groups()
                .iter()
                .any(|group| TagCoverage::of(group, tag) != TagCoverage::NoRow)
        };
        let tags_with_values = layout
            .written
            .iter()
            .map(|written| written.column.as_str())
            .filter(has_values)
            .collect();
        Old {
            source,
            metadata,
            layout,
            tags_with_values,
        }
    }

    fn copy(
        &self,
        number: usize,
        leaves: &[ColumnDescPtr],
        mut into: SerializedRowGroupWriter<'_, PartWriter>,
        copied: &mut CopyCounts,
    ) -> Result<(), ParquetError> {
        let group = self.metadata.row_group(number);
        let chunks = group
            .columns()
            .iter()
            .enumerate()
            .map(|(at, chunk)| (chunk.column_path().parts(), (at, chunk)));
        let chunks: HashMap<&[String], (usize, &ColumnChunkMetaData)> = chunks.collect();
        for leaf in leaves {
            let replacement = self
                .layout
                .written
                .iter()
                .find(|written| leaf.path().parts() == [written.column.as_str()]);
            let keeps = |tag: &str| {
                !self.tags_with_values.contains(tag)
                    || TagCoverage::of(group, tag) != TagCoverage::NoRow
            };
            let parts = self.old_parts(leaf);
            match (
                replacement,
                chunks
                    .get(parts.as_slice())
                    .filter(|_| replacement.is_none()),
            ) {
                (Some(written), _) if keeps(&written.column) => {
                    let runs = ColumnRuns::one(written.value.clone(), rows_of(group)?);
                    let (bytes, close) = chunk_of_runs(leaf.clone(), &runs)?;
                    into.append_column(&bytes, self.indexed(close))?;
                }
                (_, Some((at, chunk))) => {
                    let (start, length) = within(chunk, &self.source)?;
                    copied.bytes_copied += length;
                    let chunk = match parts.as_slice() == leaf.path().parts() {
                        true => Cow::Borrowed(*chunk),
                        false => Cow::Owned(under(chunk, leaf)?),
                    };
                    into.append_column(
                        &ChunkedFile(&self.source),
                        self.close(number, *at, &chunk, start)?,
                    )?;
                }
                _ => {
                    let (bytes, close) = nulls(leaf.clone(), rows_of(group)?)?;
                    into.append_column(&bytes, self.indexed(close))?;
                }
            }
        }
        into.close()?;
        Ok(())
    }

    /// Returns the path in the old file of a column of the new one.
    fn old_parts(&self, leaf: &ColumnDescPtr) -> Vec<String> {
        let mut parts = leaf.path().parts().to_vec();
        if let Some(root) = parts.first_mut()
            && let Some(old) = self.layout.renamed.get(root)
        {
            old.clone_into(root);
        }
        parts
    }

    /// Removes the chunk's indexes unless the file has them for all chunks.
    fn indexed(&self, mut close: ColumnCloseResult) -> ColumnCloseResult {
        if !self.layout.indexed {
            (close.column_index, close.offset_index) = (None, None);
        }
        close
    }

    /// Creates the description of a chunk that the writer would have if it had written the chunk
    /// itself.
    fn close(
        &self,
        group: usize,
        at: usize,
        chunk: &ColumnChunkMetaData,
        start: u64,
    ) -> Result<ColumnCloseResult, ParquetError> {
        let rows = self.metadata.row_group(group).num_rows();
        let mut metadata = chunk.clone().into_builder();
        if chunk
            .dictionary_page_offset()
            .and_then(|offset| u64::try_from(offset).ok())
            != Some(start)
        {
            // Some writers set it to a meaningless value.
            metadata = metadata.set_dictionary_page_offset(None);
        }
        let (column_index, offset_index) = if self.layout.indexed {
            self.indexes(group, at)?
        } else {
            (None, None)
        };
        Ok(ColumnCloseResult {
            bytes_written: u64::try_from(chunk.compressed_size()).unwrap_or(0),
            rows_written: u64::try_from(rows).map_err(|_| wrong("less than no rows"))?,
            metadata: metadata.build()?,
            bloom_filter: Sbbf::read_from_column_chunk(chunk, &self.source)?,
            column_index,
            offset_index,
        })
    }

    fn indexes(&self, group: usize, at: usize) -> Result<Indexes, ParquetError> {
        let column = self
            .metadata
            .column_index()
            .and_then(|index| index.get(group)?.get(at))
            .cloned();
        let offset = self
            .metadata
            .offset_index()
            .and_then(|index| index.get(group)?.get(at))
            .cloned();
        let offset = offset.ok_or_else(|| wrong("an offset index is missing"))?;
        Ok((
            column.filter(|index| !matches!(index, ColumnIndexMetaData::NONE)),
            Some(offset),
        ))
    }
}

type Indexes = (
    Option<ColumnIndexMetaData>,
    Option<parquet::file::page_index::offset_index::OffsetIndexMetaData>,
);

impl CopyCounts {
    /// Counts the parts of a row group that are dropped.
    pub fn leave_out(&mut self, group: &RowGroupMetaData, due: &DueColumns) {
        let mut seen = BTreeSet::new();
        for chunk in group.columns() {
            let Some(root) = chunk
                .column_path()
                .parts()
                .first()
                .filter(|root| due.has(root))
            else {
                continue;
            };
            self.bytes_dropped += u64::try_from(chunk.compressed_size()).unwrap_or(0);
            let Some(category) = due.category(root) else {
                continue;
            };
            if seen.insert(root.clone()) {
                let rows = u64::try_from(group.num_rows()).unwrap_or(0);
                let nulls = match chunk.column_path().parts().len() {
                    1 => chunk
                        .statistics()
                        .and_then(|statistics| statistics.null_count_opt())
                        .unwrap_or(0),
                    _ => 0,
                };
                *self.dropped.entry(category.clone()).or_default() += rows.saturating_sub(nulls);
            }
        }
    }
}

/// Returns the metadata of a chunk as that of a column of another name.
fn under(
    chunk: &ColumnChunkMetaData,
    leaf: &ColumnDescPtr,
) -> Result<ColumnChunkMetaData, ParquetError> {
    let mut to = ColumnChunkMetaData::builder(leaf.clone())
        .set_encodings_mask(*chunk.encodings_mask())
        .set_compression(chunk.compression())
        .set_num_values(chunk.num_values())
        .set_total_compressed_size(chunk.compressed_size())
        .set_total_uncompressed_size(chunk.uncompressed_size())
        .set_data_page_offset(chunk.data_page_offset())
        .set_dictionary_page_offset(chunk.dictionary_page_offset())
        .set_bloom_filter_offset(chunk.bloom_filter_offset())
        .set_bloom_filter_length(chunk.bloom_filter_length())
        .set_unencoded_byte_array_data_bytes(chunk.unencoded_byte_array_data_bytes())
        .set_repetition_level_histogram(chunk.repetition_level_histogram().cloned())
        .set_definition_level_histogram(chunk.definition_level_histogram().cloned());
    if let Some(statistics) = chunk.statistics() {
        to = to.set_statistics(statistics.clone());
    }
    if let Some(pages) = chunk.page_encoding_stats() {
        to = to.set_page_encoding_stats(pages.clone());
    }
    to.build()
}

fn rows_of(group: &RowGroupMetaData) -> Result<u32, ParquetError> {
    u32::try_from(group.num_rows()).map_err(|_| wrong("too many rows in a row group"))
}

/// Returns the offset of a chunk and its length in bytes. Errors if it is not within the file.
fn within(chunk: &ColumnChunkMetaData, source: &StoreFile) -> Result<(u64, u64), ParquetError> {
    let size = parquet::file::reader::Length::len(source);
    let begins = chunk
        .dictionary_page_offset()
        .filter(|offset| *offset > 0 && *offset < chunk.data_page_offset());
    let start = u64::try_from(begins.unwrap_or_else(|| chunk.data_page_offset())).ok();
    let length = u64::try_from(chunk.compressed_size()).ok();
    match start.zip(length) {
        Some((start, length)) if start.checked_add(length).is_some_and(|end| end <= size) => {
            Ok((start, length))
        }
        _ => Err(wrong("a chunk is outside of it")),
    }
}

fn wrong(why: &str) -> ParquetError {
    ParquetError::General(why.to_owned())
}
