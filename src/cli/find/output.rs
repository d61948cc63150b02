//! The output of found records in the form that was asked for.

use std::io::{self, Write};
use std::path::PathBuf;

use arrow::array::RecordBatch;

use super::columnar::ParquetOutput;
use super::csv::CsvOutput;
use super::text::TextOutput;
use ebbtide_base::ids::ProductKey;
use ebbtide_query::ExportError;
use ebbtide_services::find::{JsonRecords, RecordSink, SearchReport};

/// Found records could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteRecordsError {
    /// The output cannot be written.
    #[error("the records could not be written: {0}")]
    Io(#[from] io::Error),
    /// A Parquet file cannot be written.
    #[error("{}: {error}", file.display())]
    Export {
        /// The file.
        file: PathBuf,
        /// The reason.
        error: ExportError,
    },
}

impl WriteRecordsError {
    /// Returns true if the reader closed the output.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// An output of records in one form.
pub(super) enum RecordOutput<'w> {
    Text(TextOutput<'w>),
    Json(JsonRecords<'w>),
    Csv(CsvOutput<'w>),
    Parquet(Box<ParquetOutput>),
}

impl RecordSink for RecordOutput<'_> {
    type Error = WriteRecordsError;

    fn rows(&mut self, product: &ProductKey, rows: &RecordBatch) -> Result<(), WriteRecordsError> {
        match self {
            RecordOutput::Text(text) => Ok(text.rows(product, rows)?),
            RecordOutput::Json(json) => Ok(json.rows(product, rows)?),
            RecordOutput::Csv(csv) => Ok(csv.rows(product, rows)?),
            RecordOutput::Parquet(parquet) => parquet.rows(product, rows),
        }
    }
}

impl RecordOutput<'_> {
    /// Ends the output.
    pub(super) fn end(self, report: &SearchReport) -> Result<(), WriteRecordsError> {
        match self {
            RecordOutput::Text(text) => Ok(text.to.flush()?),
            RecordOutput::Json(json) => Ok(json.end(report)?),
            RecordOutput::Csv(csv) => Ok(csv.end()?),
            RecordOutput::Parquet(parquet) => parquet.end(),
        }
    }
}

/// Writes a text, followed by a line break.
pub(super) fn line(to: &mut dyn Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.write_all(b"\n")
}
