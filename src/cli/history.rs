//! `ebbtide history`: what was done to a table, commit by commit, from the evidence in its log.
//!
//! Changes nothing. Shows all evidence of a commit, whichever version of the program wrote it.

use std::fmt::{self, Write};

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, Utc};
use serde_json::{Map, Value};

use super::root_args::RootArgs;
use super::{CommandFailure, CommandOutput, OutputFormat, runtime, shown};
use ebbtide_base::ids::{Bucket, ProductKey};
use ebbtide_query::{CommitFilter, CommitKind, CommitRecord};
use ebbtide_services::history::{HistoryReport, HistoryRequest, history};

/// Show what was done to a table, commit by commit, newest last.
///
/// The evidence of each commit counts what it read, stored, dropped or ended. It has no value of
/// any record.
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
    /// The format of the result.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

impl HistoryArgs {
    pub(super) fn run(self) -> CommandOutput {
        self.answer().unwrap_or_else(CommandFailure::outcome)
    }

    fn answer(self) -> Result<CommandOutput, CommandFailure> {
        let root = self.place.root()?;
        let request = HistoryRequest {
            product: self.product,
            filter: CommitFilter {
                operation: self.operation,
                since: self.since,
                until: self.until,
                bucket: self.bucket,
            },
            last: self.last,
        };
        let report = runtime()?.block_on(history(&root, request))?;
        Ok(CommandOutput::done(shown(&report, self.output, text)))
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

fn text(report: &HistoryReport) -> String {
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = write_report(report, &mut out);
    out
}

fn write_report(report: &HistoryReport, out: &mut String) -> fmt::Result {
    writeln!(
        out,
        "History of table {} to version {}",
        report.product, report.span.version
    )?;
    if report.span.oldest_entry > 0 {
        writeln!(
            out,
            "  entries before version {} are cleaned away",
            report.span.oldest_entry
        )?;
    }
    let lines: Vec<[String; 5]> = report.commits.iter().map(line).collect();
    if lines.is_empty() {
        return writeln!(out, "  no commit that is asked for");
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
    Ok(())
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
        CommitKind::NoEvidence { foreign } => {
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
    let entries = evidence
        .iter()
        .filter(|(key, _)| !APART.contains(&key.as_str()));
    entries
        .flat_map(|(key, value)| {
            let name = key.replace('_', " ");
            match value {
                Value::Number(number) if number.as_u64() == Some(0) => Vec::new(),
                Value::Object(parts) if key == "rewrite" => phrases(parts),
                Value::Object(parts) => phrases(parts)
                    .into_iter()
                    .map(|part| format!("{name} {part}"))
                    .collect(),
                Value::Array(items) if items.is_empty() => Vec::new(),
                Value::Array(items) if items.len() > NAMED => {
                    vec![format!("{} {name}", items.len())]
                }
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
