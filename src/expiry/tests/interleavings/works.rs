//! What actors do: each the work of one process as the program does it, with stops where another may come between.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::actor::stop;
use crate::clock::{Clock, ManualClock, SharedClock};
use crate::controls::{
    Controls, HoldState, Notice, Order, ReleaseError, Signature, Since, changes_ingest, forget, notify, place, release,
    settle,
};
use crate::expiry::testing::{Read, Sms, knowing, sms, source, written};
use crate::expiry::{Bounds, By, Compacting, HeldBy, Product, Rule};
use crate::policy::Policy;
use crate::store::{CommitError, ControlsVersion, Root, Table, TableSpec, Upkeep};

/// How the table is kept: everything goes soon, little at a time.
pub fn upkeep() -> Upkeep {
    Upkeep {
        checkpoint_every: 3,
        keep_log: TimeDelta::days(20),
        keep_orphans: TimeDelta::hours(24),
        readers_grace: TimeDelta::hours(1),
        limit: 5,
    }
}

/// What the processes share.
#[derive(Clone)]
pub struct Shared {
    pub root: Root,
    pub policy: Arc<Policy>,
    pub clock: Arc<ManualClock>,
    /// What was produced, by offset.
    pub topic: Arc<Mutex<Vec<Sms>>>,
}

impl Shared {
    pub async fn table(&self) -> Table {
        Table::open(&self.root, Arc::new(TableSpec::of(&self.policy, &sms()).unwrap())).await.unwrap()
    }

    pub fn signature(&self) -> Signature {
        Signature { writer: Uuid::nil(), at: self.clock.now(), policy_version: self.policy.version.clone() }
    }

    pub async fn product(&self) -> Product {
        Product::open(&self.root, &self.policy, &sms()).await.unwrap().unwrap()
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}

/// Stores at most so many of the records that the table does not have.
pub async fn ingest(shared: Shared, most: usize) {
    let mut table = shared.table().await;
    let from = table.next_offset(&source()).map(|offset| offset.0);
    let records: Vec<Sms> = {
        let topic = shared.topic.lock().unwrap();
        topic.iter().skip(usize::try_from(from.unwrap_or(0)).unwrap()).take(most).cloned().collect()
    };
    if records.is_empty() {
        return;
    }
    let read = Read { from, records: &records, at: shared.now() };
    let tagger = knowing(&shared.root, &shared.policy, &table).await;
    let mut batch = written(&table, &shared.policy, &tagger, read).await;
    stop("written");
    loop {
        match table.commit(batch.clone()).await {
            Ok(_) => return,
            Err(CommitError::ControlsMoved) => {
                stop("controls-moved");
                let newest = table.controls();
                let policy = &batch.evidence.policy_version;
                let since = changes_ingest(&shared.root, (batch.controls, newest), policy).await.unwrap();
                if since != Since::Stands {
                    return table.discard(batch.segments).await;
                }
                // Holds: ingest does nothing otherwise under them.
                batch.controls = newest;
            }
            Err(CommitError::OffsetsMoved(_) | CommitError::SegmentGone) => {
                return table.discard(batch.segments).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Plans as a sweep does and carries out the plan, however old it is by then.
pub async fn sweep(shared: Shared, product: Option<Box<Product>>, works: usize) -> Box<Product> {
    let mut product = match product {
        Some(product) => product,
        None => Box::new(shared.product().await),
    };
    product.refresh().await.unwrap();
    let (now, version) = (shared.now(), product.table.controls());
    let held = HeldBy::at(product.controls(&shared.root).await.unwrap(), now, version);
    let bounds = Bounds { works, segments: 3, ..Bounds::default() };
    let mut plan = product.plan_retags(bounds, |_| false);
    plan.works.extend(product.plan(now, &held, bounds, |_| false).works);
    for work in &plan.works {
        stop("planned");
        let by = By {
            writer: Uuid::nil(),
            clock: Arc::clone(&shared.clock) as SharedClock,
            policy_version: shared.policy.version.clone(),
            memory: 1 << 20,
        };
        match product.carry_out(work, &held, &by).await {
            Ok(_) => {}
            Err(error) if error.is_stale() => {}
            Err(error) => panic!("{error}"),
        }
    }
    product
}

/// Plans as a compaction does and carries out the plan, however old it is by then.
pub async fn compact(shared: Shared, works: usize) {
    let mut product = shared.product().await;
    let version = product.table.controls();
    let held = HeldBy::at(product.controls(&shared.root).await.unwrap(), shared.now(), version);
    let how = Compacting {
        rule: Rule { target: 1 << 30, segments: 4, works },
        memory: 1,
        late: TimeDelta::zero(),
        every: std::time::Duration::ZERO,
    };
    let merges = product.merges(shared.now(), &how, &held, |_| false);
    for merge in &merges.works {
        stop("planned");
        let by = By {
            writer: Uuid::nil(),
            clock: Arc::clone(&shared.clock) as SharedClock,
            policy_version: shared.policy.version.clone(),
            memory: how.memory,
        };
        match product.merge(merge, &held, &by).await {
            Ok(_) => {}
            Err(error) if error.is_stale() => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Sweeps until nothing is due.
pub async fn sweep_dry(shared: Shared) {
    let mut product = None;
    for _ in 0..40 {
        let mut open = sweep(shared.clone(), product, 16).await;
        let (now, version) = (shared.now(), open.table.controls());
        let held = HeldBy::at(open.controls(&shared.root).await.unwrap(), now, version);
        let stale = open.plan_retags(Bounds::default(), |_| false).works;
        if stale.is_empty() && open.plan(now, &held, Bounds::default(), |_| false).works.is_empty() {
            return;
        }
        product = Some(open);
    }
    panic!("the sweeps find no end");
}

/// Takes a notice, or not.
pub async fn note(shared: Shared, notice: Notice) {
    notify(&shared.root, &shared.policy, vec![notice], &shared.signature()).await.unwrap();
}

/// Places a hold.
pub async fn hold(shared: Shared, order: Order) {
    place(&shared.root, order, &shared.signature()).await.unwrap();
}

/// Releases one of the holds in force, if there is one.
pub async fn free(shared: Shared, which: usize) {
    let controls = Controls::load(&shared.root, ControlsVersion(0)).await.unwrap();
    let holds = controls.holds(shared.now());
    let live: Vec<_> = holds.iter().filter(|known| known.state == HoldState::InForce).collect();
    let Some(id) = live.get(which % live.len().max(1)).map(|known| known.id().clone()) else { return };
    match release(&shared.root, &id, &shared.signature()).await {
        Ok(_) | Err(ReleaseError::Ended(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Finishes what others began.
pub async fn finish(shared: Shared) {
    settle(&shared.root, &shared.signature()).await.unwrap();
}

/// One pass of the janitor.
pub async fn upkeep_pass(shared: Shared) {
    forget(&shared.root, shared.now()).await.unwrap();
    shared.table().await.maintain(shared.now(), &upkeep()).await.unwrap();
}

/// Passes until nothing is left to delete.
pub async fn keep_to_the_end(shared: &Shared) {
    let (mut table, upkeep) = (shared.table().await, Upkeep { limit: 1000, ..upkeep() });
    while table.maintain(shared.now(), &upkeep).await.unwrap().deleted.more {}
}
