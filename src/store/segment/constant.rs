//! A column chunk of one value for all rows, written without an encoder: a dictionary of one entry and one run.
//!
//! Promises that its size does not grow with the rows. The same bytes serve ingest and the rewrites of what is stored.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType, Type};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// The value that every row has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constant {
    /// A number, or an instant in microseconds.
    Int64(i64),
    /// A text.
    Text(String),
}

impl Constant {
    /// The one dictionary entry, in Parquet's plain encoding.
    fn plain(&self) -> Vec<u8> {
        match self {
            Constant::Int64(value) => value.to_le_bytes().to_vec(),
            Constant::Text(text) => {
                let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
                [&length.to_le_bytes()[..], text.as_bytes()].concat()
            }
        }
    }

    /// The value as a bound of an index.
    fn bound(&self) -> Vec<u8> {
        match self {
            Constant::Int64(value) => value.to_le_bytes().to_vec(),
            Constant::Text(text) => text.clone().into_bytes(),
        }
    }

    fn statistics(&self) -> Statistics {
        match self {
            Constant::Int64(value) => Statistics::int64(Some(*value), Some(*value), None, Some(0), false),
            Constant::Text(text) => {
                let bytes = ByteArray::from(text.as_str());
                Statistics::byte_array(Some(bytes.clone()), Some(bytes), None, Some(0), false)
            }
        }
    }

    fn physical(&self) -> Type {
        match self {
            Constant::Int64(_) => Type::INT64,
            Constant::Text(_) => Type::BYTE_ARRAY,
        }
    }
}

/// The chunk of an optional, unnested column in which each of `rows` rows has `value`; `rows` is one row group's.
pub fn chunk(column: ColumnDescPtr, value: &Constant, rows: u32) -> Result<(Bytes, ColumnCloseResult)> {
    let mut sink = TrackedWrite::new(Vec::new());
    let mut pages = SerializedPageWriter::new(&mut sink);
    let entry = Bytes::from(value.plain());
    let entry_size = entry.len();
    let dictionary = Page::DictionaryPage { buf: entry, num_values: 1, encoding: Encoding::PLAIN, is_sorted: false };
    let dictionary = pages.write_page(CompressedPage::new(dictionary, entry_size))?;

    let data = Bytes::from(data_page(rows));
    let data_size = data.len();
    let page = Page::DataPage {
        buf: data,
        num_values: rows,
        encoding: Encoding::RLE_DICTIONARY,
        def_level_encoding: Encoding::RLE,
        rep_level_encoding: Encoding::RLE,
        statistics: None,
    };
    let data = pages.write_page(CompressedPage::new(page, data_size))?;
    pages.close()?;
    let bytes = sink.into_inner()?;

    let mut index = ColumnIndexBuilder::new(value.physical());
    index.append(false, value.bound(), value.bound(), 0);
    let mut offsets = OffsetIndexBuilder::new();
    offsets.append_row_count(i64::from(rows));
    offsets.append_offset_and_size(to_i64(data.offset), to_i32(data.bytes_written));
    let unencoded = match value {
        Constant::Int64(_) => None,
        Constant::Text(text) => Some(to_i64(text.len() as u64 * u64::from(rows))),
    };
    offsets.append_unencoded_byte_array_data_bytes(unencoded);
    let stats = |page_type, encoding| PageEncodingStats { page_type, encoding, count: 1 };
    let metadata = ColumnChunkMetaData::builder(column)
        .set_compression(Compression::UNCOMPRESSED)
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
        .set_total_compressed_size(to_i64(bytes.len() as u64))
        .set_total_uncompressed_size(to_i64(bytes.len() as u64))
        .set_num_values(i64::from(rows))
        .set_dictionary_page_offset(Some(to_i64(dictionary.offset)))
        .set_data_page_offset(to_i64(data.offset))
        .set_statistics(value.statistics())
        .set_unencoded_byte_array_data_bytes(unencoded)
        .set_page_encoding_stats(vec![
            stats(PageType::DICTIONARY_PAGE, Encoding::PLAIN),
            stats(PageType::DATA_PAGE, Encoding::RLE_DICTIONARY),
        ])
        .build()?;
    let close = ColumnCloseResult {
        bytes_written: bytes.len() as u64,
        rows_written: u64::from(rows),
        metadata,
        bloom_filter: None,
        column_index: Some(index.build()?),
        offset_index: Some(offsets.build()),
    };
    Ok((Bytes::from(bytes), close))
}

/// The one data page: every row defined, every row the dictionary's first entry, each said by one run.
fn data_page(rows: u32) -> Vec<u8> {
    let run = |value: u8| {
        let mut run = varint(u64::from(rows) << 1);
        run.push(value);
        run
    };
    let defined = run(1);
    let mut page = u32::try_from(defined.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    page.extend(defined);
    // The width of an index in bits: one, since some readers stumble over none.
    page.push(1);
    page.extend(run(0));
    page
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(5);
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn to_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn to_i32(value: u64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
