//! `ebbtide residue`: searches everything under the root for given values, and shows where they
//! are.
//!
//! The exit code distinguishes clean, found and not completely searched. Must never print a value,
//! only its line.

use std::fmt::{self, Write as _};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use super::report::counted;
use super::root_args::{LocateRootError, RootArgs};
use super::{CommandOutput, OutputFormat, json};
use ebbtide_base::clock::{Clock, SystemClock};
use ebbtide_query::residue::{
    BloomCounts, PrepareValuesError, ResidueOutcome, ResidueProgress, ResidueReport,
    ResidueSearchError, SearchCounts, SearchValues, default_countries, search,
};

/// The interval between the progress messages of a long search.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// Search every byte under the root for given values: files, names, Parquet pages, statistics,
/// filters, logs.
///
/// Each value is searched as given and in its canonical forms (a number without its plus sign, an
/// address in lower case, the id of a channel), escaped, encoded and as binary. A finding names the
/// file, the place in it and the line of the value in the list, never the value. See
/// docs/residue.md.
///
/// Exit code 0: everything was searched and nothing was found. 1: something was found. 2: wrong
/// use, or something could not be searched.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  ebbtide residue --values gone.txt --root /var/lib/ebbtide")]
pub(super) struct ResidueArgs {
    /// The file of values, one per line, as UTF-8 text or UTF-16 with a byte-order mark; `-` for
    /// standard input. Keep it outside the root. A line that is not one value is refused.
    #[arg(long, value_name = "FILE")]
    values: PathBuf,
    /// Accept values of fewer than 4 bytes too. Large files contain such values by chance.
    #[arg(long)]
    allow_short: bool,
    /// List at most N findings; the totals count all.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    place: RootArgs,
    /// How to write the result.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

/// The reason why nothing was searched.
#[derive(Debug, thiserror::Error)]
enum ResidueError {
    /// The root is not known.
    #[error(transparent)]
    Place(#[from] LocateRootError),
    /// The values cannot be read.
    #[error("{} cannot be read: {error}", file.display())]
    Unreadable {
        /// The file of the values.
        file: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// The values cannot be searched for.
    #[error("{}: {error}", file.display())]
    Values {
        /// The file of the values.
        file: PathBuf,
        /// The reason.
        error: PrepareValuesError,
    },
    /// There is nothing to search.
    #[error(transparent)]
    Search(#[from] ResidueSearchError),
    /// Does not occur: texts are written to memory.
    #[error(transparent)]
    Format(#[from] fmt::Error),
}

impl ResidueArgs {
    pub(super) fn run(self) -> CommandOutput {
        self.answer().unwrap_or_else(CommandOutput::usage)
    }

    fn answer(&self) -> Result<CommandOutput, ResidueError> {
        let root = self.place.root()?;
        let text = read(&self.values).map_err(|error| ResidueError::Unreadable {
            file: self.values.clone(),
            error,
        })?;
        let values = SearchValues::parse(&text, self.allow_short, &default_countries(&root))
            .map_err(|error| ResidueError::Values {
                file: self.values.clone(),
                error,
            })?;
        let told = ProgressPrinter {
            clock: SystemClock::new(),
            last: AtomicU64::new(0),
        };
        let found = search(&root, &Arc::new(values), &|progress| told.tell(progress))?;
        let verdict = found.verdict();
        let out = match self.output {
            OutputFormat::Json => json(&ResidueOutput {
                verdict,
                residue: &found,
            }),
            OutputFormat::Text => tell(&found, &root.to_string(), self.limit)?,
        };
        let code = match verdict {
            ResidueOutcome::Clean => 0,
            ResidueOutcome::Found => 1,
            ResidueOutcome::Incomplete => 2,
        };
        Ok(CommandOutput {
            out,
            code,
            ..CommandOutput::default()
        })
    }
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut text = Vec::new();
        std::io::stdin().read_to_end(&mut text)?;
        return Ok(text);
    }
    std::fs::read(file)
}

#[derive(Serialize)]
struct ResidueOutput<'a> {
    verdict: ResidueOutcome,
    #[serde(flatten)]
    residue: &'a ResidueReport,
}

/// Reports the progress every few seconds, on stderr, so that stdout has only the result.
struct ProgressPrinter {
    clock: SystemClock,
    last: AtomicU64,
}

impl ProgressPrinter {
    fn tell(&self, progress: ResidueProgress) {
        let now = self.clock.monotonic().as_millis() as u64;
        let last = self.last.load(Ordering::Relaxed);
        let due = now.saturating_sub(last) >= TOLD_EVERY.as_millis() as u64;
        if due
            && self
                .last
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            let mib = |bytes: u64| bytes >> 20;
            // A progress message that cannot be written does not matter.
            let _ = writeln!(
                std::io::stderr(),
                "searched {} of {} files, {} of {} MiB",
                progress.files,
                progress.of_files,
                mib(progress.bytes),
                mib(progress.of_bytes)
            );
        }
    }
}

fn tell(found: &ResidueReport, root: &str, limit: usize) -> Result<String, fmt::Error> {
    let mut out = String::new();
    let values = counted(found.values, "value");
    writeln!(
        out,
        "Searched {} under {root}, {}, for {values}",
        counted(found.files, "file"),
        counted(found.bytes, "byte")
    )?;
    tell_forms(&mut out, &found.searched_for)?;
    for finding in found.findings.iter().take(limit) {
        writeln!(out, "values line {}: {finding}", finding.line)?;
    }
    if found.findings.len() > limit {
        writeln!(
            out,
            "... and {} more; --limit {} lists them all",
            found.findings.len() - limit,
            found.findings.len()
        )?;
    }
    for missed in found.unsearched.iter().take(limit) {
        writeln!(
            out,
            "COULD NOT BE SEARCHED: {}: {}",
            missed.file, missed.why
        )?;
    }
    if found.unsearched.len() > limit {
        writeln!(
            out,
            "... and {} more that could not be searched",
            found.unsearched.len() - limit
        )?;
    }
    tell_blooms(&mut out, &found.blooms)?;
    let places = counted(found.findings.len(), "place");
    let missed = counted(found.unsearched.len(), "part");
    match found.verdict() {
        ResidueOutcome::Clean => writeln!(out, "Clean: none of the values stands anywhere.")?,
        ResidueOutcome::Incomplete => {
            writeln!(out, "Nothing found, but {missed} could not be searched.")?
        }
        ResidueOutcome::Found => {
            let but = if found.unsearched.is_empty() {
                String::new()
            } else {
                format!("; {missed} could not be searched")
            };
            writeln!(
                out,
                "Found {} of {values}, in {places}{but}.",
                found.found()
            )?;
        }
    }
    Ok(out)
}

/// Writes the number of forms that the values were searched in, so that a misread list is noticed.
fn tell_forms(out: &mut String, searched: &SearchCounts) -> fmt::Result {
    let repeated = match searched.repeated {
        0 => String::new(),
        lines => format!(
            "; {} repeated one and {} left out",
            counted(lines, "line"),
            if lines == 1 { "was" } else { "were" }
        ),
    };
    writeln!(
        out,
        "Each value in all of its forms: {}, {}, {}{repeated}",
        counted(searched.texts, "whole text"),
        counted(searched.patterns, "byte pattern"),
        counted(searched.numbers, "number"),
    )
}

fn tell_blooms(out: &mut String, blooms: &BloomCounts) -> fmt::Result {
    if blooms.maybe == 0 {
        return Ok(());
    }
    let chance = if blooms.beyond_chance() {
        "more than chance explains"
    } else {
        "as chance has it"
    };
    writeln!(
        out,
        "{} said \"maybe\" {} of values that their columns do not hold, {:.1} expected: {chance}",
        counted(blooms.filters, "bloom filter"),
        counted(blooms.maybe, "time"),
        blooms.expected
    )
}

#[cfg(test)]
mod tests;
