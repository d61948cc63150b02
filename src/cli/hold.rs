//! `ebbtide hold place`, `list` and `release`: orders to keep data past its deadline.
//!
//! A command that exits with 0 left nothing half done. A subject's value is shown only if an option
//! asks for it.

mod placing;
mod text;

use clap::Subcommand;

use super::context::CliContext;
use super::time_arg::utc_and_local;
use super::{CommandFailure, CommandOutput, OutputFormat, clock, runtime, shown};
use ebbtide_base::clock::SharedClock;
use ebbtide_controls::HoldId;
use ebbtide_services::holds::{HoldContext, list, place, release, repair};
use ebbtide_table::Root;

#[derive(Debug, clap::Args)]
pub(super) struct HoldArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    grounds: CliContext,
    /// The format of the result.
    #[arg(long, global = true, value_enum, default_value_t)]
    output: OutputFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Keep matching data past its deadline, until a date.
    ///
    /// A record is held if it meets every given condition; at least one must be given. When the
    /// command exits with 0, the hold is in force in every table that it covers, and in every table
    /// that is created later. It covers stored data. It does not restore deleted data, and does not
    /// cover records that arrive after their deadline.
    ///
    /// A hold does not wait for a trusted clock: its commit is then dated by the newest commit, and
    /// a warning is written to stderr.
    ///
    /// Do not put the name of a person into --case or --basis: both are kept after the hold has
    /// ended, the subject is not.
    #[command(after_help = placing::EXAMPLES)]
    Place(placing::PlaceHoldArgs),
    /// List all holds: what they cover, whether they are in force, and in which tables.
    List {
        /// Show subjects in full. They are personal data: protect the output.
        #[arg(long)]
        reveal: bool,
        /// Finish commands that a crash interrupted, and forget the subjects of holds that have
        /// ended.
        #[arg(long)]
        repair: bool,
    },
    /// End a hold before its date. The next sweep deletes the data that expired meanwhile.
    ///
    /// The subject of the hold is forgotten: no byte of it stays under the root. The command can be
    /// run again after any error.
    #[command(after_help = "Example:\n  ebbtide hold release hold-1a2b3c4d")]
    Release {
        /// The name of the hold, from `ebbtide hold list`.
        #[arg(value_name = "HOLD")]
        id: HoldId,
    },
}

impl HoldArgs {
    pub(super) fn run(self) -> CommandOutput {
        #[cfg(feature = "failpoints")]
        let _watched = ebbtide_base::failpoint::watch();
        self.outcome(&clock())
    }

    fn outcome(&self, clock: &SharedClock) -> CommandOutput {
        self.answer(clock).unwrap_or_else(CommandFailure::outcome)
    }

    fn answer(&self, clock: &SharedClock) -> Result<CommandOutput, CommandFailure> {
        let (root, sweep) = (self.grounds.root()?, self.grounds.sweep());
        runtime()?.block_on(async {
            if let Command::List {
                reveal,
                repair: false,
            } = self.command
            {
                return self.list(&root, clock, reveal).await;
            }
            let policy = self.grounds.active_policy(&root).await?;
            let context = HoldContext {
                root: &root,
                clock,
                sweep: &sweep,
                policy_version: policy.version.clone(),
            };
            match &self.command {
                Command::Place(args) => {
                    let report = place(&context, &policy, args.request(&policy)?).await?;
                    let until = utc_and_local(report.until, &policy);
                    let out = shown(&report, self.output, |report| text::report(report, &until));
                    Ok(CommandOutput {
                        err: report.warning,
                        ..CommandOutput::done(out)
                    })
                }
                Command::List { reveal, .. } => {
                    repair(&context).await?;
                    self.list(&root, clock, *reveal).await
                }
                Command::Release { id } => {
                    let report = release(&context, id).await?;
                    let out = shown(&report, self.output, text::release);
                    Ok(CommandOutput::done(out))
                }
            }
        })
    }

    async fn list(
        &self,
        root: &Root,
        clock: &SharedClock,
        reveal: bool,
    ) -> Result<CommandOutput, CommandFailure> {
        let holds = list(root, clock.now(), reveal).await?;
        let whole = holds.iter().all(|hold| hold.missing.is_empty());
        let out = shown(&holds, self.output, |holds| text::list(holds, reveal));
        Ok(CommandOutput::checked(out, whole))
    }
}

#[cfg(test)]
mod tests;
