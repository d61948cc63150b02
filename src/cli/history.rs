//! `ebbtide history`: what was done to a table, commit by commit, from the evidence in its log.
//!
//! Changes nothing. Shows all evidence of a commit, whichever version of the program wrote it.

use std::collections::VecDeque;
use std::fmt::{self, Write};

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, Utc};
use futures::TryStreamExt;
use serde::Serialize;
use serde_json::{Map, Value};

use super::root_args::{LocateRootError, RootArgs};
use super::{CommandOutput, OutputFormat, json};
use ebbtide_base::ids::{Bucket, ProductKey};
use ebbtide_base::problem::nearest;
use ebbtide_query::{CommitFilter, CommitKind, CommitRecord, HistorySpan, ViewError, history};
use ebbtide_table::OPERATIONS;

/// Show what was done to a table, commit by commit, newest last.
///
/// The evidence of each commit counts what it read, stored, dropped or ended. It has no value of
/// any record.
///
/// Exit code 0: done. 1: the table cannot be read, or there is no such table. 2: wrong use.
#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    /// The product's key in the policy.
    #[arg(value_parser = ProductKey::new)]
    product: ProductKey,
    /// Only commits of this operation: ingest, drop, anonymize, remove, ...
    #[arg(long)]
    operation: Option<String>,
    /// Only commits made at this instant or later: 2026-11-24, or 2026-11-24T13:00:00Z.
    #[arg(long, value_parser = instant)]
    since: Option<DateTime<Utc>>,
    /// Only commits made before this instant.
    #[arg(long, value_parser = instant)]
    until: Option<DateTime<Utc>>,
    /// Only commits that touched this bucket.
    #[arg(long)]
    bucket: Option<Bucket>,
    /// Only the newest COUNT commits.
    #[arg(long, value_name = "COUNT")]
    last: Option<usize>,
    #[command(flatten)]
    place: RootArgs,
    /// How to write the result.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

/// The reason why there is no history to show.
#[derive(Debug, thiserror::Error)]
pub(super) enum HistoryError {
    /// The location of the tables cannot be determined.
    #[error(transparent)]
    Place(#[from] LocateRootError),
    /// The times exclude every commit.
    #[error("--since is not before --until, so no commit can be between them")]
    Never,
    /// No commit has such an operation.
    #[error("--operation: no commit of {product} is a `{operation}`{near}")]
    Operation {
        /// The product.
        product: ProductKey,
        /// The operation.
        operation: String,
        /// The nearest operation that exists, as a question.
        near: String,
    },
    /// The table cannot be read, or does not exist.
    #[error(transparent)]
    View(#[from] ViewError),
    /// Does not occur: texts are written to memory.
    #[error(transparent)]
    Format(#[from] fmt::Error),
    /// The program could not start its own threads.
    #[error("no threads to read with: {0}")]
    Threads(#[from] std::io::Error),
}

#[derive(Serialize)]
struct HistoryReport<'a> {
    product: &'a ProductKey,
    #[serde(flatten)]
    span: HistorySpan,
    commits: &'a VecDeque<CommitRecord>,
}

impl HistoryArgs {
    pub(super) fn run(self) -> CommandOutput {
        self.answer().unwrap_or_else(|error| match error {
            error @ (HistoryError::Place(_)
            | HistoryError::Never
            | HistoryError::Operation { .. }
            | HistoryError::View(ViewError::NoBucket { .. })) => CommandOutput::usage(error),
            error => CommandOutput::failure(format!("error: {error}\n")),
        })
    }

    fn answer(&self) -> Result<CommandOutput, HistoryError> {
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since >= until
        {
            return Err(HistoryError::Never);
        }
        let root = self.place.root()?;
        let runtime = super::runtime()?;
        let wanted = CommitFilter {
            operation: self.operation.clone(),
            since: self.since,
            until: self.until,
            bucket: self.bucket,
        };
        let (span, commits) = runtime.block_on(async {
            let (span, found) = history(&root, &self.product, wanted).await?;
            let mut found = std::pin::pin!(found);
            let mut commits = VecDeque::new();
            while let Some(commit) = found.try_next().await? {
                commits.push_back(commit);
                if self.last.is_some_and(|last| commits.len() > last) {
                    commits.pop_front();
                }
            }
            Ok::<_, ViewError>((span, commits))
        })?;
        if let Some(operation) = self.operation.as_deref().filter(|_| commits.is_empty()) {
            self.check_operation(operation)?;
        }
        let told = HistoryReport {
            product: &self.product,
            span,
            commits: &commits,
        };
        Ok(CommandOutput::done(if self.output == OutputFormat::Text {
            text(&told)?
        } else {
            json(&told)
        }))
    }
}

impl HistoryArgs {
    /// Refuses an operation that no commit can have: an empty answer would be misleading.
    fn check_operation(&self, operation: &str) -> Result<(), HistoryError> {
        if OPERATIONS.contains(&operation) {
            return Ok(());
        }
        let near = nearest(operation, OPERATIONS);
        let near = near.map_or_else(
            || format!("; it may be {}", OPERATIONS.join(", ")),
            |near| format!("; did you mean `{near}`?"),
        );
        Err(HistoryError::Operation {
            product: self.product.clone(),
            operation: operation.to_owned(),
            near,
        })
    }
}

/// Parses an instant, or a day, which means the instant at which it begins in UTC.
fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let day = text
        .parse::<NaiveDate>()
        .map(|day| day.and_time(NaiveTime::MIN).and_utc());
    let at = day.or_else(|_| DateTime::parse_from_rfc3339(text).map(|at| at.with_timezone(&Utc)));
    at.map_err(|_| "write a day as 2026-11-24, an instant as 2026-11-24T13:00:00Z".to_owned())
}

fn text(told: &HistoryReport<'_>) -> Result<String, fmt::Error> {
    let mut out = format!(
        "History of table {} to version {}\n",
        told.product, told.span.version
    );
    if told.span.oldest_entry > 0 {
        writeln!(
            out,
            "  entries before version {} are cleaned away",
            told.span.oldest_entry
        )?;
    }
    let lines: Vec<[String; 5]> = told.commits.iter().map(line).collect();
    if lines.is_empty() {
        writeln!(out, "  no commit that is asked for")?;
        return Ok(out);
    }
    let head = ["version", "made at", "operation", "files", "what it did"].map(str::to_owned);
    let lines: Vec<_> = [head].into_iter().chain(lines).collect();
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths = [0, 1, 2, 3].map(width);
    for [version, at, operation, files, what] in &lines {
        let [a, b, c, d] = widths;
        let line = format!("  {version:>a$}  {at:<b$}  {operation:<c$}  {files:<d$}  {what}");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(out)
}

fn line(commit: &CommitRecord) -> [String; 5] {
    let files = match (commit.added, commit.removed) {
        (0, 0) => "-".to_owned(),
        (added, 0) => format!("+{added}"),
        (0, removed) => format!("-{removed}"),
        (added, removed) => format!("+{added} -{removed}"),
    };
    let version = commit.version.to_string();
    match &commit.did {
        CommitKind::Evidence(evidence) => {
            let at = evidence.at.to_rfc3339_opts(SecondsFormat::Secs, true);
            let what = match serde_json::to_value(evidence) {
                Ok(Value::Object(evidence)) => phrases(&evidence).join(", "),
                _ => String::new(),
            };
            [version, at, evidence.operation.clone(), files, what]
        }
        CommitKind::Untold { foreign } => {
            let what = if *foreign {
                "another engine's commit"
            } else {
                "columns and properties"
            };
            [
                version,
                "-".to_owned(),
                "-".to_owned(),
                files,
                what.to_owned(),
            ]
        }
    }
}

/// The keys that have columns of their own, or do not describe the commit itself.
const APART: [&str; 6] = [
    "operation",
    "at",
    "commit",
    "writer",
    "policy_version",
    "totals",
];

/// The largest number of names that are listed. Longer lists are only counted.
const NAMED: usize = 3;

/// Describes everything in a piece of evidence that is not zero, empty or null.
fn phrases(evidence: &Map<String, Value>) -> Vec<String> {
    let told = evidence
        .iter()
        .filter(|(key, _)| !APART.contains(&key.as_str()));
    told.flat_map(|(key, value)| {
        let name = key.replace('_', " ");
        match value {
            Value::Number(number) if number.as_u64() == Some(0) => Vec::new(),
            Value::Object(parts) if key == "rewrite" => phrases(parts),
            Value::Object(parts) => phrases(parts)
                .into_iter()
                .map(|part| format!("{name} {part}"))
                .collect(),
            Value::Array(items) if items.is_empty() => Vec::new(),
            Value::Array(items) if items.len() > NAMED => vec![format!("{} {name}", items.len())],
            Value::Array(items) => vec![format!(
                "{name} {}",
                items.iter().map(item).collect::<Vec<_>>().join(" and ")
            )],
            Value::Null => Vec::new(),
            value => vec![format!("{name} {}", item(value))],
        }
    })
    .collect()
}

/// Formats one item of a list: a partition with its next offset, a loss with its offsets.
fn item(value: &Value) -> String {
    if let (Value::String(topic), partition, Value::String(cause), offsets @ Value::Number(_)) = (
        &value["topic"],
        &value["partition"],
        &value["cause"],
        &value["offsets"],
    ) {
        return format!("{topic}/{partition} {cause}: {offsets} offsets");
    }
    match (value, &value["topic"], &value["partition"], &value["next"]) {
        (_, Value::String(topic), partition, next @ Value::Number(_)) => {
            format!("{topic}/{partition} to {next}")
        }
        (Value::String(text), ..) => text.clone(),
        (value, ..) => value.to_string(),
    }
}

#[cfg(test)]
mod tests;
