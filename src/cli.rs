//! The command line: the subcommands, and the only module that prints.
//!
//! The exit codes are the table in [`exit_codes`], which the help and the documents repeat.
//! Results go to stdout, errors to stderr. A subcommand is one file here, one variant of
//! [`Command`] and one arm of its `run`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the one module that prints"
)]

mod clock;
mod compact;
mod config;
mod consent;
mod context;
mod contract;
mod exit_codes;
mod failure;
mod find;
mod history;
mod hold;
mod notice;
mod notice_options;
mod partition;
mod policy;
mod report;
mod residue;
mod root_args;
mod run;
mod stdin;
mod sweep;
mod table;
mod time_arg;
mod why;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

#[cfg(feature = "failpoints")]
use chrono::TimeDelta;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

#[cfg(feature = "failpoints")]
use ebbtide_base::clock::ScaledClock;
use ebbtide_base::clock::{SharedClock, SystemClock};
use ebbtide_config::Config;
use ebbtide_services::telemetry;
use exit_codes::{DONE, PROBLEM, WRONG_USE};
use failure::CommandFailure;

/// Store communications records from Kafka in Delta Lake tables exactly once, and delete their
/// personal data on time.
///
/// A retention policy gives each field a category, and each category of a record a deadline.
#[derive(Debug, Parser)]
#[command(
    name = "ebbtide",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "docs/glossary.md explains the terms."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    /// Check and explain the retention policy, and change it.
    Policy(policy::PolicyArgs),
    /// Check and show the configuration.
    Config(config::ConfigArgs),
    Sweep(sweep::SweepArgs),
    Compact(compact::CompactArgs),
    /// Show whether this machine's clock is trusted, and confirm it.
    Clock(clock::ClockArgs),
    /// List the tables, show the contents of one, and audit it.
    Table(table::TableArgs),
    Partition(partition::PartitionArgs),
    /// Place, list and release legal holds: they keep data past its deadline.
    Hold(hold::HoldArgs),
    Find(find::FindArgs),
    /// Record that the contract with a tenant ended, and list these records.
    Contract(contract::ContractArgs),
    /// Record that a person withdrew consent.
    Consent(consent::ConsentArgs),
    /// Decide on contract ends and withdrawals that wait for a confirmation.
    Notice(notice::ParkedNoticeArgs),
    History(history::HistoryArgs),
    Why(why::WhyArgs),
    Residue(residue::ResidueArgs),
}

impl Command {
    fn run(self) -> CommandOutput {
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
        }
    }
}

/// The format of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum OutputFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON document on stdout.
    Json,
}

/// The output of a subcommand, and its exit code.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct CommandOutput {
    out: String,
    err: String,
    code: u8,
}

impl CommandOutput {
    /// Returns the outcome of a command that is done.
    fn done(out: String) -> Self {
        Self {
            out,
            ..Self::default()
        }
    }

    /// Returns the outcome of a check: a problem was found unless `good`.
    fn checked(out: String, good: bool) -> Self {
        Self {
            out,
            code: if good { DONE } else { PROBLEM },
            ..Self::default()
        }
    }

    /// Returns the outcome of a command with this result and exit code.
    fn with_code(out: String, code: u8) -> Self {
        Self {
            out,
            code,
            ..Self::default()
        }
    }

    /// Returns the outcome of a command that failed.
    fn failure(err: String) -> Self {
        Self {
            err,
            code: PROBLEM,
            ..Self::default()
        }
    }
}

/// Runs the command line `args`, which begins with the program's own name, and prints the outcome.
/// Returns the exit code of the command; 0 for help and version, 2 if the parser refuses `args`.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = match parse(args) {
        Ok(cli) => cli.command.run(),
        Err(error) => {
            // Help and version are answers, not errors. If the reader closed the pipe, it needs
            // neither.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { WRONG_USE } else { DONE });
        }
    };
    // The reader may have closed the pipe: then it needs no more.
    let _ = std::io::stdout().write_all(outcome.out.as_bytes());
    let _ = std::io::stderr().write_all(outcome.err.as_bytes());
    ExitCode::from(outcome.code)
}

/// Returns the parser of the command line, whose help has the exit codes of each command.
fn program() -> clap::Command {
    exit_codes::with_exit_codes(Cli::command(), "")
}

fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut program = program();
    let mut matches = program.try_get_matches_from_mut(args)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut program))
}

/// Returns the machine's clock. In builds for tests, the environment can ask for a clock that is
/// ahead of it or faster.
fn clock() -> SharedClock {
    #[cfg(feature = "failpoints")]
    if let Some((from, speed)) = ebbtide_config::clock_fast() {
        tracing::warn!(clock.from = %from, clock.speed = speed, "the clock runs faster than the machine's: this is a rehearsal");
        return Arc::new(ScaledClock::anchored(from, speed));
    }
    #[cfg(feature = "failpoints")]
    if let Some(ahead) = ebbtide_config::clock_ahead() {
        return Arc::new(ScaledClock::ahead(
            TimeDelta::from_std(ahead).unwrap_or(TimeDelta::MAX),
            1,
        ));
    }
    Arc::new(SystemClock::new())
}

/// Runs `command` with the log that the configuration asks for. The reasons of failures are only in
/// the log.
fn logged(config: &Path, command: impl FnOnce() -> CommandOutput) -> CommandOutput {
    #[cfg(feature = "failpoints")]
    let _watched = ebbtide_base::failpoint::watch();
    // Without a configuration there is nothing to do, and the command reports it.
    if let Some(config) = Config::load(config).config
        && let Err(error) = telemetry::init(&config.log)
    {
        return CommandFailure::failed(error).outcome();
    }
    command()
}

/// Creates the runtime for a subcommand's work on the tables. The reader of the log needs threads
/// of its own.
fn runtime() -> Result<tokio::runtime::Runtime, CommandFailure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CommandFailure::failed(format!("no threads to work with: {error}")))
}

/// Returns the report as JSON, or as the text that `text` makes of it.
fn shown<T: serde::Serialize>(
    report: &T,
    output: OutputFormat,
    text: impl FnOnce(&T) -> String,
) -> String {
    match output {
        OutputFormat::Json => json(report),
        OutputFormat::Text => text(report),
    }
}

/// Formats a value as JSON, with the line break that a terminal needs.
fn json<T: serde::Serialize>(value: &T) -> String {
    // Only a map whose keys are not text could fail, and no value has one.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
