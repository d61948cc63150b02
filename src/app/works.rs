//! What an instance does beside ingest, each a task of its own: the sweep with compaction between its rounds, the watch over
//! what is overdue, the janitor.
//!
//! Promises that none of them holds up another, and that one that ends is seen.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::task::JoinSet;

use super::janitor::Janitor;
use super::{App, AppError, Opened};
use crate::config::{Maintain, Sweep};
use crate::controls::Signature;
use crate::expiry::{
    Compacting, Compaction, HeldBoard, Owned, Parts, Product, Rhythm, Settings, Share, Sweeper, TrustedClock, Watch,
    sweep, watch,
};
use crate::store::{Root, Upkeep};

/// How often the tables' logs and folders are looked after, where the readers' grace is not shorter.
const UPKEEP_EVERY: Duration = Duration::from_secs(60);
/// How often what is overdue is counted.
const WATCH_EVERY: Duration = Duration::from_secs(15);

/// The tasks. They end when it is dropped: each step of theirs is a commit or a deletion that a crash may cut short too.
pub struct Works(JoinSet<&'static str>);

impl Works {
    /// Returns once one of them has ended, which none does by itself: its name.
    pub async fn ended(&mut self) -> &'static str {
        match self.0.join_next().await {
            Some(Ok(what)) => what,
            _ => "sweep, watch or janitor",
        }
    }
}

impl App {
    /// Starts what runs beside ingest.
    pub(super) async fn works(&self, opened: &Opened, owned: &Owned) -> Result<Works, AppError> {
        let Opened { root, tables, controls } = opened;
        let mut tasks = JoinSet::new();
        let board = HeldBoard::default();
        let products = Product::of(tables.clone(), &self.policy).await?;
        let by = (self.policy.as_ref(), controls.clone());
        let counting = Watch::of(products.clone(), by, Arc::clone(&self.clock), self.metrics.clone(), board.clone());
        let every = self.clock.machine(WATCH_EVERY);
        tasks.spawn(async move {
            watch(counting, every).await;
            "watch"
        });
        let Sweep { clock_tolerance, clock_settle, .. } = self.config.sweep;
        let mut guard = TrustedClock::new(Arc::clone(&self.clock), self.metrics.clone(), clock_tolerance, clock_settle);
        let rhythm = self.rhythm();
        if rhythm.sweep.is_some() || rhythm.compaction.is_some() {
            let sweeper = Sweeper::of(products, controls.clone(), self.sweep_parts(root, owned, board));
            // A jump that one of them saw stops the other too.
            guard = sweeper.guard();
            tasks.spawn(async move {
                sweep(sweeper, rhythm).await;
                "sweep"
            });
        }
        let janitor = Janitor {
            root: root.clone(),
            upkeep: upkeep(&self.config.maintain),
            clock: Arc::clone(&self.clock),
            guard,
            metrics: self.metrics.clone(),
            signature: Signature {
                writer: uuid::Uuid::new_v4(),
                at: self.clock.now(),
                policy_version: self.policy.version.clone(),
            },
            share: self.share(owned),
        };
        let every = UPKEEP_EVERY.min(self.config.maintain.readers_grace).max(Duration::from_millis(200));
        let every = self.clock.machine(every);
        let tables = tables.clone();
        tasks.spawn(async move {
            janitor.run(tables, every).await;
            "janitor"
        });
        Ok(Works(tasks))
    }

    fn rhythm(&self) -> Rhythm {
        let compact = &self.config.compact;
        // Not at once: who has just started has other things to do.
        let compaction = || Compaction::new(Compacting::of(compact), self.clock.monotonic() + compact.every);
        Rhythm {
            sweep: self.config.sweep.enabled.then_some(self.config.sweep.every),
            compaction: compact.enabled.then(compaction),
        }
    }

    fn share(&self, owned: &Owned) -> Share {
        Share::Of(owned.clone(), TimeDelta::from_std(self.config.sweep.takeover).unwrap_or(TimeDelta::MAX))
    }

    fn sweep_parts(&self, root: &Root, owned: &Owned, board: HeldBoard) -> Parts {
        Parts {
            root: root.clone(),
            policy: Arc::clone(&self.policy),
            clock: Arc::clone(&self.clock),
            metrics: self.metrics.clone(),
            settings: Settings::of(&self.config.sweep),
            share: self.share(owned),
            board,
        }
    }
}

/// How the tables are kept, by the configuration.
#[must_use]
pub fn upkeep(maintain: &Maintain) -> Upkeep {
    let time = |duration| TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
    Upkeep {
        checkpoint_every: maintain.checkpoint_every,
        keep_log: time(maintain.log_retention),
        keep_orphans: time(maintain.orphan_age),
        readers_grace: time(maintain.readers_grace),
        ..Upkeep::default()
    }
}
