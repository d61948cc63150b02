//! `ebbtide table list`, `show` and `audit`: the contents of the tables and the check of them, as
//! text and as JSON.
//!
//! Changes nothing.

mod text;

use chrono::{DateTime, Utc};
use clap::Subcommand;

use super::root_args::RootArgs;
use super::{CommandFailure, CommandOutput, OutputFormat, clock, runtime, shown};
use ebbtide_base::ids::ProductKey;
use ebbtide_query::products;
use ebbtide_services::instance::upkeep;
use ebbtide_services::tables::TableView;
use ebbtide_table::MaintenanceSettings;

#[derive(Debug, clap::Args)]
pub(super) struct TableArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    place: RootArgs,
    /// The format of the result.
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
    /// Files that should be deleted and still exist are counted (`leftovers.undeleted` in JSON) and
    /// do not change the exit code; `ebbtide sweep` deletes them or says why not.
    Audit {
        /// The product's key in the policy.
        #[arg(value_parser = ProductKey::new)]
        product: ProductKey,
        /// Read every byte of the files too, and compare it with digests and page checksums.
        #[arg(long)]
        bytes: bool,
    },
}

impl TableArgs {
    pub(super) fn run(self) -> CommandOutput {
        self.answer(clock().now())
            .unwrap_or_else(CommandFailure::outcome)
    }

    fn answer(&self, now: DateTime<Utc>) -> Result<CommandOutput, CommandFailure> {
        let root = self.place.root()?;
        let runtime = runtime()?;
        let view = TableView {
            root: &root,
            now,
            maintenance: &self.maintenance(),
        };
        match &self.command {
            Command::List => {
                let products = runtime.block_on(products(&root))?;
                let out = shown(&products, self.output, |products| {
                    products
                        .iter()
                        .map(|product| format!("{product}\n"))
                        .collect()
                });
                Ok(CommandOutput::done(out))
            }
            Command::Show { product } => {
                let report = runtime.block_on(view.show(product))?;
                let out = shown(&report, self.output, text::overview);
                Ok(CommandOutput::done(out))
            }
            Command::Audit { product, bytes } => {
                let report = runtime.block_on(view.audit(product, *bytes))?;
                let out = shown(&report, self.output, text::audit);
                Ok(CommandOutput::checked(out, report.holds))
            }
        }
    }

    /// Returns the retention of files: that of the configuration if it can be used, otherwise the
    /// default.
    fn maintenance(&self) -> MaintenanceSettings {
        self.place
            .config()
            .map(|config| upkeep(&config.maintain))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
