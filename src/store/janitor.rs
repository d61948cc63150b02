//! Keeps a table's log short and its folder clean, apart from the commit path: checkpoints, old log entries, orphans.
//!
//! Promises that what a live version or a writer in flight needs is never deleted, that each pass is bounded, and that what
//! it would delete can be seen first. Must never delete a file that the log names, as added or as removed.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};

use super::error::StoreError;
use super::log::files::{self, LogFile, LogKind, decode};
use super::log::{checkpoint, files as log_files};
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
    /// How many files one pass deletes at most.
    pub limit: usize,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self { checkpoint_every: 100, keep_log: TimeDelta::days(30), keep_orphans: TimeDelta::hours(24), limit: 1000 }
    }
}

/// What one pass deletes, or would delete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Files of the log that a checkpoint made needless, oldest first.
    pub log: Vec<String>,
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
        for path in plan.log.iter().chain(&plan.orphans) {
            match self.log.object_store(None).delete(&Path::from(path.as_str())).await {
                // Another instance's pass was faster.
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Maintained { checkpoint: made, deleted: plan })
    }

    /// What [`Table::maintain`] would delete at `now`.
    pub async fn plan(&self, now: DateTime<Utc>, upkeep: &Upkeep) -> Result<Plan, StoreError> {
        // The folder first, then the log: what is committed in between is named by it.
        let store = self.log.object_store(None);
        let data = store.list(None).try_filter(|file| futures::future::ready(is_data(file)));
        let data: Vec<ObjectMeta> = data.try_collect().await?;
        let listed = log_files::list(&self.log).await?;
        let newest =
            listed.iter().filter_map(|file| if let LogKind::Entry(version) = file.kind { Some(version) } else { None });
        let newest = newest.max().unwrap_or(self.state.version).max(self.state.version);
        let named = checkpoint::paths(&self.log, &listed, newest).await?;
        let old = |kept: TimeDelta| now.checked_sub_signed(kept).unwrap_or(DateTime::<Utc>::MIN_UTC);
        let mut log = needless(&listed, newest.min(self.state.evidence_at.unwrap_or(newest)), old(upkeep.keep_log));
        log.extend(staged(&listed, old(upkeep.keep_orphans)));
        let orphans = orphans(data, &named, old(upkeep.keep_orphans));
        Ok(bounded(log, orphans, upkeep.limit))
    }

    /// Makes a checkpoint of the newest version if the newest checkpoint is at least `every` commits behind.
    async fn checkpoint(&self, every: u64) -> Result<Option<u64>, StoreError> {
        let listed = files::list(&self.log).await?;
        let newest = files::newest_checkpoint(&listed, u64::MAX).map(|checkpoint| checkpoint.version);
        if self.state.version.saturating_sub(newest.unwrap_or(0)) < every.max(1) {
            return Ok(None);
        }
        let (engine, version) = (self.log.engine(None), self.state.version);
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

/// The files that no commit names, oldest first. Each condition can only make them fewer.
fn orphans(data: Vec<ObjectMeta>, named: &HashSet<String>, old: DateTime<Utc>) -> Vec<String> {
    // Paths in the log are encoded as in a URL, by some engines and not by others: either form saves the file.
    let named: HashSet<&str> = named.iter().map(|path| path.trim_start_matches("./")).collect();
    let decoded: HashSet<String> = named.iter().filter_map(|path| decode(path)).collect();
    let mut orphans: Vec<(DateTime<Utc>, String)> = data
        .into_iter()
        .filter(|file| file.last_modified < old)
        .map(|file| (file.last_modified, file.location.to_string()))
        .filter(|(_, path)| !named.contains(path.as_str()) && !decoded.contains(path))
        .filter(|(_, path)| decode(path).is_none_or(|path| !named.contains(path.as_str()) && !decoded.contains(&path)))
        .collect();
    orphans.sort();
    orphans.into_iter().map(|(_, path)| path).collect()
}

fn bounded(mut log: Vec<String>, mut orphans: Vec<String>, limit: usize) -> Plan {
    let all = log.len() + orphans.len();
    log.truncate(limit);
    orphans.truncate(limit - log.len());
    let more = log.len() + orphans.len() < all;
    Plan { log, orphans, more }
}

#[cfg(test)]
mod tests;
