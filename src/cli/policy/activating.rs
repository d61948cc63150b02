//! `ebbtide policy activate`: puts a new policy in force in every table.

use std::path::PathBuf;

use super::baseline::BaselineArgs;
use super::planning::{plan, planned, refused};
use crate::cli::{CommandFailure, CommandOutput, OutputFormat, runtime, shown};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::ProductKey;
use ebbtide_services::policy::{self, ActivationOutcome, ActivationReport, PolicyChange};

/// Put a new policy in force: record it with its schemas, and commit it in every table.
///
/// From then on no instance with another policy stores or deletes anything: it reports which policy
/// is active and waits. Start the instances with the new one. Their sweeps update the tags of
/// stored records before they delete by them.
///
/// A policy that `policy plan` refuses is refused. The version must be new: to go back, give the
/// old text a new version. The command can be run again after any error.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ebbtide policy activate config/policy-2027.yaml --dry-run\n  \
                        ebbtide policy activate config/policy-2027.yaml"
)]
pub(in crate::cli) struct ActivateArgs {
    /// The new policy.
    #[arg(value_name = "NEW")]
    file: PathBuf,
    #[command(flatten)]
    standing: BaselineArgs,
    /// Show what it would do, as `policy plan` does, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The format of the result.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

impl ActivateArgs {
    pub(super) fn run(self, clock: &SharedClock) -> CommandOutput {
        let answer = match self.dry_run {
            true => plan(&self.standing, &self.file, self.output, clock.now()),
            false => self.activate(clock),
        };
        answer.unwrap_or_else(CommandFailure::outcome)
    }

    fn activate(&self, clock: &SharedClock) -> Result<CommandOutput, CommandFailure> {
        let place = &self.standing.place;
        let (root, configured) = (place.root()?, self.standing.policy());
        let change = PolicyChange {
            root: &root,
            new: &self.file,
            configured: configured.as_deref(),
        };
        match runtime()?.block_on(policy::activate(&change, clock, &place.sweep())) {
            Ok(ActivationOutcome::Active(report)) => {
                Ok(CommandOutput::done(shown(&report, self.output, text)))
            }
            Ok(ActivationOutcome::Refused(plan)) => Ok(planned(&plan, self.output)),
            Err(error) => refused(error, self.output),
        }
    }
}

fn text(report: &ActivationReport) -> String {
    let ActivationReport {
        version,
        control,
        tables,
    } = report;
    let tables: Vec<&str> = tables.iter().map(ProductKey::as_str).collect();
    let tables = if tables.is_empty() {
        "no table yet".to_owned()
    } else {
        tables.join(", ")
    };
    format!(
        "policy {version} is active in {tables}, as control {control}; start the instances with it\n"
    )
}
