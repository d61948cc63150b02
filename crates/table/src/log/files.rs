//! The files of a table's log folder, classified by their names.
//!
//! The names that engines write there are known. A file with an unknown name is never touched.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::ObjectMeta;
use object_store::path::Path;
use percent_encoding::percent_decode_str;

use super::TableLog;
use crate::error::StoreError;

/// One file of the log folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Its path in the table's folder.
    pub path: Path,
    /// The kind of the file.
    pub kind: LogFileKind,
    /// The time of the last write.
    pub modified: DateTime<Utc>,
}

/// The kind of a file in the log folder. The number is the version that the file describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFileKind {
    /// The entry of a version.
    Entry(u64),
    /// A part of a checkpoint, and the number of parts of the complete checkpoint.
    Checkpoint(u64, usize),
    /// A file derived from the entries up to a version: a checksum, or several entries in one.
    Derived(u64),
    /// A file written under a temporary name that never got its final one.
    Staged,
    /// Anything else: the hint at the newest checkpoint, other engines' folders.
    Other,
}

impl LogFileKind {
    /// Returns the kind of the file of that name.
    pub fn of(name: &str) -> LogFileKind {
        if name.starts_with('.') && name.ends_with(".tmp")
            || name.starts_with("_commit_") && name.ends_with(".json.tmp")
        {
            return LogFileKind::Staged;
        }
        let Some((version, rest)) = name.split_at_checked(20) else {
            return LogFileKind::Other;
        };
        let (Ok(version), true) = (
            version.parse::<u64>(),
            version.bytes().all(|b| b.is_ascii_digit()),
        ) else {
            return LogFileKind::Other;
        };
        let parts: Vec<&str> = rest.split('.').collect();
        match parts[..] {
            ["", "json"] => LogFileKind::Entry(version),
            ["", "checkpoint", "parquet"] | ["", "checkpoint", _, "parquet" | "json"] => {
                LogFileKind::Checkpoint(version, 1)
            }
            ["", "checkpoint", _, count, "parquet"] => {
                count.parse().map_or(LogFileKind::Other, |count| {
                    LogFileKind::Checkpoint(version, count)
                })
            }
            ["", "crc"] => LogFileKind::Derived(version),
            ["", until, "compacted", "json"] => until
                .parse()
                .map_or(LogFileKind::Other, LogFileKind::Derived),
            _ => LogFileKind::Other,
        }
    }
}

/// A checkpoint whose parts all exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The version whose state it contains.
    pub version: u64,
    /// Its parts.
    pub files: Vec<Path>,
}

impl From<ObjectMeta> for LogFile {
    fn from(file: ObjectMeta) -> LogFile {
        LogFile {
            kind: file
                .location
                .filename()
                .map_or(LogFileKind::Other, LogFileKind::of),
            path: file.location,
            modified: file.last_modified,
        }
    }
}

/// Lists all files of a table's log folder.
pub async fn list(log: &TableLog) -> Result<Vec<LogFile>, StoreError> {
    let listed = log
        .object_store(None)
        .list(Some(log.log_path()))
        .map_ok(LogFile::from);
    Ok(listed.try_collect().await?)
}

/// Lists all files of a table's folder: those of its log, and the others.
pub async fn list_all(log: &TableLog) -> Result<(Vec<LogFile>, Vec<ObjectMeta>), StoreError> {
    let (mut of_log, mut others) = (Vec::new(), Vec::new());
    let mut listed = log.object_store(None).list(None);
    while let Some(file) = listed.try_next().await? {
        match file.location.prefix_matches(log.log_path()) {
            true => of_log.push(LogFile::from(file)),
            false => others.push(file),
        }
    }
    Ok((of_log, others))
}

/// Returns the newest version in the log.
pub fn newest(files: &[LogFile]) -> Option<u64> {
    let entries = files.iter().filter_map(|file| match file.kind {
        LogFileKind::Entry(version) => Some(version),
        _ => None,
    });
    entries
        .chain(newest_checkpoint(files, u64::MAX).map(|checkpoint| checkpoint.version))
        .max()
}

/// Returns the newest complete checkpoint up to `version`.
pub fn newest_checkpoint(files: &[LogFile], version: u64) -> Option<Checkpoint> {
    // Several complete checkpoints of one version have the same content: take the one with the
    // fewest parts.
    let whole = checkpoints(files)
        .into_iter()
        .filter(|checkpoint| checkpoint.version <= version);
    whole.max_by_key(|checkpoint| {
        (
            checkpoint.version,
            std::cmp::Reverse(checkpoint.files.len()),
        )
    })
}

/// Returns every complete checkpoint, with one file for each of its parts.
pub fn checkpoints(files: &[LogFile]) -> Vec<Checkpoint> {
    let mut parts: BTreeMap<(u64, usize), Vec<Path>> = BTreeMap::new();
    for file in files {
        if let LogFileKind::Checkpoint(of, count) = file.kind {
            parts
                .entry((of, count))
                .or_default()
                .push(file.path.clone());
        }
    }
    let whole = parts
        .into_iter()
        .filter(|((_, count), files)| *count > 0 && files.len() >= *count);
    let checkpoint = |((version, count), mut files): ((u64, usize), Vec<Path>)| {
        files.truncate(count);
        Checkpoint { version, files }
    };
    whole.map(checkpoint).collect()
}

/// Decodes the `%xx` of a path. Returns `None` if the result is not UTF-8, or if a `%` is followed by
/// two characters that are not both hexadecimal digits.
pub fn decode(path: &str) -> Option<String> {
    let is_escape = |bytes: &[u8]| bytes[1..].iter().all(u8::is_ascii_hexdigit);
    let mut windows = path.as_bytes().windows(3);
    if !windows.all(|bytes| bytes[0] != b'%' || is_escape(bytes)) {
        return None;
    }
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    Some(decoded.into_owned())
}
