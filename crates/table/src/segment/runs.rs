//! Column chunks of few values in long runs, written without an encoder: a dictionary, and one run
//! for each change.
//!
//! Their size grows with the number of changes and not of rows: a tag that all rows share is one
//! run. Ingest and rewrites write the same bytes.

use std::collections::{HashMap, VecDeque};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType, Type};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// The value of all rows of a run. The values of one column have the same type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunValue {
    /// A small number.
    Int32(i32),
    /// A number, or an instant in microseconds.
    Int64(i64),
    /// A text.
    Text(String),
}

impl RunValue {
    /// Returns the dictionary entry, in Parquet's plain encoding.
    fn plain(&self) -> Vec<u8> {
        match self {
            RunValue::Text(text) => {
                let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
                [&length.to_le_bytes()[..], text.as_bytes()].concat()
            }
            number => number.bound(),
        }
    }

    /// Returns the value as a bound of an index.
    fn bound(&self) -> Vec<u8> {
        match self {
            RunValue::Int32(value) => value.to_le_bytes().to_vec(),
            RunValue::Int64(value) => value.to_le_bytes().to_vec(),
            RunValue::Text(text) => text.clone().into_bytes(),
        }
    }

    fn physical(&self) -> Type {
        match self {
            RunValue::Int32(_) => Type::INT32,
            RunValue::Int64(_) => Type::INT64,
            RunValue::Text(_) => Type::BYTE_ARRAY,
        }
    }
}

fn statistics(least: &RunValue, greatest: &RunValue) -> Option<Statistics> {
    match (least, greatest) {
        (RunValue::Int32(min), RunValue::Int32(max)) => Some(Statistics::int32(
            Some(*min),
            Some(*max),
            None,
            Some(0),
            false,
        )),
        (RunValue::Int64(min), RunValue::Int64(max)) => Some(Statistics::int64(
            Some(*min),
            Some(*max),
            None,
            Some(0),
            false,
        )),
        (RunValue::Text(min), RunValue::Text(max)) => {
            let bytes = |text: &String| Some(ByteArray::from(text.as_str()));
            Some(Statistics::byte_array(
                bytes(min),
                bytes(max),
                None,
                Some(0),
                false,
            ))
        }
        _ => None,
    }
}

/// The runs of one column, in the order of its rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnRuns(VecDeque<(RunValue, u32)>);

impl ColumnRuns {
    /// Creates a single run of `rows` rows.
    pub fn one(value: RunValue, rows: u32) -> ColumnRuns {
        ColumnRuns([(value, rows)].into())
    }

    /// Returns the runs of a column of text, numbers or instants. `None` if the column contains a
    /// null or has another type.
    pub fn of(column: &dyn Array) -> Option<ColumnRuns> {
        if column.null_count() > 0 {
            return None;
        }
        let mut runs = ColumnRuns::default();
        match column.data_type() {
            DataType::Int32 => {
                let values = column.as_primitive::<Int32Type>().values();
                values
                    .chunk_by(|a, b| a == b)
                    .for_each(|run| runs.push(RunValue::Int32(run[0]), length(run.len())));
            }
            DataType::Int64 => {
                let values = column.as_primitive::<Int64Type>().values();
                values
                    .chunk_by(|a, b| a == b)
                    .for_each(|run| runs.push(RunValue::Int64(run[0]), length(run.len())));
            }
            DataType::Timestamp(..) => {
                let values = column
                    .as_primitive_opt::<TimestampMicrosecondType>()?
                    .values();
                values
                    .chunk_by(|a, b| a == b)
                    .for_each(|run| runs.push(RunValue::Int64(run[0]), length(run.len())));
            }
            DataType::Utf8 => {
                let texts = column.as_string::<i32>();
                let mut from = 0;
                while from < texts.len() {
                    let value = texts.value(from);
                    let until = (from + 1..texts.len())
                        .find(|row| texts.value(*row) != value)
                        .unwrap_or(texts.len());
                    runs.push(RunValue::Text(value.to_owned()), length(until - from));
                    from = until;
                }
            }
            _ => return None,
        }
        Some(runs)
    }

    fn push(&mut self, value: RunValue, rows: u32) {
        match self.0.back_mut() {
            Some((last, before)) if *last == value => *before += rows,
            _ => self.0.push_back((value, rows)),
        }
    }

    /// Appends `later` after these.
    pub fn append(&mut self, later: ColumnRuns) {
        later
            .0
            .into_iter()
            .for_each(|(value, rows)| self.push(value, rows));
    }

    /// Removes the first `rows` rows and returns their runs.
    pub fn split(&mut self, rows: u32) -> ColumnRuns {
        let (mut left, mut first) = (rows, ColumnRuns::default());
        while left > 0 {
            let Some((value, run)) = self.0.pop_front() else {
                break;
            };
            if run > left {
                self.0.push_front((value.clone(), run - left));
            }
            first.push(value, run.min(left));
            left -= run.min(left);
        }
        first
    }

    /// Returns their size in memory in bytes.
    pub fn memory(&self) -> usize {
        self.0.len() * size_of::<(RunValue, u32)>()
    }

    fn rows(&self) -> u32 {
        self.0.iter().map(|(_, rows)| rows).sum()
    }
}

fn length(rows: usize) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX)
}

/// Encodes the chunk of an optional, unnested column with those runs in one row group. Errors if
/// there are none.
pub fn chunk(column: ColumnDescPtr, runs: &ColumnRuns) -> Result<(Bytes, ColumnCloseResult)> {
    let (least, greatest) = (
        runs.0.iter().map(|run| &run.0).min(),
        runs.0.iter().map(|run| &run.0).max(),
    );
    let (Some(least), Some(greatest)) = (least, greatest) else {
        return Err(parquet::errors::ParquetError::General(
            "a column without rows".to_owned(),
        ));
    };
    let rows = runs.rows();
    let mut dictionary = Dictionary::default();
    let indexes: Vec<(u32, u32)> = runs
        .0
        .iter()
        .map(|(value, rows)| (dictionary.index(value), *rows))
        .collect();

    let mut sink = TrackedWrite::new(Vec::new());
    let mut pages = SerializedPageWriter::new(&mut sink);
    let entries = Bytes::from(dictionary.plain);
    let (size, num_values) = (entries.len(), length(dictionary.indexes.len()));
    let page = Page::DictionaryPage {
        buf: entries,
        num_values,
        encoding: Encoding::PLAIN,
        is_sorted: false,
    };
    let dictionary = pages.write_page(CompressedPage::new(page, size))?;
    let data = Bytes::from(data_page(rows, num_values, &indexes));
    let size = data.len();
    let page = Page::DataPage {
        buf: data,
        num_values: rows,
        encoding: Encoding::RLE_DICTIONARY,
        def_level_encoding: Encoding::RLE,
        rep_level_encoding: Encoding::RLE,
        statistics: None,
    };
    let data = pages.write_page(CompressedPage::new(page, size))?;
    pages.close()?;
    let bytes = sink.into_inner()?;

    let mut index = ColumnIndexBuilder::new(least.physical());
    index.append(false, least.bound(), greatest.bound(), 0);
    let mut offsets = OffsetIndexBuilder::new();
    offsets.append_row_count(i64::from(rows));
    offsets.append_offset_and_size(
        to_i64(data.offset),
        i32::try_from(data.bytes_written).unwrap_or(i32::MAX),
    );
    let texts = |(value, rows): &(RunValue, u32)| match value {
        RunValue::Text(text) => Some(to_i64(text.len() as u64 * u64::from(*rows))),
        _ => None,
    };
    let unencoded: Option<i64> = runs.0.iter().map(texts).sum();
    offsets.append_unencoded_byte_array_data_bytes(unencoded);
    let stats = |page_type, encoding| PageEncodingStats {
        page_type,
        encoding,
        count: 1,
    };
    let mut metadata = ColumnChunkMetaData::builder(column)
        .set_compression(Compression::UNCOMPRESSED)
        .set_encodings(vec![
            Encoding::PLAIN,
            Encoding::RLE,
            Encoding::RLE_DICTIONARY,
        ])
        .set_total_compressed_size(to_i64(bytes.len() as u64))
        .set_total_uncompressed_size(to_i64(bytes.len() as u64))
        .set_num_values(i64::from(rows))
        .set_dictionary_page_offset(Some(to_i64(dictionary.offset)))
        .set_data_page_offset(to_i64(data.offset))
        .set_unencoded_byte_array_data_bytes(unencoded)
        .set_page_encoding_stats(vec![
            stats(PageType::DICTIONARY_PAGE, Encoding::PLAIN),
            stats(PageType::DATA_PAGE, Encoding::RLE_DICTIONARY),
        ]);
    if let Some(statistics) = statistics(least, greatest) {
        metadata = metadata.set_statistics(statistics);
    }
    let close = ColumnCloseResult {
        bytes_written: bytes.len() as u64,
        rows_written: u64::from(rows),
        metadata: metadata.build()?,
        bloom_filter: None,
        column_index: Some(index.build()?),
        offset_index: Some(offsets.build()),
    };
    Ok((Bytes::from(bytes), close))
}

/// The distinct values in the order of their first appearance.
#[derive(Default)]
struct Dictionary<'a> {
    indexes: HashMap<&'a RunValue, u32>,
    plain: Vec<u8>,
}

impl<'a> Dictionary<'a> {
    fn index(&mut self, value: &'a RunValue) -> u32 {
        let next = length(self.indexes.len());
        *self.indexes.entry(value).or_insert_with(|| {
            self.plain.extend(value.plain());
            next
        })
    }
}

/// Encodes the only data page: one run of definition levels, since every row has a value, then a
/// run of indexes for each change of value.
fn data_page(rows: u32, values: u32, runs: &[(u32, u32)]) -> Vec<u8> {
    let mut defined = varint(u64::from(rows) << 1);
    defined.push(1);
    let mut page = length(defined.len()).to_le_bytes().to_vec();
    page.extend(defined);
    // The width of an index in bits: at least one, since some readers fail on zero.
    let width = (u32::BITS - values.saturating_sub(1).leading_zeros()).max(1);
    page.push(u8::try_from(width).unwrap_or(u8::MAX));
    for (index, rows) in runs {
        page.extend(varint(u64::from(*rows) << 1));
        page.extend(&index.to_le_bytes()[..width.div_ceil(8) as usize]);
    }
    page
}

pub(super) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(5);
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

pub(super) fn to_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
