//! The sweep: what is due in all tables, of each the longest overdue first, piece after piece, and a few tables at once.
//!
//! Promises that a round is bounded, that what fails waits while the rest goes on, and that nothing is done by a clock that
//! is not trusted or under controls that cannot be read.

mod tally;
mod under_way;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::carry_out::By;
use super::compact::Compaction;
use super::error::SweepError;
use super::failures::Failures;
use super::guard::Verdict;
use super::product::{HeldBy, OpenProductError, Product};
use super::select::{Bounds, Plan, Work, in_order};
use super::share::{Reach, Share, Turns};
use super::stale::Suspect;
use super::trusted::TrustedClock;
use super::watch::{HeldBoard, Known};
use crate::clock::SharedClock;
use crate::config::Sweep;
use crate::controls::SharedControls;
use crate::ids::ProductKey;
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::store::{RewriteEvidence, Root, StoredSegment};
use tally::Tally;
use under_way::{Finished, carry_out_all};

/// How a sweep goes about its work.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How much is planned at once.
    pub bounds: Bounds,
    /// Bytes that cells under way may take.
    pub memory: usize,
    /// How far wall and running time may part before the clock has jumped.
    pub clock_tolerance: Duration,
    /// How long a clock must go evenly after a jump.
    pub clock_settle: Duration,
}

impl Settings {
    /// Those of the configuration, a plan of the usual size at once.
    #[must_use]
    pub fn of(sweep: &Sweep) -> Settings {
        Settings {
            bounds: Bounds::default(),
            memory: usize::try_from(sweep.memory).unwrap_or(usize::MAX),
            clock_tolerance: sweep.clock_tolerance,
            clock_settle: sweep.clock_settle,
        }
    }
}

/// What a sweep is made of.
pub struct Parts {
    /// Where the tables are.
    pub root: Root,
    /// The policy in use.
    pub policy: Arc<Policy>,
    /// Where time comes from.
    pub clock: SharedClock,
    /// Where counts go.
    pub metrics: Metrics,
    /// How it goes about its work.
    pub settings: Settings,
    /// Which segments are this instance's.
    pub share: Share,
    /// Where it tells which segments are held.
    pub board: HeldBoard,
}

/// Sweeps the tables of all products, or of some: a few at once, of each a piece of work at a time.
pub struct Sweeper {
    pub(super) parts: Parts,
    pub(super) products: Vec<Product>,
    pub(super) controls: SharedControls,
    guard: TrustedClock,
    failures: Failures,
    turns: Turns,
    pub(super) writer: Uuid,
}

/// What one round did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Round {
    /// Pieces of work that were done.
    pub works: u64,
    /// Commits that were made.
    pub commits: u64,
    /// What they did, summed.
    pub did: RewriteEvidence,
    /// Pieces of work that failed.
    pub failed: u64,
    /// Pieces of work that are looked at again: another instance took a part first, the controls moved, or one of several
    /// segments is at fault and the others can do without it.
    pub stale: u64,
    /// Whether more is due than was done.
    pub more: bool,
    /// Why nothing was done, where the clock is not trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<&'static str>,
}

impl Round {
    /// What both did: `later` came behind this one, so it tells what is left.
    pub fn add(&mut self, later: &Round) {
        self.works += later.works;
        self.commits += later.commits;
        self.did.add(&later.did);
        self.failed += later.failed;
        self.stale += later.stale;
        self.more = later.more;
        self.clock = later.clock;
    }
}

/// What there is to do in one table.
struct Todo {
    /// What is due.
    due: Plan,
    /// What notices make other tags of.
    retags: Plan,
    held: HeldBy,
}

/// A piece of work as a dry run tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The product.
    pub product: ProductKey,
    /// What is planned.
    pub work: Work,
    /// The records of its segments that are held and therefore do not change.
    pub held: u64,
}

impl Sweeper {
    /// Opens the tables of the products that `wanted` names, or of all.
    pub async fn open(parts: Parts, wanted: Option<&ProductKey>) -> Result<Sweeper, OpenProductError> {
        let products = Product::open(&parts.root, &parts.policy, wanted).await?;
        let controls = SharedControls::new(parts.root.clone());
        Ok(Self::of(products, controls, parts))
    }

    /// A sweeper of products, by the controls of their root.
    #[must_use]
    pub fn of(products: Vec<Product>, controls: SharedControls, parts: Parts) -> Sweeper {
        let Settings { clock_tolerance, clock_settle, .. } = parts.settings;
        let guard = TrustedClock::new(Arc::clone(&parts.clock), parts.metrics.clone(), clock_tolerance, clock_settle);
        Sweeper {
            parts,
            products,
            controls,
            guard,
            failures: Failures::default(),
            turns: Turns::default(),
            writer: Uuid::new_v4(),
        }
    }

    /// Makes the sweeper use a clock that it shares with other tasks.
    #[must_use]
    pub fn with_guard(self, guard: TrustedClock) -> Sweeper {
        Sweeper { guard, ..self }
    }

    /// What is due at `at` and not held, the longest overdue first, and whether there is more. Changes nothing.
    pub async fn plan(&mut self, at: DateTime<Utc>) -> Result<(Vec<Planned>, bool), SweepError> {
        let (mut all, mut more) = (Vec::new(), false);
        for index in 0..self.products.len() {
            let (plan, held) = loop {
                let Todo { due, retags, held } = self.plan_of(index, at, Reach::Late).await?;
                let mut plan = due.with(retags);
                if self.products[index].leave_true(&mut plan).await? {
                    // Nothing but a look kept them from being planned for what is due.
                    continue;
                }
                let some = self.products[index].leave_held(&mut plan, &held).await?;
                // What is held took the place of what is not.
                if !(some && plan.more) {
                    break (plan, held);
                }
            };
            more |= plan.more;
            let product = &self.products[index];
            for work in plan.works {
                let held = product.held_records(&work, &held).await?;
                all.push(Planned { product: product.key.clone(), work, held });
            }
        }
        all.sort_by_key(|planned| planned.work.due);
        Ok((all, more))
    }

    async fn plan_of(&mut self, index: usize, at: DateTime<Utc>, reach: Reach) -> Result<Todo, SweepError> {
        let running = self.parts.clock.monotonic();
        let product = &mut self.products[index];
        product.refresh().await?;
        let version = product.table.controls();
        let controls = product.controls(&self.controls).await?;
        controls.check_active(&self.parts.policy)?;
        // Holds end by the time that it is, whatever time is swept for.
        let held = HeldBy::at(controls, self.parts.clock.now(), version);
        product.note_policies(&self.parts.policy);
        let failures = &self.failures;
        let partitions = product.table.partitions();
        let ours = self.parts.share.of(&partitions, reach, at);
        let wait = |segment: &StoredSegment| failures.waits(&segment.path, running) || !ours.has(segment);
        let due = product.plan(at, &held, self.parts.settings.bounds, wait);
        let not_ours = |suspect: &Suspect| {
            failures.waits(&suspect.segment.path, running)
                || !ours.has_since(&suspect.segment, Some(suspect.recorded_at))
        };
        let retags = product.plan_retags(at, self.parts.settings.bounds, not_ours);
        Ok(Todo { due, retags, held })
    }

    /// Does what is due now, or what was due at `until` if that is earlier; at most `steps` pieces of work.
    pub async fn round(&mut self, until: Option<DateTime<Utc>>, steps: usize) -> Round {
        let mut round = Round::default();
        let mut plans: Vec<(usize, Plan)> = Vec::new();
        let mut held: BTreeMap<usize, HeldBy> = BTreeMap::new();
        // Also where nothing is due: a jump that nobody sees would count against a later time.
        self.look_at_clock();
        let now = self.parts.clock.now();
        let reach = self.parts.share.next_reach(&mut self.turns, rand::random());
        for index in 0..self.products.len() {
            match self.plan_of(index, until.map_or(now, |until| until.min(now)), reach).await {
                Ok(of) => {
                    plans.extend([(index, of.due), (index, of.retags)]);
                    held.insert(index, of.held);
                }
                Err(SweepError::NotActive(why)) => {
                    tracing::error!("nothing is swept any more: {why}");
                    round.failed += 1;
                }
                Err(error) => {
                    let product = &self.products[index].key;
                    tracing::error!(%product, %error, "nothing is swept in the table");
                    self.parts.metrics.sweep_failures.with_label_values(&[product.as_str()]).inc();
                    round.failed += 1;
                }
            }
        }
        let (todo, more) = in_order(plans);
        // What is late in the other parts was not looked at.
        round.more |= more || todo.len() > steps || matches!(reach, Reach::Part(_));
        let others = todo.iter().any(|(index, work)| !self.owns(*index, work));
        self.carry_out(todo.into_iter().take(steps).collect(), &held, &mut round).await;
        // Also where nothing was due: by a commit that is dated ahead, all others' clocks are behind.
        match self.look_at_clock() {
            Verdict::Trusted => self.note(&held).await,
            verdict => round.clock = Some(verdict.as_str()),
        }
        // The watch is told which segments are held whole.
        for (index, held) in &held {
            let product = &self.products[*index];
            let (held, settled) = (product.held_paths(held), product.settled_paths());
            self.parts.board.tell(&product.key, Known { held, settled, seen: product.seen() });
        }
        self.turns.note(round.works, round.stale, others);
        let products = &self.products;
        self.failures.retain(|path| products.iter().any(|product| product.index.get(path).is_some()));
        round
    }

    /// Whether a piece of work is of this instance's own share.
    fn owns(&self, index: usize, work: &Work) -> bool {
        let partitions = self.products[index].table.partitions();
        let own = self.parts.share.of(&partitions, Reach::Own, self.parts.clock.now());
        work.segments.first().is_some_and(|segment| own.has(segment))
    }

    async fn carry_out(&mut self, todo: Vec<(usize, Work)>, held: &BTreeMap<usize, HeldBy>, round: &mut Round) {
        let by = self.by();
        let mut tally = Tally { round, failures: &mut self.failures, metrics: &self.parts.metrics };
        let over = |finished: &Finished| tally.take(finished, by.clock.monotonic());
        let look = |newest| self.guard.look(newest);
        let verdict = carry_out_all(todo, &mut self.products, (held, &by), look, over).await;
        if verdict != Verdict::Trusted {
            round.clock = Some(verdict.as_str());
            round.more = true;
        }
    }

    /// Notes in the tables what nobody needs to look into again.
    async fn note(&mut self, held: &BTreeMap<usize, HeldBy>) {
        let by = self.by();
        for (index, held) in held {
            let product = &mut self.products[*index];
            match product.note(held, &by).await {
                Ok(_) => {}
                Err(error) if error.is_stale() => {}
                // Without the note all is as true, and dearer to know.
                Err(error) => tracing::warn!(product = %product.key, %error, "what was looked into could not be noted"),
            }
        }
    }

    fn by(&self) -> By {
        By {
            writer: self.writer,
            clock: Arc::clone(&self.parts.clock),
            policy_version: self.parts.policy.version.clone(),
            memory: self.parts.settings.memory,
        }
    }

    /// Returns the date of the newest commit of its tables.
    #[must_use]
    pub fn newest_commit(&self) -> Option<DateTime<Utc>> {
        self.products.iter().filter_map(|product| product.table.newest_commit()).max()
    }

    /// Decides whether the clock may be used.
    pub fn look_at_clock(&self) -> Verdict {
        self.guard.look(self.newest_commit())
    }
}

/// What an instance does with its tables, and how often.
pub struct Rhythm {
    /// How often it sweeps; `None`: not at all.
    pub sweep: Option<Duration>,
    /// Whether and how it compacts: a merge at a time, between rounds that had nothing to do.
    pub compaction: Option<Compaction>,
}

/// Sweeps round after round, and compacts between them, so often as `rhythm` says and at once where more is left, until dropped.
pub async fn run(mut sweeper: Sweeper, mut rhythm: Rhythm) {
    let every = rhythm.sweep.or(rhythm.compaction.as_ref().map(Compaction::every)).unwrap_or(Duration::from_secs(3600));
    loop {
        let round = match rhythm.sweep {
            Some(_) => sweeper.round(None, usize::MAX).await,
            None => Round::default(),
        };
        // A part in which nothing was late says nothing of the others.
        let nothing = round.works == 0 && (!round.more || round.failed > 0 || round.stale > 0);
        let idle = nothing || round.clock.is_some();
        let mut at_once = round.more && !idle;
        // What is due goes first: nothing is compacted while a sweep has work.
        if idle && let Some(compaction) = &mut rhythm.compaction {
            at_once |= sweeper.compact_in_turn(compaction).await;
        }
        let wait = if at_once { Duration::ZERO } else { every };
        // A little more or less each time, so that instances that were started together part.
        let wait = wait.mul_f64(rand::random_range(0.9..1.1));
        tokio::time::sleep(sweeper.parts.clock.machine(wait)).await;
    }
}
