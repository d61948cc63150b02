//! One pass of maintenance of a table: makes a checkpoint if one is due, and deletes the files that
//! the janitor finds.

use chrono::{DateTime, Utc};

use super::Table;
use crate::deletions::{DeleteFailures, OverdueFiles, delete_files};
use crate::error::StoreError;
use crate::janitor::{CleanupPlan, DueFiles, MaintenanceSettings, bounded, due_files};
use crate::log::files;

/// Report of one pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MaintenanceReport {
    /// Version of the checkpoint that was made.
    pub checkpoint: Option<u64>,
    /// Reason why a due checkpoint could not be made.
    pub checkpoint_failure: Option<String>,
    /// Files that were deleted.
    pub deleted: CleanupPlan,
    /// Files that could not be deleted.
    pub failures: DeleteFailures,
    /// Files that should have been deleted before and still exist.
    pub overdue: OverdueFiles,
}

impl Table {
    /// Runs one pass: makes a checkpoint if one is due, then deletes the files of the plan. Safe in
    /// parallel with passes of other instances and any writer. A checkpoint or a file that fails is
    /// reported, and the pass continues.
    ///
    /// Errors if the log or the folder cannot be read: the overdue files are unknown then.
    pub async fn maintain(
        &mut self,
        now: DateTime<Utc>,
        upkeep: &MaintenanceSettings,
    ) -> Result<MaintenanceReport, StoreError> {
        self.refresh().await?;
        let (checkpoint, checkpoint_failure) = match self.checkpoint(upkeep.checkpoint_every).await
        {
            Ok(made) => (made, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let due = self.due(now, upkeep).await?;
        let mut deleted = bounded(&due, &self.last_pass.failed, upkeep.limit);
        let paths = deleted
            .replaced
            .iter()
            .chain(&deleted.log)
            .chain(&deleted.orphans)
            .cloned()
            .collect();
        let done = delete_files(self.log.object_store(None).as_ref(), paths).await;
        for list in [
            &mut deleted.replaced,
            &mut deleted.log,
            &mut deleted.orphans,
        ] {
            list.retain(|path| done.deleted.contains(path));
        }
        let overdue = self.last_pass.count(&due, &done);
        Ok(MaintenanceReport {
            checkpoint,
            checkpoint_failure,
            deleted,
            failures: done.failures,
            overdue,
        })
    }

    /// Returns the files that [`Table::maintain`] would delete at `now`.
    pub async fn plan(
        &mut self,
        now: DateTime<Utc>,
        upkeep: &MaintenanceSettings,
    ) -> Result<CleanupPlan, StoreError> {
        let due = self.due(now, upkeep).await?;
        Ok(bounded(&due, &self.last_pass.failed, upkeep.limit))
    }

    async fn due(
        &mut self,
        now: DateTime<Utc>,
        upkeep: &MaintenanceSettings,
    ) -> Result<DueFiles, StoreError> {
        due_files(&self.log, &mut self.state, now, upkeep).await
    }

    /// Makes a checkpoint of the newest version if at least `every` commits follow the newest
    /// checkpoint.
    async fn checkpoint(&mut self, every: u64) -> Result<Option<u64>, StoreError> {
        let version = self.state.version;
        let is_young =
            |newest: Option<u64>| version.saturating_sub(newest.unwrap_or(0)) < every.max(1);
        // Listing the log is expensive, and a newer checkpoint would only be younger.
        if is_young(self.checkpointed) {
            return Ok(None);
        }
        let listed = files::list(&self.log).await?;
        self.checkpointed =
            files::newest_checkpoint(&listed, u64::MAX).map(|checkpoint| checkpoint.version);
        if is_young(self.checkpointed) {
            return Ok(None);
        }
        let engine = self.log.engine(None);
        let mut url = self.log.root_url().clone();
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let made = tokio::task::spawn_blocking(move || {
            let snapshot = delta_kernel::Snapshot::builder_for(url)
                .at_version(version)
                .build(engine.as_ref())?;
            snapshot.checkpoint(engine.as_ref(), None)
        });
        let failed =
            |why: String| StoreError::Refused(format!("the checkpoint was not made: {why}"));
        made.await
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(error.to_string()))?;
        self.checkpointed = Some(version);
        Ok(Some(version))
    }
}
