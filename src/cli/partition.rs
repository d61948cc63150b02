//! `ebbtide partition list` and `accept-loss`: partitions that are not read, and the decision to
//! continue.
//!
//! Exit codes: 0 done, 1 a partition is refused, a topic could not be read, or the command failed,
//! 2 wrong use.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use super::commit_clock::{CommitClockError, commit_time};
use super::maintenance_setup::{self, MaintenanceSetupError};
use super::{CommandOutput, OutputFormat, clock, json};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::{Offset, Partition, ProductKey, Topic, TopicPartition};
use ebbtide_config::Config;
use ebbtide_ingest::kafka::{RefusedProperty, refused_properties};
use ebbtide_ingest::partitions::{
    InspectPartitionsError, LossCase, PartitionClient, PartitionReport, accept_loss,
};
use ebbtide_policy::{LoadedPolicy, Policy};
use ebbtide_table::{LossCause, OpenError, Root, Table, TableSpec};

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
    /// How to write the result.
    #[arg(long, global = true, value_enum, default_value_t)]
    output: OutputFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the partitions of all topics: the table's next offset, what Kafka has, and why a
    /// partition is refused.
    ///
    /// Exit code 0: every partition may be read. 1: one is refused, or a topic could not be read;
    /// the others are listed.
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
    ///
    /// Exit code 0: the decision is recorded, or the partition is not refused. 1: something failed.
    /// 2: wrong use. 4: the clock is not trusted, and nothing was changed; see
    /// `ebbtide clock show`.
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

/// The reason why the command failed.
#[derive(Debug, thiserror::Error)]
enum PartitionError {
    #[error(transparent)]
    Once(#[from] MaintenanceSetupError),
    #[error("no product of the policy reads topic {0}")]
    Topic(Topic),
    #[error("product {0} has no table yet; `ebbtide run` creates it")]
    NoTable(ProductKey),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Properties(Vec<RefusedProperty>),
    #[error(transparent)]
    Clock(#[from] CommitClockError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Partitions(#[from] InspectPartitionsError),
    #[error("no threads to work with: {0}")]
    Threads(#[from] std::io::Error),
    #[error(transparent)]
    Format(#[from] fmt::Error),
}

/// A decision that was made, or would be made.
#[derive(Serialize)]
struct AcceptLossReport {
    product: ProductKey,
    #[serde(flatten)]
    partition: TopicPartition,
    /// The table's next offset before the decision.
    table: Option<Offset>,
    first: Offset,
    end: Offset,
    /// The reason of the refusal; absent if the partition is not refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<LossCause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loss: Option<String>,
    lost_offsets: u64,
    /// The offset at which reading continues.
    #[serde(skip_serializing_if = "Option::is_none")]
    resume: Option<Offset>,
    /// The table's version that records the decision; absent if nothing was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

impl PartitionArgs {
    pub(super) fn run(self) -> CommandOutput {
        maintenance_setup::logged(&self.config, || self.outcome(&clock()))
    }

    fn outcome(&self, clock: &SharedClock) -> CommandOutput {
        self.answer(clock).unwrap_or_else(|error| match error {
            PartitionError::Once(of) if of.is_use() => CommandOutput::usage(of),
            PartitionError::Clock(error) => error.outcome(),
            error @ PartitionError::Topic(_) => CommandOutput::usage(error),
            error => CommandOutput::failure(format!("error: {error}\n")),
        })
    }

    fn answer(&self, clock: &SharedClock) -> Result<CommandOutput, PartitionError> {
        let (config, loaded) = maintenance_setup::configured(&self.config, None)?;
        let refused = refused_properties(&config);
        if !refused.is_empty() {
            return Err(PartitionError::Properties(refused));
        }
        super::runtime()?.block_on(async {
            match &self.command {
                Command::List { refused } => self.list(&config, &loaded, *refused).await,
                Command::AcceptLoss {
                    topic,
                    partition,
                    dry_run,
                } => {
                    let partition = TopicPartition {
                        topic: topic.clone(),
                        partition: Partition(*partition),
                    };
                    self.accept(&config, &loaded, &partition, (!dry_run).then_some(clock))
                        .await
                }
            }
        })
    }

    async fn list(
        &self,
        config: &Config,
        loaded: &LoadedPolicy,
        refused: bool,
    ) -> Result<CommandOutput, PartitionError> {
        let root = maintenance_setup::root(config, loaded, None).await?;
        let policy = &loaded.policy;
        let client = PartitionClient::new(&config.kafka)?;
        let (mut reports, mut faults) = (Vec::new(), BTreeMap::new());
        for product in policy.products.values() {
            let Some(records) = &product.records else {
                continue;
            };
            let Some(table) = table(&root, policy, &product.key).await? else {
                continue;
            };
            let list = client.list(&table, &records.topics)?;
            reports.extend(list.reports);
            faults.extend(list.faults);
        }
        let any = reports.iter().any(|report| report.refused.is_some());
        reports.retain(|report| !refused || report.refused.is_some());
        let out = if self.output == OutputFormat::Json {
            json(&reports)
        } else {
            list_text(&reports)?
        };
        let err = faults
            .values()
            .map(|why| format!("error: {why}\n"))
            .collect();
        Ok(CommandOutput {
            out,
            err,
            code: u8::from(any || !faults.is_empty()),
        })
    }

    /// Decides about one partition; without a clock, only shows the decision.
    async fn accept(
        &self,
        config: &Config,
        loaded: &LoadedPolicy,
        partition: &TopicPartition,
        clock: Option<&SharedClock>,
    ) -> Result<CommandOutput, PartitionError> {
        let policy = &loaded.policy;
        let reads = |product: &&ebbtide_policy::Product| {
            product
                .records
                .as_ref()
                .is_some_and(|records| records.topics.contains(&partition.topic))
        };
        let product = policy.products.values().find(reads);
        let product = &product
            .ok_or_else(|| PartitionError::Topic(partition.topic.clone()))?
            .key;
        let root = maintenance_setup::root(config, loaded, None).await?;
        let at = match clock {
            Some(clock) => Some(commit_time(&root, clock, &config.sweep).await?),
            None => None,
        };
        if let Some(at) = at {
            maintenance_setup::prepare_commit(&root, loaded, at).await?;
        }
        let found = table(&root, policy, product).await?;
        let mut table = found.ok_or_else(|| PartitionError::NoTable(product.clone()))?;
        let case = PartitionClient::new(&config.kafka)?.look(&table, partition)?;
        let version = match (&case.refusal, at) {
            (Some(refusal), Some(at)) => {
                Some(accept_loss(&mut table, refusal, &policy.version, at).await?)
            }
            _ => None,
        };
        let decision = AcceptLossReport::new(product, partition, &case, version);
        let out = if self.output == OutputFormat::Json {
            json(&decision)
        } else {
            decision.text(&case)?
        };
        Ok(CommandOutput::done(out))
    }
}

/// Returns the existing table of a product; `None` if the table does not exist.
async fn table(
    root: &Root,
    policy: &Policy,
    product: &ProductKey,
) -> Result<Option<Table>, PartitionError> {
    let spec = TableSpec::all(policy).find(|spec| spec.product == *product);
    match spec {
        Some(spec) => Ok(Table::existing(root, spec).await?),
        None => Ok(None),
    }
}

impl AcceptLossReport {
    fn new(
        product: &ProductKey,
        partition: &TopicPartition,
        case: &LossCase,
        version: Option<u64>,
    ) -> Self {
        let refusal = case.refusal.as_ref();
        Self {
            product: product.clone(),
            partition: partition.clone(),
            table: case.table.map(|table| table.next),
            first: case.kafka.first,
            end: case.kafka.end,
            cause: refusal.map(|refusal| refusal.cause),
            loss: refusal.map(|refusal| refusal.loss()),
            lost_offsets: refusal.map_or(0, |refusal| refusal.lost_offsets()),
            resume: refusal.map(|refusal| refusal.resume()),
            version,
        }
    }

    fn text(&self, case: &LossCase) -> Result<String, fmt::Error> {
        let mut out = String::new();
        let at = self.table.map_or_else(
            || "has nothing of it".to_owned(),
            |next| format!("is at offset {next}"),
        );
        writeln!(
            out,
            "{}: table {} {at}, Kafka has {}.",
            self.partition,
            self.product,
            case.kafka.range()
        )?;
        let (Some(loss), Some(resume)) = (&self.loss, self.resume) else {
            writeln!(
                out,
                "The partition is not refused: there is nothing to decide, and nothing was changed."
            )?;
            return Ok(out);
        };
        writeln!(out, "Loss: {loss}.")?;
        match self.version {
            Some(version) => writeln!(
                out,
                "Accepted in version {version} of the table: reading continues at offset {resume}. Running instances \
                 continue within seconds."
            )?,
            None => writeln!(
                out,
                "Nothing was changed. Without --dry-run the loss is recorded in the table, and reading continues at offset {resume}."
            )?,
        }
        Ok(out)
    }
}

fn list_text(reports: &[PartitionReport]) -> Result<String, fmt::Error> {
    if reports.is_empty() {
        return Ok("No partition that could be read is refused.\n".to_owned());
    }
    let offset =
        |offset: Option<Offset>| offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
    let mut lines = vec![["partition", "table", "first", "end"].map(str::to_owned)];
    lines.extend(reports.iter().map(|report| {
        [
            report.partition.to_string(),
            offset(report.table),
            offset(report.first),
            offset(report.end),
        ]
    }));
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths = [0, 1, 2, 3].map(width);
    let mut out = String::new();
    let states = std::iter::once("state".to_owned()).chain(reports.iter().map(state));
    for ([partition, table, first, end], state) in lines.iter().zip(states) {
        let [a, b, c, d] = widths;
        writeln!(
            out,
            "{partition:<a$}  {table:>b$}  {first:>c$}  {end:>d$}  {state}"
        )?;
    }
    Ok(out)
}

fn state(report: &PartitionReport) -> String {
    match (&report.refused, report.first) {
        (Some(why), _) => format!("refused: {why}"),
        (None, None) if report.fault.is_some() => {
            "unknown: Kafka's position could not be read".to_owned()
        }
        (None, None) => "not in Kafka".to_owned(),
        (None, Some(_)) => "read".to_owned(),
    }
}
