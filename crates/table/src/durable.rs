//! The local file system as an object store whose writes survive a power cut.
//!
//! A `put` that returned is on the disk, including folder entries and new folders. A file is written
//! whole and synced before it gets its name, so no reader sees half of it, unless the name is marked
//! as unique. No success may be reported that a crash could undo.

use std::collections::HashSet;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path as FsPath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};
use tokio::task::{JoinError, JoinHandle};
use uuid::Uuid;

use super::objects::UniqueName;
use ebbtide_base::failpoint;

/// The number of folders remembered as durable before the memory is emptied. The memory only saves
/// syncs.
const REMEMBERED_FOLDERS: usize = 4096;

/// The local file system, synced. Paths are those of the file system from `/`.
#[derive(Debug, Clone, Default)]
pub struct DurableFs {
    inner: Arc<LocalFileSystem>,
    /// Folders whose own entry, and those of all folders above, this process has synced.
    folders: Arc<Mutex<HashSet<PathBuf>>>,
}

impl fmt::Display for DurableFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DurableFs")
    }
}

#[async_trait]
impl ObjectStore for DurableFs {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let path = file_path(location)?;
        let this = self.clone();
        blocking(move || {
            match opts.mode {
                PutMode::Create if UniqueName::is_set(&opts.extensions) => {
                    this.create_unique(&path, &payload)?;
                }
                PutMode::Create => this.create_entry(&path, &payload)?,
                PutMode::Overwrite => this.replace(&path, &payload)?,
                PutMode::Update(_) => {
                    return Err(failed(
                        io::Error::new(io::ErrorKind::Unsupported, "conditional update"),
                        &path,
                    ));
                }
            }
            Ok(PutResult {
                e_tag: None,
                version: None,
            })
        })
        .await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let path = file_path(location)?;
        let this = self.clone();
        blocking(move || {
            // A unique file has its own name from the start, as in `create_unique`.
            let written = match UniqueName::is_set(&options.extensions) {
                true => path.clone(),
                false => staged(&path),
            };
            let file = this
                .open_new(&written)
                .map_err(|error| failed(error, &path))?;
            Ok(Box::new(SyncedUpload {
                file: Arc::new(file),
                at: 0,
                written,
                path,
                syncing: Vec::new(),
                synced: 0,
            }) as Box<dyn MultipartUpload>)
        })
        .await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    // The default implementation would also read the bytes between two ranges, which only pays for
    // remote stores.
    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await?;
        let path = file_path(to)?;
        let this = self.clone();
        blocking(move || this.sync_file(&path).map_err(|error| failed(error, &path))).await
    }
}

impl DurableFs {
    /// Creates a log entry: writes and syncs it under another name, then links it to its own name
    /// if that is free. The link decides which writer wins.
    fn create_entry(&self, path: &FsPath, payload: &PutPayload) -> Result<()> {
        let staged = staged(path);
        let linked = self
            .write_new(&staged, payload)
            .map_err(|error| failed(error, path))
            .and_then(|()| std::fs::hard_link(&staged, path).map_err(|error| failed(error, path)));
        // The janitor deletes the file if this removal fails; the link is decided either way.
        let _ = std::fs::remove_file(&staged);
        linked?;
        failpoint::reach("commit-written");
        sync_folder(path).map_err(|error| failed(error, path))?;
        failpoint::reach("commit-synced");
        Ok(())
    }

    /// Creates a file under its own name, which no reader knows before the commit that names it.
    fn create_unique(&self, path: &FsPath, payload: &PutPayload) -> Result<()> {
        let written = self.write_new(path, payload).and_then(|()| {
            failpoint::reach("segment-written");
            sync_folder(path)
        });
        if let Err(error) = written {
            if error.kind() != io::ErrorKind::AlreadyExists {
                let _ = std::fs::remove_file(path);
            }
            return Err(failed(error, path));
        }
        failpoint::reach("segment-synced");
        Ok(())
    }

    /// Replaces a file whole by another.
    fn replace(&self, path: &FsPath, payload: &PutPayload) -> Result<()> {
        let staged = staged(path);
        let replaced = self
            .write_new(&staged, payload)
            .and_then(|()| std::fs::rename(&staged, path));
        if let Err(error) = replaced {
            let _ = std::fs::remove_file(&staged);
            return Err(failed(error, path));
        }
        sync_folder(path).map_err(|error| failed(error, path))
    }

    fn write_new(&self, path: &FsPath, payload: &PutPayload) -> io::Result<()> {
        let mut file = self.open_new(path)?;
        for part in payload {
            file.write_all(part)?;
        }
        file.sync_all()
    }

    fn open_new(&self, path: &FsPath) -> io::Result<File> {
        let open = || OpenOptions::new().write(true).create_new(true).open(path);
        self.make_folder(path)?;
        match open() {
            // The folder was removed since we made it: make it again, once.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.folders
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clear();
                self.make_folder(path)?;
                open()
            }
            opened => opened,
        }
    }

    /// Makes the folder of a file, and syncs it and all above it the first time this process uses
    /// it: another process may have made it and not yet synced.
    fn make_folder(&self, path: &FsPath) -> io::Result<()> {
        let Some(folder) = path.parent() else {
            return Ok(());
        };
        if self
            .folders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(folder)
        {
            return Ok(());
        }
        std::fs::create_dir_all(folder)?;
        for above in folder.ancestors().skip(1) {
            match File::open(above).and_then(|opened| opened.sync_all()) {
                // This process may not be allowed to open folders far above; it need not make those
                // durable.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => break,
                synced => synced?,
            }
        }
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if folders.len() >= REMEMBERED_FOLDERS {
            folders.clear();
        }
        folders.insert(folder.to_owned());
        Ok(())
    }

    fn sync_file(&self, path: &FsPath) -> io::Result<()> {
        self.make_folder(path)?;
        File::open(path)?.sync_all()?;
        sync_folder(path)
    }
}

/// A file written in parts: a large checkpoint, which has its name once it is whole and synced, or
/// a segment.
#[derive(Debug)]
struct SyncedUpload {
    file: Arc<File>,
    /// The position of the next part, in bytes.
    at: u64,
    /// The name under which the file is written.
    written: PathBuf,
    path: PathBuf,
    /// Syncs that run while more is written, so that little is left to sync at the end.
    syncing: Vec<JoinHandle<Result<()>>>,
    /// The number of bytes whose sync was started.
    synced: u64,
}

/// The number of written bytes after which a sync is started.
const SYNC_BYTES: u64 = 32 << 20;

#[async_trait]
impl MultipartUpload for SyncedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (file, mut at, path) = (self.file.clone(), self.at, self.path.clone());
        self.sync_ahead();
        self.at += data.content_length() as u64;
        Box::pin(blocking(move || {
            for part in &data {
                file.write_all_at(part, at)
                    .map_err(|error| failed(error, &path))?;
                at += part.len() as u64;
            }
            failpoint::reach("segment-part-written");
            Ok(())
        }))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        for syncing in self.syncing.drain(..) {
            // The operating system reports a disk error only once, to the next sync.
            syncing.await.unwrap_or_else(|error| Err(stopped(error)))?;
        }
        let (file, written, path) = (self.file.clone(), self.written.clone(), self.path.clone());
        blocking(move || {
            let named = || {
                if written == path {
                    Ok(())
                } else {
                    std::fs::rename(&written, &path)
                }
            };
            let whole = file.sync_all().and_then(|()| {
                failpoint::reach("segment-written");
                named()?;
                sync_folder(&path)
            });
            whole.map_err(|error| failed(error, &path))?;
            failpoint::reach("segment-synced");
            Ok(PutResult {
                e_tag: None,
                version: None,
            })
        })
        .await
    }

    async fn abort(&mut self) -> Result<()> {
        let written = self.written.clone();
        blocking(move || std::fs::remove_file(&written).map_err(|error| failed(error, &written)))
            .await
    }
}

impl SyncedUpload {
    /// Starts to sync the written bytes if they are many and no sync is running. `complete` reports
    /// the errors.
    fn sync_ahead(&mut self) {
        let busy = self
            .syncing
            .last()
            .is_some_and(|syncing| !syncing.is_finished());
        if busy || self.at - self.synced < SYNC_BYTES {
            return;
        }
        self.synced = self.at;
        let (file, path) = (self.file.clone(), self.path.clone());
        let sync = move || file.sync_data().map_err(|error| failed(error, &path));
        self.syncing.push(tokio::task::spawn_blocking(sync));
    }
}

/// Returns the temporary name under which a file is written first: readers of a Delta log do not
/// take it for an entry.
fn staged(path: &FsPath) -> PathBuf {
    path.with_file_name(format!(".{}.tmp", Uuid::new_v4()))
}

fn sync_folder(path: &FsPath) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn file_path(location: &Path) -> Result<PathBuf> {
    // The crate has this conversion from its paths to paths of the file system, but not as a
    // function.
    LocalFileSystem::new().path_to_filesystem(location)
}

fn failed(error: io::Error, path: &FsPath) -> Error {
    let path = path.to_string_lossy().into_owned();
    match error.kind() {
        io::ErrorKind::AlreadyExists => Error::AlreadyExists {
            path,
            source: Box::new(error),
        },
        io::ErrorKind::NotFound => Error::NotFound {
            path,
            source: Box::new(error),
        },
        _ => Error::Generic {
            store: "DurableFs",
            source: Box::new(error),
        },
    }
}

fn stopped(error: JoinError) -> Error {
    Error::Generic {
        store: "DurableFs",
        source: Box::new(error),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(stopped(error)))
}
