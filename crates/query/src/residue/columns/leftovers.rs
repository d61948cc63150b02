//! Bytes of a Parquet file that its footer does not name. A column that was removed from the footer
//! only would still be there.
//!
//! Pages of any codec are unpacked. Bytes are reported if they are not pages, not metadata that
//! some writers repeat, and not empty.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::column::page::PageReader;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::SchemaDescriptor;

use super::super::finding::{FileFindings, LocationKind};
use super::super::values::SearchValues;
use super::chunk::pages;
use super::guarded;
use super::kind::ValueType;
use super::regions::FileRegions;
use ebbtide_table::source::StoreFile;
use ebbtide_table::thrift::is_structs;

/// The maximum number of bytes between columns that are considered metadata.
const MOST_METADATA: u64 = 1 << 20;

/// Searches the bytes that the footer does not name.
pub fn search(
    file: &Arc<StoreFile>,
    regions: &FileRegions,
    values: &SearchValues,
    found: &mut FileFindings,
) -> io::Result<()> {
    for gap in regions.unnamed() {
        if empty(file, &gap)? {
            continue;
        }
        let mut read = repeats_metadata(file, &gap)?;
        for codec in codecs() {
            read = read || as_pages(file, &gap, codec, values, found);
        }
        if !read {
            let bytes = gap.end - gap.start;
            found.missed(format!(
                "{bytes} bytes at byte {} that its footer does not name were searched as they are alone",
                gap.start
            ));
        }
    }
    Ok(())
}

/// Returns the codecs to try. Codecs that detect bytes of another codec come first.
fn codecs() -> [Compression; 7] {
    [
        Compression::ZSTD(Default::default()),
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::BROTLI(Default::default()),
        Compression::LZ4_RAW,
        Compression::LZ4,
        Compression::UNCOMPRESSED,
    ]
}

/// Searches a range as pages of a codec. Returns true if it contains nothing but such pages.
fn as_pages(
    file: &Arc<StoreFile>,
    gap: &Range<u64>,
    codec: Compression,
    values: &SearchValues,
    found: &mut FileFindings,
) -> bool {
    let read = guarded(|| {
        let schema = Arc::new(parse_message_type(
            "message leftover { optional binary column; }",
        )?);
        let meta = ColumnChunkMetaData::builder(SchemaDescriptor::new(schema).column(0))
            .set_compression(codec)
            .set_data_page_offset(i64::try_from(gap.start)?)
            .set_total_compressed_size(i64::try_from(gap.end - gap.start)?)
            .build()?;
        let mut pages = pages(file, &meta, 0)?;
        while let Some(page) = pages.get_next_page()? {
            ValueType::Bytes.bytes(page.buffer(), values, |line| {
                found.hit(line, LocationKind::Unnamed.into(), Some(gap.start))
            });
        }
        Ok(())
    });
    read.is_ok()
}

/// Returns true if a range contains only metadata, which some writers repeat after a column. Its
/// text was already searched as bytes.
fn repeats_metadata(file: &StoreFile, gap: &Range<u64>) -> io::Result<bool> {
    if gap.end - gap.start > MOST_METADATA {
        return Ok(false);
    }
    let mut bytes = vec![0; (gap.end - gap.start) as usize];
    file.read_exact_at(&mut bytes, gap.start)?;
    Ok(is_structs(&bytes))
}

/// Returns true if a range contains only zeros, which some writers use as padding.
fn empty(file: &StoreFile, gap: &Range<u64>) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    let mut at = gap.start;
    while at < gap.end {
        let bytes = &mut buffer[..(gap.end - at).min(4096) as usize];
        file.read_exact_at(bytes, at)?;
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += bytes.len() as u64;
    }
    Ok(true)
}
