//! The tasks of an instance other than ingest: the sweep with compaction between its rounds, the
//! watch over overdue data, the janitor, and the guard of the clock.
//!
//! No task delays another, and a task that ends is noticed.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::task::JoinSet;

use super::deletions::DeletionReports;
use super::janitor::Janitor;
use super::topic_monitor::TopicMonitor;
use super::{Instance, InstanceError, OpenedStore};
use ebbtide_config::MaintenanceConfig;
use ebbtide_maintenance::{
    Compaction, CompactionSettings, OverdueWatch, OverdueWatchDeps, OwnedPartitions, ReviewCache,
    Schedule, SweepSettings, Sweeper, SweeperDeps, SweptProduct, TrustedClock, WorkShare,
    keep_clock, sweep, watch,
};
use ebbtide_table::{MaintenanceSettings, Root};

/// The interval at which the tables' logs and folders are maintained, unless the readers' grace is
/// shorter.
const UPKEEP_EVERY: Duration = Duration::from_secs(60);
/// The interval at which the clock is checked.
const CLOCK_EVERY: Duration = Duration::from_secs(10);
/// The interval at which overdue data is counted.
const WATCH_EVERY: Duration = Duration::from_secs(15);

/// The tasks. They end when this is dropped: each of their steps is a commit or a deletion that a
/// crash may interrupt too.
pub struct BackgroundTasks(pub(super) JoinSet<&'static str>);

impl BackgroundTasks {
    /// Waits until a task has ended and returns its name. No task ends before it is stopped.
    pub async fn ended(&mut self) -> &'static str {
        match self.0.join_next().await {
            Some(Ok(what)) => what,
            _ => "sweep, watch, janitor or guard of the clock",
        }
    }

    /// Adds the task that checks the topics, the first time after `first`.
    pub(super) fn watch_topics(&mut self, retention: TopicMonitor, first: Duration) {
        self.0.spawn(async move {
            retention.watch(first).await;
            "watch over the topics"
        });
    }

    /// Stops the tasks.
    pub fn stop(&mut self) {
        self.0.abort_all();
    }

    /// Stops the tasks, and returns once none of them runs any more.
    pub async fn shutdown(mut self) {
        self.0.shutdown().await;
    }
}

impl Instance {
    /// Starts the tasks other than ingest, and returns the guard of the clock, which has checked
    /// once.
    pub(super) async fn start_tasks(
        &self,
        opened: &OpenedStore,
        owned: &OwnedPartitions,
    ) -> Result<(BackgroundTasks, TrustedClock), InstanceError> {
        let OpenedStore {
            root,
            tables,
            controls,
        } = opened;
        let mut tasks = JoinSet::new();
        let reviews = ReviewCache::default();
        let products = SweptProduct::of(tables.clone(), &self.policy).await?;
        let deps = OverdueWatchDeps {
            policy: &self.policy,
            controls: controls.clone(),
            clock: Arc::clone(&self.clock),
            metrics: self.metrics.clone(),
            reviews: reviews.clone(),
        };
        let counting = OverdueWatch::new(products.clone(), deps);
        let counting = counting.with_health(Arc::clone(&self.health));
        let every = self.clock.machine(WATCH_EVERY);
        tasks.spawn(async move {
            watch(counting, every).await;
            "watch"
        });
        // One guard for all tasks that delete: a jump that one of them saw stops the others too.
        let (clock, metrics) = (Arc::clone(&self.clock), self.metrics.clone());
        let guard = TrustedClock::with_records(clock, metrics, &self.config.sweep, root);
        let guard = guard.with_health(Arc::clone(&self.health));
        let rhythm = self.rhythm();
        let swept = rhythm.sweep.is_some() || rhythm.compaction.is_some();
        let sweeper = Sweeper::of(
            products,
            controls.clone(),
            self.sweep_parts(root, owned, reviews),
        );
        let sweeper = sweeper.with_guard(guard.clone());
        guard.update(sweeper.newest_commit()).await;
        tasks.spawn({
            let (guard, every) = (guard.clone(), self.clock.machine(CLOCK_EVERY));
            async move {
                keep_clock(guard, every).await;
                "guard of the clock"
            }
        });
        if swept {
            tasks.spawn(async move {
                sweep(sweeper, rhythm).await;
                "sweep"
            });
        }
        let janitor = Janitor {
            root: root.clone(),
            upkeep: upkeep(&self.config.maintain),
            clock: Arc::clone(&self.clock),
            guard: guard.clone(),
            reports: DeletionReports {
                metrics: self.metrics.clone(),
                health: Arc::clone(&self.health),
            },
            signature: self.signature(),
            share: self.share(owned),
        };
        let every = self.clock.machine(upkeep_every(&self.config.maintain));
        let tables = tables.clone();
        tasks.spawn(async move {
            janitor.run(tables, every).await;
            "janitor"
        });
        Ok((BackgroundTasks(tasks), guard))
    }

    fn rhythm(&self) -> Schedule {
        let compact = &self.config.compact;
        // Not immediately: an instance that has just started has other work to do.
        let compaction = || {
            Compaction::new(
                CompactionSettings::of(compact),
                self.clock.monotonic() + compact.every,
            )
        };
        Schedule {
            sweep: self.config.sweep.enabled.then_some(self.config.sweep.every),
            compaction: compact.enabled.then(compaction),
        }
    }

    fn share(&self, owned: &OwnedPartitions) -> WorkShare {
        WorkShare::Of(
            owned.clone(),
            TimeDelta::from_std(self.config.sweep.takeover).unwrap_or(TimeDelta::MAX),
        )
    }

    fn sweep_parts(
        &self,
        root: &Root,
        owned: &OwnedPartitions,
        reviews: ReviewCache,
    ) -> SweeperDeps {
        SweeperDeps {
            root: root.clone(),
            policy: Arc::clone(&self.policy),
            clock: Arc::clone(&self.clock),
            metrics: self.metrics.clone(),
            settings: SweepSettings::of(&self.config.sweep),
            share: self.share(owned),
            reviews,
        }
    }
}

/// Returns the time between two passes of the janitor.
pub(super) fn upkeep_every(maintain: &MaintenanceConfig) -> Duration {
    UPKEEP_EVERY
        .min(maintain.readers_grace)
        .max(Duration::from_millis(200))
}

/// Returns the maintenance settings of the tables from the configuration.
#[must_use]
pub fn upkeep(maintain: &MaintenanceConfig) -> MaintenanceSettings {
    let time = |duration| TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
    MaintenanceSettings {
        checkpoint_every: maintain.checkpoint_every,
        keep_log: time(maintain.log_retention),
        keep_orphans: time(maintain.orphan_age),
        readers_grace: time(maintain.readers_grace),
        ..MaintenanceSettings::default()
    }
}
