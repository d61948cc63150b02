//! `ebbtide compact`: merges the small segments of closed buckets, once, for cron or where ingest
//! runs elsewhere.
//!
//! Exit code: 0 nothing is left to be done, 3 more is left, 4 the clock is not trusted, 1 something
//! failed, 2 wrong use. Progress is written to stderr, the result to stdout.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::commit_clock::CLOCK_NOT_TRUSTED;
use super::maintenance_setup::{self, MaintenanceSetupError};
use super::report::counted;
use super::{CommandOutput, OutputFormat, clock, json};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::ProductKey;
use ebbtide_base::metrics::{Metrics, MetricsError};
use ebbtide_config::Config;
use ebbtide_maintenance::{
    Compaction, CompactionReport, CompactionSettings, OpenProductError, PlannedMerge, ReviewCache,
    SweepError, SweepSettings, Sweeper, SweeperDeps, TrustedClock, WorkShare,
};
use ebbtide_policy::LoadedPolicy;

/// The exit code if more is left to merge.
const MORE_LEFT: u8 = 3;

/// Merge small segments of closed buckets into large ones, once.
///
/// The merged segments have the same rows and tags, sorted by subject. Data that is due within an
/// hour is left to the sweep, and held data is left as it is. The replaced files are deleted by
/// `ebbtide run` or `ebbtide sweep` after `maintain.readers_grace`.
///
/// Exit code 0: nothing is left to merge. 1: something failed. 2: wrong use. 3: more is left
/// (--steps). 4: the clock is not trusted; see `ebbtide clock show`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ebbtide compact --dry-run\n  ebbtide compact --product sms --steps 10"
)]
pub(super) struct CompactArgs {
    /// Compact only this product.
    #[arg(long, value_parser = ProductKey::new)]
    product: Option<ProductKey>,
    /// Merge at most N times.
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Show what would be merged, and change nothing.
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

/// The reason why nothing could be compacted.
#[derive(Debug, thiserror::Error)]
enum CompactError {
    #[error(transparent)]
    Once(#[from] MaintenanceSetupError),
    #[error(transparent)]
    Open(#[from] OpenProductError),
    #[error(transparent)]
    Plan(#[from] SweepError),
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    #[error("no threads to work with: {0}")]
    Threads(#[from] std::io::Error),
}

impl CompactArgs {
    pub(super) fn run(self) -> CommandOutput {
        maintenance_setup::logged(&self.config, || self.outcome(clock()))
    }

    fn outcome(&self, clock: SharedClock) -> CommandOutput {
        self.answer(clock).unwrap_or_else(|error| match error {
            CompactError::Once(of) if of.is_use() => CommandOutput::usage(of),
            error => CommandOutput::failure(format!("error: {error}\n")),
        })
    }

    fn answer(&self, clock: SharedClock) -> Result<CommandOutput, CompactError> {
        let (config, loaded) = maintenance_setup::configured(&self.config, self.product.as_ref())?;
        let runtime = super::runtime()?;
        runtime.block_on(self.compact(&config, loaded, clock))
    }

    async fn compact(
        &self,
        config: &Config,
        loaded: LoadedPolicy,
        clock: SharedClock,
    ) -> Result<CommandOutput, CompactError> {
        let mut compaction =
            Compaction::new(CompactionSettings::of(&config.compact), clock.monotonic());
        let root =
            maintenance_setup::root(config, &loaded, (!self.dry_run).then(|| clock.now())).await?;
        let metrics = Metrics::new()?;
        let guard =
            TrustedClock::for_command(Arc::clone(&clock), metrics.clone(), &config.sweep, &root);
        let parts = SweeperDeps {
            root,
            policy: loaded.policy,
            clock,
            metrics,
            // The command ends before a clock could settle.
            settings: SweepSettings {
                clock_settle: Duration::MAX,
                ..SweepSettings::of(&config.sweep)
            },
            share: WorkShare::All,
            reviews: ReviewCache::default(),
        };
        let mut sweeper = Sweeper::open(parts, self.product.as_ref())
            .await?
            .with_guard(guard.clone());
        if self.dry_run {
            let (merges, more) = sweeper.merges(&compaction).await?;
            return Ok(self.tell_plan(&merges, more));
        }
        guard.update(sweeper.newest_commit()).await;
        let did = self.rounds(&mut sweeper, &mut compaction).await;
        guard.update(None).await;
        Ok(self.tell(&did, &guard))
    }

    /// Does one merge at a time until nothing is left, the steps are used up or a round makes no
    /// progress.
    async fn rounds(&self, sweeper: &mut Sweeper, compaction: &mut Compaction) -> CompactionReport {
        let mut all = CompactionReport::default();
        loop {
            let done = usize::try_from(all.merges).unwrap_or(usize::MAX);
            let left = self
                .steps
                .map_or(usize::MAX, |steps| steps.saturating_sub(done));
            // With no step left, this call still finds out whether there is more.
            let did = sweeper.compact(compaction, left.min(1)).await;
            all.add(&did);
            if did.merges > 0 {
                eprintln!(
                    "{}: {} became {}",
                    merges(all.merges),
                    counted(all.segments_in, "segment"),
                    all.segments_out
                );
            }
            let nowhere = did.merges == 0 && did.failed == 0 && did.lost == 0;
            if !did.more || nowhere || did.clock.is_some() || left == 0 {
                return all;
            }
        }
    }

    fn tell_plan(&self, planned: &[PlannedMerge], more: bool) -> CommandOutput {
        let lines: Vec<MergeReport> = planned.iter().map(MergeReport::of).collect();
        if self.output == OutputFormat::Json {
            return CommandOutput::done(json(&CompactPlanReport {
                merges: lines,
                more,
            }));
        }
        let mut out = String::new();
        for MergeReport {
            product,
            bucket,
            profile,
            segments,
            records,
            bytes,
        } in &lines
        {
            // Writing to a `String` cannot fail.
            let _ = writeln!(
                out,
                "{product} {bucket} {profile}: {} become one: {}, {}",
                counted(*segments, "segment"),
                counted(*records, "record"),
                counted(*bytes, "byte"),
            );
        }
        if lines.is_empty() {
            out.push_str("nothing becomes one\n");
        }
        if more {
            out.push_str("and more than one plan holds\n");
        }
        CommandOutput::done(out)
    }

    fn tell(&self, did: &CompactionReport, guard: &TrustedClock) -> CommandOutput {
        let code = match did {
            CompactionReport { failed, .. } if *failed > 0 => 1,
            CompactionReport { clock: Some(_), .. } => CLOCK_NOT_TRUSTED,
            CompactionReport { more: true, .. } => MORE_LEFT,
            _ => 0,
        };
        if self.output == OutputFormat::Json {
            return CommandOutput {
                out: json(did),
                code,
                ..CommandOutput::default()
            };
        }
        let mut out = format!(
            "{}: {} became {}, {} in {}, now {}\n",
            merges(did.merges),
            counted(did.segments_in, "segment"),
            did.segments_out,
            counted(did.records, "record"),
            counted(did.bytes_in, "byte"),
            counted(did.bytes_out, "byte"),
        );
        if let Some(clock) = did.clock {
            let _ = writeln!(
                out,
                "stopped: the clock is not trusted ({clock}): {}",
                guard.reason()
            );
        }
        if did.lost > 0 {
            let _ = writeln!(out, "lost a race and let be: {}", merges(did.lost));
        }
        if did.failed > 0 {
            let _ = writeln!(out, "{} failed; the log says why", merges(did.failed));
        } else if did.more {
            out.push_str("more is left\n");
        }
        CommandOutput {
            out,
            code,
            ..CommandOutput::default()
        }
    }
}

/// Formats a number of merges.
fn merges(number: u64) -> String {
    counted(number, "merge")
}

#[derive(Serialize)]
struct CompactPlanReport {
    merges: Vec<MergeReport>,
    more: bool,
}

/// A planned merge.
#[derive(Serialize)]
struct MergeReport {
    product: ProductKey,
    bucket: String,
    profile: String,
    segments: usize,
    records: u64,
    bytes: u64,
}

impl MergeReport {
    fn of(planned: &PlannedMerge) -> MergeReport {
        let merge = &planned.merge;
        MergeReport {
            product: planned.product.clone(),
            bucket: merge.bucket.to_string(),
            profile: merge.profile.to_string(),
            segments: merge.segments.len(),
            records: merge.records(),
            bytes: merge.bytes(),
        }
    }
}

#[cfg(test)]
mod tests;
