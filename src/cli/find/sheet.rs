//! The output of found records in the form that was asked for.

use std::io::{self, Write};
use std::path::PathBuf;

use arrow::array::RecordBatch;

use super::columnar::Columnar;
use super::csv::Csv;
use super::json::Json;
use super::text::Text;
use super::told::Told;
use ebbtide_base::ids::ProductKey;
use ebbtide_query::ExportError;

/// Found records could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum SheetError {
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

impl SheetError {
    /// Returns true if the reader closed the output.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// An output of records in one form.
pub(super) enum Sheet<'w> {
    Text(Text<'w>),
    Json(Json<'w>),
    Csv(Csv<'w>),
    Parquet(Box<Columnar>),
}

impl Sheet<'_> {
    /// Writes records of a product.
    pub(super) fn rows(&mut self, product: &ProductKey, rows: &RecordBatch) -> Result<(), SheetError> {
        match self {
            Sheet::Text(text) => Ok(text.rows(product, rows)?),
            Sheet::Json(json) => Ok(json.rows(product, rows)?),
            Sheet::Csv(csv) => Ok(csv.rows(product, rows)?),
            Sheet::Parquet(parquet) => parquet.rows(product, rows),
        }
    }

    /// Ends the output.
    pub(super) fn end(self, told: &Told) -> Result<(), SheetError> {
        match self {
            Sheet::Text(text) => Ok(text.to.flush()?),
            Sheet::Json(json) => Ok(json.end(told)?),
            Sheet::Csv(csv) => Ok(csv.end()?),
            Sheet::Parquet(parquet) => parquet.end(),
        }
    }
}

/// Writes a text, followed by a line break.
pub(super) fn line(to: &mut dyn Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.write_all(b"\n")
}
