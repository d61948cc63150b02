//! `ebbtide sweep`: deletes expired data, once, for cron or where ingest runs elsewhere.
//!
//! Exit code: 0 all due work is done, 3 more is left, 4 the clock is not trusted, 1 something
//! failed, 2 wrong use. Progress is written to stderr, the result to stdout.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::commit_clock::CLOCK_NOT_TRUSTED;
use super::maintenance_setup::{self, MaintenanceSetupError};
use super::report::counted;
use super::{CommandOutput, OutputFormat, clock, json};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::{Deadline, ProductKey};
use ebbtide_base::metrics::{Metrics, MetricsError};
use ebbtide_config::{Config, SweepConfig};
use ebbtide_maintenance::{
    ClockStatus, OpenProductError, PlanBounds, PlannedTask, ReviewCache, SweepError, SweepReport,
    SweepSettings, Sweeper, SweeperDeps, TrustedClock, WorkShare,
};
use ebbtide_policy::{LoadedPolicy, Policy};
use ebbtide_services::app::upkeep;
use ebbtide_table::{DeleteFailures, OpenError, Root, Table, TableSpec};

/// The exit code if more is due.
const MORE_LEFT: u8 = 3;

/// Delete expired data, once.
///
/// Drops the columns of expired categories, and ends records whose last category has expired. Held
/// data is kept. Then deletes files that were replaced longer ago than `maintain.readers_grace`.
///
/// Exit code 0: no expired data is left. 1: something failed, or a file could not be deleted. 2:
/// wrong use. 3: more is left (--steps). 4: the clock is not trusted, and nothing more was deleted;
/// see `ebbtide clock show`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ebbtide sweep --dry-run\n  ebbtide sweep --product sms --steps 100\n  \
                        ebbtide sweep --dry-run --until 2027-01-01T00:00:00Z"
)]
pub(super) struct SweepArgs {
    /// Sweep only this product.
    #[arg(long, value_parser = ProductKey::new)]
    product: Option<ProductKey>,
    /// Delete only data that was due at this time. A time in the future is accepted only with
    /// --dry-run.
    #[arg(long, value_name = "INSTANT")]
    until: Option<DateTime<Utc>>,
    /// Do at most N pieces of work.
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Show what would be deleted, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The configuration that names the root and the policy.
    #[arg(
        long,
        short,
        value_name = "FILE",
        default_value = "config/ebbtide.yaml"
    )]
    config: PathBuf,
    /// How to write the result.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

/// The reason why nothing could be swept.
#[derive(Debug, thiserror::Error)]
enum SweepCliError {
    #[error(transparent)]
    Once(#[from] MaintenanceSetupError),
    #[error(
        "--until lies in the future: nothing goes before it is due; see what would, with --dry-run"
    )]
    Future,
    #[error(transparent)]
    Open(#[from] OpenProductError),
    #[error(transparent)]
    Table(#[from] OpenError),
    #[error(transparent)]
    Sweep(#[from] SweepError),
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    #[error("no threads to work with: {0}")]
    Threads(#[from] std::io::Error),
}

impl SweepArgs {
    pub(super) fn run(self) -> CommandOutput {
        maintenance_setup::logged(&self.config, || self.outcome(clock()))
    }

    fn outcome(&self, clock: SharedClock) -> CommandOutput {
        self.answer(clock).unwrap_or_else(|error| match error {
            SweepCliError::Future => CommandOutput::usage(error),
            SweepCliError::Once(of) if of.is_use() => CommandOutput::usage(of),
            error => CommandOutput::failure(format!("error: {error}\n")),
        })
    }

    fn answer(&self, clock: SharedClock) -> Result<CommandOutput, SweepCliError> {
        let (config, loaded) = maintenance_setup::configured(&self.config, self.product.as_ref())?;
        if !self.dry_run && self.until.is_some_and(|until| until > clock.now()) {
            return Err(SweepCliError::Future);
        }
        let runtime = super::runtime()?;
        runtime.block_on(self.sweep(&config, loaded, clock))
    }

    async fn sweep(
        &self,
        config: &Config,
        loaded: LoadedPolicy,
        clock: SharedClock,
    ) -> Result<CommandOutput, SweepCliError> {
        let root =
            maintenance_setup::root(config, &loaded, (!self.dry_run).then(|| clock.now())).await?;
        let policy = loaded.policy;
        let metrics = Metrics::new()?;
        let guard =
            TrustedClock::for_command(Arc::clone(&clock), metrics.clone(), &config.sweep, &root);
        let parts = SweeperDeps {
            root: root.clone(),
            policy: Arc::clone(&policy),
            clock: Arc::clone(&clock),
            metrics,
            settings: settings(&config.sweep, self.dry_run),
            share: WorkShare::All,
            reviews: ReviewCache::default(),
        };
        let mut sweeper = Sweeper::open(parts, self.product.as_ref())
            .await?
            .with_guard(guard.clone());
        if self.dry_run {
            let (works, more) = sweeper
                .plan(self.until.unwrap_or_else(|| clock.now()))
                .await?;
            return Ok(self.tell_plan(&works, more));
        }
        guard.update(sweeper.newest_commit()).await;
        let mut round = self.rounds(&mut sweeper).await;
        let mut unlinked = Unlinked::default();
        // A clock that is not trusted for deadlines is not trusted for the readers' grace either.
        match sweeper.look_at_clock() {
            ClockStatus::Trusted => unlinked = self.unlink(config, &root, &policy, &clock).await?,
            verdict => round.clock = Some(verdict.as_str()),
        }
        guard.update(None).await;
        Ok(self.tell(&round, &unlinked, &guard))
    }

    /// Deletes the files that are no longer needed. A file that fails does not delay the others.
    async fn unlink(
        &self,
        config: &Config,
        root: &Root,
        policy: &Policy,
        clock: &SharedClock,
    ) -> Result<Unlinked, SweepCliError> {
        let (upkeep, mut unlinked) = (upkeep(&config.maintain), Unlinked::default());
        for spec in TableSpec::all(policy) {
            if self
                .product
                .as_ref()
                .is_some_and(|only| *only != spec.product)
            {
                continue;
            }
            let mut table = Table::open(root, spec).await?;
            // One pass deletes a bounded number of files; after a pass that deletes none, no later
            // pass deletes any.
            loop {
                let done = match table.maintain(clock.now(), &upkeep).await {
                    Ok(done) => done,
                    Err(error) => {
                        let product = &table.spec().product;
                        tracing::error!(%product, %error, "it is not known which files should be deleted");
                        unlinked.unknown += 1;
                        break;
                    }
                };
                unlinked.files += done.deleted.replaced.len();
                if !done.deleted.more || done.deleted.is_empty() {
                    unlinked.failures.extend(done.failures);
                    break;
                }
            }
        }
        let old = clock
            .now()
            .checked_sub_signed(upkeep.keep_orphans)
            .unwrap_or_default();
        match root.give_up_uploads(old).await {
            Ok(done) => unlinked.failures.extend(done.failures),
            Err(error) => {
                tracing::warn!(%error, "unfinished uploads could not be listed; the next sweep tries again")
            }
        }
        if !unlinked.failures.is_empty() {
            let count = unlinked.failures.count;
            tracing::error!(count, first = %unlinked.failures, "files could not be deleted");
        }
        Ok(unlinked)
    }

    /// Runs rounds until nothing due is left, the steps are used up or a round makes no progress.
    async fn rounds(&self, sweeper: &mut Sweeper) -> SweepReport {
        let mut all = SweepReport::default();
        loop {
            let left = self.steps.map_or(usize::MAX, |steps| {
                steps.saturating_sub(usize::try_from(all.works).unwrap_or(steps))
            });
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

    fn tell_plan(&self, works: &[PlannedTask], more: bool) -> CommandOutput {
        let lines: Vec<TaskReport> = works.iter().map(TaskReport::of).collect();
        if self.output == OutputFormat::Json {
            return CommandOutput::done(json(&SweepPlanReport { works: lines, more }));
        }
        let mut out = String::new();
        for TaskReport {
            product,
            bucket,
            profile,
            action,
            due,
            segments,
            records,
            held,
            bytes,
        } in &lines
        {
            let held = if *held > 0 {
                format!(", {held} more held")
            } else {
                String::new()
            };
            // Writing to a `String` cannot fail.
            let _ = writeln!(
                out,
                "{product} {bucket} {profile}: {action}, due {due}: {} in {}, {}{held}",
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
        CommandOutput::done(out)
    }

    fn tell(
        &self,
        round: &SweepReport,
        unlinked: &Unlinked,
        guard: &TrustedClock,
    ) -> CommandOutput {
        let code = match round {
            _ if round.failed > 0 || unlinked.unknown > 0 || !unlinked.failures.is_empty() => 1,
            SweepReport { clock: Some(_), .. } => CLOCK_NOT_TRUSTED,
            SweepReport { more: true, .. } => MORE_LEFT,
            _ => 0,
        };
        let reason = round.clock.map(|_| guard.reason());
        if self.output == OutputFormat::Json {
            let (files, undeleted) = (unlinked.files, unlinked.failures.count);
            let out = json(&SweepOutput {
                round,
                unlinked: files,
                undeleted,
                unknown_tables: unlinked.unknown,
                reason,
            });
            return CommandOutput {
                out,
                code,
                ..CommandOutput::default()
            };
        }
        let mut out = done_lines(round, unlinked.files);
        if let Some((clock, reason)) = round.clock.zip(reason) {
            let _ = writeln!(out, "stopped: the clock is not trusted ({clock}): {reason}");
        }
        if !unlinked.failures.is_empty() {
            let files = counted(unlinked.failures.count, "file");
            let _ = writeln!(out, "{files} could not be deleted: {}", unlinked.failures);
        }
        if unlinked.unknown > 0 {
            let tables = counted(unlinked.unknown, "table");
            let _ = writeln!(
                out,
                "files to delete are not known in {tables}; the log says why"
            );
        }
        if round.failed > 0 {
            let _ = writeln!(out, "{} failed; the log says why", pieces(round.failed));
        } else if round.more {
            out.push_str("more is due\n");
        }
        CommandOutput {
            out,
            code,
            ..CommandOutput::default()
        }
    }
}

/// Files deleted apart from the sweep's commits.
#[derive(Default)]
struct Unlinked {
    /// Replaced files that were deleted.
    files: usize,
    /// Files that could not be deleted.
    failures: DeleteFailures,
    /// The number of tables whose overdue files are unknown.
    unknown: usize,
}

/// Returns the lines that describe the result of a round.
fn done_lines(round: &SweepReport, unlinked: usize) -> String {
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
    // Writing to a `String` cannot fail.
    if did.retagged > 0 {
        let _ = writeln!(
            out,
            "{} brought up to date",
            counted(did.retagged, "record")
        );
    }
    if did.unclassified > 0 {
        let fields = counted(did.unclassified, "field");
        let _ = writeln!(
            out,
            "{fields} left out that the active policy does not name"
        );
    }
    out
}

fn settings(sweep: &SweepConfig, dry_run: bool) -> SweepSettings {
    let of = SweepSettings::of(sweep);
    // One sweep ends before a clock could settle. A dry run only lists the work, so it has a higher
    // bound.
    let works = if dry_run { 10_000 } else { of.bounds.works };
    SweepSettings {
        clock_settle: Duration::MAX,
        bounds: PlanBounds { works, ..of.bounds },
        ..of
    }
}

#[derive(Serialize)]
struct SweepPlanReport {
    works: Vec<TaskReport>,
    more: bool,
}

/// Formats a number of pieces of work.
fn pieces(number: u64) -> String {
    if number == 1 {
        "1 piece of work".to_owned()
    } else {
        format!("{number} pieces of work")
    }
}

/// A planned piece of work.
#[derive(Serialize)]
struct TaskReport {
    product: ProductKey,
    bucket: String,
    profile: String,
    action: String,
    due: Deadline,
    segments: usize,
    /// Records that may be deleted.
    records: u64,
    /// Records of the same segments that are held.
    held: u64,
    bytes: u64,
}

impl TaskReport {
    fn of(planned: &PlannedTask) -> TaskReport {
        let work = &planned.work;
        TaskReport {
            product: planned.product.clone(),
            bucket: work.bucket.to_string(),
            profile: work.profile.to_string(),
            action: work.action.to_string(),
            due: work.due,
            segments: work.segments.len(),
            records: work.records().saturating_sub(planned.held),
            held: planned.held,
            bytes: work.bytes(),
        }
    }
}

#[derive(Serialize)]
struct SweepOutput<'r> {
    #[serde(flatten)]
    round: &'r SweepReport,
    unlinked: usize,
    /// Files that could not be deleted.
    undeleted: usize,
    /// The number of tables whose overdue files are unknown.
    unknown_tables: usize,
    /// The reason why the clock is not trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[cfg(test)]
mod tests;
