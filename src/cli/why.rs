//! `ebbtide why`: what is stored of a record, until when, under which rule and which holds, or
//! which commit deleted it.
//!
//! Changes nothing, and prints no value of the record.

mod holds;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::path::PathBuf;

use chrono::SecondsFormat;
use serde::Serialize;

use super::root_args::{LocateRootError, RootArgs};
use super::{CommandOutput, OutputFormat, clock, json, report};
use ebbtide_base::ids::{
    Bucket, Category, Country, Offset, Partition, ProductKey, Topic, TopicPartition,
};
use ebbtide_policy::{Policy, RuleMatch, RuleQuery, resolve};
use ebbtide_query::{
    CategoryState, RecordCommit, RecordHints, RecordHistory, RecordKey, RecordStatus, ViewError,
    why,
};
use ebbtide_services::app::{ReadPolicyError, read_policy};
use ebbtide_table::StoreError;
use holds::{RecordHolds, holds};

/// Show what is stored of a record, until when and under which rule, or when and by which commit it
/// was deleted.
///
/// A record is named by topic, partition and offset, or by a value in one of its columns, such as
/// the id of a message.
///
/// Exit code 0: the record is known. 1: nothing is known of such a record. 2: wrong use.
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
    /// How to write the result.
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

/// The reason why the state of a record cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum WhyError {
    /// The location of the tables cannot be determined.
    #[error(transparent)]
    Place(#[from] LocateRootError),
    /// The policy that was named cannot be read.
    #[error(transparent)]
    Policy(#[from] ReadPolicyError),
    /// The table cannot be read, or does not exist.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The holds cannot be read.
    #[error(transparent)]
    Controls(#[from] StoreError),
    /// Does not occur: texts are written to memory.
    #[error(transparent)]
    Format(#[from] fmt::Error),
    /// The program could not start its own threads.
    #[error("no threads to read with: {0}")]
    Threads(#[from] std::io::Error),
}

impl WhyArgs {
    pub(super) fn run(self) -> CommandOutput {
        self.answer().unwrap_or_else(|error| match error {
            error @ (WhyError::Place(_)
            | WhyError::Policy(_)
            | WhyError::View(ViewError::NoBucket { .. })) => CommandOutput::usage(error),
            error => CommandOutput::failure(format!("error: {error}\n")),
        })
    }

    fn answer(&self) -> Result<CommandOutput, WhyError> {
        let root = self.place.root()?;
        let policy = match &self.policy {
            Some(file) => {
                let checked = read_policy(file)?;
                if checked.policy.is_none() {
                    return Ok(report::problems(file, &checked.problems, self.output));
                }
                checked.policy
            }
            // A policy that was not named on the command line may be missing.
            None => self
                .place
                .config()
                .and_then(|config| read_policy(&config.policy).ok()?.policy),
        };
        let sought = match (&self.topic, self.partition, self.offset, &self.id) {
            (Some(topic), Some(partition), Some(offset), _) => RecordKey::Source {
                partition: TopicPartition {
                    topic: topic.clone(),
                    partition: Partition(partition),
                },
                offset: Offset(offset),
            },
            (_, _, _, Some(Id { column, value })) => RecordKey::Value {
                column: column.clone(),
                value: value.clone(),
            },
            // The parser refuses everything else.
            _ => {
                return Ok(CommandOutput::usage(
                    "name a record by --topic, --partition and --offset, or by --id",
                ));
            }
        };
        let known = known(policy.as_ref(), &self.product, self.bucket);
        let runtime = super::runtime()?;
        let now = clock().now();
        let (stories, held) = runtime.block_on(async {
            let stories = why(&root, &self.product, &sought, &known).await?;
            let (holds, mut held) = (holds(&root, &self.product, now).await?, Vec::new());
            for story in &stories {
                held.push(holds::held(&root, &self.product, story, &holds, policy.as_ref()).await?);
            }
            Ok::<_, WhyError>((stories, held))
        })?;
        let each = stories.iter().zip(held);
        let records =
            each.map(|(story, held)| RecordReport::of(story, &self.product, policy.as_ref(), held));
        let told = WhyReport {
            product: &self.product,
            records: records.collect(),
        };
        let nothing = stories
            .iter()
            .all(|story| matches!(story.fate, RecordStatus::Untold { .. }));
        let out = if self.output == OutputFormat::Text {
            text(&told)?
        } else {
            json(&told)
        };
        Ok(if nothing {
            CommandOutput::problem(out)
        } else {
            CommandOutput::done(out)
        })
    }
}

/// Returns what the policy, but not the table, says about a product.
fn known(policy: Option<&Policy>, product: &ProductKey, bucket: Option<Bucket>) -> RecordHints {
    let records = policy.and_then(|policy| policy.products.get(product)?.records.as_ref());
    let mut fields: BTreeMap<Category, BTreeSet<String>> = BTreeMap::new();
    for (column, class) in records.iter().flat_map(|records| &records.fields) {
        if let Some(category) = class.category() {
            fields
                .entry(category.clone())
                .or_default()
                .insert(column.clone());
        }
    }
    RecordHints {
        bucket,
        tenant: records.and_then(|records| records.tenant.clone()),
        fields,
    }
}

#[derive(Serialize)]
struct WhyReport<'a> {
    product: &'a ProductKey,
    records: Vec<RecordReport<'a>>,
}

/// The state of a record, with what the policy and the holds say about it.
#[derive(Serialize)]
struct RecordReport<'a> {
    #[serde(flatten)]
    story: &'a RecordHistory,
    /// The rule of each category, if the policy is known.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    rules: BTreeMap<Category, RuleReport>,
    /// The holds that keep it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    held_by: Vec<String>,
    /// True if the holds cannot be determined because the policy is not known.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    holds_untold: bool,
}

/// The rule that applies to a category, in words.
#[derive(Serialize)]
struct RuleReport {
    rule: String,
    keep: String,
    boundary: String,
    trigger: String,
    grace: String,
    policy_version: String,
}

impl<'a> RecordReport<'a> {
    fn of(
        story: &'a RecordHistory,
        product: &ProductKey,
        policy: Option<&Policy>,
        held: RecordHolds,
    ) -> RecordReport<'a> {
        let mut rules = BTreeMap::new();
        if let (RecordStatus::Here(place), Some(policy)) = (&story.fate, policy) {
            let country = place.jurisdiction.unwrap_or(Country::UNKNOWN);
            for category in place.categories.iter().map(|standing| &standing.category) {
                let asked = RuleQuery {
                    product,
                    category,
                    country,
                    tenant: place.tenant.as_deref(),
                };
                // A category that is no longer in the policy has no rule.
                let RuleMatch::Rule(rule) = resolve(&policy.rules, asked) else {
                    continue;
                };
                let rule = &policy.rules[rule];
                rules.insert(
                    category.clone(),
                    RuleReport {
                        rule: rule.id.to_string(),
                        keep: rule.keep.to_string(),
                        boundary: rule.boundary.to_string(),
                        trigger: rule.trigger.to_string(),
                        grace: rule.grace.to_string(),
                        policy_version: policy.version.to_string(),
                    },
                );
            }
        }
        RecordReport {
            story,
            rules,
            held_by: held.by,
            holds_untold: held.untold,
        }
    }
}

fn text(told: &WhyReport<'_>) -> Result<String, fmt::Error> {
    if told.records.is_empty() {
        return Ok(format!(
            "No record in table {} holds that value. If it did, its topic, partition and offset tell when it went.\n",
            told.product
        ));
    }
    let mut out = String::new();
    for (at, record) in told.records.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        record.text(told.product, &mut out)?;
    }
    Ok(out)
}

impl RecordReport<'_> {
    fn text(&self, product: &ProductKey, out: &mut String) -> fmt::Result {
        match (&self.story.partition, self.story.offset) {
            (Some(partition), Some(offset)) => {
                writeln!(out, "Record of {product}, {partition} at offset {offset}")?
            }
            _ => writeln!(out, "Record of {product}")?,
        }
        if let Some(ingest) = &self.story.ingest {
            writeln!(out, "  read by     {}", step(ingest))?;
        }
        match &self.story.fate {
            RecordStatus::Here(place) => {
                let mut tags = vec![format!("segment {}", place.path)];
                tags.extend(
                    place
                        .jurisdiction
                        .map(|country| format!("jurisdiction {country}")),
                );
                tags.extend(
                    place
                        .policy_version
                        .as_ref()
                        .map(|version| format!("tagged under policy {version}")),
                );
                writeln!(out, "  here        {}", tags.join(", "))?;
                let width = place
                    .categories
                    .iter()
                    .map(|of| of.category.as_str().len())
                    .max()
                    .unwrap_or(0)
                    .max(10);
                for standing in &place.categories {
                    write!(
                        out,
                        "  {:<width$}  {}",
                        standing.category.as_str(),
                        state(&standing.state)
                    )?;
                    let here = matches!(
                        standing.state,
                        CategoryState::Here { .. } | CategoryState::Unsure
                    );
                    if let Some(ruled) = self.rules.get(&standing.category).filter(|_| here) {
                        let RuleReport {
                            rule,
                            keep,
                            boundary,
                            trigger,
                            grace,
                            policy_version,
                        } = ruled;
                        let bound = if boundary == "at_most" {
                            "at most"
                        } else {
                            "at least"
                        };
                        write!(
                            out,
                            "; rule {rule} of policy {policy_version}: {bound} {keep} from {trigger}, gone within {grace}"
                        )?;
                    }
                    writeln!(out)?;
                }
            }
            RecordStatus::Gone {
                by,
                perhaps_never_stored,
            } => {
                let one = by.len() == 1 && !perhaps_never_stored;
                writeln!(
                    out,
                    "  gone        {}",
                    if one {
                        "ended by"
                    } else {
                        "ended by one of these"
                    }
                )?;
                for by in by {
                    writeln!(out, "              {}", step(by))?;
                }
                if *perhaps_never_stored {
                    writeln!(
                        out,
                        "              unless it was never stored: the commit that read it counted records that were not"
                    )?;
                }
            }
            RecordStatus::NeverStored {
                expired,
                skipped,
                dead_letters,
            } => {
                let mut why: Vec<String> = dead_letters
                    .iter()
                    .map(|(code, n)| format!("{n} dead letters ({code})"))
                    .collect();
                if *skipped > 0 {
                    why.push(format!(
                        "{skipped} that are records of another name than the product's"
                    ));
                }
                if *expired > 0 {
                    why.insert(0, format!("{expired} past all their deadlines on arrival"));
                }
                let why = if why.is_empty() {
                    "none: the topic had no record there".to_owned()
                } else {
                    why.join(", ")
                };
                writeln!(
                    out,
                    "  not stored  of the records that this commit read, it did not store {why}"
                )?;
            }
            RecordStatus::NotRead { next: Some(next) } => {
                writeln!(out, "  not read    the table reads on at offset {next}")?
            }
            RecordStatus::NotRead { next: None } => {
                writeln!(out, "  not read    the table has nothing of that partition")?
            }
            RecordStatus::Untold { oldest_entry } => {
                writeln!(
                    out,
                    "  not here    and the entries before version {oldest_entry}, which told more, are cleaned away"
                )?;
            }
        }
        if !self.held_by.is_empty() {
            writeln!(out, "  held by     {}", self.held_by.join(", "))?;
        }
        if self.holds_untold {
            writeln!(
                out,
                "  held by     holds are in force; whether one keeps it, the policy tells: name it with --policy"
            )?;
        }
        Ok(())
    }
}

fn state(state: &CategoryState) -> String {
    match state {
        CategoryState::Here { until: Some(until) } => format!("here until {until}"),
        CategoryState::Here { until: None } => "here, its deadline is open".to_owned(),
        CategoryState::Gone { by: Some(by) } => format!("gone, by {}", step(by)),
        CategoryState::Gone { by: None } => {
            "gone, by a commit whose entry is cleaned away".to_owned()
        }
        CategoryState::LeftOut => "never stored: it was due when the record arrived".to_owned(),
        CategoryState::Unsure => "without a deadline: open, or never there".to_owned(),
    }
}

fn step(step: &RecordCommit) -> String {
    let Some(operation) = &step.operation else {
        return format!("version {} of another engine", step.version);
    };
    let at = step
        .at
        .map(|at| format!(" at {}", at.to_rfc3339_opts(SecondsFormat::Secs, true)))
        .unwrap_or_default();
    let commit = step
        .commit
        .map(|commit| format!(", commit {commit}"))
        .unwrap_or_default();
    format!("version {} ({operation}{at}{commit})", step.version)
}

#[cfg(test)]
mod tests;
