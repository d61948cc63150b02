//! The error of an output of found records.

use std::io;
use std::path::PathBuf;

use ebbtide_query::ExportError;

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
