//! The upload of a new segment in parts: it is never whole in memory.
//!
//! A finished file is durable, including its folder. An unfinished one is deleted or, after a
//! crash, an orphan for the janitor. No reader sees the file before the commit that adds it.

use std::hash::Hasher;
use std::io::{self, Write};
use std::sync::Arc;

use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use twox_hash::XxHash64;

use super::RewriteError;
use crate::error::StoreError;
use crate::objects::upload_unique;
use crate::segment::ByteSink;

/// The size of a part in bytes: the minimum of object stores.
const PART_BYTES: usize = 5 << 20;

enum PartMessage {
    Part(Vec<u8>),
    /// Ends the file: every part was sent.
    Whole,
}

/// The parts of one file, written by a thread that may block. If it is dropped unfinished, the file
/// is deleted.
#[derive(Default)]
pub struct PartWriter {
    sender: Option<Sender<PartMessage>>,
    part: Vec<u8>,
    size: u64,
    hash: XxHash64,
}

/// The file made of the parts, while it is written.
pub struct SegmentUpload(JoinHandle<object_store::Result<bool>>);

/// Starts a new file at `path`.
pub async fn begin(
    store: Arc<dyn ObjectStore>,
    path: &str,
) -> Result<(PartWriter, SegmentUpload), RewriteError> {
    let upload = upload_unique(&store, &Path::from(path))
        .await
        .map_err(StoreError::from)?;
    let (sender, receiver) = channel(1);
    let written = tokio::spawn(write(upload, receiver));
    Ok((
        PartWriter {
            sender: Some(sender),
            part: Vec::with_capacity(PART_BYTES),
            ..PartWriter::default()
        },
        SegmentUpload(written),
    ))
}

/// Writes the parts. Returns true if the file is complete; otherwise nothing of it is left.
async fn write(
    mut upload: Box<dyn MultipartUpload>,
    mut parts: Receiver<PartMessage>,
) -> object_store::Result<bool> {
    let written = async {
        while let Some(message) = parts.recv().await {
            match message {
                PartMessage::Part(part) => upload.put_part(part.into()).await?,
                PartMessage::Whole => {
                    upload.complete().await?;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    };
    let written = written.await;
    if !matches!(written, Ok(true)) {
        // The janitor deletes what cannot be aborted here.
        if let Err(error) = upload.abort().await {
            tracing::debug!(store.error = %error, "an unfinished segment was left to the janitor");
        }
    }
    written
}

impl PartWriter {
    /// Ends the file and returns its size in bytes.
    pub fn finish(mut self) -> io::Result<u64> {
        self.send_part()?;
        self.send(PartMessage::Whole)?;
        Ok(self.size)
    }

    fn send_part(&mut self) -> io::Result<()> {
        if self.part.is_empty() {
            return Ok(());
        }
        let part = std::mem::replace(&mut self.part, Vec::with_capacity(PART_BYTES));
        self.size += part.len() as u64;
        self.send(PartMessage::Part(part))
    }

    fn send(&self, message: PartMessage) -> io::Result<()> {
        let stopped = || io::Error::new(io::ErrorKind::BrokenPipe, "the file could not be written");
        self.sender
            .as_ref()
            .ok_or_else(stopped)?
            .blocking_send(message)
            .map_err(|_| stopped())
    }
}

impl Write for PartWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let take = bytes.len().min(PART_BYTES - self.part.len());
        self.part.extend_from_slice(&bytes[..take]);
        self.hash.write(&bytes[..take]);
        if self.part.len() == PART_BYTES {
            self.send_part()?;
        }
        Ok(take)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ByteSink for PartWriter {
    fn xxh64(&self) -> u64 {
        self.hash.finish()
    }
}

impl SegmentUpload {
    /// Waits until the file is durable. Returns `Ok(false)` if its parts were dropped before the
    /// last: then nothing of it is left.
    pub async fn written(self) -> Result<bool, RewriteError> {
        let written = self.0.await.map_err(|error| stopped(&error.to_string()))?;
        Ok(written.map_err(StoreError::from)?)
    }
}

/// Returns the result of the work that wrote some files, once all of them are durable. An error of
/// the store takes precedence over that of the work. After an error none of the files is left.
pub async fn finished<T, const N: usize>(
    store: &dyn ObjectStore,
    uploads: [(&str, SegmentUpload); N],
    worked: Result<T, RewriteError>,
) -> Result<T, RewriteError> {
    all_finished(store, uploads.into(), worked).await
}

/// Does the same for any number of files.
pub async fn all_finished<T>(
    store: &dyn ObjectStore,
    uploads: Vec<(&str, SegmentUpload)>,
    worked: Result<T, RewriteError>,
) -> Result<T, RewriteError> {
    let (count, mut whole, mut failed) = (uploads.len(), Vec::new(), None);
    for (path, upload) in uploads {
        match upload.written().await {
            Ok(true) => whole.push(path),
            Ok(false) => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    let missing = if whole.len() == count {
        None
    } else {
        Some(stopped("a last part is missing"))
    };
    let finished = match (failed, worked, missing) {
        (Some(error), _, _) | (None, Err(error), _) => Err(error),
        (None, Ok(_), Some(error)) => Err(error.into()),
        (None, Ok(worked), None) => return Ok(worked),
    };
    for path in whole {
        if let Err(error) = store.delete(&Path::from(path)).await {
            tracing::debug!(store.error = %error, "a needless segment was left to the janitor");
        }
    }
    finished
}

fn stopped(why: &str) -> StoreError {
    StoreError::Refused(format!("the writing of a segment was stopped: {why}"))
}
