//! One column of one row group, with the readers of its pages and of its values.
//!
//! Nothing is searched here.

use std::sync::Arc;

use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::DataType;
use parquet::errors::Result;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::properties::ReaderProperties;
use parquet::file::serialized_reader::SerializedPageReader;

use super::kind::ValueType;
use ebbtide_table::source::StoreFile;

/// The maximum number of rows that are decoded in one step.
const ROWS: usize = 1024;

/// One column of one row group.
pub struct ChunkSearch<'a> {
    /// The file that contains the column.
    pub file: &'a Arc<StoreFile>,
    /// The footer's metadata of the column.
    pub meta: &'a ColumnChunkMetaData,
    /// The path of the column.
    pub name: Arc<str>,
    /// The row group.
    pub row_group: usize,
    /// The number of rows of the row group.
    pub rows: usize,
    /// The type of the column's values.
    pub kind: ValueType,
}

impl<'a> ChunkSearch<'a> {
    /// Creates a column of a row group of `rows` rows.
    pub fn new(
        file: &'a Arc<StoreFile>,
        meta: &'a ColumnChunkMetaData,
        row_group: usize,
        rows: i64,
    ) -> ChunkSearch<'a> {
        let (name, kind) = (
            meta.column_path().string().into(),
            ValueType::from_descriptor(meta.column_descr()),
        );
        ChunkSearch {
            file,
            meta,
            name,
            row_group,
            rows: usize::try_from(rows).unwrap_or(0),
            kind,
        }
    }
}

/// Returns the pages of a column, in the order of the file.
pub fn pages(
    file: &Arc<StoreFile>,
    meta: &ColumnChunkMetaData,
    rows: usize,
) -> Result<SerializedPageReader<StoreFile>> {
    let properties = ReaderProperties::builder()
        .set_read_page_statistics(true)
        .build();
    SerializedPageReader::new_with_properties(
        Arc::clone(file),
        meta,
        rows,
        None,
        Arc::new(properties),
    )
}

/// Calls `see` with every value that is not null.
pub fn each<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    mut see: impl FnMut(&T::T),
) -> Result<()> {
    let (mut definitions, mut repetitions, mut values) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        definitions.clear();
        repetitions.clear();
        values.clear();
        let (rows, ..) = reader.read_records(
            ROWS,
            Some(&mut definitions),
            Some(&mut repetitions),
            &mut values,
        )?;
        values.iter().for_each(&mut see);
        if rows == 0 {
            return Ok(());
        }
    }
}
