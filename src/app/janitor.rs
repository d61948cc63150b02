//! The janitor: keeps logs short and folders clean, finishes controls that a crash cut short, and forgets what is over.
//!
//! Promises that nothing is deleted or forgotten by a clock that is not trusted, and that of many instances one looks after a
//! table as a rule: to list a hundred thousand files is dear. Must never end by itself.

use std::time::Duration;

use crate::clock::SharedClock;
use crate::controls::{Settler, Signature};
use crate::expiry::{Share, TrustedClock, Verdict};
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
    /// Which tables are this instance's to look after.
    pub(super) share: Share,
}

/// So many passes at most lie between two looks of an instance after a table that is another's: that one may be dead, and a
/// table that nobody owns is everybody's.
const PASSES: usize = 10;

/// A table in the janitor's hands.
pub(super) struct Kept {
    table: Table,
    /// Passes until it is looked after, whosever it is.
    left: usize,
}

impl Kept {
    pub(super) fn new(table: Table) -> Kept {
        // Not all instances in the same pass.
        Kept { table, left: rand::random_range(0..PASSES) }
    }

    /// Whether it is to be looked after in this pass.
    fn is_next(&mut self, share: &Share) -> bool {
        let next = self.left == 0 || share.has_table(&self.table.spec().product, &self.table.partitions());
        self.left = if next { PASSES - 1 } else { self.left - 1 };
        next
    }
}

impl Janitor {
    /// Pass after pass, `every` so often, until dropped.
    pub(super) async fn run(self, tables: Vec<Table>, every: Duration) {
        let mut kept: Vec<Kept> = tables.into_iter().map(Kept::new).collect();
        let mut settler = Settler::new(self.root.clone());
        loop {
            self.pass(&mut settler, &mut kept).await;
            tokio::time::sleep(every).await;
        }
    }

    async fn pass(&self, settler: &mut Settler, kept: &mut [Kept]) {
        let now = self.clock.now();
        let by = Signature { at: now, ..self.signature.clone() };
        if let Err(error) = settler.settle(&by).await {
            tracing::error!(%error, "a control is not in force everywhere; trying again");
        }
        let newest = kept.iter().filter_map(|kept| kept.table.newest_commit()).max();
        if self.guard.look(newest) != Verdict::Trusted {
            return;
        }
        if let Err(error) = settler.forget(now).await {
            tracing::warn!(%error, "holds that are over could not be forgotten; trying again");
        }
        let old = now.checked_sub_signed(self.upkeep.keep_orphans).unwrap_or_default();
        if let Err(error) = self.root.give_up_uploads(old).await {
            tracing::warn!(%error, "unfinished uploads could not be given up; trying again later");
        }
        for kept in kept {
            if !kept.is_next(&self.share) {
                continue;
            }
            let table = &mut kept.table;
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
    use crate::expiry::Owned;
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
            share: Share::All,
        };
        let (mut settler, mut tables) = (Settler::new(world.root.clone()), [Kept::new(world.table().await)]);
        janitor.pass(&mut settler, &mut tables).await;
        // The dropped column's old file waits for its readers.
        assert_eq!(files(&world), 2);
        world.clock.set_wall(world.clock.now() + TimeDelta::hours(2));
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
        let (owned, mut kept) = (Owned::default(), Kept::new(world.table().await));
        let share = Share::Of(owned.clone(), TimeDelta::minutes(10));
        let looks = |kept: &mut Kept| (0..30).filter(|_| kept.is_next(&share)).count();
        assert_eq!(looks(&mut kept), 3);
        for partition in kept.table.partitions() {
            owned.add(partition);
        }
        assert_eq!(looks(&mut kept), 30);
    }
}
