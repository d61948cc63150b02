//! Creates a column chunk that contains only nulls, without an encoder.
//!
//! When several segments become one file, a column that one of them lacks reads as null in its
//! rows.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType, Repetition, Type};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::runs::{to_i64, varint};

/// Returns the chunk of a leaf column that is null, at its root, on each of `rows` rows. Errors if
/// the column is not nullable.
pub fn nulls(column: ColumnDescPtr, rows: u32) -> Result<(Bytes, ColumnCloseResult)> {
    if column.max_def_level() == 0 {
        return Err(ParquetError::General(
            "a column that may not be null".to_owned(),
        ));
    }
    let mut data = Vec::new();
    for max in [column.max_rep_level(), column.max_def_level()] {
        if max > 0 {
            let mut levels = varint(u64::from(rows) << 1);
            // One run of zeros with the width of a level: levels of tables are below 256.
            levels.push(0);
            data.extend(
                u32::try_from(levels.len())
                    .unwrap_or(u32::MAX)
                    .to_le_bytes(),
            );
            data.extend(levels);
        }
    }
    let mut sink = TrackedWrite::new(Vec::new());
    let mut pages = SerializedPageWriter::new(&mut sink);
    let size = data.len();
    let page = Page::DataPage {
        buf: Bytes::from(data),
        num_values: rows,
        encoding: Encoding::PLAIN,
        def_level_encoding: Encoding::RLE,
        rep_level_encoding: Encoding::RLE,
        statistics: None,
    };
    let written = pages.write_page(CompressedPage::new(page, size))?;
    pages.close()?;
    let bytes = sink.into_inner()?;

    let physical = column.physical_type();
    let optional = column.max_rep_level() == 0
        && column.self_type().get_basic_info().repetition() == Repetition::OPTIONAL;
    let mut offsets = OffsetIndexBuilder::new();
    offsets.append_row_count(i64::from(rows));
    offsets.append_offset_and_size(
        to_i64(written.offset),
        i32::try_from(written.bytes_written).unwrap_or(i32::MAX),
    );
    let mut metadata = ColumnChunkMetaData::builder(column)
        .set_compression(Compression::UNCOMPRESSED)
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE])
        .set_total_compressed_size(to_i64(bytes.len() as u64))
        .set_total_uncompressed_size(to_i64(bytes.len() as u64))
        .set_num_values(i64::from(rows))
        .set_data_page_offset(to_i64(written.offset))
        .set_page_encoding_stats(vec![PageEncodingStats {
            page_type: PageType::DATA_PAGE,
            encoding: Encoding::PLAIN,
            count: 1,
        }]);
    let mut column_index = None;
    if optional {
        if let Some(statistics) = statistics(physical, u64::from(rows)) {
            metadata = metadata.set_statistics(statistics);
        }
        let mut index = ColumnIndexBuilder::new(physical);
        index.append(true, Vec::new(), Vec::new(), i64::from(rows));
        column_index = Some(index.build()?);
    }
    let close = ColumnCloseResult {
        bytes_written: bytes.len() as u64,
        rows_written: u64::from(rows),
        metadata: metadata.build()?,
        bloom_filter: None,
        column_index,
        offset_index: Some(offsets.build()),
    };
    Ok((Bytes::from(bytes), close))
}

fn statistics(physical: Type, nulls: u64) -> Option<Statistics> {
    let nulls = Some(nulls);
    match physical {
        Type::BOOLEAN => Some(Statistics::boolean(None, None, None, nulls, false)),
        Type::INT32 => Some(Statistics::int32(None, None, None, nulls, false)),
        Type::INT64 => Some(Statistics::int64(None, None, None, nulls, false)),
        Type::FLOAT => Some(Statistics::float(None, None, None, nulls, false)),
        Type::DOUBLE => Some(Statistics::double(None, None, None, nulls, false)),
        Type::BYTE_ARRAY => Some(Statistics::byte_array(None, None, None, nulls, false)),
        Type::INT96 | Type::FIXED_LEN_BYTE_ARRAY => None,
    }
}
