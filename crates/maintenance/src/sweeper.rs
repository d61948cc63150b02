//! The sweep does the due work of all tables: a few tables concurrently, and in each the longest
//! overdue work first, one piece at a time.
//!
//! A round is bounded, failed work waits while other work continues, and nothing is done with a
//! clock that is not trusted or under controls that cannot be read.

mod compaction;
mod concurrent_tasks;
mod recorder;
pub mod share;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::clock::guard::ClockStatus;
use super::clock::trusted::TrustedClock;
use super::commit::CommitContext;
use super::compact::Compaction;
use super::error::SweepError;
use super::product::holds::SweepHolds;
use super::product::{OpenProductError, SweptProduct};
use super::review::{RetryKind, ReviewCache};
use super::task::{PlanBounds, SweepPlan, Task, in_order};
use super::triggers::candidate::TriggerCandidate;
use concurrent_tasks::{FinishedTask, TaskContext, carry_out_all};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::ProductKey;
use ebbtide_base::metrics::Metrics;
use ebbtide_config::SweepConfig;
use ebbtide_controls::SharedControls;
use ebbtide_policy::Policy;
use ebbtide_table::{RewriteEvidence, Root, StoredSegment};
use recorder::RoundRecorder;
use share::{RoundScope, ScopeSelector, WorkShare};

/// The settings of a sweep.
#[derive(Debug, Clone)]
pub struct SweepSettings {
    /// The bounds of one plan.
    pub bounds: PlanBounds,
    /// The bytes of memory that cells in progress may use.
    pub memory: usize,
    /// The largest difference between wall and running time that is not a jump.
    pub clock_tolerance: Duration,
    /// The time for which a clock must run evenly after a jump.
    pub clock_settle: Duration,
}

impl SweepSettings {
    /// Returns the settings of the configuration, with the default bounds of a plan.
    #[must_use]
    pub fn of(sweep: &SweepConfig) -> SweepSettings {
        SweepSettings {
            bounds: PlanBounds::default(),
            memory: usize::try_from(sweep.memory).unwrap_or(usize::MAX),
            clock_tolerance: sweep.clock_tolerance,
            clock_settle: sweep.clock_settle,
        }
    }
}

/// The dependencies of a sweeper.
pub struct SweeperDeps {
    /// The root of the tables.
    pub root: Root,
    /// The policy in use.
    pub policy: Arc<Policy>,
    /// The clock.
    pub clock: SharedClock,
    /// The metrics that it updates.
    pub metrics: Metrics,
    /// The settings.
    pub settings: SweepSettings,
    /// The segments that this instance sweeps.
    pub share: WorkShare,
    /// The review records of segments, which it shares with the watch.
    pub reviews: ReviewCache,
}

/// The sweeper of the tables of all products, or of some: a few concurrently, and each one piece of
/// work at a time.
pub struct Sweeper {
    pub(super) parts: SweeperDeps,
    pub(super) products: Vec<SweptProduct>,
    pub(super) controls: SharedControls,
    guard: TrustedClock,
    turns: ScopeSelector,
    pub(super) writer: Uuid,
}

/// The result of one round.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SweepReport {
    /// Pieces of work that were done.
    pub works: u64,
    /// Commits that were made.
    pub commits: u64,
    /// The sum of their effects.
    pub did: RewriteEvidence,
    /// Pieces of work that failed.
    pub failed: u64,
    /// Pieces of work that are planned again: another instance took a part first, the controls
    /// moved, or one of several segments failed and the others can be processed without it.
    pub stale: u64,
    /// True if more is due than was done.
    pub more: bool,
    /// The reason why nothing was done, if the clock is not trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<&'static str>,
}

impl SweepReport {
    /// Adds the results of `later`. It ran after this one, so it decides what is left.
    pub fn add(&mut self, later: &SweepReport) {
        self.works += later.works;
        self.commits += later.commits;
        self.did.add(&later.did);
        self.failed += later.failed;
        self.stale += later.stale;
        self.more = later.more;
        self.clock = later.clock;
    }
}

/// The work to do in one table.
struct TableTasks {
    /// The due work.
    due: SweepPlan,
    /// The work after notices.
    triggers: SweepPlan,
    held: SweepHolds,
}

/// A piece of work as reported by a dry run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedTask {
    /// The product.
    pub product: ProductKey,
    /// The planned work.
    pub work: Task,
    /// The records of its segments that are held and therefore do not change.
    pub held: u64,
}

impl Sweeper {
    /// Opens the tables of the products that `wanted` names, or of all.
    pub async fn open(
        parts: SweeperDeps,
        wanted: Option<&ProductKey>,
    ) -> Result<Sweeper, OpenProductError> {
        let products = SweptProduct::open(&parts.root, &parts.policy, wanted).await?;
        let controls = SharedControls::new(parts.root.clone());
        Ok(Self::of(products, controls, parts))
    }

    /// Creates a sweeper of products with the controls of their root.
    #[must_use]
    pub fn of(
        mut products: Vec<SweptProduct>,
        controls: SharedControls,
        parts: SweeperDeps,
    ) -> Sweeper {
        for product in &mut products {
            product.share_reviews(&parts.reviews);
        }
        let SweepSettings {
            clock_tolerance,
            clock_settle,
            ..
        } = parts.settings;
        let guard = TrustedClock::new(
            Arc::clone(&parts.clock),
            parts.metrics.clone(),
            clock_tolerance,
            clock_settle,
        );
        Sweeper {
            parts,
            products,
            controls,
            guard,
            turns: ScopeSelector::default(),
            writer: Uuid::new_v4(),
        }
    }

    /// Makes the sweeper use a clock that it shares with other tasks.
    #[must_use]
    pub fn with_guard(self, guard: TrustedClock) -> Sweeper {
        Sweeper { guard, ..self }
    }

    /// Returns what is due at `at` and not held, the longest overdue first, and true if there is
    /// more. Changes nothing.
    pub async fn plan(
        &mut self,
        at: DateTime<Utc>,
    ) -> Result<(Vec<PlannedTask>, bool), SweepError> {
        let (mut all, mut more) = (Vec::new(), false);
        for index in 0..self.products.len() {
            let (plan, held) = loop {
                let TableTasks {
                    due,
                    triggers,
                    held,
                } = self.plan_of(index, at, RoundScope::Late).await?;
                let mut plan = due.with(triggers);
                if self.products[index].leave_true(&mut plan).await? {
                    // Segments were left out of the due work only because they were not checked
                    // yet: plan again.
                    continue;
                }
                let some = self.products[index].leave_held(&mut plan, &held).await?;
                // Held segments took the place of others in the plan.
                if !(some && plan.more) {
                    break (plan, held);
                }
            };
            more |= plan.more;
            let product = &self.products[index];
            for work in plan.works {
                let held = product.held_records(&work, &held).await?;
                all.push(PlannedTask {
                    product: product.key().clone(),
                    work,
                    held,
                });
            }
        }
        all.sort_by_key(|planned| planned.work.due);
        Ok((all, more))
    }

    async fn plan_of(
        &mut self,
        index: usize,
        at: DateTime<Utc>,
        reach: RoundScope,
    ) -> Result<TableTasks, SweepError> {
        let running = self.parts.clock.monotonic();
        let product = &mut self.products[index];
        product.refresh().await?;
        let version = product.table.controls();
        let controls = product.controls(&self.controls).await?;
        controls.check_active(&self.parts.policy)?;
        // Holds end by the current time, whatever time is swept for.
        let held = SweepHolds::at(controls, self.parts.clock.now(), version);
        product.update_policies(&self.parts.policy);
        let failed = product
            .state
            .reviews
            .lock()
            .waiting(RetryKind::Sweep, running);
        let partitions = product.table.partitions();
        let ours = self.parts.share.of(&partitions, reach, at);
        let wait = |segment: &StoredSegment| failed.contains(&segment.path) || !ours.has(segment);
        let due = product.plan(at, &held, self.parts.settings.bounds, wait);
        let not_ours = |suspect: &TriggerCandidate| {
            failed.contains(&suspect.segment.path)
                || !ours.has_since(&suspect.segment, Some(suspect.recorded_at))
        };
        let triggers = product.plan_triggers(at, self.parts.settings.bounds, not_ours);
        Ok(TableTasks {
            due,
            triggers,
            held,
        })
    }

    /// Does what is due now, or what was due at `until` if that is earlier; at most `steps` pieces
    /// of work.
    pub async fn round(&mut self, until: Option<DateTime<Utc>>, steps: usize) -> SweepReport {
        let mut round = SweepReport::default();
        let mut plans: Vec<(usize, SweepPlan)> = Vec::new();
        let mut held: BTreeMap<usize, SweepHolds> = BTreeMap::new();
        // Also if nothing is due: a jump that is not noticed now would be attributed to a later
        // time.
        self.look_at_clock();
        let now = self.parts.clock.now();
        let reach = self.parts.share.next_reach(&mut self.turns, rand::random());
        for index in 0..self.products.len() {
            match self
                .plan_of(index, until.map_or(now, |until| until.min(now)), reach)
                .await
            {
                Ok(of) => {
                    plans.extend([(index, of.due), (index, of.triggers)]);
                    held.insert(index, of.held);
                }
                Err(SweepError::NotActive(why)) => {
                    tracing::error!("nothing is swept any more: {why}");
                    round.failed += 1;
                }
                Err(error) => {
                    let product = self.products[index].key();
                    tracing::error!(%product, %error, "nothing is swept in the table");
                    self.parts
                        .metrics
                        .sweep_failures
                        .with_label_values(&[product.as_str()])
                        .inc();
                    round.failed += 1;
                }
            }
        }
        let (todo, more) = in_order(plans);
        // The late work in the other parts was not checked.
        round.more |= more || todo.len() > steps || matches!(reach, RoundScope::Part(_));
        let others = todo.iter().any(|(index, work)| !self.owns(*index, work));
        self.carry_out(todo.into_iter().take(steps).collect(), &held, &mut round)
            .await;
        // Also if nothing was due: after a commit that is dated ahead, the clocks of all other
        // instances are before it.
        match self.look_at_clock() {
            ClockStatus::Trusted => self.record_notices(&held).await,
            verdict => round.clock = Some(verdict.as_str()),
        }
        // From now on, the watch counts only segments as held that these holds cover.
        for (index, held) in &held {
            let reviews = &self.products[*index].state.reviews;
            reviews.lock().keep_held_by(held.mark);
        }
        self.turns.record_round(round.works, round.stale, others);
        round
    }

    /// Returns true if a piece of work is in this instance's own share.
    fn owns(&self, index: usize, work: &Task) -> bool {
        let partitions = self.products[index].table.partitions();
        let own = self
            .parts
            .share
            .of(&partitions, RoundScope::Own, self.parts.clock.now());
        work.segments
            .first()
            .is_some_and(|segment| own.has(segment))
    }

    async fn carry_out(
        &mut self,
        todo: Vec<(usize, Task)>,
        held: &BTreeMap<usize, SweepHolds>,
        round: &mut SweepReport,
    ) {
        let by = self.by();
        let mut tally = RoundRecorder {
            round,
            metrics: &self.parts.metrics,
        };
        let over = |finished: &FinishedTask| tally.take(finished, by.clock.monotonic());
        let look = |newest| self.guard.look(newest);
        let context = TaskContext { held, by: &by };
        let verdict = carry_out_all(todo, &mut self.products, context, look, over).await;
        if verdict != ClockStatus::Trusted {
            round.clock = Some(verdict.as_str());
            round.more = true;
        }
    }

    /// Records in the tables the notices that all tags reflect.
    async fn record_notices(&mut self, held: &BTreeMap<usize, SweepHolds>) {
        let by = self.by();
        for (index, held) in held {
            let product = &mut self.products[*index];
            match product.record_notices(held, &by).await {
                Ok(_) => {}
                Err(error) if error.is_stale() => {}
                // Without the record, all results are the same, but cost more to find out.
                Err(error) => {
                    tracing::warn!(product = %product.key(), %error, "the notices that all tags reflect could not be recorded; the next round tries again")
                }
            }
        }
    }

    fn by(&self) -> CommitContext {
        CommitContext {
            writer: self.writer,
            clock: Arc::clone(&self.parts.clock),
            policy_version: self.parts.policy.version.clone(),
            memory: self.parts.settings.memory,
        }
    }

    /// Returns the date of the newest commit of its tables.
    #[must_use]
    pub fn newest_commit(&self) -> Option<DateTime<Utc>> {
        self.products
            .iter()
            .filter_map(|product| product.table.newest_commit())
            .max()
    }

    /// Decides whether the clock may be used.
    pub fn look_at_clock(&self) -> ClockStatus {
        self.guard.look(self.newest_commit())
    }
}

/// The tasks of an instance on its tables, with their intervals.
pub struct Schedule {
    /// The time between sweeps; `None` if it does not sweep.
    pub sweep: Option<Duration>,
    /// The compaction, if any: one merge at a time, between rounds that had nothing to do.
    pub compaction: Option<Compaction>,
}

/// Sweeps, and compacts between rounds, until dropped. It waits for the interval of `rhythm`
/// between rounds, or not at all if more is left.
pub async fn run(mut sweeper: Sweeper, mut rhythm: Schedule) {
    let every = rhythm
        .sweep
        .or(rhythm.compaction.as_ref().map(Compaction::every))
        .unwrap_or(Duration::from_secs(3600));
    loop {
        let round = match rhythm.sweep {
            Some(_) => sweeper.round(None, usize::MAX).await,
            None => SweepReport::default(),
        };
        // A part without late work says nothing about the other parts.
        let nothing = round.works == 0 && (!round.more || round.failed > 0 || round.stale > 0);
        let idle = nothing || round.clock.is_some();
        let mut at_once = round.more && !idle;
        // Due work comes first: nothing is compacted while a sweep has work.
        if idle && let Some(compaction) = &mut rhythm.compaction {
            at_once |= sweeper.compact_in_turn(compaction).await;
        }
        let wait = if at_once { Duration::ZERO } else { every };
        // The wait varies a little, so that instances that were started together diverge.
        let wait = wait.mul_f64(rand::random_range(0.9..1.1));
        tokio::time::sleep(sweeper.parts.clock.machine(wait)).await;
    }
}
