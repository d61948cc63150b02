//! The janitor: deletes files that are no longer needed, makes checkpoints, completes controls that
//! a crash cut short, and forgets controls that are over.
//!
//! While the clock is not trusted, nothing is deleted or forgotten. Listing a hundred thousand
//! files is expensive, so one of many instances maintains a table in every pass, and the others do
//! so in one pass of ten. Must never end unless it is dropped.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::deletions::DeletionReports;
use ebbtide_base::clock::SharedClock;
use ebbtide_base::metrics::SHARED_FOLDERS;
use ebbtide_controls::{CommitIdentity, ControlsApplier};
use ebbtide_maintenance::{ClockStatus, TrustedClock, WorkShare};
use ebbtide_table::{
    DeleteFailures, MaintenanceReport, MaintenanceSettings, OverdueFiles, Quarantine, Root, Table,
};

/// The janitor's dependencies.
pub(super) struct Janitor {
    pub(super) root: Root,
    pub(super) upkeep: MaintenanceSettings,
    pub(super) clock: SharedClock,
    pub(super) guard: TrustedClock,
    pub(super) reports: DeletionReports,
    pub(super) signature: CommitIdentity,
    /// Tables of this instance.
    pub(super) share: WorkShare,
}

/// Passes between two checks of a table of another instance: that instance may have died, and a
/// table without an owner belongs to all instances.
pub(super) const PASSES: usize = 10;

/// Rounds of deletions over one table in one pass, while more files are due than one round deletes.
const ROUNDS: usize = 20;

/// A table that the janitor maintains.
pub(super) struct MaintainedTable {
    table: Table,
    /// Passes until it is maintained, whichever instance owns it.
    left: usize,
    /// True if the last check was the first, failed or found overdue files: the next pass checks
    /// again then.
    again: bool,
}

impl MaintainedTable {
    pub(super) fn new(table: Table) -> MaintainedTable {
        // Spreads the later checks of all instances over different passes.
        MaintainedTable {
            table,
            left: rand::random_range(0..PASSES),
            again: true,
        }
    }

    /// Returns true if the table is to be maintained in this pass.
    fn is_next(&mut self, share: &WorkShare) -> bool {
        let owned = share.has_table(&self.table.spec().product, &self.table.partitions());
        let is_due = self.left == 0;
        self.left = if is_due { PASSES - 1 } else { self.left - 1 };
        std::mem::take(&mut self.again) || is_due || owned
    }
}

impl Janitor {
    /// Runs a pass every `every`, until dropped.
    pub(super) async fn run(self, tables: Vec<Table>, every: Duration) {
        let mut kept: Vec<MaintainedTable> = tables.into_iter().map(MaintainedTable::new).collect();
        let mut settler = ControlsApplier::new(self.root.clone());
        loop {
            self.pass(&mut settler, &mut kept).await;
            tokio::time::sleep(every).await;
        }
    }

    async fn pass(&self, settler: &mut ControlsApplier, kept: &mut [MaintainedTable]) {
        let now = self.clock.now();
        let newest = kept
            .iter()
            .filter_map(|kept| kept.table.newest_commit())
            .max();
        let verdict = self.guard.look(newest);
        // A commit that is dated far ahead would make the clocks of all other instances look wrong.
        if self.guard.may_ingest() {
            let by = CommitIdentity {
                at: now,
                ..self.signature.clone()
            };
            if let Err(error) = settler.settle(&by).await {
                tracing::error!(%error, "a control is not in force everywhere; trying again");
            }
        }
        if verdict != ClockStatus::Trusted {
            self.forget_reports(kept);
            return;
        }
        self.forget_controls(settler, now).await;
        self.abort_uploads(now).await;
        self.delete_quarantined(now).await;
        for kept in kept {
            if kept.is_next(&self.share) {
                kept.again = self.maintain(&mut kept.table, now).await;
            }
        }
    }

    /// Removes gauges that would be stale: while the clock is not trusted, the overdue files are
    /// unknown.
    fn forget_reports(&self, kept: &mut [MaintainedTable]) {
        for folder in SHARED_FOLDERS {
            self.reports.forget(folder);
        }
        for kept in kept {
            self.reports.forget(kept.table.spec().product.as_str());
            kept.again = true;
        }
    }

    async fn forget_controls(&self, settler: &mut ControlsApplier, now: DateTime<Utc>) {
        match settler.forget_each(now).await {
            Ok(report) => self.report_shared("_controls", &report.failures, now),
            Err(error) => self.reports.unknown("_controls", &error),
        }
    }

    async fn abort_uploads(&self, now: DateTime<Utc>) {
        let old = now
            .checked_sub_signed(self.upkeep.keep_orphans)
            .unwrap_or_default();
        match self.root.give_up_uploads(old).await {
            Ok(done) => self.report_shared("_uploads", &done.failures, now),
            // Not every store lists uploads, and not every key is allowed to
            // (docs/object-stores.md).
            Err(error) => {
                self.reports.forget("_uploads");
                tracing::warn!(%error, "unfinished uploads could not be listed; trying again later");
            }
        }
    }

    /// Deletes the dead letters in the quarantine that have expired.
    async fn delete_quarantined(&self, now: DateTime<Utc>) {
        match Quarantine::new(self.root.clone()).delete_expired(now).await {
            Ok(pass) => {
                let files = i64::try_from(pass.kept + pass.failures.count).unwrap_or(i64::MAX);
                self.reports.metrics.quarantine_files.set(files);
                let overdue = OverdueFiles {
                    files: pass.failures.count,
                    since: pass.since,
                };
                self.reports
                    .report("_quarantine", &pass.failures, overdue, now);
            }
            Err(error) => self.reports.unknown("_quarantine", &error),
        }
    }

    /// Reports a folder in which every failed file is overdue.
    fn report_shared(&self, folder: &str, failures: &DeleteFailures, now: DateTime<Utc>) {
        let overdue = OverdueFiles {
            files: failures.count,
            since: None,
        };
        self.reports.report(folder, failures, overdue, now);
    }

    /// Maintains a table. Returns true if the next pass should check it again.
    async fn maintain(&self, table: &mut Table, now: DateTime<Utc>) -> bool {
        let product = table.spec().product.clone();
        for _ in 0..ROUNDS {
            let done = match table.maintain(now, &self.upkeep).await {
                Ok(done) => done,
                Err(error) => {
                    self.reports.unknown(product.as_str(), &error);
                    return true;
                }
            };
            self.report(product.as_str(), &done, now);
            if !done.deleted.more || done.deleted.is_empty() {
                return done.overdue.files > 0;
            }
        }
        true
    }

    fn report(&self, product: &str, done: &MaintenanceReport, now: DateTime<Utc>) {
        let labels = [product];
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let metrics = &self.reports.metrics;
        metrics
            .unlinked
            .with_label_values(&labels)
            .inc_by(done.deleted.replaced.len() as u64);
        metrics
            .orphans
            .with_label_values(&labels)
            .set(gauge(done.deleted.orphans.len()));
        metrics
            .unlink_backlog
            .with_label_values(&labels)
            .set(gauge(done.deleted.in_grace));
        if let Some(why) = &done.checkpoint_failure {
            tracing::warn!(product, why, "no checkpoint was made; trying again later");
        }
        self.reports
            .report(product, &done.failures, done.overdue, now);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::TimeDelta;

    use super::*;
    use ebbtide_base::clock::Clock;
    use ebbtide_base::health::{Component, Health};
    use ebbtide_maintenance::OwnedPartitions;
    use ebbtide_maintenance::testing::{World, start, texts};

    fn files(world: &World) -> usize {
        let entries = walkdir::WalkDir::new(
            world
                .root
                .table_folder(&ebbtide_maintenance::testing::sms()),
        );
        let parquet = |path: &std::path::Path| {
            path.extension()
                .is_some_and(|extension| extension == "parquet")
        };
        entries
            .into_iter()
            .filter_map(Result::ok)
            .filter(|entry| parquet(entry.path()))
            .count()
    }

    fn reports(world: &World) -> DeletionReports {
        let health = Arc::new(Health::starting(Arc::clone(&world.clock) as SharedClock));
        health.over(&Component::Process);
        DeletionReports {
            metrics: world.metrics.clone(),
            health,
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_unlinked_after_a_clock_jump_until_the_clock_settles() {
        let mut world = World::new("remove");
        world.ingest(&texts(start(), 5)).await;
        world.pass(TimeDelta::days(8));
        assert!(!world.sweep().await.did.dropped.is_empty());
        let clock = Arc::clone(&world.clock) as SharedClock;
        let minute = Duration::from_secs(60);
        let signature = CommitIdentity {
            writer: uuid::Uuid::nil(),
            at: clock.now(),
            policy_version: world.policy.version.clone(),
        };
        let janitor = Janitor {
            root: world.root.clone(),
            upkeep: MaintenanceSettings {
                readers_grace: TimeDelta::minutes(30),
                ..MaintenanceSettings::default()
            },
            guard: TrustedClock::new(
                Arc::clone(&clock),
                world.metrics.clone(),
                5 * minute,
                10 * minute,
            ),
            clock,
            reports: reports(&world),
            signature,
            share: WorkShare::All,
        };
        let (mut settler, mut tables) = (
            ControlsApplier::new(world.root.clone()),
            [MaintainedTable::new(world.table().await)],
        );
        janitor.pass(&mut settler, &mut tables).await;
        // The dropped column's old file waits for its readers.
        assert_eq!(files(&world), 2);
        world
            .clock
            .set_wall(world.clock.now() + TimeDelta::hours(2));
        janitor.pass(&mut settler, &mut tables).await;
        assert_eq!((files(&world), world.metrics.clock_trusted.get()), (2, 0));
        world.pass(TimeDelta::minutes(11));
        janitor.pass(&mut settler, &mut tables).await;
        assert_eq!((files(&world), world.metrics.clock_trusted.get()), (1, 1));
    }

    #[tokio::test]
    async fn a_table_that_is_anothers_is_looked_after_in_one_of_ten_passes() {
        let mut world = World::new("remove");
        world.ingest(&texts(start(), 5)).await;
        let (owned, mut kept) = (
            OwnedPartitions::default(),
            MaintainedTable::new(world.table().await),
        );
        let share = WorkShare::Of(owned.clone(), TimeDelta::minutes(10));
        let looks = |kept: &mut MaintainedTable| (0..30).filter(|_| kept.is_next(&share)).count();
        assert!(kept.is_next(&share), "the first pass looks at every table");
        assert_eq!(looks(&mut kept), 3);
        kept.again = true;
        assert!(
            kept.is_next(&share),
            "after a look that found overdue files the next pass looks again"
        );
        for partition in kept.table.partitions() {
            owned.add(partition);
        }
        assert_eq!(looks(&mut kept), 30);
    }
}
