//! A file of the store, read in ranges by code that may block. The file is never read whole.
//!
//! Readers of one file do not affect each other. An object is requested in few large pieces. A
//! failure of the store is distinguished from a damaged file.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetResultPayload, ObjectStore, ObjectStoreExt};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use tokio::runtime::Handle;

/// The buffer size in bytes for copying a chunk.
const COPY_BYTES: usize = 256 << 10;

/// The buffer size in bytes for finding pages.
const PAGE_BYTES: usize = 8 << 10;

/// The size in bytes of a block, the aligned unit of requests to an object: a request costs as much
/// as reading that many bytes.
const BLOCK: u64 = 1 << 20;

/// The number of blocks requested in one step for sequential reading.
const AHEAD: u64 = 4;

/// The number of blocks of one object in the cache: a reader of several columns reads from each of
/// them in turn.
const BLOCKS: usize = 12;

/// An open file.
#[derive(Clone)]
pub struct StoreFile {
    held: Held,
    size: u64,
}

#[derive(Clone)]
enum Held {
    File(Arc<File>),
    Object(Arc<Object>),
}

/// An object, and the blocks read last.
struct Object {
    store: Arc<dyn ObjectStore>,
    path: Path,
    runtime: Handle,
    kept: Mutex<VecDeque<(u64, Bytes)>>,
    /// The last error of the store.
    failed: Mutex<Option<Error>>,
}

impl StoreFile {
    /// Opens the file at `path`. Errors if it does not exist.
    pub async fn open(store: &Arc<dyn ObjectStore>, path: Path) -> object_store::Result<StoreFile> {
        // For a file system, the file is opened in spite of `head`.
        let got = store
            .get_opts(
                &path,
                GetOptions {
                    head: true,
                    ..GetOptions::default()
                },
            )
            .await?;
        let size = got.meta.size;
        let held = match got.payload {
            GetResultPayload::File(file, _) => Held::File(Arc::new(file)),
            GetResultPayload::Stream(_) => Held::Object(Arc::new(Object {
                store: Arc::clone(store),
                path,
                runtime: Handle::current(),
                kept: Mutex::default(),
                failed: Mutex::default(),
            })),
        };
        Ok(StoreFile { held, size })
    }

    /// Creates a source from a file of the file system.
    pub fn of_file(file: File) -> io::Result<StoreFile> {
        let size = file.metadata()?.len();
        Ok(StoreFile {
            held: Held::File(Arc::new(file)),
            size,
        })
    }

    /// Returns the last error of the store, if there was one, and clears it.
    pub fn failure(&self) -> Option<Error> {
        match &self.held {
            Held::File(_) => None,
            Held::Object(object) => object
                .failed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        }
    }

    /// Returns a buffered reader that begins at `at`, for small reads.
    pub fn read_from(&self, at: u64) -> BufReader<FileCursor> {
        self.reader(at, COPY_BYTES)
    }

    /// Fills `into` with the bytes from `at` on. Errors if the file ends before.
    pub fn read_exact_at(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        match &self.held {
            Held::File(file) => file.read_exact_at(into, at),
            Held::Object(_) => {
                let mut from = FileCursor {
                    source: self.clone(),
                    at,
                };
                from.read_exact(into)
            }
        }
    }

    /// Reads ranges, all in one request. Of an object only these bytes are requested, unless it was
    /// read there already.
    pub fn ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if let Held::Object(object) = &self.held {
            let kept: Option<Vec<Bytes>> = ranges.iter().map(|range| object.kept(range)).collect();
            return match kept {
                Some(kept) => Ok(kept),
                None => Ok(object.ask_each(ranges)?),
            };
        }
        let one = |range: &Range<u64>| {
            let length = usize::try_from(range.end.saturating_sub(range.start));
            self.get_bytes(range.start, length.unwrap_or(usize::MAX))
        };
        ranges.iter().map(one).collect()
    }

    fn reader(&self, start: u64, buffer: usize) -> BufReader<FileCursor> {
        BufReader::with_capacity(
            buffer,
            FileCursor {
                source: self.clone(),
                at: start,
            },
        )
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let object = match &self.held {
            Held::File(file) => return file.read_at(into, at),
            Held::Object(object) => object,
        };
        if at >= self.size || into.is_empty() {
            return Ok(0);
        }
        let start = at - at % BLOCK;
        let block = object.block(start, self.size)?;
        let there = block.get((at - start) as usize..).unwrap_or_default();
        let read = there.len().min(into.len());
        into[..read].copy_from_slice(&there[..read]);
        Ok(read)
    }
}

impl Object {
    /// Returns a block, from the cache or from the store.
    fn block(&self, start: u64, size: u64) -> io::Result<Bytes> {
        let find = |at: Option<u64>| {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.iter()
                .find(|(start, _)| Some(*start) == at)
                .map(|(_, block)| block.clone())
        };
        if let Some(block) = find(Some(start)) {
            return Ok(block);
        }
        let blocks = if find(start.checked_sub(BLOCK)).is_some() {
            AHEAD
        } else {
            1
        };
        let asked = self.ask(start..(start + blocks * BLOCK).min(size))?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for at in (0..asked.len()).step_by(BLOCK as usize) {
            kept.push_back((
                start + at as u64,
                asked.slice(at..asked.len().min(at + BLOCK as usize)),
            ));
        }
        while kept.len() > BLOCKS {
            kept.pop_front();
        }
        Ok(asked.slice(..asked.len().min(BLOCK as usize)))
    }

    /// Returns a range from the cache; `None` if it was not read.
    fn kept(&self, range: &Range<u64>) -> Option<Bytes> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find_map(|(start, block)| {
            let from = usize::try_from(range.start.checked_sub(*start)?).ok()?;
            let to = usize::try_from(range.end.checked_sub(*start)?).ok()?;
            (from <= to && to <= block.len()).then(|| block.slice(from..to))
        })
    }

    fn ask(&self, range: Range<u64>) -> io::Result<Bytes> {
        let wanted = range.end - range.start;
        let read = self.store.get_range(&self.path, range);
        let bytes = self.answered(self.runtime.block_on(read))?;
        match bytes.len() as u64 == wanted {
            true => Ok(bytes),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn ask_each(&self, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        let read = object_ranges(&self.store, &self.path, ranges);
        self.answered(self.runtime.block_on(read))?
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Records an error of the store.
    fn answered<T>(&self, answer: object_store::Result<T>) -> io::Result<T> {
        answer.map_err(|error| {
            let io_error = io::Error::other(error.to_string());
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            io_error
        })
    }
}

/// Reads ranges of an object, those up to 1 MiB apart in one request. Returns `None` if the object
/// ends before the end of one of them.
pub async fn object_ranges(
    store: &dyn ObjectStore,
    path: &Path,
    ranges: &[Range<u64>],
) -> object_store::Result<Option<Vec<Bytes>>> {
    // `object_store` panics if the answer for merged ranges ends before one of them begins.
    let read = AssertUnwindSafe(store.get_ranges(path, ranges)).catch_unwind();
    let read = match read.await {
        Ok(read) => read?,
        Err(panic) => {
            let end = ranges.iter().map(|range| range.end).max();
            if Some(store.head(path).await?.size) < end {
                return Ok(None);
            }
            std::panic::resume_unwind(panic)
        }
    };
    let lengths = ranges.iter().map(|range| range.end - range.start);
    let is_whole = read.iter().map(|bytes| bytes.len() as u64).eq(lengths);
    Ok(is_whole.then_some(read))
}

impl fmt::Debug for StoreFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreFile")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl Length for StoreFile {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for StoreFile {
    type T = BufReader<FileCursor>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.reader(start, PAGE_BYTES))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // A damaged footer may request any length: never allocate more than the file has.
        let end = start
            .checked_add(length as u64)
            .filter(|end| *end <= self.size);
        let Some(end) = end else {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start} of a file of {}",
                self.size
            )));
        };
        if let Held::Object(object) = &self.held
            && length as u64 >= BLOCK
        {
            return Ok(object.ask(start..end)?);
        }
        let mut bytes = vec![0; length];
        self.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// The same file, read in larger pieces.
pub struct ChunkedFile<'a>(pub &'a StoreFile);

impl Length for ChunkedFile<'_> {
    fn len(&self) -> u64 {
        self.0.size
    }
}

impl ChunkReader for ChunkedFile<'_> {
    type T = BufReader<FileCursor>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.0.reader(start, COPY_BYTES))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.0.get_bytes(start, length)
    }
}

/// A position in a file.
pub struct FileCursor {
    source: StoreFile,
    at: u64,
}

impl Read for FileCursor {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read_at(into, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
