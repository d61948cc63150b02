//! Lists every object under a root in an object store, and the folders that their names imply.
//!
//! Like the walk through a folder, it never misses an object without reporting it.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path as FsPath, PathBuf};

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore};

use super::walk::{FileStamp, RootEntry, RootEntryKind};
use ebbtide_table::objects;
use ebbtide_table::root::Root;
use ebbtide_table::source::StoreFile;

/// Lists everything under `root`, each folder before its contents. Blocks.
pub fn list(root: &Root) -> Vec<RootEntry> {
    let unreadable = |why: String| {
        vec![RootEntry {
            path: PathBuf::new(),
            kind: RootEntryKind::Unreadable(why),
        }]
    };
    let runtime = match objects::runtime() {
        Ok(runtime) => runtime,
        Err(why) => return unreadable(why),
    };
    let listed = runtime.block_on(
        root.store()
            .list(Some(root.at()))
            .try_collect::<Vec<ObjectMeta>>(),
    );
    match listed {
        Ok(objects) => entries(root.at(), &objects),
        Err(error) => unreadable(error.to_string()),
    }
}

fn entries(root: &Path, objects: &[ObjectMeta]) -> Vec<RootEntry> {
    let (mut entries, mut folders) = (Vec::with_capacity(objects.len()), BTreeSet::new());
    for object in objects {
        let below = object.location.prefix_match(root).into_iter().flatten();
        let path: PathBuf = below.map(|part| part.as_ref().to_owned()).collect();
        folders.extend(
            path.ancestors()
                .skip(1)
                .filter(|above| *above != FsPath::new(""))
                .map(FsPath::to_owned),
        );
        entries.push(RootEntry {
            path,
            kind: RootEntryKind::File(object.size, stamp(object)),
        });
    }
    entries.extend(folders.into_iter().map(|path| RootEntry {
        path,
        kind: RootEntryKind::Folder,
    }));
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

/// Opens the object at a path relative to the root. Blocks.
pub fn open(root: &Root, path: &FsPath) -> io::Result<StoreFile> {
    let runtime = objects::runtime().map_err(io::Error::other)?;
    // The path as it was listed: encoded characters in a name are not encoded again.
    let at = Path::parse(format!("{}/{}", root.at(), path.display())).map_err(io::Error::other)?;
    let opened = runtime.block_on(async { StoreFile::open(root.store(), at).await });
    opened.map_err(|error| match error {
        Error::NotFound { .. } => io::ErrorKind::NotFound.into(),
        error => io::Error::other(error.to_string()),
    })
}

/// Returns a stamp of the object's content: it changes with the ETag, the size or the time of
/// change.
fn stamp(object: &ObjectMeta) -> FileStamp {
    let mut hasher = DefaultHasher::new();
    object.e_tag.hash(&mut hasher);
    let at = object.last_modified;
    (
        hasher.finish(),
        0,
        object.size,
        at.timestamp(),
        at.timestamp_subsec_nanos().into(),
    )
}
