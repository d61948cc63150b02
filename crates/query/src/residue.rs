//! Searches for given values everywhere under the root: in the bytes of every file, in names, and
//! in content that Parquet, JSON, gzip and zstd hide from a search of bytes.
//!
//! A result without findings means that everything was searched: parts that could not be searched
//! are in the result, and files that appear or change meanwhile are searched again. Changes
//! nothing, and identifies a value only by its line.

mod chance;
mod columns;
mod escapes;
mod file;
mod finding;
mod forms;
mod list_line;
mod objects;
mod packed;
mod scan;
mod typed;
mod values;
mod walk;

pub use finding::{
    BloomCounts, Finding, LocationKind, ResidueOutcome, ResidueReport, UnsearchedPart,
};
pub use list_line::ListLine;
pub use values::{PrepareValuesError, SearchCounts, SearchValues};

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use self::finding::FileFindings;
use self::walk::{FileStamp, RootEntry, RootEntryKind};
use ebbtide_base::ids::Country;
use ebbtide_policy::tag::FormsMark;
use ebbtide_table::root::Root;
use ebbtide_table::source::StoreFile;

/// The maximum number of times that files that appeared or changed during the search are searched
/// again.
const ROUNDS: usize = 5;

/// The maximum number of threads: with more, reading would be slower than searching.
const THREADS: usize = 8;

/// The progress of a search.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResidueProgress {
    /// The number of files that were searched.
    pub files: u64,
    /// The number of files that were listed.
    pub of_files: u64,
    /// The number of bytes that were read.
    pub bytes: u64,
    /// The number of bytes of the listed files.
    pub of_bytes: u64,
}

/// A callback for the progress, called from several threads.
pub type ProgressCallback<'a> = dyn Fn(ResidueProgress) + Sync + 'a;

/// A root that cannot be searched.
#[derive(Debug, thiserror::Error)]
pub enum ResidueSearchError {
    /// The folder does not exist or is empty. That proves nothing about the values.
    #[error("there is nothing to search under {0}")]
    Nothing(String),
}

/// Counts the files and bytes that were read, and reports the progress.
pub(crate) struct ProgressMeter<'a> {
    watch: &'a ProgressCallback<'a>,
    files: AtomicU64,
    of_files: AtomicU64,
    bytes: AtomicU64,
    of_bytes: AtomicU64,
}

impl ProgressMeter<'_> {
    /// Records that `bytes` more bytes were read.
    fn read(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.report();
    }

    fn report(&self) {
        let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (files, bytes) = (now(&self.files), now(&self.bytes));
        (self.watch)(ResidueProgress {
            files,
            of_files: now(&self.of_files),
            bytes,
            of_bytes: now(&self.of_bytes),
        });
    }
}

/// A file under the root, as it was listed.
struct ListedFile {
    path: PathBuf,
    bytes: u64,
    stamp: FileStamp,
}

/// The findings in a file, and its stamp when it was listed.
struct SearchedFile {
    stamp: FileStamp,
    findings: FileFindings,
}

/// Searches everything under the root for the values. Errors only if there is nothing to search.
pub fn search(
    root: &Root,
    values: &Arc<SearchValues>,
    watch: &ProgressCallback<'_>,
) -> Result<ResidueReport, ResidueSearchError> {
    let meter = ProgressMeter {
        watch,
        files: AtomicU64::new(0),
        of_files: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        of_bytes: AtomicU64::new(0),
    };
    let mut done: BTreeMap<PathBuf, SearchedFile> = BTreeMap::new();
    let mut rounds = 0;
    loop {
        let entries = list(root);
        if entries.is_empty()
            || (rounds == 0 && root.local().is_some_and(|folder| !folder.is_dir()))
        {
            return Err(ResidueSearchError::Nothing(root.to_string()));
        }
        let files = entries.iter().filter_map(|entry| match entry.kind {
            RootEntryKind::File(bytes, stamp) => Some(ListedFile {
                path: entry.path.clone(),
                bytes,
                stamp,
            }),
            _ => None,
        });
        let new: Vec<_> = files
            .filter(|file| {
                done.get(&file.path)
                    .is_none_or(|then| then.stamp != file.stamp)
            })
            .collect();
        if new.is_empty() || rounds == ROUNDS {
            let changing: BTreeSet<PathBuf> = new.into_iter().map(|file| file.path).collect();
            return Ok(sum(&entries, done, &changing, values));
        }
        done.extend(search_files(root, &new, values, &meter));
        rounds += 1;
    }
}

/// Returns the default countries of national numbers under the root, by the marks in the names of
/// its files. Blocks.
#[must_use]
pub fn default_countries(root: &Root) -> Vec<Country> {
    let named = |entry: &RootEntry| {
        let name = entry.path.file_name()?.to_str()?;
        FormsMark::of_name(name)?.default_country()
    };
    list(root)
        .iter()
        .filter_map(named)
        .collect::<BTreeSet<Country>>()
        .into_iter()
        .collect()
}

/// Lists everything under the root.
fn list(root: &Root) -> Vec<RootEntry> {
    match root.local() {
        Some(folder) => walk::list(folder),
        None => objects::list(root),
    }
}

/// Combines the findings in everything that the last listing names. Files that were deleted
/// meanwhile are left out.
fn sum(
    entries: &[RootEntry],
    mut done: BTreeMap<PathBuf, SearchedFile>,
    changing: &BTreeSet<PathBuf>,
    values: &SearchValues,
) -> ResidueReport {
    let mut residue = ResidueReport {
        values: values.len() as u64,
        searched_for: values.searched_for(),
        ..ResidueReport::default()
    };
    for entry in entries {
        let mut found = name(entry, values);
        if let Some(searched) = done.remove(&entry.path) {
            let content = searched.findings;
            residue.files += 1;
            found.seen.extend(content.seen);
            found.unsearched.extend(content.unsearched);
            (found.bytes, found.blooms) = (content.bytes, content.blooms);
        }
        if changing.contains(&entry.path) {
            found.missed("it came or changed again and again during the search");
        }
        residue.take(&entry.path.to_string_lossy(), found, values);
    }
    residue
        .findings
        .sort_by(|a, b| (a.line, a.place, &a.file).cmp(&(b.line, b.place, &b.file)));
    residue
}

/// Searches the name of an entry, and reports an entry that cannot be searched.
fn name(entry: &RootEntry, values: &SearchValues) -> FileFindings {
    let mut lines = BTreeSet::new();
    let path = entry.path.as_os_str().as_bytes();
    // A match that ends before the last name is found in the name of a folder above.
    let last = path
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    values.automaton.search(path, |line, at| {
        lines.extend((at.end > last).then_some(line))
    });
    let mut missed = None;
    let mut within = vec![&path[last..]];
    match &entry.kind {
        RootEntryKind::File(..) | RootEntryKind::Folder => {}
        RootEntryKind::Link(target) => {
            within.push(target.as_os_str().as_bytes());
            missed = Some("it is a link: what it names was not searched".to_owned());
        }
        RootEntryKind::Special => {
            missed = Some("it is no file: a device, a socket or a pipe".to_owned())
        }
        RootEntryKind::Unreadable(why) => missed = Some(format!("it cannot be listed: {why}")),
    }
    for name in within {
        values
            .automaton
            .search(name, |line, _| lines.extend([line]));
        let _: Option<()> = escapes::search(name, |layer| {
            values
                .automaton
                .search(layer, |line, _| lines.extend([line]));
            None
        });
    }
    let mut found = FileFindings::default();
    lines
        .into_iter()
        .for_each(|line| found.hit(line, LocationKind::Name.into(), None));
    found.unsearched.extend(missed);
    found
}

/// Searches the files in several threads.
fn search_files(
    root: &Root,
    files: &[ListedFile],
    values: &Arc<SearchValues>,
    meter: &ProgressMeter<'_>,
) -> Vec<(PathBuf, SearchedFile)> {
    meter
        .of_files
        .fetch_add(files.len() as u64, Ordering::Relaxed);
    meter
        .of_bytes
        .fetch_add(files.iter().map(|file| file.bytes).sum(), Ordering::Relaxed);
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Vec::with_capacity(files.len()));
    let work = || {
        while let Some(listed) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let ListedFile { path, stamp, .. } = listed;
            let opened = match root.local() {
                Some(folder) => File::open(folder.join(path)).and_then(StoreFile::of_file),
                None => objects::open(root, path),
            };
            let searched = SearchedFile {
                stamp: *stamp,
                findings: file::search(opened, path, values, meter),
            };
            all.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((path.clone(), searched));
            meter.files.fetch_add(1, Ordering::Relaxed);
            meter.report();
        }
    };
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(THREADS);
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
