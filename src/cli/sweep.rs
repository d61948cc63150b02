//! `ebbtide sweep`: makes what is due go, once, for cron or where ingest runs elsewhere.
//!
//! Promises an exit code that tells: 0 all that is due is done, 3 more is left, 1 something failed, 2 a wrong use. Progress goes
//! to stderr, the result to stdout.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::once::{self, OnceError};
use super::report::counted;
use super::{Outcome, Output, clock, json};
use crate::app::upkeep;
use crate::clock::SharedClock;
use crate::config::{Config, Sweep};
use crate::expiry::{
    Action, Bounds, HeldBoard, OpenProductError, Parts, Planned, Round, Settings, Share, SweepError, Sweeper, Verdict,
};
use crate::ids::{Deadline, ProductKey};
use crate::metrics::{Metrics, MetricsError};
use crate::policy::Policy;
use crate::store::{OpenError, StoreError, Table, TableSpec};

/// More is due than was done.
const MORE_LEFT: u8 = 3;

/// Makes what is due go: columns of categories that are due are left out, records whose last category is due end. What is held
/// stays. Then unlinks what was replaced longer ago than `maintain.readers_grace`.
///
/// Exit code 0: nothing due is left. 3: more is left (--steps, or the clock is not trusted). 1: something failed. 2: a wrong use.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  ebbtide sweep --dry-run\n  ebbtide sweep --product sms --steps 100\n  \
                        ebbtide sweep --dry-run --until 2027-01-01T00:00:00Z")]
pub(super) struct Args {
    /// Sweep this product alone.
    #[arg(long, value_parser = ProductKey::new)]
    product: Option<ProductKey>,
    /// Sweep only what was due then. In the future only with --dry-run.
    #[arg(long, value_name = "INSTANT")]
    until: Option<DateTime<Utc>>,
    /// Do at most so many pieces of work.
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Say what is due and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The configuration that names the root and the policy.
    #[arg(long, short, value_name = "FILE", default_value = "config/ebbtide.yaml")]
    config: PathBuf,
    /// How to write the result.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Why nothing could be swept.
#[derive(Debug, thiserror::Error)]
enum SweepCliError {
    #[error(transparent)]
    Once(#[from] OnceError),
    #[error("--until lies in the future: nothing goes before it is due; see what would, with --dry-run")]
    Future,
    #[error(transparent)]
    Open(#[from] OpenProductError),
    #[error(transparent)]
    Table(#[from] OpenError),
    #[error(transparent)]
    Sweep(#[from] SweepError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    #[error("no threads to work with: {0}")]
    Threads(#[from] std::io::Error),
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        once::logged(&self.config, || self.outcome(clock()))
    }

    fn outcome(&self, clock: SharedClock) -> Outcome {
        self.answer(clock).unwrap_or_else(|error| match error {
            SweepCliError::Future => Outcome::usage(error),
            SweepCliError::Once(of) if of.is_use() => Outcome::usage(of),
            error => Outcome::failure(format!("error: {error}\n")),
        })
    }

    fn answer(&self, clock: SharedClock) -> Result<Outcome, SweepCliError> {
        let (config, policy) = once::configured(&self.config, self.product.as_ref())?;
        if !self.dry_run && self.until.is_some_and(|until| until > clock.now()) {
            return Err(SweepCliError::Future);
        }
        let runtime = super::runtime()?;
        runtime.block_on(self.sweep(&config, policy, clock))
    }

    async fn sweep(&self, config: &Config, policy: Policy, clock: SharedClock) -> Result<Outcome, SweepCliError> {
        let (root, policy) = (once::root(config, &policy, !self.dry_run).await?, Arc::new(policy));
        let parts = Parts {
            root: root.clone(),
            policy: Arc::clone(&policy),
            clock: Arc::clone(&clock),
            metrics: Metrics::new()?,
            settings: settings(&config.sweep, self.dry_run),
            share: Share::All,
            board: HeldBoard::default(),
        };
        let mut sweeper = Sweeper::open(parts, self.product.as_ref()).await?;
        if self.dry_run {
            let (works, more) = sweeper.plan(self.until.unwrap_or_else(|| clock.now())).await?;
            return Ok(self.tell_plan(&works, more));
        }
        let round = self.rounds(&mut sweeper).await;
        let mut unlinked = 0;
        let wanted = |spec: &Arc<TableSpec>| self.product.as_ref().is_none_or(|only| *only == spec.product);
        // A clock that is not trusted with what is due is not with the readers' grace either.
        let trusted = sweeper.look_at_clock() == Verdict::Trusted;
        for spec in TableSpec::all(&policy).filter(wanted).filter(|_| trusted) {
            let mut table = Table::open(&root, spec).await?;
            // A pass deletes so many files at most; once nothing is deleted, nothing more can be.
            loop {
                let done = table.maintain(clock.now(), &upkeep(&config.maintain)).await?.deleted;
                unlinked += done.replaced.len();
                if !done.more {
                    break;
                }
            }
        }
        if trusted {
            let old = clock.now().checked_sub_signed(upkeep(&config.maintain).keep_orphans).unwrap_or_default();
            if let Err(error) = root.give_up_uploads(old).await {
                tracing::warn!(%error, "unfinished uploads could not be given up; the next sweep tries again");
            }
        }
        Ok(self.tell(&round, unlinked))
    }

    /// Rounds until nothing due is left, the steps are used up or a round gets nowhere.
    async fn rounds(&self, sweeper: &mut Sweeper) -> Round {
        let mut all = Round::default();
        loop {
            let left = self
                .steps
                .map_or(usize::MAX, |steps| steps.saturating_sub(usize::try_from(all.works).unwrap_or(steps)));
            let round = sweeper.round(self.until, left).await;
            all.add(&round);
            if round.works > 0 && all.more {
                eprintln!("{} done, more is due", pieces(all.works));
            }
            let nowhere = round.works == 0 && round.stale == 0;
            if !round.more || nowhere || round.clock.is_some() || left == 0 {
                return all;
            }
        }
    }

    fn tell_plan(&self, works: &[Planned], more: bool) -> Outcome {
        let lines: Vec<Line> = works.iter().map(Line::of).collect();
        if self.output == Output::Json {
            return Outcome::done(json(&Due { works: lines, more }));
        }
        let mut out = String::new();
        for Line { product, bucket, profile, action, due, segments, records, bytes } in &lines {
            // Writing to a text cannot fail.
            let _ = writeln!(
                out,
                "{product} {bucket} {profile}: {action}, due {due}: {} in {}, {}",
                counted(*records, "record"),
                counted(*segments, "segment"),
                counted(*bytes, "byte"),
            );
        }
        if lines.is_empty() {
            out.push_str("nothing is due\n");
        }
        if more {
            out.push_str("and more than one plan holds\n");
        }
        Outcome::done(out)
    }

    fn tell(&self, round: &Round, unlinked: usize) -> Outcome {
        let code = match round {
            Round { failed, .. } if *failed > 0 => 1,
            Round { more: true, .. } => MORE_LEFT,
            _ => 0,
        };
        let out = if self.output == Output::Json {
            json(&Swept { round, unlinked })
        } else {
            let did = &round.did;
            let fields: u64 = did.dropped.values().sum();
            let mut out = format!(
                "{} in {}: {} dropped, {} ended ({} in {}, {} suppressed, {} removed), {} held; {} copied, {} dropped; \
                 {} unlinked\n",
                pieces(round.works),
                counted(round.commits, "commit"),
                counted(fields, "field"),
                counted(did.cell_records + did.suppressed + did.removed, "record"),
                did.cell_records,
                counted(did.cells, "cell"),
                did.suppressed,
                did.removed,
                did.held,
                counted(did.bytes_copied, "byte"),
                counted(did.bytes_dropped, "byte"),
                counted(unlinked, "replaced file"),
            );
            if did.retagged > 0 {
                let _ = writeln!(out, "{} brought up to date", counted(did.retagged, "record"));
            }
            if did.unclassified > 0 {
                let fields = counted(did.unclassified, "field");
                let _ = writeln!(out, "{fields} left out that the active policy does not name");
            }
            if let Some(clock) = round.clock {
                let _ = writeln!(out, "stopped: the clock is not trusted ({clock})");
            }
            if round.failed > 0 {
                let _ = writeln!(out, "{} failed; the log says why", pieces(round.failed));
            } else if round.more {
                out.push_str("more is due\n");
            }
            out
        };
        Outcome { out, code, ..Outcome::default() }
    }
}

fn settings(sweep: &Sweep, dry_run: bool) -> Settings {
    let of = Settings::of(sweep);
    // One sweep is over before a clock could have settled; and what is only told may be all of it.
    let works = if dry_run { 10_000 } else { of.bounds.works };
    Settings { clock_settle: Duration::MAX, bounds: Bounds { works, ..of.bounds }, ..of }
}

#[derive(Serialize)]
struct Due {
    works: Vec<Line>,
    more: bool,
}

/// So many pieces of work.
fn pieces(number: u64) -> String {
    if number == 1 { "1 piece of work".to_owned() } else { format!("{number} pieces of work") }
}

/// One piece of work.
#[derive(Serialize)]
struct Line {
    product: ProductKey,
    bucket: String,
    profile: String,
    action: String,
    due: Deadline,
    segments: usize,
    records: u64,
    bytes: u64,
}

impl Line {
    fn of(planned: &Planned) -> Line {
        let work = &planned.work;
        let action = match &work.action {
            Action::End => "end".to_owned(),
            Action::Retag => "retag".to_owned(),
            Action::Drop(categories) => {
                let named: Vec<&str> = categories.iter().map(|category| category.as_str()).collect();
                format!("drop {}", named.join(", "))
            }
        };
        Line {
            product: planned.product.clone(),
            bucket: work.bucket.to_string(),
            profile: work.profile.to_string(),
            action,
            due: work.due,
            segments: work.segments.len(),
            records: work.records(),
            bytes: work.bytes(),
        }
    }
}

#[derive(Serialize)]
struct Swept<'r> {
    #[serde(flatten)]
    round: &'r Round,
    unlinked: usize,
}

#[cfg(test)]
mod tests;
