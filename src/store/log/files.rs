//! The files of a table's log folder, told apart by their names.
//!
//! Promises to know the names that engines write there; what it does not know is never touched.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::ObjectMeta;
use object_store::path::Path;

use super::Log;
use crate::store::error::StoreError;

/// One file of the log folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Its path in the table's folder.
    pub path: Path,
    /// What it is.
    pub kind: LogKind,
    /// When it was written last.
    pub modified: DateTime<Utc>,
}

/// What a file of the log folder is. Versions are those that it tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogKind {
    /// The entry of a version.
    Entry(u64),
    /// A part of a checkpoint, and how many parts make it whole.
    Checkpoint(u64, usize),
    /// Something made of entries up to a version: a checksum, several entries in one.
    Derived(u64),
    /// Written under a passing name and never given its own.
    Staged,
    /// Anything else: the hint at the newest checkpoint, other engines' folders.
    Other,
}

impl LogKind {
    /// What the file of that name is.
    pub fn of(name: &str) -> LogKind {
        if name.starts_with('.') && name.ends_with(".tmp")
            || name.starts_with("_commit_") && name.ends_with(".json.tmp")
        {
            return LogKind::Staged;
        }
        let Some((version, rest)) = name.split_at_checked(20) else { return LogKind::Other };
        let (Ok(version), true) = (version.parse::<u64>(), version.bytes().all(|b| b.is_ascii_digit())) else {
            return LogKind::Other;
        };
        let parts: Vec<&str> = rest.split('.').collect();
        match parts[..] {
            ["", "json"] => LogKind::Entry(version),
            ["", "checkpoint", "parquet"] | ["", "checkpoint", _, "parquet" | "json"] => {
                LogKind::Checkpoint(version, 1)
            }
            ["", "checkpoint", _, count, "parquet"] => {
                count.parse().map_or(LogKind::Other, |count| LogKind::Checkpoint(version, count))
            }
            ["", "crc"] => LogKind::Derived(version),
            ["", until, "compacted", "json"] => until.parse().map_or(LogKind::Other, LogKind::Derived),
            _ => LogKind::Other,
        }
    }
}

/// A checkpoint of which every part is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The version whose state it holds.
    pub version: u64,
    /// Its parts.
    pub files: Vec<Path>,
}

impl From<ObjectMeta> for LogFile {
    fn from(file: ObjectMeta) -> LogFile {
        LogFile {
            kind: file.location.filename().map_or(LogKind::Other, LogKind::of),
            path: file.location,
            modified: file.last_modified,
        }
    }
}

/// All files of a table's log folder.
pub async fn list(log: &Log) -> Result<Vec<LogFile>, StoreError> {
    let listed = log.object_store(None).list(Some(log.log_path())).map_ok(LogFile::from);
    Ok(listed.try_collect().await?)
}

/// All files of a table's folder: those of its log, and the others.
pub async fn list_all(log: &Log) -> Result<(Vec<LogFile>, Vec<ObjectMeta>), StoreError> {
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

/// The newest version that the log tells of.
pub fn newest(files: &[LogFile]) -> Option<u64> {
    let entries = files.iter().filter_map(|file| match file.kind {
        LogKind::Entry(version) => Some(version),
        _ => None,
    });
    entries.chain(newest_checkpoint(files, u64::MAX).map(|checkpoint| checkpoint.version)).max()
}

/// The newest whole checkpoint up to `version`.
pub fn newest_checkpoint(files: &[LogFile], version: u64) -> Option<Checkpoint> {
    // Several complete checkpoints of one version have the same content: take the one with the fewest parts.
    let whole = checkpoints(files).into_iter().filter(|checkpoint| checkpoint.version <= version);
    whole.max_by_key(|checkpoint| (checkpoint.version, std::cmp::Reverse(checkpoint.files.len())))
}

/// Returns every complete checkpoint, with one file for each of its parts.
pub fn checkpoints(files: &[LogFile]) -> Vec<Checkpoint> {
    let mut parts: BTreeMap<(u64, usize), Vec<Path>> = BTreeMap::new();
    for file in files {
        if let LogKind::Checkpoint(of, count) = file.kind {
            parts.entry((of, count)).or_default().push(file.path.clone());
        }
    }
    let whole = parts.into_iter().filter(|((_, count), files)| *count > 0 && files.len() >= *count);
    let checkpoint = |((version, count), mut files): ((u64, usize), Vec<Path>)| {
        files.truncate(count);
        Checkpoint { version, files }
    };
    whole.map(checkpoint).collect()
}

/// A path with its `%xx` undone; `None` if that is no text.
pub fn decode(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                bytes.push(digit(high)? * 16 + digit(low)?);
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}
