//! `ebbtide table list`, `show` and `audit`: the contents of the tables and the check of them, as
//! text and as JSON.
//!
//! Changes nothing. Exit code 0: no error; 1: the audit found an error, or there is no such table.

use std::fmt::{self, Write};

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde::Serialize;

use super::report::counted;
use super::root_args::{LocateRootError, RootArgs};
use super::{CommandOutput, OutputFormat, clock, json};
use ebbtide_base::ids::ProductKey;
use ebbtide_query::{
    Audit, AuditedContents, Leftovers, TableOverview, ViewError, audit, audit_contents, leftovers,
    products, show,
};
use ebbtide_services::app::upkeep;
use ebbtide_table::{MaintenanceSettings, StoreError};

#[derive(Debug, clap::Args)]
pub(super) struct TableArgs {
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
    /// List the products that have a table.
    List,
    /// Show a table's version, records, segments, bytes, next deadlines, and the next offset of
    /// each partition.
    Show {
        /// The product's key in the policy.
        #[arg(value_parser = ProductKey::new)]
        product: ProductKey,
    },
    /// Check that every record read is accounted for, that offsets have no gap or overlap, and that
    /// every file exists.
    ///
    /// Exit code 0: no error was found. 1: the errors are listed, or there is no such table. 2:
    /// wrong use. Files that should be deleted and still exist are counted (`leftovers.undeleted`
    /// in JSON) and do not change the exit code; `ebbtide sweep` deletes them or says why not.
    Audit {
        /// The product's key in the policy.
        #[arg(value_parser = ProductKey::new)]
        product: ProductKey,
        /// Read every byte of the files too, and compare it with digests and page checksums.
        #[arg(long)]
        bytes: bool,
    },
}

/// The reason why a table could not be read.
#[derive(Debug, thiserror::Error)]
enum TableError {
    /// The location of the tables cannot be determined.
    #[error(transparent)]
    Place(#[from] LocateRootError),
    /// The table cannot be read, or does not exist.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The tables cannot be listed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Does not occur: texts are written to memory.
    #[error(transparent)]
    Format(#[from] fmt::Error),
    /// The program could not start its own threads.
    #[error("no threads to read with: {0}")]
    Threads(#[from] std::io::Error),
}

impl TableArgs {
    pub(super) fn run(self) -> CommandOutput {
        self.answer(clock().now())
            .unwrap_or_else(|error| match error {
                TableError::Place(error) => CommandOutput::usage(error),
                error => CommandOutput {
                    err: format!("error: {error}\n"),
                    code: 1,
                    ..CommandOutput::default()
                },
            })
    }

    /// Returns the retention of files: that of the configuration if it can be used, otherwise the
    /// default.
    fn upkeep(&self) -> MaintenanceSettings {
        self.place
            .config()
            .map(|config| upkeep(&config.maintain))
            .unwrap_or_default()
    }

    fn answer(&self, now: DateTime<Utc>) -> Result<CommandOutput, TableError> {
        let root = self.place.root()?;
        let runtime = super::runtime()?;
        let text = self.output == OutputFormat::Text;
        Ok(CommandOutput::done(match &self.command {
            Command::List => {
                let products = runtime.block_on(products(&root))?;
                if text {
                    products
                        .iter()
                        .map(|product| format!("{product}\n"))
                        .collect()
                } else {
                    json(&products)
                }
            }
            Command::Show { product } => {
                let seen = runtime.block_on(show(&root, product, now))?;
                let left = runtime.block_on(leftovers(&root, product, now, &self.upkeep()))?;
                if text {
                    tell_overview(&seen, &left)?
                } else {
                    json(&WithLeftovers {
                        seen: &seen,
                        leftovers: left,
                    })
                }
            }
            Command::Audit { product, bytes } => {
                let found = match bytes {
                    true => runtime.block_on(audit_contents(&root, product))?,
                    false => runtime.block_on(audit(&root, product))?,
                };
                let left = runtime.block_on(leftovers(&root, product, now, &self.upkeep()))?;
                let judged = AuditOutput {
                    holds: found.holds(),
                    audit: &found,
                };
                let out = if text {
                    tell_audit(&found, &left)?
                } else {
                    json(&WithLeftovers {
                        seen: &judged,
                        leftovers: left,
                    })
                };
                return Ok(if judged.holds {
                    CommandOutput::done(out)
                } else {
                    CommandOutput::problem(out)
                });
            }
        }))
    }
}

/// A view of a table with the files that should be deleted and still exist.
#[derive(Serialize)]
struct WithLeftovers<'a, T> {
    #[serde(flatten)]
    seen: &'a T,
    leftovers: Leftovers,
}

#[derive(Serialize)]
struct AuditOutput<'a> {
    holds: bool,
    #[serde(flatten)]
    audit: &'a Audit,
}

/// Writes the lines about files that should be deleted and still exist; no line if there are none.
fn leftover_lines(out: &mut String, left: &Leftovers) -> fmt::Result {
    if left.in_grace > 0 {
        writeln!(
            out,
            "  replaced  {} within the readers' grace",
            counted(left.in_grace, "file")
        )?;
    }
    if left.undeleted > 0 {
        let since = left.undeleted_since.map_or_else(String::new, |since| {
            format!(
                ", the first since {}",
                since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
            )
        });
        let files = counted(left.undeleted, "file");
        writeln!(
            out,
            "  UNDELETED {files} should be deleted and still exist{since}; `ebbtide sweep` deletes or says why not"
        )?;
    }
    Ok(())
}

fn tell_overview(seen: &TableOverview, left: &Leftovers) -> Result<String, fmt::Error> {
    let mut out = String::new();
    writeln!(out, "Table {} at version {}", seen.product, seen.version)?;
    writeln!(out, "  records   {}", seen.records)?;
    writeln!(out, "  segments  {}", seen.segments)?;
    writeln!(out, "  bytes     {}", seen.bytes)?;
    writeln!(out, "  controls  {}", seen.controls)?;
    leftover_lines(&mut out, left)?;
    if !seen.deadlines.is_empty() {
        writeln!(out, "\nRecords by when a category is due")?;
        let head = [
            "category",
            "nearest deadline",
            "due",
            "24 hours",
            "7 days",
            "30 days",
            "later",
            "open",
        ];
        let mut lines = vec![head.map(str::to_owned)];
        lines.extend(seen.deadlines.iter().map(|ahead| {
            let next = ahead
                .next
                .map_or_else(|| "-".to_owned(), |next| next.to_string());
            let count = |n: u64| n.to_string();
            [
                ahead.category.to_string(),
                next,
                count(ahead.due),
                count(ahead.within_a_day),
                count(ahead.within_a_week),
                count(ahead.within_a_month),
                count(ahead.later),
                count(ahead.open),
            ]
        }));
        columns(&mut out, &lines)?;
    }
    if !seen.partitions.is_empty() {
        writeln!(out, "\nNext offsets")?;
        let lines: Vec<_> = seen
            .partitions
            .iter()
            .map(|at| [at.partition.to_string(), at.next.to_string()])
            .collect();
        columns(&mut out, &lines)?;
    }
    Ok(out)
}

fn tell_audit(found: &Audit, left: &Leftovers) -> Result<String, fmt::Error> {
    let mut out = String::new();
    writeln!(
        out,
        "Audit of table {} at version {}",
        found.product, found.version
    )?;
    if found.oldest_entry > 0 {
        let before = found.oldest_entry;
        writeln!(
            out,
            "  entries before version {before} are cleaned away: what they did is known by its sums alone"
        )?;
    }
    if let Some(totals) = &found.totals {
        let skipped = if totals.skipped > 0 {
            format!(" + skipped {}", totals.skipped)
        } else {
            String::new()
        };
        writeln!(
            out,
            "  read {} = stored {} + expired {}{skipped} + dead letters {} in {} commits, {} of them seen",
            totals.read,
            totals.stored,
            totals.expired,
            totals.dead_letters,
            totals.commits,
            found.commits
        )?;
    }
    if let Some(totals) = found
        .totals
        .filter(|totals| totals.removed + totals.suppressed > 0)
    {
        let (removed, suppressed) = (totals.removed, totals.suppressed);
        writeln!(
            out,
            "  of those stored, {removed} were removed and {suppressed} suppressed: {} are left",
            totals.kept()
        )?;
    }
    if let Some(lost) = found
        .totals
        .map(|totals| totals.lost_offsets)
        .filter(|lost| *lost > 0)
    {
        writeln!(
            out,
            "  {lost} offsets were lost before they were read, and accepted as lost by an operator"
        )?;
    }
    if found.foreign_commits > 0 {
        writeln!(
            out,
            "  other engines made {} commits and added {} rows",
            found.foreign_commits, found.foreign_rows
        )?;
    }
    writeln!(
        out,
        "  the table holds {} records in {} files, {} bytes",
        found.records, found.segments, found.bytes
    )?;
    leftover_lines(&mut out, left)?;
    if let Some(contents) = &found.contents {
        let AuditedContents {
            bytes,
            digests,
            pages,
            pages_without_checksum,
        } = contents;
        writeln!(
            out,
            "  read {bytes} bytes: {digests} files have a digest, {pages} pages a checksum"
        )?;
        if *pages_without_checksum > 0 {
            writeln!(
                out,
                "  {pages_without_checksum} pages have no checksum: they were unpacked, no more can be known"
            )?;
        }
    }
    for broken in &found.broken {
        writeln!(out, "  BROKEN: {broken}")?;
    }
    out += &verdict(found, left);
    Ok(out)
}

/// Returns the last line of an audit. Files that should be deleted are not an error, but the line
/// does not say then that everything holds.
fn verdict(found: &Audit, left: &Leftovers) -> String {
    let holds = match (found.holds(), left.undeleted) {
        (false, _) => return "It does not hold.\n".to_owned(),
        (true, 0) => "Everything holds.",
        (true, _) => "No error was found, but files that should be deleted still exist.",
    };
    let unread = match found.contents {
        Some(_) => "",
        None => " The bytes of the files were not read: --bytes reads and checks them.",
    };
    format!("{holds}{unread}\n")
}

/// Writes lines of cells. The first column is aligned left, the others right; each is as wide as
/// its widest cell.
fn columns<const N: usize>(out: &mut String, lines: &[[String; N]]) -> fmt::Result {
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    for line in lines {
        write!(out, "  {:<first$}", line[0], first = width(0))?;
        for (column, cell) in line.iter().enumerate().skip(1) {
            write!(out, "  {cell:>width$}", width = width(column))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
