//! Found records as Parquet: one file if exactly one product was named, else a folder with one file
//! for each product.
//!
//! No file remains whose answer is not complete.

use std::path::PathBuf;

use arrow::array::RecordBatch;

use super::write_error::WriteRecordsError;
use ebbtide_base::ids::ProductKey;
use ebbtide_query::{ExportError, ParquetFile};

pub(super) struct ParquetOutput {
    to: PathBuf,
    folder: bool,
    open: Option<(ProductKey, ParquetFile)>,
    written: Vec<PathBuf>,
    whole: bool,
}

impl ParquetOutput {
    /// Creates the output `to`. If `folder` is true, it is a folder, which is created if it does
    /// not exist.
    pub(super) fn new(to: PathBuf, folder: bool) -> Self {
        Self {
            to,
            folder,
            open: None,
            written: Vec::new(),
            whole: false,
        }
    }

    pub(super) fn rows(
        &mut self,
        product: &ProductKey,
        rows: &RecordBatch,
    ) -> Result<(), WriteRecordsError> {
        if self.open.as_ref().is_none_or(|(of, _)| of != product) {
            self.close()?;
            let path = match self.folder {
                true => self.to.join(format!("{product}.parquet")),
                false => self.to.clone(),
            };
            let failed = |error: ExportError| WriteRecordsError::Export {
                file: path.clone(),
                error,
            };
            if self.folder {
                std::fs::create_dir_all(&self.to).map_err(|error| failed(error.into()))?;
            }
            let file = ParquetFile::create(&path, rows.schema()).map_err(failed)?;
            self.written.push(path);
            self.open = Some((product.clone(), file));
        }
        match self.open.as_mut() {
            Some((_, file)) => file.write(rows).map_err(|error| self.failed(error)),
            None => Ok(()),
        }
    }

    pub(super) fn end(mut self) -> Result<(), WriteRecordsError> {
        self.close()?;
        self.whole = true;
        Ok(())
    }

    fn close(&mut self) -> Result<(), WriteRecordsError> {
        match self.open.take() {
            Some((_, file)) => file.finish().map_err(|error| self.failed(error)),
            None => Ok(()),
        }
    }

    fn failed(&self, error: ExportError) -> WriteRecordsError {
        WriteRecordsError::Export {
            file: self.written.last().unwrap_or(&self.to).clone(),
            error,
        }
    }
}

impl Drop for ParquetOutput {
    fn drop(&mut self) {
        if !self.whole {
            self.open = None;
            for file in &self.written {
                // This command created the file, and has not reported it yet.
                let _ = std::fs::remove_file(file);
            }
        }
    }
}
