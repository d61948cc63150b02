//! Files that are compressed as a whole: gzip and zstd are opened, other formats are recognised by
//! their first bytes.
//!
//! A file that cannot be opened is never counted as searched bytes.

use std::io::{self, Read};

/// The first bytes of compressed and encrypted files.
const STARTS: [(&[u8], PackedFormat); 11] = [
    (&[0x1f, 0x8b], PackedFormat::Gzip),
    (&[0x28, 0xb5, 0x2f, 0xfd], PackedFormat::Zstd),
    (b"PARE", PackedFormat::Other("an encrypted Parquet file")),
    (b"Obj\x01", PackedFormat::Other("an Avro file")),
    (b"ORC", PackedFormat::Other("an ORC file")),
    (b"PK\x03\x04", PackedFormat::Other("a zip archive")),
    (b"BZh", PackedFormat::Other("packed by bzip2")),
    (
        &[0xfd, b'7', b'z', b'X', b'Z', 0],
        PackedFormat::Other("packed by xz"),
    ),
    (
        &[0x04, 0x22, 0x4d, 0x18],
        PackedFormat::Other("packed by lz4"),
    ),
    (
        &[0xff, 0x06, 0x00, 0x00, b's', b'N', b'a', b'P', b'p', b'Y'],
        PackedFormat::Other("packed by snappy"),
    ),
    (b"ARROW1", PackedFormat::Other("an Arrow file")),
];

/// The format of a compressed or encrypted file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackedFormat {
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// A format that is not opened here, with its description.
    Other(&'static str),
}

impl PackedFormat {
    /// Returns the format of a file that begins with `start`; `None` if it is not packed.
    pub fn from_start(start: &[u8]) -> Option<PackedFormat> {
        STARTS
            .iter()
            .find(|(magic, _)| start.starts_with(magic))
            .map(|(_, packing)| *packing)
    }

    /// Opens the content. `None` if the format is not opened here.
    pub fn open(self, file: impl Read + 'static) -> io::Result<Option<Box<dyn Read>>> {
        Ok(match self {
            PackedFormat::Gzip => Some(Box::new(flate2::read::MultiGzDecoder::new(
                io::BufReader::new(file),
            ))),
            PackedFormat::Zstd => Some(Box::new(zstd::stream::read::Decoder::new(file)?)),
            PackedFormat::Other(_) => None,
        })
    }
}
