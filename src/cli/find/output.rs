//! The output of found records in the form that was asked for.

use arrow::array::RecordBatch;

use super::columnar::ParquetOutput;
use super::csv::CsvOutput;
use super::text::TextOutput;
use super::write_error::WriteRecordsError;
use ebbtide_base::ids::ProductKey;
use ebbtide_services::find::{JsonRecords, RecordSink, SearchReport};

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
