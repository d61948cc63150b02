//! Finds the rows of a segment that match a predicate, and reads as little of it as possible.
//!
//! Bloom filters and bounds are checked first, and nothing is read where they exclude a match; of
//! the other row groups only the predicate's columns are read.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Schema};
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{Encoding, LogicalType, PageType, TimeUnit};
use parquet::bloom_filter::Sbbf;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;

use super::predicate::FileHints;
use super::{Predicate, RewriteError, blocking};
use crate::index::StoredSegment;
use crate::segment::forms_of;
use crate::source::StoreFile;
use crate::table::Table;
use ebbtide_policy::tag::SubjectValue;

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

    /// Returns the error for a part of the file that cannot be decoded.
    pub fn damaged(&self, error: &ParquetError) -> RewriteError {
        RewriteError::read(&self.path, &self.source, error)
    }

    /// Returns the matching rows.
    pub fn select(&self, predicate: &Predicate) -> Result<SelectedRows, RewriteError> {
        let columns: Vec<&str> = predicate.columns().into_iter().collect();
        let mut selected = SelectedRows {
            groups: Vec::new(),
            matched: 0,
            rows: 0,
        };
        for (number, group) in self.metadata.metadata().row_groups().iter().enumerate() {
            let rows = usize::try_from(group.num_rows()).unwrap_or(0);
            selected.rows += rows as u64;
            let mut hints = GroupHints {
                opened: self,
                group,
                blooms: HashMap::new(),
            };
            if !predicate.may_match(&mut hints)? {
                selected.groups.push(None);
                continue;
            }
            let mut bits = BooleanBufferBuilder::new(rows);
            let reader = self
                .reader(vec![number], Some(&columns))
                .build()
                .map_err(|error| self.damaged(&error))?;
            for batch in reader {
                let batch = batch.map_err(|error| self.damaged(&error.into()))?;
                bits.append_buffer(&predicate.evaluate(&batch)?);
            }
            let bits = bits.finish();
            if bits.len() != rows {
                return Err(self.damaged(&ParquetError::General(format!(
                    "{} of {rows} rows were read",
                    bits.len()
                ))));
            }
            let matched = bits.count_set_bits();
            selected.matched += matched as u64;
            selected.groups.push((matched > 0).then_some(bits));
        }
        Ok(selected)
    }
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

/// The hints of the footer and the bloom filters for a row group.
struct GroupHints<'a> {
    opened: &'a OpenedSegment,
    group: &'a RowGroupMetaData,
    blooms: HashMap<String, Option<Sbbf>>,
}

impl GroupHints<'_> {
    /// Returns the chunk of a column; `None` if the file lacks it, all its rows are null, or it is
    /// nested.
    fn chunk(&self, column: &str) -> Option<&ColumnChunkMetaData> {
        let found = self
            .group
            .columns()
            .iter()
            .find(|chunk| chunk.column_path().parts() == [column])?;
        let nulls = found.statistics().and_then(Statistics::null_count_opt);
        (nulls != u64::try_from(found.num_values()).ok()).then_some(found)
    }

    fn is_nested(&self, column: &str) -> bool {
        self.group.columns().iter().any(|chunk| {
            let parts = chunk.column_path().parts();
            parts.len() > 1 && parts.first().is_some_and(|root| root == column)
        })
    }
}

impl FileHints for GroupHints<'_> {
    fn may_hold(&mut self, column: &str, value: &str) -> Result<bool, RewriteError> {
        if !self.blooms.contains_key(column) {
            let Some(chunk) = self.chunk(column) else {
                return Ok(self.is_nested(column));
            };
            let bloom = Sbbf::read_from_column_chunk(chunk, &self.opened.source);
            let bloom = bloom.map_err(|error| self.opened.damaged(&error))?;
            self.blooms.insert(column.to_owned(), bloom);
        }
        Ok(self
            .blooms
            .get(column)
            .and_then(Option::as_ref)
            .is_none_or(|bloom| bloom.check(value)))
    }

    fn may_name(&mut self, column: &str, subject: &SubjectValue) -> Result<bool, RewriteError> {
        // The texts of the filter do not apply to a file of an earlier form.
        match forms_of(&self.opened.path) == Some(subject.mark()) {
            true => self.may_hold(column, subject.value()),
            false => Ok(self.chunk(column).is_some() || self.is_nested(column)),
        }
    }

    fn may_reach(
        &mut self,
        column: &str,
        from: Option<i64>,
        to: Option<i64>,
    ) -> Result<bool, RewriteError> {
        let Some(chunk) = self.chunk(column) else {
            return Ok(self.is_nested(column));
        };
        // Another engine may use other units: its bounds cannot be compared.
        let kind = chunk.column_descr().logical_type_ref();
        let micros =
            matches!(kind, Some(LogicalType::Timestamp(of)) if of.unit == TimeUnit::MICROS);
        let bounds = match chunk.statistics() {
            Some(Statistics::Int64(of)) if micros => {
                of.min_opt().copied().zip(of.max_opt().copied())
            }
            _ => None,
        };
        Ok(bounds.is_none_or(|(least, greatest)| {
            from.is_none_or(|from| greatest >= from) && to.is_none_or(|to| least < to)
        }))
    }
}
