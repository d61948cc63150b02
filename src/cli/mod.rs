//! The command line: what can be asked of the program, and the only floor that prints.
//!
//! Promises exit code 0 for done, 1 for a problem found, 2 for a wrong use, on every subcommand but `find`, where 1 is nothing
//! found and 2 no whole answer; results go to stdout,
//! complaints to stderr. A subcommand is one file here, one variant of [`Command`] and one arm of its `run`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the one floor that prints")]

mod clock;
mod commit_clock;
mod compact;
mod config;
mod consent;
mod contract;
mod demo;
mod find;
mod grounds;
mod history;
mod hold;
mod notice;
mod once;
mod parked;
mod partition;
mod place;
mod policy;
mod report;
mod residue;
mod run;
mod sweep;
mod table;
mod when;
mod why;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

#[cfg(feature = "failpoints")]
use chrono::TimeDelta;
use clap::{Parser, Subcommand, ValueEnum};

#[cfg(feature = "failpoints")]
use crate::clock::ScaledClock;
use crate::clock::{SharedClock, SystemClock};

/// Store communications records from Kafka in Delta Lake tables exactly once, and delete their personal data on time.
///
/// A retention policy gives each field a category, and each category of a record a deadline.
///
/// Exit codes of most commands: 0 done, 1 a problem was found or something failed, 2 wrong use, 4 nothing was changed
/// since the clock is not trusted. `ebbtide COMMAND --help` lists the codes of a command.
#[derive(Debug, Parser)]
#[command(name = "ebbtide", version, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    /// Check and explain the retention policy, and change it.
    Policy(policy::Args),
    /// Check and show the configuration.
    Config(config::Args),
    Sweep(sweep::Args),
    Compact(compact::Args),
    /// Show whether this machine's clock is trusted, and confirm it.
    Clock(clock::Args),
    /// List the tables, show the contents of one, and audit it.
    Table(table::Args),
    Partition(partition::Args),
    /// Place, list and release legal holds: they keep data past its deadline.
    Hold(hold::Args),
    Find(find::Args),
    /// Record that the contract with a tenant ended, and list these records.
    Contract(contract::Args),
    /// Record that a person withdrew consent.
    Consent(consent::Args),
    /// Decide on contract ends and withdrawals that wait for a confirmation.
    Notice(parked::Args),
    History(history::Args),
    Why(why::Args),
    Residue(residue::Args),
    Demo(demo::Args),
}

impl Command {
    fn run(self) -> Outcome {
        match self {
            Command::Run(args) => args.run(),
            Command::Policy(args) => args.run(),
            Command::Config(args) => args.run(),
            Command::Sweep(args) => args.run(),
            Command::Compact(args) => args.run(),
            Command::Clock(args) => args.run(),
            Command::Table(args) => args.run(),
            Command::Partition(args) => args.run(),
            Command::Hold(args) => args.run(),
            Command::Find(args) => args.run(),
            Command::Contract(args) => args.run(),
            Command::Consent(args) => args.run(),
            Command::Notice(args) => args.run(),
            Command::History(args) => args.run(),
            Command::Why(args) => args.run(),
            Command::Residue(args) => args.run(),
            Command::Demo(args) => args.run(),
        }
    }
}

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON document on stdout.
    Json,
}

/// What a subcommand has to say, and its exit code.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Outcome {
    out: String,
    err: String,
    code: u8,
}

impl Outcome {
    /// A result.
    fn done(out: String) -> Self {
        Self { out, ..Self::default() }
    }

    /// A result that is a problem found.
    fn problem(out: String) -> Self {
        Self { out, code: 1, ..Self::default() }
    }

    /// What was asked for could not be done.
    fn failure(err: String) -> Self {
        Self { err, code: 1, ..Self::default() }
    }

    /// A wrong use.
    fn usage(what: impl std::fmt::Display) -> Self {
        Self { err: format!("error: {what}\n"), code: 2, ..Self::default() }
    }
}

/// Does what `args` ask, the program's own name first. The exit code is 0, or 1 for a problem found, or 2 for a wrong use.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = match Cli::try_parse_from(args) {
        Ok(cli) => cli.command.run(),
        Err(error) => {
            // Help and version are answers, not errors; who closed the pipe does not want either.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    // A reader that closed the pipe has seen enough.
    let _ = std::io::stdout().write_all(outcome.out.as_bytes());
    let _ = std::io::stderr().write_all(outcome.err.as_bytes());
    ExitCode::from(outcome.code)
}

/// The machine's clock; in builds for tests one that is ahead of it or goes faster, where the environment says so.
fn clock() -> SharedClock {
    #[cfg(feature = "failpoints")]
    if let Some((from, speed)) = crate::config::clock_fast() {
        tracing::warn!(clock.from = %from, clock.speed = speed, "this is a rehearsal: the clock goes faster than the machine's");
        return Arc::new(ScaledClock::anchored(from, speed));
    }
    #[cfg(feature = "failpoints")]
    if let Some(ahead) = crate::config::clock_ahead() {
        return Arc::new(ScaledClock::ahead(TimeDelta::from_std(ahead).unwrap_or(TimeDelta::MAX), 1));
    }
    Arc::new(SystemClock::new())
}

/// The threads that a subcommand's work on the tables runs on: the log's reader needs some of its own.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// A value as JSON, with the line break that a terminal wants.
fn json<T: serde::Serialize>(value: &T) -> String {
    // Only a map with keys that are no text could fail, and there is none.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
