//! The work of actors: each does the work of one process as the program does it, with stops at
//! which other actors may run.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::actor::stop;
use crate::testing::{ReadBatch, SmsRecord, knowing, sms, source, written};
use crate::{
    CommitContext, CompactionRule, CompactionSettings, PlanBounds, SweepHolds, SweptProduct,
};
use ebbtide_base::clock::{Clock, ManualClock, SharedClock};
use ebbtide_controls::{
    ActivateError, CommitIdentity, Controls, ControlsEffect, HoldOrder, HoldState, Notice,
    ReleaseHoldError, SharedControls, activate, changes_ingest, forget, notify, place, release,
    settle,
};
use ebbtide_policy::{CheckedPolicy, Policy};
use ebbtide_table::{CommitError, ControlsVersion, MaintenanceSettings, Root, Table, TableSpec};

/// Returns the settings of the janitor: short periods, and few files per pass.
pub fn upkeep() -> MaintenanceSettings {
    MaintenanceSettings {
        checkpoint_every: 3,
        keep_log: TimeDelta::days(20),
        keep_orphans: TimeDelta::hours(24),
        readers_grace: TimeDelta::hours(1),
        limit: 5,
    }
}

/// The state that the processes share.
#[derive(Clone)]
pub struct SharedState {
    pub root: Root,
    /// Every policy that a process may have, the first one first.
    pub policies: Arc<Mutex<Vec<Arc<CheckedPolicy>>>>,
    pub clock: Arc<ManualClock>,
    /// The produced records, by offset.
    pub topic: Arc<Mutex<Vec<SmsRecord>>>,
}

/// A sweep between two of its rounds: the policy that its process began with, and its table.
pub struct SweepState {
    policy: Arc<Policy>,
    product: SweptProduct,
}

impl SharedState {
    /// Returns the active policy, with which a correct process starts.
    async fn active(&self) -> Arc<CheckedPolicy> {
        let controls = Controls::load(&self.root, ControlsVersion(0))
            .await
            .unwrap();
        let policies = self.policies.lock().unwrap();
        let active = controls
            .active()
            .map(|(_, activation)| activation.version.clone());
        let is_active = |of: &&Arc<CheckedPolicy>| {
            active.is_none() || of.policy.as_ref().map(|of| &of.version) == active.as_ref()
        };
        Arc::clone(policies.iter().find(is_active).unwrap())
    }

    async fn policy(&self) -> Arc<Policy> {
        Arc::new(self.active().await.policy.clone().unwrap())
    }

    pub async fn table(&self) -> Table {
        let policy = self.policy().await;
        Table::open(
            &self.root,
            Arc::new(TableSpec::of(&policy, &sms()).unwrap()),
        )
        .await
        .unwrap()
    }

    async fn signature(&self) -> CommitIdentity {
        let policy_version = self.policy().await.version.clone();
        CommitIdentity {
            writer: Uuid::nil(),
            at: self.clock.now(),
            policy_version,
        }
    }

    async fn sweeping(&self) -> SweepState {
        let policy = self.policy().await;
        let product = SweptProduct::open(&self.root, &policy, Some(&sms()))
            .await
            .unwrap()
            .remove(0);
        SweepState { policy, product }
    }

    fn by(&self, policy: &Policy, memory: usize) -> CommitContext {
        let (clock, policy_version) = (
            Arc::clone(&self.clock) as SharedClock,
            policy.version.clone(),
        );
        CommitContext {
            writer: Uuid::nil(),
            clock,
            policy_version,
            memory,
        }
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}

impl SweepState {
    /// Reads new commits and returns the holds; `None` if another policy is active.
    async fn refresh(&mut self, shared: &SharedState) -> Option<SweepHolds> {
        self.product.refresh().await.unwrap();
        let version = self.product.table.controls();
        let controls = self
            .product
            .controls(&SharedControls::new(shared.root.clone()))
            .await
            .unwrap();
        controls.check_active(&self.policy).ok()?;
        let held = SweepHolds::at(controls, shared.now(), version);
        self.product.update_policies(&self.policy);
        Some(held)
    }
}

/// Stores at most `most` of the records that the table does not have.
pub async fn ingest(shared: SharedState, most: usize) {
    let (policy, mut table) = (shared.policy().await, shared.table().await);
    let from = table.next_offset(&source()).map(|offset| offset.0);
    let records: Vec<SmsRecord> = {
        let topic = shared.topic.lock().unwrap();
        topic
            .iter()
            .skip(usize::try_from(from.unwrap_or(0)).unwrap())
            .take(most)
            .cloned()
            .collect()
    };
    if records.is_empty() {
        return;
    }
    let read = ReadBatch {
        from,
        records: &records,
        at: shared.now(),
    };
    let tagger = knowing(&shared.root, &policy, &table).await;
    let controls = SharedControls::new(shared.root.clone());
    let mut batch = written(&table, &policy, &tagger, read).await;
    stop("written");
    loop {
        match table.commit(batch.clone()).await {
            Ok(_) => return,
            Err(CommitError::ControlsMoved) => {
                stop("controls-moved");
                let newest = table.controls();
                let policy = &batch.evidence.policy_version;
                let since = changes_ingest(&controls, batch.controls, newest, policy)
                    .await
                    .unwrap();
                if since != ControlsEffect::Unchanged {
                    return table.discard(batch.segments).await;
                }
                // The new controls, such as holds, do not change what ingest does.
                batch.controls = newest;
            }
            Err(
                CommitError::OffsetsMoved(_)
                | CommitError::SegmentDeleted
                | CommitError::PolicyMoved { .. },
            ) => {
                return table.discard(batch.segments).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Plans like a sweep and carries out the plan, however old it is by then. A sweep that began under
/// another policy restarts.
pub async fn sweep(
    shared: SharedState,
    known: Option<Box<SweepState>>,
    works: usize,
) -> Box<SweepState> {
    let mut known = match known {
        Some(known) => known,
        None => Box::new(shared.sweeping().await),
    };
    let held = match known.refresh(&shared).await {
        Some(held) => held,
        None => {
            *known = shared.sweeping().await;
            known.refresh(&shared).await.unwrap()
        }
    };
    let SweepState { policy, product } = &mut *known;
    let bounds = PlanBounds {
        works,
        segments: 3,
        ..PlanBounds::default()
    };
    let mut plan = product.plan_triggers(shared.now(), bounds, |_| false);
    plan.works
        .extend(product.plan(shared.now(), &held, bounds, |_| false).works);
    for work in &plan.works {
        stop("planned");
        match product
            .carry_out(work, &held, &shared.by(policy, 1 << 20))
            .await
        {
            Ok(_) => {}
            Err(error) if error.is_stale() => {}
            Err(error) => panic!("{error}"),
        }
    }
    match known
        .product
        .record_notices(&held, &shared.by(&known.policy, 0))
        .await
    {
        Ok(_) => {}
        Err(error) if error.is_stale() => {}
        Err(error) => panic!("{error}"),
    }
    known
}

/// Plans like a compaction and carries out the plan, however old it is by then.
pub async fn compact(shared: SharedState, works: usize) {
    let mut known = shared.sweeping().await;
    let held = known.refresh(&shared).await.unwrap();
    let SweepState {
        policy,
        mut product,
    } = known;
    let how = CompactionSettings {
        rule: CompactionRule {
            target: 1 << 30,
            segments: 4,
            works,
        },
        memory: 1,
        late: TimeDelta::zero(),
        every: std::time::Duration::ZERO,
    };
    let merges = product.merges(shared.now(), &how, &held, |_| false);
    for merge in &merges.works {
        stop("planned");
        match product
            .merge(merge, &held, &shared.by(&policy, how.memory))
            .await
        {
            Ok(_) => {}
            Err(error) if error.is_stale() => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Sweeps until nothing is due.
pub async fn sweep_dry(shared: SharedState) {
    let mut known = None;
    for _ in 0..40 {
        let mut open = sweep(shared.clone(), known, 16).await;
        let held = open.refresh(&shared).await.unwrap();
        let stale = open
            .product
            .plan_triggers(shared.now(), PlanBounds::default(), |_| false)
            .works;
        if stale.is_empty()
            && open
                .product
                .plan(shared.now(), &held, PlanBounds::default(), |_| false)
                .works
                .is_empty()
        {
            return;
        }
        known = Some(open);
    }
    panic!("the sweeps find no end");
}

/// Activates a policy in place of the one that is active when this begins.
pub async fn take(shared: SharedState, new: Arc<CheckedPolicy>) {
    let old = shared.active().await;
    match activate(&shared.root, &old, &new, &shared.signature().await).await {
        Ok(_) | Err(ActivateError::Moved(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Applies a notice, which may be refused.
pub async fn send_notice(shared: SharedState, notice: Notice) {
    notify(
        &shared.root,
        &*shared.policy().await,
        vec![notice],
        &shared.signature().await,
    )
    .await
    .unwrap();
}

/// Places a hold.
pub async fn hold(shared: SharedState, order: HoldOrder) {
    place(&shared.root, order, &shared.signature().await)
        .await
        .unwrap();
}

/// Releases one of the holds in force, if there is one.
pub async fn free(shared: SharedState, which: usize) {
    let controls = Controls::load(&shared.root, ControlsVersion(0))
        .await
        .unwrap();
    let holds = controls.holds(shared.now());
    let live: Vec<_> = holds
        .iter()
        .filter(|known| known.state == HoldState::InForce)
        .collect();
    let Some(id) = live
        .get(which % live.len().max(1))
        .map(|known| known.id().clone())
    else {
        return;
    };
    match release(&shared.root, &id, &shared.signature().await).await {
        Ok(_) | Err(ReleaseHoldError::Ended(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Puts controls in force that other processes recorded and did not finish.
pub async fn finish(shared: SharedState) {
    settle(&shared.root, &shared.signature().await)
        .await
        .unwrap();
}

/// Runs one pass of the janitor.
pub async fn upkeep_pass(shared: SharedState) {
    forget(&shared.root, shared.now()).await.unwrap();
    shared
        .table()
        .await
        .maintain(shared.now(), &upkeep())
        .await
        .unwrap();
}

/// Runs the janitor until nothing is left to delete.
pub async fn keep_to_the_end(shared: &SharedState) {
    let (mut table, upkeep) = (
        shared.table().await,
        MaintenanceSettings {
            limit: 1000,
            ..upkeep()
        },
    );
    while table
        .maintain(shared.now(), &upkeep)
        .await
        .unwrap()
        .deleted
        .more
    {}
}
