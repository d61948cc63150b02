//! The state of a record as text for people.

use std::fmt::{self, Write};

use chrono::SecondsFormat;

use ebbtide_base::ids::ProductKey;
use ebbtide_query::{CategoryState, RecordCommit, RecordStatus};
use ebbtide_services::why::{RecordReport, RuleReport, WhyReport};

/// Returns the report as text.
pub(super) fn text(report: &WhyReport) -> String {
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = write_report(report, &mut out);
    out
}

fn write_report(report: &WhyReport, out: &mut String) -> fmt::Result {
    if report.records.is_empty() {
        return writeln!(
            out,
            "No record in table {} holds that value. To see when a record was deleted, search by its topic, partition and offset.",
            report.product
        );
    }
    for (at, record) in report.records.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        write_record(record, &report.product, out)?;
    }
    Ok(())
}

/// Writes the lines about one record.
pub(super) fn write_record(
    record: &RecordReport,
    product: &ProductKey,
    out: &mut String,
) -> fmt::Result {
    match (&record.history.partition, record.history.offset) {
        (Some(partition), Some(offset)) => {
            writeln!(out, "Record of {product}, {partition} at offset {offset}")?
        }
        _ => writeln!(out, "Record of {product}")?,
    }
    if let Some(ingest) = &record.history.ingest {
        writeln!(out, "  read by     {}", step(ingest))?;
    }
    match &record.history.fate {
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
                if let Some(ruled) = record.rules.get(&standing.category).filter(|_| here) {
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
                        "; rule {rule} of policy {policy_version}: {bound} {keep} from {trigger}, deleted within {grace}"
                    )?;
                }
                writeln!(out)?;
            }
        }
        RecordStatus::Ended {
            by,
            perhaps_never_stored,
        } => {
            let one = by.len() == 1 && !perhaps_never_stored;
            writeln!(
                out,
                "  ended       {}",
                if one { "by" } else { "by one of these" }
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
            writeln!(out, "  not read    the table continues at offset {next}")?
        }
        RecordStatus::NotRead { next: None } => {
            writeln!(out, "  not read    the table has nothing of that partition")?
        }
        RecordStatus::Unknown { oldest_entry } => {
            writeln!(
                out,
                "  not here    and the entries before version {oldest_entry}, which would say more, are cleaned away"
            )?;
        }
    }
    if !record.held_by.is_empty() {
        writeln!(out, "  held by     {}", record.held_by.join(", "))?;
    }
    if record.holds_incomplete {
        writeln!(
            out,
            "  held by     holds are in force; only the policy says whether one covers this record: name it with --policy"
        )?;
    }
    Ok(())
}

fn state(state: &CategoryState) -> String {
    match state {
        CategoryState::Here { until: Some(until) } => format!("here until {until}"),
        CategoryState::Here { until: None } => "here, its deadline is open".to_owned(),
        CategoryState::Deleted { by: Some(by) } => format!("deleted, by {}", step(by)),
        CategoryState::Deleted { by: None } => {
            "deleted, by a commit whose entry is cleaned away".to_owned()
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
