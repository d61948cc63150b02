//! The sweep: what is due in all tables, the longest overdue first, piece after piece.
//!
//! Promises that a round is bounded, that what fails waits while the rest goes on, and that nothing is done by a clock that
//! is not trusted or under controls that cannot be read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::carry_out::{By, Done};
use super::error::SweepError;
use super::failures::Failures;
use super::guard::{ClockGuard, Verdict};
use super::product::{HeldBy, OpenProductError, Product};
use super::select::{Action, Bounds, Plan, Work};
use super::share::Share;
use super::stale::Suspect;
use super::watch::HeldBoard;
use crate::clock::SharedClock;
use crate::config::Sweep;
use crate::ids::ProductKey;
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::store::{RewriteEvidence, Root, StoredSegment};

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

/// Sweeps the tables of all products, or of some.
pub struct Sweeper {
    parts: Parts,
    products: Vec<Product>,
    guard: ClockGuard,
    failures: Failures,
    writer: Uuid,
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

/// A piece of work as a dry run tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The product.
    pub product: ProductKey,
    /// What is planned.
    pub work: Work,
}

impl Sweeper {
    /// Opens the tables of the products that `wanted` names, or of all.
    pub async fn open(parts: Parts, wanted: Option<&ProductKey>) -> Result<Sweeper, OpenProductError> {
        let mut products = Vec::new();
        for key in parts.policy.products.keys().filter(|key| wanted.is_none_or(|wanted| wanted == *key)) {
            products.extend(Product::open(&parts.root, &parts.policy, key).await?);
        }
        let guard = ClockGuard::new(parts.settings.clock_tolerance, parts.settings.clock_settle);
        Ok(Sweeper { parts, products, guard, failures: Failures::default(), writer: Uuid::new_v4() })
    }

    /// What is due at `at` and not held, the longest overdue first, and whether there is more. Changes nothing.
    pub async fn plan(&mut self, at: DateTime<Utc>) -> Result<(Vec<Planned>, bool), SweepError> {
        let (mut all, mut more) = (Vec::new(), false);
        for index in 0..self.products.len() {
            let plan = loop {
                let (mut plan, held) = self.plan_of(index, at).await?;
                if self.products[index].leave_true(&mut plan).await? {
                    // Nothing but a look kept them from being planned for what is due.
                    continue;
                }
                let some = self.products[index].leave_held(&mut plan, &held).await?;
                // What is held took the place of what is not.
                if !(some && plan.more) {
                    break plan;
                }
            };
            let product = &self.products[index].key;
            more |= plan.more;
            all.extend(plan.works.into_iter().map(|work| Planned { product: product.clone(), work }));
        }
        all.sort_by_key(|planned| planned.work.due);
        Ok((all, more))
    }

    async fn plan_of(&mut self, index: usize, at: DateTime<Utc>) -> Result<(Plan, HeldBy), SweepError> {
        let running = self.parts.clock.monotonic();
        let product = &mut self.products[index];
        product.refresh().await?;
        let version = product.table.controls();
        let controls = product.controls(&self.parts.root).await?;
        // Holds end by the time that it is, whatever time is swept for.
        let held = HeldBy::at(controls, self.parts.clock.now(), version);
        let (share, failures) = (&self.parts.share, &self.failures);
        let partitions: Vec<_> = product.table.next_offsets().into_iter().map(|(partition, _)| partition).collect();
        let wait = |segment: &StoredSegment| {
            failures.waits(&segment.path, running) || !share.is_ours(&partitions, segment, at)
        };
        let mut plan = product.plan(at, &held, self.parts.settings.bounds, wait);
        let not_ours = |suspect: &Suspect| {
            failures.waits(&suspect.segment.path, running)
                || !share.is_ours_since(&partitions, &suspect.segment, Some(suspect.recorded_at), at)
        };
        let retags = product.plan_retags(self.parts.settings.bounds, not_ours);
        plan.more |= retags.more;
        plan.works.extend(retags.works);
        Ok((plan, held))
    }

    /// Does what is due now, or what was due at `until` if that is earlier; at most `steps` pieces of work.
    pub async fn round(&mut self, until: Option<DateTime<Utc>>, steps: usize) -> Round {
        let mut round = Round::default();
        let mut todo: Vec<(usize, Work)> = Vec::new();
        let mut held: BTreeMap<usize, HeldBy> = BTreeMap::new();
        // Also where nothing is due: a jump that nobody sees would count against a later time.
        self.look_at_clock();
        let now = self.parts.clock.now();
        for index in 0..self.products.len() {
            match self.plan_of(index, until.map_or(now, |until| until.min(now))).await {
                Ok((plan, by)) => {
                    round.more |= plan.more;
                    todo.extend(plan.works.into_iter().map(|work| (index, work)));
                    held.insert(index, by);
                }
                Err(error) => {
                    let product = &self.products[index].key;
                    tracing::error!(%product, %error, "nothing is swept in the table: it or its controls cannot be read");
                    self.parts.metrics.sweep_failures.with_label_values(&[product.as_str()]).inc();
                    round.failed += 1;
                }
            }
        }
        todo.sort_by_key(|(_, work)| (work.due, work.action != Action::Retag));
        round.more |= todo.len() > steps;
        for (index, work) in todo.into_iter().take(steps) {
            let verdict = self.look_at_clock();
            if verdict != Verdict::Trusted {
                round.clock = Some(verdict.as_str());
                round.more = true;
                break;
            }
            if let Some(held) = held.get(&index) {
                self.step(index, &work, held, &mut round).await;
            }
        }
        // The watch is told which segments are held whole.
        for (index, held) in &held {
            let product = &self.products[*index];
            self.parts.board.tell(&product.key, product.held_paths(held));
        }
        let products = &self.products;
        self.failures.retain(|path| products.iter().any(|product| product.index.get(path).is_some()));
        round
    }

    /// Whether the clock may be gone by.
    pub fn look_at_clock(&mut self) -> Verdict {
        let newest = self.products.iter().filter_map(|product| product.table.newest_commit()).max();
        let verdict = self.guard.look(self.parts.clock.now(), self.parts.clock.monotonic(), newest);
        let trusted = i64::from(verdict == Verdict::Trusted);
        if self.parts.metrics.clock_trusted.get() != trusted && verdict != Verdict::Trusted {
            tracing::error!(clock = verdict.as_str(), "the clock is not trusted: nothing is swept");
        }
        self.parts.metrics.clock_trusted.set(trusted);
        verdict
    }

    async fn step(&mut self, index: usize, work: &Work, held: &HeldBy, round: &mut Round) {
        let by = By {
            writer: self.writer,
            clock: Arc::clone(&self.parts.clock),
            policy_version: self.parts.policy.version.clone(),
            memory: self.parts.settings.memory,
        };
        let began = self.parts.clock.monotonic();
        let product = &mut self.products[index];
        let done = product.carry_out(work, held, &by).await;
        let took = self.parts.clock.monotonic().saturating_sub(began);
        let key = product.key.clone();
        match done {
            Ok(done) => {
                self.failures.forget(work);
                self.count(&key, work, &done, took);
                round.works += 1;
                round.commits += done.commits;
                round.did.add(&done.did);
            }
            Err(error) if error.is_stale() => {
                round.stale += 1;
                round.more = true;
                tracing::debug!(product = %key, %error, "another was faster; looking again");
            }
            Err(error) => {
                round.failed += 1;
                if self.failures.note(work, &error, self.parts.clock.monotonic()) {
                    round.stale += 1;
                    round.more = true;
                }
                self.parts.metrics.sweep_failures.with_label_values(&[key.as_str()]).inc();
                let bucket = work.bucket.to_string();
                tracing::error!(product = %key, bucket, %error, "a sweep failed; trying again later");
            }
        }
    }

    fn count(&self, product: &ProductKey, work: &Work, done: &Done, took: Duration) {
        let metrics = &self.parts.metrics;
        let action = match work.action {
            Action::Drop(_) => "drop",
            Action::End => "end",
            Action::Retag => "retag",
        };
        let product = product.as_str();
        metrics.sweep_seconds.with_label_values(&[product, action]).observe(took.as_secs_f64());
        metrics.swept_bytes.with_label_values(&[product, "copied"]).inc_by(done.did.bytes_copied);
        metrics.swept_bytes.with_label_values(&[product, "dropped"]).inc_by(done.did.bytes_dropped);
        for (outcome, count) in
            [("cell", done.did.cell_records), ("suppressed", done.did.suppressed), ("removed", done.did.removed)]
        {
            metrics.ended_records.with_label_values(&[product, outcome]).inc_by(count);
        }
        metrics.cells.with_label_values(&[product]).inc_by(done.did.cells);
        for (category, fields) in &done.did.dropped {
            metrics.dropped_fields.with_label_values(&[product, category.as_str()]).inc_by(*fields);
        }
    }
}

/// Sweeps round after round, `every` so often and at once where more is due, until dropped.
pub async fn run(mut sweeper: Sweeper, every: Duration) {
    loop {
        let round = sweeper.round(None, usize::MAX).await;
        let idle = round.works == 0 || round.clock.is_some();
        let wait = if round.more && !idle { Duration::ZERO } else { every };
        // A little more or less each time, so that instances that were started together part.
        let wait = wait.mul_f64(rand::random_range(0.9..1.1));
        tokio::time::sleep(wait).await;
    }
}
