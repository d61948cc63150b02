//! The janitor: keeps logs short and folders clean, finishes controls that a crash cut short, and forgets what is over.
//!
//! Promises that nothing is deleted or forgotten by a clock that is not trusted. Must never end by itself.

use std::time::Duration;

use crate::clock::SharedClock;
use crate::controls::{Signature, forget, settle};
use crate::expiry::{TrustedClock, Verdict};
use crate::metrics::Metrics;
use crate::store::{Maintained, Root, Table, Upkeep};

/// What it goes by.
pub(super) struct Janitor {
    pub(super) root: Root,
    pub(super) upkeep: Upkeep,
    pub(super) clock: SharedClock,
    pub(super) guard: TrustedClock,
    pub(super) metrics: Metrics,
    pub(super) signature: Signature,
}

impl Janitor {
    /// Pass after pass, `every` so often, until dropped.
    pub(super) async fn run(self, mut tables: Vec<Table>, every: Duration) {
        loop {
            self.pass(&mut tables).await;
            tokio::time::sleep(every).await;
        }
    }

    async fn pass(&self, tables: &mut [Table]) {
        let now = self.clock.now();
        let by = Signature { at: now, ..self.signature.clone() };
        if let Err(error) = settle(&self.root, &by).await {
            tracing::error!(%error, "a control is not in force everywhere; trying again");
        }
        let newest = tables.iter().filter_map(Table::newest_commit).max();
        if self.guard.look(newest) != Verdict::Trusted {
            return;
        }
        if let Err(error) = forget(&self.root, now).await {
            tracing::warn!(%error, "holds that are over could not be forgotten; trying again");
        }
        let old = now.checked_sub_signed(self.upkeep.keep_orphans).unwrap_or_default();
        if let Err(error) = self.root.give_up_uploads(old).await {
            tracing::warn!(%error, "unfinished uploads could not be given up; trying again later");
        }
        for table in tables {
            match table.maintain(now, &self.upkeep).await {
                Ok(done) => self.count(table, &done),
                Err(error) => {
                    let product = &table.spec().product;
                    tracing::warn!(%product, %error, "the table could not be looked after; trying again later");
                }
            }
        }
    }

    fn count(&self, table: &Table, done: &Maintained) {
        let product = [table.spec().product.as_str()];
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.unlinked.with_label_values(&product).inc_by(done.deleted.replaced.len() as u64);
        self.metrics.orphans.with_label_values(&product).set(gauge(done.deleted.orphans.len()));
        self.metrics.unlink_backlog.with_label_values(&product).set(gauge(done.deleted.in_grace));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::TimeDelta;

    use super::*;
    use crate::clock::Clock;
    use crate::expiry::testing::{World, start, texts};

    fn files(world: &World) -> usize {
        let entries = walkdir::WalkDir::new(world.root.table_folder(&crate::expiry::testing::sms()));
        let parquet = |path: &std::path::Path| path.extension().is_some_and(|extension| extension == "parquet");
        entries.into_iter().filter_map(Result::ok).filter(|entry| parquet(entry.path())).count()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_clock_that_jumped_unlinks_nothing_until_it_has_gone_evenly() {
        let mut world = World::new("remove");
        world.ingest(&texts(start(), 5)).await;
        world.pass(TimeDelta::days(8));
        assert!(!world.sweep().await.did.dropped.is_empty());
        let clock = Arc::clone(&world.clock) as SharedClock;
        let minute = Duration::from_secs(60);
        let signature =
            Signature { writer: uuid::Uuid::nil(), at: clock.now(), policy_version: world.policy.version.clone() };
        let janitor = Janitor {
            root: world.root.clone(),
            upkeep: Upkeep { readers_grace: TimeDelta::minutes(30), ..Upkeep::default() },
            guard: TrustedClock::new(Arc::clone(&clock), world.metrics.clone(), 5 * minute, 10 * minute),
            clock,
            metrics: world.metrics.clone(),
            signature,
        };
        let mut tables = [world.table().await];
        janitor.pass(&mut tables).await;
        // The dropped column's old file waits for its readers.
        assert_eq!(files(&world), 2);
        world.clock.set_wall(world.clock.now() + TimeDelta::hours(2));
        janitor.pass(&mut tables).await;
        assert_eq!((files(&world), world.metrics.clock_trusted.get()), (2, 0));
        world.pass(TimeDelta::minutes(11));
        janitor.pass(&mut tables).await;
        assert_eq!((files(&world), world.metrics.clock_trusted.get()), (1, 1));
    }
}
