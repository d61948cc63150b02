//! Every file, folder and link under the root, whatever its name.
//!
//! Promises to miss none without saying so, and to follow no link. What vanishes while it is listed is gone.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Tells a file from what it was before: another content has another stamp.
pub type Stamp = (u64, u64, u64, i64, i64);

/// One thing under the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path from the root.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
}

/// What stands under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A file of so many bytes.
    File(u64, Stamp),
    /// A folder.
    Folder,
    /// A link to somewhere: its target is a name too.
    Link(PathBuf),
    /// A device, a socket, a pipe.
    Special,
    /// It could not be looked at.
    Unreadable(String),
}

/// Everything under `root`, its folders before what is in them.
pub fn list(root: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let listed = match fs::read_dir(root.join(&folder)) {
            Ok(listed) => listed,
            Err(error) if gone(&error) && folder != Path::new("") => continue,
            Err(error) => {
                entries.push(Entry { path: folder, kind: Kind::Unreadable(error.to_string()) });
                continue;
            }
        };
        for entry in listed {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    entries.push(Entry { path: folder.clone(), kind: Kind::Unreadable(error.to_string()) });
                    continue;
                }
            };
            let path = folder.join(entry.file_name());
            match kind(&root.join(&path)) {
                Ok(kind) => {
                    if kind == Kind::Folder {
                        folders.push(path.clone());
                    }
                    entries.push(Entry { path, kind });
                }
                Err(error) if gone(&error) => {}
                Err(error) => entries.push(Entry { path, kind: Kind::Unreadable(error.to_string()) }),
            }
        }
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

fn kind(path: &Path) -> io::Result<Kind> {
    let meta = fs::symlink_metadata(path)?;
    Ok(match meta.file_type() {
        kind if kind.is_dir() => Kind::Folder,
        kind if kind.is_file() => Kind::File(meta.len(), stamp(&meta)),
        kind if kind.is_symlink() => Kind::Link(fs::read_link(path)?),
        _ => Kind::Special,
    })
}

fn stamp(meta: &Metadata) -> Stamp {
    (meta.dev(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec())
}

/// Whether an error says that something is not there any more.
pub fn gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
