//! A segment's file as it is read by a rewrite: by ranges, never whole.
//!
//! Promises that readers of one file do not disturb each other. Where the tables are on an object store, this is the one
//! place that must learn to ask for ranges there.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetResultPayload, ObjectStore, ObjectStoreExt};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

use super::RewriteError;
use crate::store::error::StoreError;

/// Bytes that are read at once where a chunk is copied.
const COPY_BYTES: usize = 256 << 10;

/// Bytes that are read at once where pages are looked for.
const PAGE_BYTES: usize = 8 << 10;

/// An open file of a segment.
#[derive(Clone)]
pub struct Source {
    file: Arc<File>,
    size: u64,
}

impl Source {
    /// Opens the file at `path`. Errors if it is gone.
    pub async fn open(store: &dyn ObjectStore, path: &str) -> std::result::Result<Source, RewriteError> {
        let got = store.get(&Path::from(path)).await.map_err(|error| match error {
            object_store::Error::NotFound { .. } => RewriteError::Gone { path: path.to_owned() },
            error => StoreError::from(error).into(),
        })?;
        let size = got.meta.size;
        match got.payload {
            GetResultPayload::File(file, _) => Ok(Source { file: Arc::new(file), size }),
            GetResultPayload::Stream(_) => {
                Err(StoreError::Refused("rewrites are for tables on a local file system".to_owned()).into())
            }
        }
    }

    fn reader(&self, start: u64, buffer: usize) -> BufReader<At> {
        BufReader::with_capacity(buffer, At { file: self.file.clone(), at: start })
    }
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Source {
    type T = BufReader<At>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.reader(start, PAGE_BYTES))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // A damaged footer may ask for anything: never make room for more than the file has.
        if start.checked_add(length as u64).is_none_or(|end| end > self.size) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of a file of {}", self.size)));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// The same file, read in larger pieces.
pub struct Chunks<'a>(pub &'a Source);

impl Length for Chunks<'_> {
    fn len(&self) -> u64 {
        self.0.size
    }
}

impl ChunkReader for Chunks<'_> {
    type T = BufReader<At>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.0.reader(start, COPY_BYTES))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.0.get_bytes(start, length)
    }
}

/// A position in a file.
pub struct At {
    file: Arc<File>,
    at: u64,
}

impl Read for At {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
