//! Checksums of pages: the optional CRC-32 in each page's header, compared with the page's bytes.
//!
//! Source: the Parquet format, `PageHeader.crc`: over the bytes of the page as they are stored,
//! without the header. The Parquet crate (59) does not write them; files of other engines may have
//! them.

use std::io::Read;
use std::ops::Range;

use flate2::Crc;
use parquet::errors::{ParquetError, Result};

use crate::source::StoreFile;
use crate::thrift::struct_length;

/// A length that most headers do not exceed.
const HEADER_BYTES: u64 = 256;
/// Bytes that are read in one step.
const READ_BYTES: usize = 64 << 10;
/// The Thrift type byte of a 32-bit header field whose number is one more than that of the field
/// before it.
const NEXT_I32: u8 = 0x15;

/// The result of comparing a page's bytes with the checksum in its header.
pub enum ChecksumResult {
    /// The checksum matches.
    Right {
        /// The offset at which the next page begins.
        next: u64,
    },
    /// The header has no checksum.
    Missing {
        /// The offset at which the next page begins.
        next: u64,
    },
    /// The checksum differs.
    Wrong,
}

/// Compares the checksum of the page that begins at the start of `chunk`. Errors if no page begins
/// there.
pub fn page_checksum(source: &StoreFile, chunk: Range<u64>) -> Result<ChecksumResult> {
    let left = chunk.end.saturating_sub(chunk.start);
    let mut header = Vec::new();
    // Headers are short, except those that repeat long bounds.
    let length = [HEADER_BYTES, left].into_iter().find_map(|most| {
        header.resize(usize::try_from(most.min(left)).ok()?, 0);
        source.read_exact_at(&mut header, chunk.start).ok()?;
        struct_length(&header)
    });
    header.truncate(length.ok_or_else(|| damaged("its header cannot be read"))?);
    let Head { stored, crc } =
        head(&header).ok_or_else(|| damaged("its header is not that of a page"))?;
    let from = chunk.start + header.len() as u64;
    let next = from.checked_add(stored).filter(|next| *next <= chunk.end);
    let next = next.ok_or_else(|| damaged("it is longer than its column"))?;
    let Some(expected) = crc else {
        return Ok(ChecksumResult::Missing { next });
    };
    let (mut reader, mut found, mut step) = (
        source.read_from(from).take(stored),
        Crc::new(),
        vec![0; READ_BYTES],
    );
    let mut bytes = 0;
    loop {
        let read = reader.read(&mut step)?;
        if read == 0 {
            break;
        }
        found.update(step.get(..read).unwrap_or_default());
        bytes += read as u64;
    }
    Ok(if bytes == stored && found.sum() == expected {
        ChecksumResult::Right { next }
    } else {
        ChecksumResult::Wrong
    })
}

fn damaged(why: &str) -> ParquetError {
    ParquetError::External(why.to_owned().into())
}

/// The contents of a page's header: the stored length of the page, and its checksum if it has one.
struct Head {
    stored: u64,
    crc: Option<u32>,
}

fn head(header: &[u8]) -> Option<Head> {
    let (mut at, mut fields) = (0, [0_u32; 4]);
    let mut found = 0;
    while found < 4 && header.get(at) == Some(&NEXT_I32) {
        let (mut number, mut shift) = (0_u64, 0);
        loop {
            at += 1;
            let byte = *header.get(at)?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let zigzag = u32::try_from(number).ok()?;
        fields[found] = (zigzag >> 1) ^ 0_u32.wrapping_sub(zigzag & 1);
        (found, at) = (found + 1, at + 1);
    }
    let [_, _, stored, crc] = fields;
    let stored = i32::from_ne_bytes(stored.to_ne_bytes());
    (found >= 3).then_some(Head {
        stored: u64::try_from(stored).ok()?,
        crc: (found == 4).then_some(crc),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_says_the_bytes_and_the_checksum() {
        // A data page of 300 bytes, stored in 100 bytes, without a checksum and with minimum and
        // maximum.
        let header = [
            0x15, 0x00, 0x15, 0xd8, 0x04, 0x15, 0xc8, 0x01, 0x2c, 0x15, 0x02, 0x00, 0x00,
        ];
        let found = head(&header).unwrap();
        assert_eq!((found.stored, found.crc), (100, None));
        let with = [
            0x15, 0x00, 0x15, 0xd8, 0x04, 0x15, 0xc8, 0x01, 0x15, 0x01, 0x1c, 0x15, 0x02, 0x00,
            0x00,
        ];
        assert_eq!(head(&with).unwrap().crc, Some(u32::MAX));
        for cut in 0..6 {
            assert!(head(&header[..cut]).is_none(), "{cut}");
        }
    }
}
