//! `ebbtide clock show` and `confirm`: the known times, and a person's confirmation that the clock
//! is right.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Subcommand;

use super::root_args::RootArgs;
use super::{CommandFailure, CommandOutput, OutputFormat, clock, runtime, shown};
use ebbtide_base::clock::SharedClock;
use ebbtide_services::clock::{ClockConfirmation, ClockReport, confirm, show};
use ebbtide_table::Root;

#[derive(Debug, clap::Args)]
pub(super) struct ClockArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    place: RootArgs,
    /// The format of the result.
    #[arg(long, global = true, value_enum, default_value_t)]
    output: OutputFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show this machine's clock, the known times, and whether the clock is trusted. Changes
    /// nothing.
    Show,
    /// Confirm that this machine's clock is right, so that data that is expired by it is deleted.
    ///
    /// Needed after a system was stopped for longer than `sweep.clock_max_step`, or after a wrong
    /// clock left a wrong date in the root. The confirmation is recorded in the root. It is for the
    /// present time only, on every machine whose clock agrees. A deletion cannot be undone: compare
    /// the time with another source first.
    #[command(after_help = "Example:\n  ebbtide clock show\n  ebbtide clock confirm --by anna")]
    Confirm {
        /// The name of the person who confirms. It is recorded.
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
}

impl ClockArgs {
    pub(super) fn run(self) -> CommandOutput {
        self.outcome(clock())
    }

    fn outcome(&self, clock: SharedClock) -> CommandOutput {
        self.answer(clock).unwrap_or_else(CommandFailure::outcome)
    }

    fn answer(&self, clock: SharedClock) -> Result<CommandOutput, CommandFailure> {
        let (root, runtime) = (self.place.root()?, runtime()?);
        let sweep = self.place.sweep();
        match &self.command {
            Command::Show => {
                let report = runtime.block_on(show(&root, clock, &sweep))?;
                let out = shown(&report, self.output, |report| report_text(report, &root));
                Ok(CommandOutput::checked(out, report.is_trusted()))
            }
            Command::Confirm { by } => {
                let done = runtime.block_on(confirm(&root, clock, &sweep, by.clone()))?;
                Ok(CommandOutput::done(shown(&done, self.output, confirmed)))
            }
        }
    }
}

/// Shown instead of the last trusted time of a root that has none.
const NONE_RECORDED: &str = "none recorded";

fn confirmed(done: &ClockConfirmation) -> String {
    format!(
        "confirmed that it is {}; the last trusted time before that: {}; expired data is deleted by running \
         instances within seconds, and by the next `ebbtide sweep`\n",
        instant(done.confirmation.at),
        done.last_trusted
            .map_or_else(|| NONE_RECORDED.to_owned(), instant),
    )
}

fn report_text(report: &ClockReport, root: &Root) -> String {
    let known =
        |at: Option<DateTime<Utc>>, unknown: &str| at.map_or_else(|| unknown.to_owned(), instant);
    let no_store = if root.local().is_some() {
        "none: the root is a folder"
    } else {
        "unknown"
    };
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "this machine       {}", instant(report.clock));
    let _ = writeln!(
        out,
        "last trusted time  {}",
        known(report.last_trusted, NONE_RECORDED)
    );
    let _ = writeln!(
        out,
        "newest commit      {}",
        known(report.newest_commit, "none")
    );
    let _ = writeln!(
        out,
        "object store       {}",
        known(report.object_store, no_store)
    );
    let confirmed = report.confirmation.as_ref().map_or_else(
        || "never".to_owned(),
        |confirmed| match &confirmed.by {
            Some(by) => format!("{} by {by}", instant(confirmed.at)),
            None => instant(confirmed.at),
        },
    );
    let _ = writeln!(out, "last confirmed     {confirmed}");
    let _ = match &report.reason {
        Some(reason) => writeln!(out, "NOT TRUSTED ({}): {reason}", report.verdict),
        None => writeln!(out, "The clock is trusted."),
    };
    out
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests;
