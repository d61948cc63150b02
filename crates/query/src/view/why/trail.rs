//! Follows the records of one ingest commit through the log: the files that it added, and those
//! that replaced them.
//!
//! If the record is stored, its file is among those that are found. A rewrite of several segments
//! is followed within each bucket, since no rewrite changes the bucket of a row.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use serde_json::Value;

use super::RecordCommit;
use ebbtide_base::ids::{Bucket, Category, Offset, ProfileId, TopicPartition};
use ebbtide_table::error::StoreError;
use ebbtide_table::evidence::{Evidence, RewriteEvidence};
use ebbtide_table::log::{LogEntry, TableLog, files, read_entry};
use ebbtide_table::spec::expires_column;

/// Returns the store's path for a path of the log.
fn decoded(path: &str) -> String {
    files::decode(path).unwrap_or_else(|| path.to_owned())
}

/// Returns the value of a partition column in a path.
fn partition_value(path: &str, column: &str) -> Option<String> {
    let path = decoded(path);
    // A value may itself be encoded like the path.
    let value = path
        .split('/')
        .find_map(|part| part.strip_prefix(column)?.strip_prefix('='))?;
    Some(decoded(value))
}

/// Returns the bucket of the rows of a file, by its path.
pub(in crate::view) fn bucket_of(path: &str) -> Option<Bucket> {
    partition_value(path, "bucket")?.parse().ok()
}

/// Returns the profile of the rows of a file, by its path.
pub(super) fn profile_of(path: &str) -> Option<ProfileId> {
    partition_value(path, "profile")?.parse().ok()
}

/// Returns the entry of the commit that read an offset, among those of `versions`;
/// `None` if it is not among them. Uses a binary search: a partition only moves forwards.
pub(super) async fn ingest(
    log: &TableLog,
    versions: RangeInclusive<u64>,
    partition: &TopicPartition,
    offset: Offset,
) -> Result<Option<LogEntry>, StoreError> {
    // The entry, if any, is of a version in `from..until`.
    let (mut from, mut until) = (*versions.start(), versions.end() + 1);
    while from < until {
        let middle = from + (until - from) / 2;
        let mut at = middle;
        // The first from the middle on that moved the partition.
        let moved = loop {
            if at >= until {
                break None;
            }
            let entry = read_entry(log, at).await?;
            let evidence = entry.as_ref().and_then(|entry| entry.evidence.as_ref());
            let moved = evidence.and_then(|evidence| moved(evidence, partition));
            match (moved, entry) {
                (Some(moved), Some(entry)) => break Some((moved, entry)),
                _ => at += 1,
            }
        };
        match moved {
            Some(((first, next), entry)) if first <= offset && offset < next => {
                return Ok(Some(entry));
            }
            Some(((_, next), _)) if next <= offset => from = at + 1,
            _ => until = middle,
        }
    }
    Ok(None)
}

fn moved(evidence: &Evidence, partition: &TopicPartition) -> Option<(Offset, Offset)> {
    let moved = evidence
        .partitions
        .iter()
        .find(|moved| moved.partition == *partition)?;
    Some((moved.from.unwrap_or(Offset::ZERO), moved.next))
}

/// The files that contained the records of one commit, and the commits that added them.
pub(super) struct CommitTrail {
    /// Every file found, including those that were removed later.
    files: HashMap<String, File>,
    /// The commits that removed such files, with the files.
    rewrites: Vec<(RecordCommit, Option<RewriteEvidence>, Vec<String>)>,
}

struct File {
    /// The commit that added it.
    made: RecordCommit,
    /// The files that it replaced.
    from: Vec<String>,
    /// The minimum values in its statistics.
    least: BTreeMap<String, Value>,
}

impl CommitTrail {
    /// Follows the files that `ingest` added through the entries after it, up to `newest`.
    pub(super) async fn follow(
        log: &TableLog,
        ingest: &LogEntry,
        newest: u64,
    ) -> Result<CommitTrail, StoreError> {
        let mut trail = CommitTrail {
            files: HashMap::new(),
            rewrites: Vec::new(),
        };
        trail.add(ingest, |_| Some(Vec::new()));
        for version in ingest.version + 1..=newest {
            if let Some(entry) = read_entry(log, version).await? {
                trail.enter(&entry);
            }
        }
        Ok(trail)
    }

    fn enter(&mut self, entry: &LogEntry) {
        let removed = entry.removed.iter().map(|path| decoded(path));
        let removed: Vec<String> = removed
            .filter(|path| self.files.contains_key(path))
            .collect();
        if removed.is_empty() {
            return;
        }
        let before = |path: &str| {
            let (bucket, profile) = (bucket_of(path), profile_of(path));
            let from: Vec<String> = removed
                .iter()
                .filter(|removed| bucket_of(removed) == bucket)
                .cloned()
                .collect();
            // A file has rows of another profile's files only if their profile changed.
            let alike: Vec<String> = from
                .iter()
                .filter(|from| profile_of(from) == profile)
                .cloned()
                .collect();
            let from = if alike.is_empty() { from } else { alike };
            (!from.is_empty()).then_some(from)
        };
        self.add(entry, before);
        let did = entry
            .evidence
            .as_ref()
            .and_then(|evidence| evidence.rewrite.clone());
        self.rewrites
            .push((RecordCommit::from_entry(entry), did, removed));
    }

    fn add(&mut self, entry: &LogEntry, from: impl Fn(&str) -> Option<Vec<String>>) {
        for added in &entry.added {
            let path = decoded(&added.path);
            let Some(from) = from(&path) else { continue };
            let stats = added
                .stats
                .as_deref()
                .and_then(|stats| serde_json::from_str::<Value>(stats).ok());
            let least =
                stats.and_then(|mut stats| serde_json::from_value(stats["minValues"].take()).ok());
            self.files.insert(
                path,
                File {
                    made: RecordCommit::from_entry(entry),
                    from,
                    least: least.unwrap_or_default(),
                },
            );
        }
    }

    /// Returns true if the record may be in the file.
    pub(super) fn leads_to(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Returns the commit that removed a category from the file's rows; `None` if none of the
    /// followed commits did.
    pub(super) fn took(&self, path: &str, category: &Category) -> Option<RecordCommit> {
        let column = expires_column(category);
        let mut at = path;
        loop {
            let file = self.files.get(at)?;
            let had = file.from.iter().find(|before| {
                self.files
                    .get(before.as_str())
                    .is_some_and(|before| before.least.contains_key(&column))
            });
            match had {
                Some(_) => return Some(file.made.clone()),
                // None of them had it: it was removed earlier, or was never there.
                None => at = file.from.first()?,
            }
        }
    }

    /// Returns the followed commits that removed records from files that `looked` accepts.
    pub(super) fn ends(&self, looked: impl Fn(&str) -> bool) -> Vec<RecordCommit> {
        let ended = self.rewrites.iter().filter(|(_, did, removed)| {
            let ends = did
                .as_ref()
                .is_none_or(|did| did.removed + did.suppressed + did.cell_records > 0);
            ends && removed.iter().any(|path| looked(path))
        });
        ended.map(|(step, ..)| step.clone()).collect()
    }
}
