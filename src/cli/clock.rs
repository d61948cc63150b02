//! `ebbtide clock show` and `confirm`: the known times, and a person's confirmation that the clock
//! is right.
//!
//! Exit code of `show`: 0 the clock is trusted, 1 it is not.

use std::fmt::Write;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Subcommand;
use serde::Serialize;
use uuid::Uuid;

use super::commit_clock::{CommitClockError, look};
use super::root_args::{LocateRootError, RootArgs};
use super::{CommandOutput, OutputFormat, clock, json};
use ebbtide_base::clock::SharedClock;
use ebbtide_maintenance::{ClockStatus, TimeSources, TrustedClock};
use ebbtide_table::{Confirmation, Root, StoreError};

#[derive(Debug, clap::Args)]
pub(super) struct ClockArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    place: RootArgs,
    /// How to write the result.
    #[arg(long, global = true, value_enum, default_value_t)]
    output: OutputFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show this machine's clock, the known times, and whether the clock is trusted. Changes
    /// nothing.
    ///
    /// Exit code 0: the clock is trusted. 1: it is not, or the root cannot be read. 2: wrong use,
    /// or the root does not exist.
    Show,
    /// Confirm that this machine's clock is right, so that data that is expired by it is deleted.
    ///
    /// Needed after a system was stopped for longer than `sweep.clock_max_step`, or after a wrong
    /// clock left a wrong date in the root. The confirmation is recorded in the root. It is for the
    /// present time only, on every machine whose clock agrees. A deletion cannot be undone: compare
    /// the time with another source first.
    ///
    /// Exit code 0: it is recorded. 1: it could not be recorded. 2: wrong use, or the root does not
    /// exist.
    #[command(after_help = "Example:\n  ebbtide clock show\n  ebbtide clock confirm --by anna")]
    Confirm {
        /// The name of the person who confirms. It is recorded.
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
}

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
enum ClockError {
    #[error(transparent)]
    Place(#[from] LocateRootError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Look(#[from] CommitClockError),
    #[error(
        "{0} does not exist; give the root of the tables with --root, or with a configuration that names it (--config)"
    )]
    NoRoot(String),
    #[error("no threads to work with: {0}")]
    Threads(#[from] std::io::Error),
}

impl ClockArgs {
    pub(super) fn run(self) -> CommandOutput {
        self.outcome(clock())
    }

    fn outcome(&self, clock: SharedClock) -> CommandOutput {
        self.answer(clock).unwrap_or_else(|error| match error {
            error @ (ClockError::Place(_) | ClockError::NoRoot(_)) => CommandOutput::usage(error),
            error => CommandOutput::failure(format!("error: {error}\n")),
        })
    }

    fn answer(&self, clock: SharedClock) -> Result<CommandOutput, ClockError> {
        let root = self.place.root()?;
        super::runtime()?.block_on(async {
            if !root.exists().await? {
                return Err(ClockError::NoRoot(root.to_string()));
            }
            match &self.command {
                Command::Show => self.show(&root, clock).await,
                Command::Confirm { by } => self.confirm(&root, clock, by.clone()).await,
            }
        })
    }

    /// Checks the clock, and returns the last trusted time that the root had before. Records
    /// nothing.
    async fn look(
        &self,
        root: &Root,
        clock: SharedClock,
    ) -> Result<(TrustedClock, TimeSources), ClockError> {
        let guard = look(root, clock, &self.place.sweep()).await?;
        let (_, sources) = guard.sources();
        let sources = TimeSources {
            last_trusted: guard.recorded_time(),
            ..sources
        };
        Ok((guard, sources))
    }

    async fn show(&self, root: &Root, clock: SharedClock) -> Result<CommandOutput, ClockError> {
        let now = clock.now();
        let (guard, before) = self.look(root, clock).await?;
        let (verdict, _) = guard.sources();
        let reason = (verdict != ClockStatus::Trusted).then(|| guard.reason());
        let out = match self.output {
            OutputFormat::Json => json(&Shown::new(now, verdict, &before, reason)),
            OutputFormat::Text => lines(
                now,
                root,
                &before,
                reason.as_deref().map(|reason| (verdict, reason)),
            ),
        };
        Ok(if verdict == ClockStatus::Trusted {
            CommandOutput::done(out)
        } else {
            CommandOutput::problem(out)
        })
    }

    async fn confirm(
        &self,
        root: &Root,
        clock: SharedClock,
        by: Option<String>,
    ) -> Result<CommandOutput, ClockError> {
        let (guard, before) = self.look(root, Arc::clone(&clock)).await?;
        let (verdict, _) = guard.sources();
        let at = clock.now();
        let confirmation = Confirmation {
            id: Uuid::new_v4().to_string(),
            at,
            by,
            newest_commit: before.newest_commit,
            ahead_of_store: before.store_time.map(|store| (at - store).num_seconds()),
        };
        root.record_confirmation(&confirmation).await?;
        let last = before.last_trusted;
        let out = match self.output {
            OutputFormat::Json => json(&Confirmed {
                before: verdict.as_str(),
                last_trusted: last,
                confirmation,
            }),
            OutputFormat::Text => format!(
                "confirmed that it is {}; the last trusted time before that: {}; expired data is deleted by running \
                 instances within seconds, and by the next `ebbtide sweep`\n",
                instant(at),
                last.map_or_else(|| NONE_RECORDED.to_owned(), instant),
            ),
        };
        Ok(CommandOutput::done(out))
    }
}

/// Shown instead of the last trusted time of a root that has none.
const NONE_RECORDED: &str = "none recorded";

#[derive(Serialize)]
struct Confirmed {
    /// The verdict before the confirmation.
    before: &'static str,
    /// The last trusted time that the root had before the confirmation.
    last_trusted: Option<DateTime<Utc>>,
    confirmation: Confirmation,
}

#[derive(Serialize)]
struct Shown<'s> {
    clock: DateTime<Utc>,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    last_trusted: Option<DateTime<Utc>>,
    newest_commit: Option<DateTime<Utc>>,
    object_store: Option<DateTime<Utc>>,
    confirmation: Option<&'s Confirmation>,
}

impl Shown<'_> {
    fn new(
        clock: DateTime<Utc>,
        verdict: ClockStatus,
        sources: &TimeSources,
        reason: Option<String>,
    ) -> Shown<'_> {
        Shown {
            clock,
            verdict: verdict.as_str(),
            reason,
            last_trusted: sources.last_trusted,
            newest_commit: sources.newest_commit,
            object_store: sources.store_time,
            confirmation: sources.confirmation.as_ref(),
        }
    }
}

fn lines(
    now: DateTime<Utc>,
    root: &Root,
    sources: &TimeSources,
    untrusted: Option<(ClockStatus, &str)>,
) -> String {
    let known =
        |at: Option<DateTime<Utc>>, unknown: &str| at.map_or_else(|| unknown.to_owned(), instant);
    let no_store = if root.local().is_some() {
        "none: the root is a folder"
    } else {
        "unknown"
    };
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "this machine       {}", instant(now));
    let _ = writeln!(
        out,
        "last trusted time  {}",
        known(sources.last_trusted, NONE_RECORDED)
    );
    let _ = writeln!(
        out,
        "newest commit      {}",
        known(sources.newest_commit, "none")
    );
    let _ = writeln!(
        out,
        "object store       {}",
        known(sources.store_time, no_store)
    );
    let confirmed = sources.confirmation.as_ref().map_or_else(
        || "never".to_owned(),
        |confirmed| match &confirmed.by {
            Some(by) => format!("{} by {by}", instant(confirmed.at)),
            None => instant(confirmed.at),
        },
    );
    let _ = writeln!(out, "last confirmed     {confirmed}");
    let _ = match untrusted {
        Some((verdict, reason)) => writeln!(out, "NOT TRUSTED ({}): {reason}", verdict.as_str()),
        None => writeln!(out, "The clock is trusted."),
    };
    out
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests;
