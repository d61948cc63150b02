//! Keeps a table's log short and its folder clean, apart from the commit path: checkpoints, old log entries, orphans, and the
//! unlinking of what was replaced.
//!
//! Promises that what a live version, a reader within its grace or a writer in flight needs is never deleted, that each pass is
//! bounded, and that what it would delete can be seen first. The list of what is to be unlinked is the log's own: a file that it
//! says was removed. Should another engine's checkpoint forget that, the file is an orphan, and goes as one.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};

use super::error::StoreError;
use super::log::checkpoint;
use super::log::files::{self, LogFile, LogKind};
use super::table::Table;

/// How a table is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upkeep {
    /// Commits after which a new checkpoint is made.
    pub checkpoint_every: u64,
    /// How long log entries are kept once a checkpoint holds what they say.
    pub keep_log: TimeDelta,
    /// How long a file that no commit names is taken for one of a writer in flight. Longer than any write can last.
    pub keep_orphans: TimeDelta,
    /// How long a replaced file stays for those who read an older version.
    pub readers_grace: TimeDelta,
    /// How many files one pass deletes at most.
    pub limit: usize,
}

impl Default for Upkeep {
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

/// What one pass deletes, or would delete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Files of the log that a checkpoint made needless, oldest first.
    pub log: Vec<String>,
    /// Files that were replaced, those replaced first in front.
    pub replaced: Vec<String>,
    /// Replaced files that are still there and within the readers' grace.
    pub in_grace: usize,
    /// Files that were written and never committed, oldest first.
    pub orphans: Vec<String>,
    /// Whether more is left than one pass deletes.
    pub more: bool,
}

/// What one pass did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maintained {
    /// The version of the checkpoint that was made.
    pub checkpoint: Option<u64>,
    /// What was deleted.
    pub deleted: Plan,
}

impl Table {
    /// One pass: a checkpoint if one is due, then the plan's deletions. Safe beside other instances' passes and any writer.
    pub async fn maintain(&mut self, now: DateTime<Utc>, upkeep: &Upkeep) -> Result<Maintained, StoreError> {
        self.refresh().await?;
        let made = self.checkpoint(upkeep.checkpoint_every).await?;
        let plan = self.plan(now, upkeep).await?;
        // What was replaced first: it is what the others wait for.
        for path in plan.replaced.iter().chain(&plan.log).chain(&plan.orphans) {
            match self.log.object_store(None).delete(&Path::from(path.as_str())).await {
                // Another instance's pass was faster.
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Maintained { checkpoint: made, deleted: plan })
    }

    /// What [`Table::maintain`] would delete at `now`.
    pub async fn plan(&mut self, now: DateTime<Utc>, upkeep: &Upkeep) -> Result<Plan, StoreError> {
        let before = self.state.version;
        let (listed, mut data) = files::list_all(&self.log).await?;
        data.retain(is_data);
        // Never before the list, which may take minutes: a file of it that was committed meanwhile would be taken for an orphan.
        self.refresh().await?;
        let entries =
            listed.iter().filter_map(|file| if let LogKind::Entry(version) = file.kind { Some(version) } else { None });
        // Of what came behind the list it does not tell how young it is.
        let newest = entries.max().unwrap_or(before).max(before);
        let named = checkpoint::named(&self.log, &listed, newest.max(self.state.version)).await?;
        let named = Known::of(named);
        let old = |kept: TimeDelta| now.checked_sub_signed(kept).unwrap_or(DateTime::<Utc>::MIN_UTC);
        let mut log = needless(&listed, newest.min(self.state.evidence_at.unwrap_or(newest)), old(upkeep.keep_log));
        log.extend(staged(&listed, old(upkeep.keep_orphans)));
        let (replaced, in_grace) = replaced(&data, &named, old(upkeep.readers_grace));
        let orphans = orphans(data, &named, old(upkeep.keep_orphans));
        Ok(Plan { in_grace, ..bounded(replaced, log, orphans, upkeep.limit) })
    }

    /// Makes a checkpoint of the newest version if the newest checkpoint is at least `every` commits behind.
    async fn checkpoint(&mut self, every: u64) -> Result<Option<u64>, StoreError> {
        let version = self.state.version;
        let is_young = |newest: Option<u64>| version.saturating_sub(newest.unwrap_or(0)) < every.max(1);
        // To list the log is dear, and newer ones only make it younger.
        if is_young(self.checkpointed) {
            return Ok(None);
        }
        let listed = files::list(&self.log).await?;
        self.checkpointed = files::newest_checkpoint(&listed, u64::MAX).map(|checkpoint| checkpoint.version);
        if is_young(self.checkpointed) {
            return Ok(None);
        }
        let engine = self.log.engine(None);
        let mut url = self.log.root_url().clone();
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let made = tokio::task::spawn_blocking(move || {
            let snapshot = delta_kernel::Snapshot::builder_for(url).at_version(version).build(engine.as_ref())?;
            snapshot.checkpoint(engine.as_ref(), None)
        });
        let failed = |why: String| StoreError::Refused(format!("the checkpoint was not made: {why}"));
        made.await.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))?;
        self.checkpointed = Some(version);
        Ok(Some(version))
    }
}

/// Whether a file is one of rows: no name that begins with `_` or `.` on the way to it.
fn is_data(file: &ObjectMeta) -> bool {
    let hidden = file.location.parts().any(|part| part.as_ref().starts_with(['_', '.']));
    !hidden && file.location.as_ref().ends_with(".parquet")
}

/// The log's files that the newest checkpoint up to `until` makes needless, oldest version first: those of versions before
/// it, written before `old`. Nothing where a version that is still young lies before the checkpoint.
fn needless(listed: &[LogFile], until: u64, old: DateTime<Utc>) -> Vec<String> {
    let young = listed.iter().filter(|file| file.modified >= old).filter_map(|file| match file.kind {
        LogKind::Entry(version) => Some(version),
        _ => None,
    });
    let until = young.min().unwrap_or(until).min(until);
    let Some(kept) = files::newest_checkpoint(listed, until) else { return Vec::new() };
    let mut needless: Vec<(u64, String)> = listed
        .iter()
        .filter(|file| file.modified < old)
        .filter_map(|file| match file.kind {
            LogKind::Entry(version) | LogKind::Checkpoint(version, _) | LogKind::Derived(version) => {
                Some((version, file.path.to_string()))
            }
            LogKind::Staged | LogKind::Other => None,
        })
        .filter(|(version, _)| *version < kept.version)
        .collect();
    needless.sort();
    needless.into_iter().map(|(_, path)| path).collect()
}

/// The log's files under passing names that no writer in flight can still want.
fn staged(listed: &[LogFile], old: DateTime<Utc>) -> Vec<String> {
    let staged = listed.iter().filter(|file| file.kind == LogKind::Staged && file.modified < old);
    staged.map(|file| file.path.to_string()).collect()
}

/// What the log names, its paths in both forms: some engines encode them as in a URL and some do not.
#[derive(Debug, Default)]
struct Known {
    active: HashSet<String>,
    removed: HashMap<String, Option<i64>>,
}

impl Known {
    fn of(named: checkpoint::Named) -> Known {
        let plain = |path: &str| path.trim_start_matches("./").to_owned();
        let mut known = Known::default();
        for (path, at) in named.removed {
            known.removed.extend(files::decode(&path).map(|decoded| (plain(&decoded), at)));
            known.removed.insert(plain(&path), at);
        }
        for path in named.active {
            known.active.extend(files::decode(&path).map(|decoded| plain(&decoded)));
            known.active.insert(plain(&path));
        }
        known
    }

    /// Whether the newest version lists a file. Either form saves it.
    fn lists(&self, path: &str) -> bool {
        let decoded = files::decode(path);
        self.active.contains(path) || decoded.is_some_and(|path| self.active.contains(&path))
    }

    /// When a file was removed; `None` if the log does not name it so.
    fn removed(&self, path: &str) -> Option<Option<i64>> {
        let decoded = || files::decode(path).and_then(|path| self.removed.get(&path));
        self.removed.get(path).or_else(decoded).copied()
    }
}

/// The files that were removed before `old`, those removed first in front, and how many were removed since. One whose removal
/// has no time is taken for an orphan.
fn replaced(data: &[ObjectMeta], known: &Known, old: DateTime<Utc>) -> (Vec<String>, usize) {
    let (mut replaced, mut in_grace) = (Vec::new(), 0);
    for file in data {
        let path = file.location.as_ref();
        let Some(Some(at)) = known.removed(path).filter(|_| !known.lists(path)) else { continue };
        if at < old.timestamp_millis() { replaced.push((at, path.to_owned())) } else { in_grace += 1 }
    }
    replaced.sort();
    (replaced.into_iter().map(|(_, path)| path).collect(), in_grace)
}

/// The files that no version lists and no commit says were removed, oldest first. Each condition can only make them fewer.
fn orphans(data: Vec<ObjectMeta>, known: &Known, old: DateTime<Utc>) -> Vec<String> {
    let mut orphans: Vec<(DateTime<Utc>, String)> = data
        .into_iter()
        .filter(|file| file.last_modified < old)
        .map(|file| (file.last_modified, file.location.to_string()))
        .filter(|(_, path)| !known.lists(path) && known.removed(path).is_none_or(|at| at.is_none()))
        .collect();
    orphans.sort();
    orphans.into_iter().map(|(_, path)| path).collect()
}

fn bounded(mut replaced: Vec<String>, mut log: Vec<String>, mut orphans: Vec<String>, limit: usize) -> Plan {
    let all = replaced.len() + log.len() + orphans.len();
    replaced.truncate(limit);
    log.truncate(limit - replaced.len());
    orphans.truncate(limit - replaced.len() - log.len());
    let more = replaced.len() + log.len() + orphans.len() < all;
    Plan { replaced, in_grace: 0, log, orphans, more }
}

#[cfg(test)]
mod tests;
