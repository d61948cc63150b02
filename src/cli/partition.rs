//! `ebbtide partition list` and `accept-loss`: partitions that are not read, and the decision to
//! continue.

mod text;

use std::path::PathBuf;

use clap::Subcommand;

use super::exit_codes::{DONE, PROBLEM};
use super::{CommandFailure, CommandOutput, OutputFormat, clock, logged, runtime, shown};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::{Partition, Topic, TopicPartition};
use ebbtide_ingest::partitions::PartitionReport;
use ebbtide_services::maintenance_setup::MaintenanceSetup;
use ebbtide_services::partitions::{AllPartitions, accept, list};

/// Show partitions that are not read because records would be skipped, and accept a loss.
#[derive(Debug, clap::Args)]
pub(super) struct PartitionArgs {
    #[command(subcommand)]
    command: Command,
    /// The configuration that names the brokers, the root and the policy.
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        default_value = "config/ebbtide.yaml"
    )]
    config: PathBuf,
    /// The format of the result.
    #[arg(long, global = true, value_enum, default_value_t)]
    output: OutputFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the partitions of all topics: the table's next offset, what Kafka has, and why a
    /// partition is refused.
    List {
        /// List only partitions that are refused.
        #[arg(long)]
        refused: bool,
    },
    /// Accept that records of a refused partition are lost, and continue reading after them.
    ///
    /// Shows the lost offsets and records the decision in the table, where `table audit` counts it.
    /// Changes nothing in Kafka and no stored row. Running instances continue within seconds.
    /// Records that Kafka deleted cannot be read again; records that are stored elsewhere can be
    /// produced again.
    #[command(
        after_help = "Examples:\n  ebbtide partition accept-loss --topic traffic.sms --partition 3 --dry-run\n  \
                            ebbtide partition accept-loss --topic traffic.sms --partition 3"
    )]
    AcceptLoss {
        /// The topic.
        #[arg(long, value_parser = Topic::new)]
        topic: Topic,
        /// The number of the partition.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
        partition: i32,
        /// Show what is lost and record nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

impl PartitionArgs {
    pub(super) fn run(self) -> CommandOutput {
        logged(&self.config, || self.outcome(&clock()))
    }

    fn outcome(&self, clock: &SharedClock) -> CommandOutput {
        self.answer(clock).unwrap_or_else(CommandFailure::outcome)
    }

    fn answer(&self, clock: &SharedClock) -> Result<CommandOutput, CommandFailure> {
        let setup = MaintenanceSetup::load(&self.config, None)?;
        let runtime = runtime()?;
        match &self.command {
            Command::List { refused } => {
                let found = runtime.block_on(list(&setup))?;
                Ok(self.listed(found, *refused))
            }
            Command::AcceptLoss {
                topic,
                partition,
                dry_run,
            } => {
                let partition = TopicPartition {
                    topic: topic.clone(),
                    partition: Partition(*partition),
                };
                let clock = (!dry_run).then_some(clock);
                let report = runtime.block_on(accept(&setup, &partition, clock))?;
                let out = shown(&report, self.output, text::decision);
                Ok(CommandOutput::done(out))
            }
        }
    }

    fn listed(&self, mut found: AllPartitions, only_refused: bool) -> CommandOutput {
        let refused = |report: &PartitionReport| report.refused.is_some();
        let any = found.reports.iter().any(refused);
        found
            .reports
            .retain(|report| !only_refused || refused(report));
        let err = found
            .faults
            .values()
            .map(|why| format!("error: {why}\n"))
            .collect();
        let bad = any || !found.faults.is_empty();
        CommandOutput {
            out: shown(&found, self.output, text::list),
            err,
            code: if bad { PROBLEM } else { DONE },
        }
    }
}

#[cfg(test)]
mod tests;
