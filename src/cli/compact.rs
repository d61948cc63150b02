//! `ebbtide compact`: merges the small segments of closed buckets, once, for cron or where ingest
//! runs elsewhere.
//!
//! Progress is written to stderr, the result to stdout.

use std::fmt::Write;
use std::path::PathBuf;

use super::exit_codes::{CLOCK_NOT_TRUSTED, DONE, MORE_LEFT, PROBLEM};
use super::report::counted;
use super::{CommandFailure, CommandOutput, OutputFormat, clock, logged, runtime, shown};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::ProductKey;
use ebbtide_maintenance::CompactionReport;
use ebbtide_services::compact::{
    CompactOutcome, CompactPlanReport, CompactRequest, MergeReport, compact, plan,
};
use ebbtide_services::maintenance_setup::MaintenanceSetup;

/// Merge small segments of closed buckets into large ones, once.
///
/// The merged segments have the same rows and tags, sorted by subject. Data that is due within an
/// hour is left to the sweep, and held data is left as it is. The replaced files are deleted by
/// `ebbtide run` or `ebbtide sweep` after `maintain.readers_grace`.
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
    /// The format of the result.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

impl CompactArgs {
    pub(super) fn run(self) -> CommandOutput {
        logged(&self.config, || self.outcome(clock()))
    }

    fn outcome(&self, clock: SharedClock) -> CommandOutput {
        self.answer(&clock).unwrap_or_else(CommandFailure::outcome)
    }

    fn answer(&self, clock: &SharedClock) -> Result<CommandOutput, CommandFailure> {
        let setup = MaintenanceSetup::load(&self.config, self.product.as_ref())?;
        let request = CompactRequest {
            product: self.product.clone(),
            steps: self.steps,
        };
        let runtime = runtime()?;
        if self.dry_run {
            let plan = runtime.block_on(plan(&setup, &request, clock))?;
            return Ok(CommandOutput::done(shown(&plan, self.output, plan_text)));
        }
        let done = runtime.block_on(compact(&setup, &request, clock, print_progress))?;
        let out = shown(&done, self.output, outcome_text);
        Ok(CommandOutput::with_code(out, code(&done.report)))
    }
}

fn code(report: &CompactionReport) -> u8 {
    match report {
        _ if report.failed > 0 => PROBLEM,
        _ if report.clock.is_some() => CLOCK_NOT_TRUSTED,
        _ if report.more => MORE_LEFT,
        _ => DONE,
    }
}

fn print_progress(all: &CompactionReport) {
    eprintln!(
        "{}: {} became {}",
        merges(all.merges),
        counted(all.segments_in, "segment"),
        all.segments_out
    );
}

fn plan_text(plan: &CompactPlanReport) -> String {
    let mut out = String::new();
    for MergeReport {
        product,
        bucket,
        profile,
        segments,
        records,
        bytes,
    } in &plan.merges
    {
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            out,
            "{product} {bucket} {profile}: {} to merge into one: {}, {}",
            counted(*segments, "segment"),
            counted(*records, "record"),
            counted(*bytes, "byte"),
        );
    }
    if plan.merges.is_empty() {
        out.push_str("nothing to merge\n");
    }
    if plan.more {
        out.push_str("and more, which one plan does not list\n");
    }
    out
}

fn outcome_text(done: &CompactOutcome) -> String {
    let did = &done.report;
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
            done.reason
        );
    }
    if did.lost > 0 {
        let _ = writeln!(
            out,
            "not done, another instance was faster: {}",
            merges(did.lost)
        );
    }
    if did.failed > 0 {
        let _ = writeln!(out, "{} failed; the log says why", merges(did.failed));
    } else if did.more {
        out.push_str("more is left\n");
    }
    out
}

/// Formats a number of merges.
fn merges(number: u64) -> String {
    counted(number, "merge")
}

#[cfg(test)]
mod tests;
