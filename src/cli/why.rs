//! `ebbtide why`: what is stored of a record, until when, under which rule and which holds, or
//! which commit deleted it.
//!
//! Changes nothing, and prints no value of the record.

mod text;

use std::fmt;
use std::path::PathBuf;

use super::root_args::RootArgs;
use super::{CommandFailure, CommandOutput, OutputFormat, clock, report, runtime, shown};
use ebbtide_base::ids::{Bucket, Offset, Partition, ProductKey, Topic, TopicPartition};
use ebbtide_query::RecordKey;
use ebbtide_services::policy_file::read_policy;
use ebbtide_services::problem_report::ProblemReport;
use ebbtide_services::why::{WhyRequest, why};

/// Show what is stored of a record, until when and under which rule, or when and by which commit it
/// was deleted.
///
/// A record is named by topic, partition and offset, or by a value in one of its columns, such as
/// the id of a message.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ebbtide why --product sms --topic traffic.sms --partition 3 --offset 41\n  \
                        ebbtide why --product sms --id message_id=7f4c"
)]
pub(super) struct WhyArgs {
    /// The product's key in the policy.
    #[arg(long, value_parser = ProductKey::new)]
    product: ProductKey,
    /// The topic that the record came from.
    #[arg(long, value_parser = Topic::new, required_unless_present = "id", requires = "partition", requires = "offset")]
    topic: Option<Topic>,
    /// The partition of that topic.
    #[arg(long, requires = "topic")]
    partition: Option<i32>,
    /// The offset in that partition.
    #[arg(long, requires = "topic")]
    offset: Option<i64>,
    /// A column and the value that it holds.
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = id, conflicts_with_all = ["topic", "partition", "offset"])]
    id: Option<Id>,
    /// Look in this bucket only.
    #[arg(long)]
    bucket: Option<Bucket>,
    /// The policy whose rules are shown. Without it, the policy of the configuration, if there is
    /// one.
    #[arg(long)]
    policy: Option<PathBuf>,
    #[command(flatten)]
    place: RootArgs,
    /// The format of the result.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

/// A column and a value.
#[derive(Clone)]
struct Id {
    column: String,
    value: String,
}

/// The value may be personal.
impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=...", self.column)
    }
}

fn id(text: &str) -> Result<Id, String> {
    let (column, value) = text
        .split_once('=')
        .ok_or("write a column and its value: message_id=7f4c")?;
    Ok(Id {
        column: column.to_owned(),
        value: value.to_owned(),
    })
}

impl WhyArgs {
    pub(super) fn run(self) -> CommandOutput {
        self.answer().unwrap_or_else(CommandFailure::outcome)
    }

    fn answer(&self) -> Result<CommandOutput, CommandFailure> {
        let root = self.place.root()?;
        let policy = match &self.policy {
            Some(file) => {
                let checked = read_policy(file)?;
                if checked.policy.is_none() {
                    let report = ProblemReport::new(file, checked.problems);
                    return Ok(report::problems(&report, self.output));
                }
                checked.policy
            }
            // A policy that was not named on the command line may be missing.
            None => self
                .place
                .config()
                .and_then(|config| read_policy(&config.policy).ok()?.policy),
        };
        let request = WhyRequest {
            product: self.product.clone(),
            key: self.key()?,
            bucket: self.bucket,
            policy: policy.as_ref(),
            now: clock().now(),
        };
        let report = runtime()?.block_on(why(&root, &request))?;
        let out = shown(&report, self.output, text::text);
        Ok(CommandOutput::checked(out, report.is_known()))
    }

    fn key(&self) -> Result<RecordKey, CommandFailure> {
        match (&self.topic, self.partition, self.offset, &self.id) {
            (Some(topic), Some(partition), Some(offset), _) => Ok(RecordKey::Source {
                partition: TopicPartition {
                    topic: topic.clone(),
                    partition: Partition(partition),
                },
                offset: Offset(offset),
            }),
            (_, _, _, Some(Id { column, value })) => Ok(RecordKey::Value {
                column: column.clone(),
                value: value.clone(),
            }),
            // The parser refuses everything else.
            _ => Err(CommandFailure::usage(
                "name a record by --topic, --partition and --offset, or by --id",
            )),
        }
    }
}

#[cfg(test)]
mod tests;
