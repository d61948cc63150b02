//! Lists every file, folder and link under the root, whatever its name.
//!
//! No entry is missed without being reported, and no link is followed. An entry that disappears
//! during the listing is left out.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A stamp of a file's state: it changes with the content.
pub type FileStamp = (u64, u64, u64, i64, i64);

/// An entry under the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootEntry {
    /// The path relative to the root.
    pub path: PathBuf,
    /// The kind of the entry.
    pub kind: RootEntryKind,
}

/// The kind of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootEntryKind {
    /// A file, with its size in bytes and its stamp.
    File(u64, FileStamp),
    /// A folder.
    Folder,
    /// A link with its target, which is searched as a name too.
    Link(PathBuf),
    /// A device, a socket or a pipe.
    Special,
    /// An entry that could not be read, with the reason.
    Unreadable(String),
}

/// Lists everything under `root`, each folder before its contents.
pub fn list(root: &Path) -> Vec<RootEntry> {
    let mut entries = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let listed = match fs::read_dir(root.join(&folder)) {
            Ok(listed) => listed,
            Err(error) if is_missing(&error) && folder != Path::new("") => continue,
            Err(error) => {
                entries.push(RootEntry {
                    path: folder,
                    kind: RootEntryKind::Unreadable(error.to_string()),
                });
                continue;
            }
        };
        for entry in listed {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    entries.push(RootEntry {
                        path: folder.clone(),
                        kind: RootEntryKind::Unreadable(error.to_string()),
                    });
                    continue;
                }
            };
            let path = folder.join(entry.file_name());
            match kind(&root.join(&path)) {
                Ok(kind) => {
                    if kind == RootEntryKind::Folder {
                        folders.push(path.clone());
                    }
                    entries.push(RootEntry { path, kind });
                }
                Err(error) if is_missing(&error) => {}
                Err(error) => entries.push(RootEntry {
                    path,
                    kind: RootEntryKind::Unreadable(error.to_string()),
                }),
            }
        }
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

fn kind(path: &Path) -> io::Result<RootEntryKind> {
    let meta = fs::symlink_metadata(path)?;
    Ok(match meta.file_type() {
        kind if kind.is_dir() => RootEntryKind::Folder,
        kind if kind.is_file() => RootEntryKind::File(meta.len(), stamp(&meta)),
        kind if kind.is_symlink() => RootEntryKind::Link(fs::read_link(path)?),
        _ => RootEntryKind::Special,
    })
}

fn stamp(meta: &Metadata) -> FileStamp {
    (
        meta.dev(),
        meta.ino(),
        meta.len(),
        meta.mtime(),
        meta.mtime_nsec(),
    )
}

/// Returns true if an error says that the entry no longer exists.
pub fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
