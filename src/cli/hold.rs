//! `ebbtide hold place`, `list` and `release`: orders to keep data past its deadline.
//!
//! A command that exits with 0 left nothing half done. A subject's value is shown only if an option
//! asks for it. Exit code 1: it is not in force everywhere, or there is no such hold; 2: wrong use,
//! nothing was changed.

mod listing;
mod placing;

use std::io::Read;

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde::Serialize;
use uuid::Uuid;

use super::commit_clock::{CLOCK_NOT_TRUSTED, CommitClockError, UrgentTime, commit_time};
use super::context::{CliContext, CliContextError};
use super::time_arg::ParseTimeError;
use super::{CommandOutput, OutputFormat, clock, json};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::{IdError, PolicyVersion, ProductKey};
use ebbtide_base::metrics::{Metrics, MetricsError};
use ebbtide_controls::{
    ApplyControlsError, CommitIdentity, HoldId, PlaceHoldError, ReleaseHoldError, ScopeError,
    SubjectError, forget, release, settle,
};
use ebbtide_maintenance::{ClockStatus, TrustedClock};
use ebbtide_policy::value_list::{ListError, parse_one};
use ebbtide_query::newest_commit;
use ebbtide_table::{Root, StoreError};

#[derive(Debug, clap::Args)]
pub(super) struct HoldArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    grounds: CliContext,
    /// How to write the result.
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
    ///
    /// Exit code 0: the hold is in force everywhere. 1: it is not; run `ebbtide hold list`. 2:
    /// wrong use, nothing was changed.
    #[command(after_help = placing::EXAMPLES)]
    Place(placing::PlaceHoldArgs),
    /// List all holds: what they cover, whether they are in force, and in which tables.
    ///
    /// Exit code 0: every control is in force everywhere. 1: one is not; --repair finishes it. 4:
    /// with --repair, the clock is not trusted and nothing was forgotten.
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
    ///
    /// Exit code 0: the hold is released everywhere. 1: it is not, or there is no such hold. 2:
    /// wrong use. 4: the clock is not trusted, and nothing was changed; see `ebbtide clock show`.
    #[command(after_help = "Example:\n  ebbtide hold release hold-1a2b3c4d")]
    Release {
        /// The name of the hold, from `ebbtide hold list`.
        #[arg(value_name = "HOLD")]
        id: HoldId,
    },
}

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
enum HoldError {
    #[error(transparent)]
    Grounds(#[from] CliContextError),
    #[error(transparent)]
    Subject(#[from] SubjectError),
    #[error(transparent)]
    Product(#[from] IdError),
    #[error(transparent)]
    When(#[from] ParseTimeError),
    #[error("{0}")]
    Use(String),
    #[error(transparent)]
    Place(#[from] PlaceHoldError),
    #[error(transparent)]
    Release(#[from] ReleaseHoldError),
    #[error(transparent)]
    Settle(#[from] ApplyControlsError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the clock is not trusted ({0}): every control is in force, and no hold was forgotten: {1}"
    )]
    Forget(&'static str, String),
    #[error(transparent)]
    Clock(#[from] CommitClockError),
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    #[error(transparent)]
    Format(#[from] std::fmt::Error),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Stdin(#[from] StdinError),
}

impl HoldError {
    /// Returns true if the error is a wrong use, which the caller can fix.
    fn is_use(&self) -> bool {
        !matches!(self, Self::Grounds(CliContextError::Controls(_)))
            && matches!(
                self,
                Self::Grounds(_)
                    | Self::Subject(_)
                    | Self::Product(_)
                    | Self::When(_)
                    | Self::Use(_)
                    | Self::Stdin(_)
                    | Self::Place(PlaceHoldError::Scope(
                        ScopeError::Everything | ScopeError::NoTime | ScopeError::NoTenant
                    ))
                    | Self::Place(PlaceHoldError::Over(_))
            )
    }
}

impl HoldArgs {
    pub(super) fn run(self) -> CommandOutput {
        #[cfg(feature = "failpoints")]
        let _watched = ebbtide_base::failpoint::watch();
        self.outcome(&clock())
    }

    fn outcome(&self, clock: &SharedClock) -> CommandOutput {
        self.answer(clock).unwrap_or_else(|error| match error {
            HoldError::Clock(error) => error.outcome(),
            HoldError::Forget(..) => CommandOutput {
                err: format!("error: {error}\n"),
                code: CLOCK_NOT_TRUSTED,
                ..CommandOutput::default()
            },
            error if error.is_use() => CommandOutput::usage(error),
            error => CommandOutput::failure(format!("error: {error}\n")),
        })
    }

    fn answer(&self, clock: &SharedClock) -> Result<CommandOutput, HoldError> {
        let root = self.grounds.root()?;
        let runtime = super::runtime()?;
        runtime.block_on(async {
            match &self.command {
                Command::Place(args) => {
                    let policy = self.grounds.active_policy(&root).await?;
                    let time = UrgentTime::find(&root, clock, &self.grounds.sweep()).await?;
                    args.run(&root, &policy, &time, self.output).await
                }
                Command::List { reveal, repair } => {
                    if *repair {
                        self.repair(&root, clock).await?;
                    }
                    listing::list(&root, clock.now(), *reveal, self.output).await
                }
                Command::Release { id } => self.release(&root, id, clock).await,
            }
        })
    }

    /// Puts every control in force, and then forgets the holds that have ended. Errors if the clock
    /// is not trusted: nothing is forgotten then.
    async fn repair(&self, root: &Root, clock: &SharedClock) -> Result<(), HoldError> {
        let (policy, sweep) = (
            self.grounds.active_policy(root).await?,
            self.grounds.sweep(),
        );
        let time = UrgentTime::find(root, clock, &sweep).await?;
        settle(root, &signature(policy.version, time.at)).await?;
        let guard =
            TrustedClock::for_command(SharedClock::clone(clock), Metrics::new()?, &sweep, root);
        match guard.update(newest_commit(root).await?).await {
            ClockStatus::Trusted => _ = forget(root, clock.now()).await?,
            verdict => return Err(HoldError::Forget(verdict.as_str(), guard.reason())),
        }
        Ok(())
    }

    async fn release(
        &self,
        root: &Root,
        id: &HoldId,
        clock: &SharedClock,
    ) -> Result<CommandOutput, HoldError> {
        let policy = self.grounds.active_policy(root).await?;
        let at = commit_time(root, clock, &self.grounds.sweep()).await?;
        let released = release(root, id, &signature(policy.version, at)).await?;
        let shown = ReleaseReport {
            id: id.to_string(),
            control: released.version.0,
            tables: released.tables,
        };
        Ok(CommandOutput::done(match self.output {
            OutputFormat::Json => json(&shown),
            OutputFormat::Text => format!(
                "{id} is released in {}, as control {}; what it covered is forgotten\n",
                listing::names(&shown.tables),
                shown.control
            ),
        }))
    }
}

/// The result of a release.
#[derive(Serialize)]
struct ReleaseReport {
    id: String,
    control: i64,
    tables: Vec<ProductKey>,
}

/// Returns the signature of a commit that this process makes at the time `at`.
fn signature(policy_version: PolicyVersion, at: DateTime<Utc>) -> CommitIdentity {
    CommitIdentity {
        writer: Uuid::new_v4(),
        at,
        policy_version,
    }
}

/// Standard input does not give one value.
#[derive(Debug, thiserror::Error)]
pub(super) enum StdinError {
    /// It cannot be read.
    #[error("standard input cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// It has no value, several values, or bytes that are not text.
    #[error("standard input: {0}")]
    NotOne(#[from] ListError),
}

/// Reads the only value of standard input, in any encoding that a list may have.
pub(super) fn value_of_stdin() -> Result<String, StdinError> {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    Ok(parse_one(&bytes)?)
}

#[cfg(test)]
mod tests;
