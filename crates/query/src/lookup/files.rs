//! Reads byte ranges and footers of segments for look-ups.
//!
//! The number of reads and decoding steps at the same time is bounded for all look-ups of a finder
//! together. Files of the local file system are read on the thread that needs their bytes, several
//! steps in a row: passing each read to another thread and back costs more than most reads.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::DecodeResult;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    PageIndexPolicy, ParquetMetaData, ParquetMetaDataPushDecoder, ParquetMetaDataReader,
};
use tokio::sync::Semaphore;

use super::footers::{CachedFooter, FooterCache, SegmentKey};
use ebbtide_table::error::StoreError;
use ebbtide_table::index::StoredSegment;
use ebbtide_table::rewrite::{RewriteError, blocking};
use ebbtide_table::source::object_ranges;

/// The number of bytes at the end of a file that are read to find its footer.
const TAIL: u64 = 32 << 10;

/// The maximum number of bytes that are allocated without checking the size of the file.
const UNASKED: u64 = 1 << 20;

/// Access to a table's files for one look-up.
#[derive(Clone)]
pub(super) struct TableFiles {
    pub(super) table: usize,
    pub(super) store: Arc<dyn ObjectStore>,
    /// The folder of the files in the local file system; `None` if they are elsewhere.
    pub(super) folder: Option<Arc<PathBuf>>,
    pub(super) footers: Arc<FooterCache>,
    pub(super) permits: Arc<Semaphore>,
    /// True if this thread may block and has a permit.
    pub(super) here: bool,
}

impl TableFiles {
    /// Returns true if the files are in the local file system.
    pub(super) fn are_near(&self) -> bool {
        self.folder.is_some()
    }

    /// Runs reads and other work in a row, on one thread that may block if the files are local.
    /// `steps` must not wait for anything else.
    pub(super) async fn in_a_row<T: Send + 'static, F: Future<Output = Result<T, RewriteError>>>(
        &self,
        steps: impl FnOnce(TableFiles) -> F + Send + 'static,
    ) -> Result<T, RewriteError> {
        if self.here || !self.are_near() {
            return steps(self.clone()).await;
        }
        let files = TableFiles {
            here: true,
            ..self.clone()
        };
        self.work(move || futures::executor::block_on(steps(files)))
            .await
    }

    /// Reads ranges of a file.
    pub(super) async fn ranges(
        &self,
        path: &str,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>, RewriteError> {
        if let (true, Some(folder)) = (self.here, &self.folder) {
            let place = folder.join(Path::from(path).as_ref());
            return read(&place, ranges).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => too_early(path),
                io::ErrorKind::NotFound => self.deleted(path),
                _ => StoreError::from(object_store::Error::Generic {
                    store: "files",
                    source: error.into(),
                })
                .into(),
            });
        }
        let _permit = self.permits.acquire().await;
        match object_ranges(&self.store, &Path::from(path), ranges).await {
            Ok(read) => read.ok_or_else(|| too_early(path)),
            Err(error) => Err(self.unread(path, ranges, error).await),
        }
    }

    /// Runs work that may take long, on a thread that may block.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, RewriteError> + Send + 'static,
    ) -> Result<T, RewriteError> {
        if self.here {
            return work();
        }
        let _permit = self.permits.acquire().await;
        blocking(work).await
    }

    /// Returns the error for ranges that were not read. Stores have no specific error for a file
    /// that ends before them.
    async fn unread(
        &self,
        path: &str,
        ranges: &[Range<u64>],
        error: object_store::Error,
    ) -> RewriteError {
        let end = ranges.iter().map(|range| range.end).max().unwrap_or(0);
        match self.store.head(&Path::from(path)).await {
            Ok(file) if file.size < end => too_early(path),
            _ => self.failed(path, error),
        }
    }

    fn failed(&self, path: &str, error: object_store::Error) -> RewriteError {
        match error {
            object_store::Error::NotFound { .. } => self.deleted(path),
            error => StoreError::from(error).into(),
        }
    }

    fn deleted(&self, path: &str) -> RewriteError {
        self.footers.forget(&self.key(path));
        RewriteError::SegmentDeleted {
            path: path.to_owned(),
        }
    }

    fn key(&self, path: &str) -> SegmentKey {
        (self.table, Arc::from(path))
    }

    /// Returns the footer of a segment, from memory or from its file.
    pub(super) async fn footer(
        &self,
        segment: &StoredSegment,
    ) -> Result<Arc<CachedFooter>, RewriteError> {
        let key = (self.table, Arc::clone(&segment.path));
        if let Some(footer) = self.footers.get(&key) {
            return Ok(footer);
        }
        let path = &*segment.path;
        // The size of a file is unknown if another engine did not record it.
        let size = match segment.size {
            0 => {
                self.store
                    .head(&Path::from(path))
                    .await
                    .map_err(|error| self.failed(path, error))?
                    .size
            }
            size => size,
        };
        let damaged = |error: &ParquetError| RewriteError::damaged(path, error);
        let mut tail = TAIL.min(size);
        let mut reader = ParquetMetaDataReader::new();
        loop {
            let range = size - tail..size;
            let bytes = self
                .ranges(path, std::slice::from_ref(&range))
                .await?
                .pop()
                .unwrap_or_default();
            match reader.try_parse_sized(&bytes, size) {
                Ok(()) => break,
                Err(ParquetError::NeedMoreData(more))
                    if more as u64 > tail && more as u64 <= size =>
                {
                    tail = more as u64
                }
                Err(error) => return Err(damaged(&error)),
            }
        }
        let metadata = reader
            .finish()
            .and_then(readable)
            .map_err(|error| damaged(&error))?;
        let footer = Arc::new(CachedFooter::new(metadata, size, false));
        self.footers.put(key, Arc::clone(&footer));
        Ok(footer)
    }

    /// Returns the footer with its page index, as far as the file has one.
    pub(super) async fn paged(
        &self,
        path: &Arc<str>,
        footer: Arc<CachedFooter>,
    ) -> Result<Arc<CachedFooter>, RewriteError> {
        if footer.paged {
            return Ok(footer);
        }
        let damaged = |error: &ParquetError| RewriteError::damaged(path, error);
        let decoder = ParquetMetaDataPushDecoder::try_new_with_metadata(
            footer.size,
            ParquetMetaData::clone(footer.metadata.metadata()),
        );
        let mut decoder = decoder
            .map_err(|error| damaged(&error))?
            .with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = loop {
            match decoder.try_decode().map_err(|error| damaged(&error))? {
                DecodeResult::Data(metadata) => break metadata,
                DecodeResult::NeedsData(ranges) => {
                    let bytes = self.ranges(path, &ranges).await?;
                    decoder
                        .push_ranges(ranges, bytes)
                        .map_err(|error| damaged(&error))?;
                }
                DecodeResult::Finished => return Ok(footer),
            }
        };
        let metadata = readable(metadata).map_err(|error| damaged(&error))?;
        let footer = Arc::new(footer.with_pages(metadata));
        self.footers
            .put((self.table, Arc::clone(path)), Arc::clone(&footer));
        Ok(footer)
    }
}

/// Reads ranges of a file of the local file system.
fn read(place: &std::path::Path, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
    let mut file = File::open(place)?;
    let one = |range: &Range<u64>| {
        let length = range.end.saturating_sub(range.start);
        // A damaged footer may request anything: never allocate much more than the size of the
        // file.
        if length > UNASKED && range.end > file.metadata()?.len() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        // The buffer is not zeroed first: for some megabytes that costs as much as reading them.
        let mut bytes = Vec::with_capacity(usize::try_from(length).map_err(io::Error::other)?);
        file.seek(SeekFrom::Start(range.start))?;
        match file.by_ref().take(length).read_to_end(&mut bytes)? as u64 == length {
            true => Ok(bytes.into()),
            false => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        }
    };
    ranges.iter().map(one).collect()
}

fn too_early(path: &str) -> RewriteError {
    RewriteError::Damaged {
        path: path.to_owned(),
        why: "it ends too early".to_owned(),
    }
}

/// Returns a file's metadata for the Arrow reader, with the types derived from its Parquet types
/// only, as the table has them.
fn readable(metadata: ParquetMetaData) -> Result<ArrowReaderMetadata, ParquetError> {
    ArrowReaderMetadata::try_new(
        Arc::new(metadata),
        ArrowReaderOptions::new().with_skip_arrow_metadata(true),
    )
}
