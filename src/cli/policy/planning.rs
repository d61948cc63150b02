//! `ebbtide policy plan`: what a new policy does to stored data, before it is activated.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::baseline::BaselineArgs;
use super::plan_text;
use crate::cli::{CommandFailure, CommandOutput, OutputFormat, report, runtime, shown};
use ebbtide_maintenance::SurveyProgress;
use ebbtide_services::policy::{self, PolicyChange, PolicyChangeError, PolicyPlan};

/// Show what a new policy does to stored data. Changes nothing.
///
/// Shows which deadlines move, what is due immediately, what is kept longer, which columns are
/// dropped, and how many bytes are rewritten for the new tags. The new policy is compared with the
/// active one; if none is active yet, with the configured one. Of segments, only the columns of
/// jurisdiction and tenant are read, and only if their records differ.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  ebbtide policy plan config/policy-2027.yaml")]
pub(in crate::cli) struct PolicyPlanArgs {
    /// The new policy.
    #[arg(value_name = "NEW")]
    file: PathBuf,
    #[command(flatten)]
    standing: BaselineArgs,
    /// The format of the result.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

impl PolicyPlanArgs {
    pub(super) fn run(self, now: DateTime<Utc>) -> CommandOutput {
        plan(&self.standing, &self.file, self.output, now).unwrap_or_else(CommandFailure::outcome)
    }
}

/// Returns the report about what the policy of `file` does to stored data.
pub(super) fn plan(
    standing: &BaselineArgs,
    file: &Path,
    output: OutputFormat,
    now: DateTime<Utc>,
) -> Result<CommandOutput, CommandFailure> {
    let (root, configured) = (standing.place.root()?, standing.policy());
    let change = PolicyChange {
        root: &root,
        new: file,
        configured: configured.as_deref(),
    };
    match runtime()?.block_on(policy::plan(&change, now, print_progress)) {
        Ok(plan) => Ok(planned(&plan, output)),
        Err(error) => refused(error, output),
    }
}

/// Returns the report about the errors of the new policy, if `error` is about them.
pub(super) fn refused(
    error: PolicyChangeError,
    output: OutputFormat,
) -> Result<CommandOutput, CommandFailure> {
    match error {
        PolicyChangeError::NewFaulty(report) => Ok(report::problems(&report, output)),
        error => Err(error.into()),
    }
}

/// Returns the report about what a new policy does, and what of it cannot be done.
pub(super) fn planned(plan: &PolicyPlan, output: OutputFormat) -> CommandOutput {
    let out = shown(plan, output, plan_text::text);
    CommandOutput::checked(out, plan.problems.is_empty())
}

/// Prints the progress after every 1000 segments.
fn print_progress(progress: &SurveyProgress) {
    if progress.done.is_multiple_of(1000) && progress.done < progress.of {
        eprintln!(
            "{}: {} of {} segments",
            progress.product, progress.done, progress.of
        );
    }
}
