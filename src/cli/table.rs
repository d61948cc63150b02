//! `ebbtide table list`, `show` and `audit`: what the tables hold and whether their books balance, for people and as JSON.
//!
//! Promises to change nothing, and an exit code that tells: 0 well, 1 the audit found something or there is no such table.

use std::io::{self, Write};
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::config::Config;
use crate::ids::ProductKey;
use crate::store::{Audit, Overview, Root, RootError, StoreError, ViewError, audit, products, show};

/// Look into the tables.
#[derive(Debug, Clone, clap::Args)]
pub struct TableArgs {
    #[command(subcommand)]
    command: Command,
    /// The folder or URL under which the tables are; without it, `root` of the configuration
    #[arg(long, global = true, value_name = "ROOT")]
    root: Option<String>,
    /// The configuration that names the root
    #[arg(long, global = true, value_name = "FILE", default_value = "config/ebbtide.yaml")]
    config: PathBuf,
    /// For people or for programs
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Command {
    /// List the products that have a table
    List,
    /// Show a table's version, records, segments, bytes, deadlines ahead, and the next offset of each partition
    Show {
        /// The product
        #[arg(value_parser = ProductKey::new)]
        product: ProductKey,
    },
    /// Check that every record read is accounted for, that offsets have no gap or overlap, and that every file is there
    Audit {
        /// The product
        #[arg(value_parser = ProductKey::new)]
        product: ProductKey,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Why a table could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The configuration that should name the root cannot be used.
    #[error("{} cannot be used; mend it, or say where the tables are with --root", file.display())]
    Config {
        /// The file.
        file: PathBuf,
    },
    /// The root is none.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The table cannot be read, or is not there.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The tables cannot be listed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The answer could not be written.
    #[error("the answer could not be written: {0}")]
    Write(#[from] io::Error),
    /// The answer could not be made JSON.
    #[error("the answer could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Answers to `out` as of `now`. Gives the exit code: 0, or 1 where an audit found something.
pub fn run(args: &TableArgs, now: DateTime<Utc>, out: &mut dyn Write) -> Result<u8, TableError> {
    let root = root(args)?;
    // The log's reader works on threads of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match &args.command {
        Command::List => {
            let products = products(&root)?;
            answer(args, out, &products, |out| products.iter().try_for_each(|product| writeln!(out, "{product}")))?;
        }
        Command::Show { product } => {
            let seen = runtime.block_on(show(&root, product, now))?;
            answer(args, out, &seen, |out| tell_overview(out, &seen))?;
        }
        Command::Audit { product } => {
            let found = runtime.block_on(audit(&root, product))?;
            answer(args, out, &Judged { holds: found.holds(), audit: &found }, |out| tell_audit(out, &found))?;
            return Ok(u8::from(!found.holds()));
        }
    }
    Ok(0)
}

#[derive(Serialize)]
struct Judged<'a> {
    holds: bool,
    #[serde(flatten)]
    audit: &'a Audit,
}

fn root(args: &TableArgs) -> Result<Root, TableError> {
    if let Some(root) = &args.root {
        return Ok(Root::parse(root)?);
    }
    let unusable = || TableError::Config { file: args.config.clone() };
    let config = Config::load(&args.config).config.ok_or_else(unusable)?;
    Ok(Root::parse(&config.root)?)
}

fn answer(
    args: &TableArgs,
    out: &mut dyn Write,
    value: &impl Serialize,
    tell: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), TableError> {
    match args.output {
        Output::Text => tell(out)?,
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(value)?)?,
    }
    Ok(())
}

fn tell_overview(out: &mut dyn Write, seen: &Overview) -> io::Result<()> {
    writeln!(out, "Table {} at version {}", seen.product, seen.version)?;
    writeln!(out, "  records   {}", seen.records)?;
    writeln!(out, "  segments  {}", seen.segments)?;
    writeln!(out, "  bytes     {}", seen.bytes)?;
    writeln!(out, "  controls  {}", seen.controls)?;
    if !seen.deadlines.is_empty() {
        writeln!(out, "\nRecords by when a category is due")?;
        let head = ["category", "nearest deadline", "due", "24 hours", "7 days", "30 days", "later", "open"];
        let mut lines = vec![head.map(str::to_owned)];
        lines.extend(seen.deadlines.iter().map(|ahead| {
            let next = ahead.next.map_or_else(|| "-".to_owned(), |next| next.to_string());
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
        columns(out, &lines)?;
    }
    if !seen.partitions.is_empty() {
        writeln!(out, "\nNext offsets")?;
        let lines: Vec<_> = seen.partitions.iter().map(|at| [at.partition.to_string(), at.next.to_string()]).collect();
        columns(out, &lines)?;
    }
    Ok(())
}

fn tell_audit(out: &mut dyn Write, found: &Audit) -> io::Result<()> {
    writeln!(out, "Audit of table {} at version {}", found.product, found.version)?;
    if found.oldest_entry > 0 {
        let before = found.oldest_entry;
        writeln!(out, "  entries before version {before} are cleaned away: what they did is known by its sums alone")?;
    }
    if let Some(totals) = &found.totals {
        writeln!(
            out,
            "  read {} = stored {} + expired {} + dead letters {} in {} commits, {} of them seen",
            totals.read, totals.stored, totals.expired, totals.dead_letters, totals.commits, found.commits
        )?;
    }
    if found.foreign_commits > 0 {
        writeln!(out, "  other engines made {} commits and added {} rows", found.foreign_commits, found.foreign_rows)?;
    }
    writeln!(out, "  the table holds {} records in {} files, {} bytes", found.records, found.segments, found.bytes)?;
    for broken in &found.broken {
        writeln!(out, "  BROKEN: {broken}")?;
    }
    writeln!(out, "{}", if found.holds() { "Everything holds." } else { "It does not hold." })
}

/// Lines of cells, the first column to the left and all others to the right, each as wide as its widest cell.
fn columns<const N: usize>(out: &mut dyn Write, lines: &[[String; N]]) -> io::Result<()> {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
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
