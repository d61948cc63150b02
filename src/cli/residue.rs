//! `ebbtide residue`: searches everything under the root for given values, and shows where they
//! are.
//!
//! Must never print a value, only its line.

mod text;

use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::exit_codes::{DONE, PROBLEM, WRONG_USE};
use super::root_args::RootArgs;
use super::{CommandFailure, CommandOutput, OutputFormat, shown};
use ebbtide_base::clock::{Clock, SystemClock};
use ebbtide_query::residue::{ResidueOutcome, ResidueProgress};
use ebbtide_services::residue::{ResidueRequest, residue};

/// The interval between the progress messages of a long search.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Search every byte under the root for given values: files, names, Parquet pages, statistics,
/// filters, logs.
///
/// Each value is searched as given and in its canonical forms (a number without its plus sign, an
/// address in lower case, the id of a channel), escaped, encoded and as binary. A finding names the
/// file, the place in it and the line of the value in the list, never the value. See
/// docs/residue.md.
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
    /// The format of the result.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

impl ResidueArgs {
    pub(super) fn run(self) -> CommandOutput {
        self.answer().unwrap_or_else(CommandFailure::outcome)
    }

    fn answer(&self) -> Result<CommandOutput, CommandFailure> {
        let root = self.place.root()?;
        let list = read(&self.values).map_err(|error| {
            CommandFailure::usage(format!("{} cannot be read: {error}", self.values.display()))
        })?;
        let request = ResidueRequest {
            file: &self.values,
            list: &list,
            allow_short: self.allow_short,
        };
        let printer = ProgressPrinter {
            clock: SystemClock::new(),
            last: AtomicU64::new(0),
        };
        let answer = residue(&root, &request, &|progress| printer.print(progress))?;
        let out = shown(&answer, self.output, |answer| {
            text::text(&answer.residue, &root.to_string(), self.limit)
        });
        let code = match answer.verdict {
            ResidueOutcome::Clean => DONE,
            ResidueOutcome::Found => PROBLEM,
            ResidueOutcome::Incomplete => WRONG_USE,
        };
        Ok(CommandOutput::with_code(out, code))
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

/// Reports the progress every few seconds, on stderr, so that stdout has only the result.
struct ProgressPrinter {
    clock: SystemClock,
    last: AtomicU64,
}

impl ProgressPrinter {
    fn print(&self, progress: ResidueProgress) {
        let now = self.clock.monotonic().as_millis() as u64;
        let last = self.last.load(Ordering::Relaxed);
        let due = now.saturating_sub(last) >= PROGRESS_INTERVAL.as_millis() as u64;
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

#[cfg(test)]
mod tests;
