//! Rows written to a separate Parquet file outside of any table, for an officer to take away.
//!
//! An existing file is never changed. Only the owner may read the new file. Memory is bounded.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

/// Encoded bytes after which a row group is closed.
const GROUP_BYTES: usize = 32 << 20;

/// Rows could not be written to a file.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file could not be made or written.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// The rows could not be encoded.
    #[error("the rows could not be encoded: {0}")]
    Parquet(#[from] ParquetError),
}

/// A Parquet file that is being written.
pub struct ParquetFile(ArrowWriter<File>);

impl ParquetFile {
    /// Creates a new file. Errors if `path` exists.
    pub fn create(path: &Path, columns: SchemaRef) -> Result<ParquetFile, ExportError> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let level = ZstdLevel::try_new(1).unwrap_or_default();
        let properties = WriterProperties::builder()
            .set_created_by(format!("ebbtide {}", env!("CARGO_PKG_VERSION")))
            .set_compression(Compression::ZSTD(level))
            .build();
        Ok(ParquetFile(ArrowWriter::try_new(
            file,
            columns,
            Some(properties),
        )?))
    }

    /// Adds rows, which have the file's columns.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), ExportError> {
        self.0.write(rows)?;
        if self.0.in_progress_size() >= GROUP_BYTES {
            self.0.flush()?;
        }
        Ok(())
    }

    /// Ends the file and syncs it.
    pub fn finish(self) -> Result<(), ExportError> {
        Ok(self.0.into_inner()?.sync_all()?)
    }
}
