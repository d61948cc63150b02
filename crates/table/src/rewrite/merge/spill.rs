//! Sorted rows on the disk that wait for their merge.
//!
//! They do not outlive the process: the file loses its name before its first byte is written, so
//! the file system frees it however the process ends. A crash between the two leaves an empty
//! orphan, which the janitor deletes.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use uuid::Uuid;

use super::super::RewriteError;
use crate::error::StoreError;
use crate::segment::SegmentError;
use ebbtide_base::failpoint;

/// The approximate size in bytes of a written batch.
pub const BATCH_BYTES: usize = 256 << 10;

/// The level of Zstandard: the fastest usual one. Rows take about the same space as in segments.
const LEVEL: i32 = 1;

/// Sorted rows in a file that has no name.
pub struct Spill(File);

/// Writes a spill.
pub struct SpillWriter(StreamWriter<zstd::Encoder<'static, BufWriter<File>>>);

/// Reads a spill, batch by batch.
pub struct SpillReader(StreamReader<BufReader<zstd::Decoder<'static, BufReader<File>>>>);

impl SpillWriter {
    /// Creates a new file in `folder`, without a name.
    pub fn create(folder: &Path, schema: &SchemaRef) -> Result<SpillWriter, RewriteError> {
        // The janitor recognises an orphan by this name.
        let path = folder.join(format!("{}.parquet", Uuid::new_v4()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(StoreError::from)?;
        std::fs::remove_file(&path).map_err(StoreError::from)?;
        let packed = zstd::Encoder::new(BufWriter::new(file), LEVEL).map_err(StoreError::from)?;
        Ok(SpillWriter(
            StreamWriter::try_new(packed, schema).map_err(failed)?,
        ))
    }

    /// Appends rows.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), RewriteError> {
        self.0.write(rows).map_err(failed)
    }

    /// Ends the file.
    pub fn finish(self) -> Result<Spill, RewriteError> {
        let packed = self.0.into_inner().map_err(failed)?;
        let mut buffered = packed.finish().map_err(StoreError::from)?;
        buffered.flush().map_err(StoreError::from)?;
        let file = buffered
            .into_inner()
            .map_err(|error| StoreError::from(error.into_error()))?;
        failpoint::reach("merge-spilled");
        Ok(Spill(file))
    }
}

impl Spill {
    /// Starts to read the file from its beginning.
    pub fn read(self) -> Result<SpillReader, RewriteError> {
        let Spill(mut file) = self;
        file.seek(SeekFrom::Start(0)).map_err(StoreError::from)?;
        let rows = zstd::Decoder::new(file).map_err(StoreError::from)?;
        Ok(SpillReader(
            StreamReader::try_new_buffered(rows, None).map_err(failed)?,
        ))
    }
}

impl SpillReader {
    /// Returns the next rows, never an empty batch; `None` after the last.
    pub fn next(&mut self) -> Result<Option<RecordBatch>, RewriteError> {
        loop {
            match self.0.next().transpose().map_err(failed)? {
                Some(rows) if rows.num_rows() == 0 => {}
                found => return Ok(found),
            }
        }
    }
}

/// Classifies an error: a full disk is an error of the store, anything else an error of the rows.
fn failed(error: ArrowError) -> RewriteError {
    match error {
        ArrowError::IoError(_, error) => StoreError::from(error).into(),
        error => SegmentError::from(error).into(),
    }
}
