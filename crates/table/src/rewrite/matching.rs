//! Finds the rows of a segment that match a predicate, and reads as little of it as possible.
//!
//! Bloom filters and bounds are checked first, and nothing is read where they exclude a match; of
//! the other row groups only the predicate's columns are read.

use std::sync::Arc;

use arrow::array::{BooleanBufferBuilder, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Schema};
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{Encoding, PageType};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::reader::Length;

use super::{RewriteError, blocking};
use crate::index::StoredSegment;
use crate::scan::{BloomPlaces, FilePruner, Predicate, ScannedFile, TextBounds};
use crate::segment::forms_of;
use crate::source::StoreFile;
use crate::table::Table;

/// The number of rows in a decoded batch.
pub const BATCH_ROWS: usize = 8192;

/// The number of rows in a decoded batch with text as a dictionary, of which a row takes four
/// bytes.
const CODED_ROWS: usize = 1 << 14;

impl Table {
    /// Returns the number of rows of a segment that match.
    pub async fn matches(
        &self,
        source: &StoredSegment,
        predicate: &Predicate,
    ) -> Result<u64, RewriteError> {
        let opened = OpenedSegment::open(&self.log.object_store(None), &source.path).await?;
        let predicate = predicate.clone();
        Ok(blocking(move || opened.select(&predicate)).await?.matched)
    }
}

/// A segment whose footer was read.
#[derive(Clone)]
pub struct OpenedSegment {
    /// The path of the file, relative to the table's folder.
    pub path: Arc<str>,
    /// The file itself.
    pub source: StoreFile,
    /// The footer.
    pub metadata: ArrowReaderMetadata,
    batch_rows: usize,
}

/// The matching rows of a segment.
pub struct SelectedRows {
    /// The matching rows of each row group; `None` if no row matches.
    pub groups: Vec<Option<BooleanBuffer>>,
    /// The number of matching rows.
    pub matched: u64,
    /// The number of all rows.
    pub rows: u64,
}

impl OpenedSegment {
    /// Reads the footer of the file at `path`. Errors if it cannot be read or is damaged.
    pub async fn open(
        store: &Arc<dyn ObjectStore>,
        path: &str,
    ) -> Result<OpenedSegment, RewriteError> {
        let source = StoreFile::open(store, Path::from(path))
            .await
            .map_err(|error| RewriteError::store(path, error))?;
        let path = Arc::from(path);
        blocking(move || {
            // By its Parquet types alone, like the table's.
            let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
            let metadata = ArrowReaderMetadata::load(&source, options);
            let metadata = metadata.map_err(|error| RewriteError::read(&path, &source, &error))?;
            Ok(OpenedSegment {
                path,
                source,
                metadata,
                batch_rows: BATCH_ROWS,
            })
        })
        .await
    }

    /// Returns the same segment, read with text of one row group as a dictionary where all pages of
    /// its column have one. Where some have none, creating one would cost more than it saves.
    pub fn coded(&self, group: usize, columns: &[&str]) -> Result<OpenedSegment, RewriteError> {
        let metadata = self.metadata.metadata();
        let chunks = metadata
            .row_groups()
            .get(group)
            .map_or(&[][..], RowGroupMetaData::columns);
        let is_coded = |name: &str| {
            let chunk = chunks
                .iter()
                .find(|chunk| chunk.column_path().parts() == [name]);
            columns.contains(&name) && chunk.is_some_and(of_dictionary_pages)
        };
        let fields = self
            .metadata
            .schema()
            .fields()
            .iter()
            .map(|field| match field.data_type() {
                DataType::Utf8 if is_coded(field.name()) => {
                    let coded =
                        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
                    Arc::new(field.as_ref().clone().with_data_type(coded))
                }
                _ => Arc::clone(field),
            });
        let options = ArrowReaderOptions::new()
            .with_schema(Arc::new(Schema::new(fields.collect::<Vec<_>>())));
        let metadata = ArrowReaderMetadata::try_new(Arc::clone(metadata), options)
            .map_err(|error| self.damaged(&error))?;
        Ok(OpenedSegment {
            metadata,
            batch_rows: CODED_ROWS,
            ..self.clone()
        })
    }

    /// Creates a reader of those row groups and columns; of all columns if `columns` is `None`.
    pub fn reader(
        &self,
        groups: Vec<usize>,
        columns: Option<&[&str]>,
    ) -> ParquetRecordBatchReaderBuilder<StoreFile> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
            self.source.clone(),
            self.metadata.clone(),
        );
        let mask = match columns {
            Some(columns) => {
                ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied())
            }
            None => ProjectionMask::all(),
        };
        builder
            .with_batch_size(self.batch_rows)
            .with_row_groups(groups)
            .with_projection(mask)
    }

    /// Decodes those row groups and columns, batch by batch; all columns if `columns` is `None`.
    /// Errors, there and at each batch, if a part cannot be decoded.
    pub fn batches(
        &self,
        groups: Vec<usize>,
        columns: Option<&[&str]>,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, RewriteError>>, RewriteError> {
        let reader = self.reader(groups, columns).build();
        let reader = reader.map_err(|error| self.damaged(&error))?;
        Ok(reader.map(|batch| batch.map_err(|error| self.damaged(&error.into()))))
    }

    /// Returns the error for a part of the file that cannot be decoded.
    pub fn damaged(&self, error: &ParquetError) -> RewriteError {
        RewriteError::read(&self.path, &self.source, error)
    }

    /// Returns for each row group the part of the predicate that decides there; `None` if no row of
    /// it matches. Reads one block of each bloom filter.
    fn prune(&self, predicate: &Predicate) -> Result<Vec<Option<Predicate>>, RewriteError> {
        let blooms = BloomPlaces::default();
        let file = ScannedFile {
            metadata: &self.metadata,
            size: self.source.len(),
            forms: forms_of(&self.path),
            blooms: &blooms,
            text_bounds: TextBounds::Ignored,
        };
        let mut pruner = FilePruner::new(file, predicate);
        loop {
            let ranges = pruner.ranges();
            if ranges.is_empty() {
                return Ok(pruner.finish());
            }
            let read = self.source.ranges(&ranges);
            pruner.answer(read.map_err(|error| self.damaged(&error))?);
        }
    }

    /// Returns the matching rows.
    pub fn select(&self, predicate: &Predicate) -> Result<SelectedRows, RewriteError> {
        let mut selected = SelectedRows {
            groups: Vec::new(),
            matched: 0,
            rows: 0,
        };
        let groups = self.metadata.metadata().row_groups();
        for (group, bits) in groups.iter().zip(self.select_each(predicate)?) {
            let bits = bits?;
            selected.rows += rows_of(group) as u64;
            selected.matched += bits.as_ref().map_or(0, |bits| bits.count_set_bits() as u64);
            selected.groups.push(bits);
        }
        Ok(selected)
    }

    /// Returns the matching rows of each row group, `None` if no row matches. A row group is read
    /// only when its turn comes.
    pub fn select_each(
        &self,
        predicate: &Predicate,
    ) -> Result<impl Iterator<Item = Result<Option<BooleanBuffer>, RewriteError>>, RewriteError>
    {
        let groups = self.metadata.metadata().row_groups().iter();
        let rest = groups.zip(self.prune(predicate)?).enumerate();
        Ok(rest.map(|(number, (group, rest))| {
            let Some(rest) = rest else { return Ok(None) };
            let bits = self.matching(number, rows_of(group), &rest)?;
            Ok((bits.count_set_bits() > 0).then_some(bits))
        }))
    }

    /// Returns the matching rows of a row group, which has `rows` rows.
    fn matching(
        &self,
        group: usize,
        rows: usize,
        predicate: &Predicate,
    ) -> Result<BooleanBuffer, RewriteError> {
        let columns: Vec<&str> = predicate.columns().into_iter().collect();
        let mut bits = BooleanBufferBuilder::new(rows);
        for batch in self.batches(vec![group], Some(&columns))? {
            bits.append_buffer(&predicate.evaluate(&batch?)?);
        }
        let bits = bits.finish();
        if bits.len() != rows {
            return Err(self.damaged(&ParquetError::General(format!(
                "{} of {rows} rows were read",
                bits.len()
            ))));
        }
        Ok(bits)
    }
}

/// Returns the number of rows of a row group.
fn rows_of(group: &RowGroupMetaData) -> usize {
    usize::try_from(group.num_rows()).unwrap_or(0)
}

/// Returns true if every page of values of a chunk refers to its dictionary.
fn of_dictionary_pages(chunk: &ColumnChunkMetaData) -> bool {
    let by_page = chunk.page_encoding_stats().map(|pages| {
        let mut values = pages
            .iter()
            .filter(|page| page.page_type != PageType::DICTIONARY_PAGE);
        values.all(|page| {
            matches!(
                page.encoding,
                Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY
            )
        })
    });
    let by_mask = chunk.page_encoding_stats_mask().map(|mask| {
        mask.is_only(Encoding::RLE_DICTIONARY) || mask.is_only(Encoding::PLAIN_DICTIONARY)
    });
    chunk.dictionary_page_offset().is_some() && by_page.or(by_mask) == Some(true)
}
