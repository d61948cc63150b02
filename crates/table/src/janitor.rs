//! The files that a table no longer needs: old log entries, replaced files and files that no commit
//! names. One pass of maintenance deletes them, apart from the commit path.
//!
//! A file that a live version, a reader within its grace or a writer in flight needs is never
//! deleted. The list of replaced files comes from the log. If another engine's checkpoint drops it,
//! the file counts as one that no commit names.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use object_store::ObjectMeta;

use super::deletions::{Deletions, OverdueFiles};
use super::error::StoreError;
use super::log::files::{self, LogFile, LogFileKind};
use super::log::{LogState, TableLog, checkpoint};

/// Settings for the maintenance of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaintenanceSettings {
    /// Commits after which a new checkpoint is made.
    pub checkpoint_every: u64,
    /// The time for which log entries are kept after a checkpoint covers them.
    pub keep_log: TimeDelta,
    /// The time for which a file that no commit names may belong to a writer in flight. Longer than
    /// any write can last.
    pub keep_orphans: TimeDelta,
    /// The time for which a replaced file is kept for readers of an older version.
    pub readers_grace: TimeDelta,
    /// The maximum number of files that one pass deletes.
    pub limit: usize,
}

impl Default for MaintenanceSettings {
    fn default() -> Self {
        Self {
            checkpoint_every: 100,
            keep_log: TimeDelta::days(30),
            keep_orphans: TimeDelta::hours(24),
            readers_grace: TimeDelta::hours(1),
            limit: 1000,
        }
    }
}

/// The files that one pass deletes, or would delete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CleanupPlan {
    /// Log files that a checkpoint made unnecessary, oldest first.
    pub log: Vec<String>,
    /// Files that were replaced, earliest replacement first.
    pub replaced: Vec<String>,
    /// The number of replaced files that still exist and are within the readers' grace.
    pub in_grace: usize,
    /// Files that were written and never committed, oldest first.
    pub orphans: Vec<String>,
    /// True if more files are due than one pass deletes.
    pub more: bool,
}

impl CleanupPlan {
    /// Returns true if it names no file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.replaced.is_empty() && self.log.is_empty() && self.orphans.is_empty()
    }
}

/// A file that should be deleted, and the time since which it should.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DueFile {
    path: String,
    since: DateTime<Utc>,
}

/// Everything that should be deleted, each list in the order in which it is deleted.
#[derive(Debug, Default)]
pub struct DueFiles {
    replaced: Vec<DueFile>,
    log: Vec<DueFile>,
    orphans: Vec<DueFile>,
    /// The number of replaced files within the readers' grace.
    pub in_grace: usize,
}

impl DueFiles {
    fn iter(&self) -> impl Iterator<Item = &DueFile> {
        self.replaced.iter().chain(&self.log).chain(&self.orphans)
    }

    /// Returns all of them as overdue.
    pub fn overdue(&self) -> OverdueFiles {
        let mut overdue = OverdueFiles::default();
        self.iter().for_each(|file| overdue.add(Some(file.since)));
        overdue
    }
}

/// Finds everything in a table's folder that should be deleted at `now`.
pub async fn due_files(
    log: &TableLog,
    state: &mut LogState,
    now: DateTime<Utc>,
    upkeep: &MaintenanceSettings,
) -> Result<DueFiles, StoreError> {
    let before = state.version;
    let (listed, mut data) = files::list_all(log).await?;
    data.retain(is_data);
    // Read after the listing, which may take minutes: a listed file that was committed meanwhile
    // would look like an orphan.
    state.read_on(log).await?;
    let entries = listed.iter().filter_map(|file| {
        if let LogFileKind::Entry(version) = file.kind {
            Some(version)
        } else {
            None
        }
    });
    // The listing does not contain the age of entries that were written after it.
    let newest = entries.max().unwrap_or(before).max(before);
    let named = checkpoint::named(log, &listed, newest.max(state.version)).await?;
    let named = LoggedFiles::of(named);
    // Checkpoints that could not be read above are skipped.
    let listed: Vec<LogFile> = listed
        .into_iter()
        .filter(|file| !log.hides(&file.path))
        .collect();
    let until = newest.min(state.evidence_at.unwrap_or(newest));
    let mut needless = needless(&listed, until, now, upkeep.keep_log);
    // Files before a checkpoint are needed as long as the checkpoint cannot be read.
    if !needless.is_empty() && !log.is_readable(&listed, until).await? {
        needless.clear();
    }
    needless.extend(staged(&listed, now, upkeep.keep_orphans));
    let (replaced, in_grace) = replaced(&data, &named, now, upkeep.readers_grace);
    let orphans = orphans(data, &named, now, upkeep.keep_orphans);
    Ok(DueFiles {
        replaced,
        log: needless,
        orphans,
        in_grace,
    })
}

/// Paths that the last pass of this process saw, so that a file is overdue once two passes in a row
/// find it.
#[derive(Debug, Clone, Default)]
pub(super) struct LastPass {
    /// Files that were due.
    due: HashSet<String>,
    /// Files whose deletion failed. They are tried again after all others.
    pub(super) failed: HashSet<String>,
    /// Files that the store reported as deleted.
    deleted: HashSet<String>,
}

impl LastPass {
    /// Counts the files that should have been deleted before this pass and still exist after it,
    /// and remembers this pass.
    pub(super) fn count(&mut self, due: &DueFiles, done: &Deletions) -> OverdueFiles {
        let mut overdue = OverdueFiles::default();
        let mut seen = HashSet::new();
        for file in due.iter() {
            let waits = self.due.contains(&file.path) && !done.deleted.contains(&file.path);
            if done.failed.contains(&file.path) || waits || self.deleted.contains(&file.path) {
                overdue.add(Some(file.since));
            }
            seen.insert(file.path.clone());
        }
        *self = LastPass {
            due: seen,
            failed: done.failed.clone(),
            deleted: done.deleted.clone(),
        };
        overdue
    }
}

/// Returns true if a file contains rows: a Parquet file whose path has no name that begins with `_`
/// or `.`.
fn is_data(file: &ObjectMeta) -> bool {
    let hidden = file
        .location
        .parts()
        .any(|part| part.as_ref().starts_with(['_', '.']));
    !hidden && file.location.as_ref().ends_with(".parquet")
}

/// Returns the time before which a file must have been written or replaced to be due at `now`.
fn old(now: DateTime<Utc>, kept: TimeDelta) -> DateTime<Utc> {
    now.checked_sub_signed(kept)
        .unwrap_or(DateTime::<Utc>::MIN_UTC)
}

/// Returns the time at which a file that was written or replaced at `from` is due.
fn due_at(from: DateTime<Utc>, kept: TimeDelta) -> DateTime<Utc> {
    from.checked_add_signed(kept)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Returns the log's files that the newest checkpoint up to `until` makes needless, oldest version
/// first: those of versions before it that are older than `kept`. A checkpoint does not count if a
/// young version precedes it.
fn needless(listed: &[LogFile], until: u64, now: DateTime<Utc>, kept: TimeDelta) -> Vec<DueFile> {
    let old = old(now, kept);
    let young = listed
        .iter()
        .filter(|file| file.modified >= old)
        .filter_map(|file| match file.kind {
            LogFileKind::Entry(version) => Some(version),
            _ => None,
        });
    let until = young.min().unwrap_or(until).min(until);
    let Some(checkpoint) = files::newest_checkpoint(listed, until) else {
        return Vec::new();
    };
    let mut needless: Vec<(u64, DueFile)> = Vec::new();
    for file in listed.iter().filter(|file| file.modified < old) {
        if let LogFileKind::Entry(version)
        | LogFileKind::Checkpoint(version, _)
        | LogFileKind::Derived(version) = file.kind
            && version < checkpoint.version
        {
            needless.push((
                version,
                DueFile {
                    path: file.path.to_string(),
                    since: due_at(file.modified, kept),
                },
            ));
        }
    }
    needless.sort_by(|a, b| (a.0, &a.1.path).cmp(&(b.0, &b.1.path)));
    needless.into_iter().map(|(_, file)| file).collect()
}

/// Returns the log's files under temporary names that are too old to belong to a writer in flight.
fn staged(listed: &[LogFile], now: DateTime<Utc>, kept: TimeDelta) -> Vec<DueFile> {
    let old = old(now, kept);
    let staged = listed
        .iter()
        .filter(|file| file.kind == LogFileKind::Staged && file.modified < old);
    staged
        .map(|file| DueFile {
            path: file.path.to_string(),
            since: due_at(file.modified, kept),
        })
        .collect()
}

/// The files that the log names. Each path is stored in both forms: some engines encode it as in a
/// URL and some do not.
#[derive(Debug, Default)]
struct LoggedFiles {
    active: HashSet<String>,
    removed: HashMap<String, Option<i64>>,
}

impl LoggedFiles {
    fn of(named: checkpoint::NamedFiles) -> LoggedFiles {
        let plain = |path: &str| path.trim_start_matches("./").to_owned();
        let mut known = LoggedFiles::default();
        for (path, at) in named.removed {
            known
                .removed
                .extend(files::decode(&path).map(|decoded| (plain(&decoded), at)));
            known.removed.insert(plain(&path), at);
        }
        for path in named.active {
            known
                .active
                .extend(files::decode(&path).map(|decoded| plain(&decoded)));
            known.active.insert(plain(&path));
        }
        known
    }

    /// Returns true if the newest version lists a file, in either form of its path.
    fn lists(&self, path: &str) -> bool {
        let decoded = files::decode(path);
        self.active.contains(path) || decoded.is_some_and(|path| self.active.contains(&path))
    }

    /// Returns the time at which a file was removed, in milliseconds, if the log has it; `None` if
    /// the log does not name the file as removed.
    fn removed(&self, path: &str) -> Option<Option<i64>> {
        let decoded = || files::decode(path).and_then(|path| self.removed.get(&path));
        self.removed.get(path).or_else(decoded).copied()
    }
}

/// Returns the files that were removed longer than `grace` ago, oldest removal first, and the
/// number that were removed since. A file whose removal has no time counts as an orphan.
fn replaced(
    data: &[ObjectMeta],
    known: &LoggedFiles,
    now: DateTime<Utc>,
    grace: TimeDelta,
) -> (Vec<DueFile>, usize) {
    let old = old(now, grace).timestamp_millis();
    let (mut replaced, mut in_grace) = (Vec::new(), 0);
    for file in data {
        let path = file.location.as_ref();
        let Some(Some(at)) = known.removed(path).filter(|_| !known.lists(path)) else {
            continue;
        };
        if at < old {
            let removed = DateTime::from_timestamp_millis(at).unwrap_or(DateTime::<Utc>::MIN_UTC);
            replaced.push(DueFile {
                path: path.to_owned(),
                since: due_at(removed, grace),
            });
        } else {
            in_grace += 1;
        }
    }
    replaced.sort_by(|a, b| (a.since, &a.path).cmp(&(b.since, &b.path)));
    (replaced, in_grace)
}

/// Returns the files that no version lists and no commit removed, oldest first. Each condition can
/// only shrink the list.
fn orphans(
    data: Vec<ObjectMeta>,
    known: &LoggedFiles,
    now: DateTime<Utc>,
    kept: TimeDelta,
) -> Vec<DueFile> {
    let old = old(now, kept);
    let mut orphans: Vec<DueFile> = data
        .into_iter()
        .filter(|file| file.last_modified < old)
        .map(|file| DueFile {
            path: file.location.to_string(),
            since: due_at(file.last_modified, kept),
        })
        .filter(|file| {
            !known.lists(&file.path) && known.removed(&file.path).is_none_or(|at| at.is_none())
        })
        .collect();
    orphans.sort_by(|a, b| (a.since, &a.path).cmp(&(b.since, &b.path)));
    orphans
}

/// Chooses at most `limit` files: replaced files first, since only those wait for readers, and
/// files that `failed` before last, so that no number of them delays the others.
pub(super) fn bounded(due: &DueFiles, failed: &HashSet<String>, limit: usize) -> CleanupPlan {
    let mut room = limit;
    let mut plan = CleanupPlan {
        in_grace: due.in_grace,
        ..CleanupPlan::default()
    };
    for again in [false, true] {
        let lists = [
            (&due.replaced, &mut plan.replaced),
            (&due.log, &mut plan.log),
            (&due.orphans, &mut plan.orphans),
        ];
        for (from, to) in lists {
            let before = to.len();
            let chosen = from
                .iter()
                .filter(|file| failed.contains(&file.path) == again)
                .take(room);
            to.extend(chosen.map(|file| file.path.clone()));
            room -= to.len() - before;
        }
    }
    let chosen = plan.replaced.len() + plan.log.len() + plan.orphans.len();
    plan.more = chosen < due.iter().count();
    plan
}

#[cfg(test)]
mod tests;
