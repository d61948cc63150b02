//! `ebbtide sweep`: deletes expired data, once, for cron or where ingest runs elsewhere.
//!
//! Progress is written to stderr, the result to stdout.

mod text;

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::exit_codes::{CLOCK_NOT_TRUSTED, DONE, MORE_LEFT, PROBLEM};
use super::{CommandFailure, CommandOutput, OutputFormat, clock, logged, runtime, shown};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::ProductKey;
use ebbtide_services::maintenance_setup::MaintenanceSetup;
use ebbtide_services::sweep::{SweepOutcome, SweepRequest, plan, sweep};

/// Delete expired data, once.
///
/// Drops the columns of expired categories, and ends records whose last category has expired. Held
/// data is kept. Then deletes files that were replaced longer ago than `maintain.readers_grace`.
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
    /// The format of the result.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

impl SweepArgs {
    pub(super) fn run(self) -> CommandOutput {
        logged(&self.config, || self.outcome(clock()))
    }

    fn outcome(&self, clock: SharedClock) -> CommandOutput {
        self.answer(&clock).unwrap_or_else(CommandFailure::outcome)
    }

    fn answer(&self, clock: &SharedClock) -> Result<CommandOutput, CommandFailure> {
        let setup = MaintenanceSetup::load(&self.config, self.product.as_ref())?;
        let request = SweepRequest {
            product: self.product.clone(),
            until: self.until,
            steps: self.steps,
        };
        let runtime = runtime()?;
        if self.dry_run {
            let plan = runtime.block_on(plan(&setup, &request, clock))?;
            return Ok(CommandOutput::done(shown(&plan, self.output, text::plan)));
        }
        let progress = |done| eprintln!("{} done, more is due", text::pieces(done));
        let done = runtime.block_on(sweep(&setup, &request, clock, progress))?;
        let out = shown(&done, self.output, text::outcome);
        Ok(CommandOutput::with_code(out, code(&done)))
    }
}

fn code(done: &SweepOutcome) -> u8 {
    match done {
        _ if done.has_failures() => PROBLEM,
        _ if done.round.clock.is_some() => CLOCK_NOT_TRUSTED,
        _ if done.round.more => MORE_LEFT,
        _ => DONE,
    }
}

#[cfg(test)]
mod tests;
