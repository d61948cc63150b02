//! `ebbtide policy`: checks and explains a policy and prints its JSON Schema; shows what a new
//! policy does to stored data, activates it, and lists the policies that were active.
//!
//! Every subcommand but `activate` only reads.

mod activating;
mod baseline;
mod explain_text;
mod listing;
mod plan_text;
mod planning;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{CommandFailure, CommandOutput, OutputFormat, clock, report, shown};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::Country;
use ebbtide_policy::{ExplainRequest, JSON_SCHEMA};
use ebbtide_services::policy::{self, ExplainPolicyError};

#[derive(Debug, clap::Args)]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Report every error in a policy file: where it is, what it is, and how to fix it.
    ///
    /// The Avro schemas that the policy names are read too, relative to the folder of the policy
    /// file.
    #[command(after_help = "Example:\n  ebbtide policy check config/policy.yaml")]
    Check {
        /// The policy file.
        #[arg(default_value = "config/policy.yaml")]
        file: PathBuf,
        /// The format of the result.
        #[arg(long, value_enum, default_value_t)]
        output: OutputFormat,
    },
    /// Explain which rule decides for the fields of a product, until when, why, and why the other
    /// rules do not.
    ///
    /// Without --country and --tenant, the answer is for those that no rule names.
    #[command(after_help = "Examples:\n  ebbtide policy explain --product sms\n  \
                            ebbtide policy explain --product voice --country IT --field callee")]
    Explain {
        /// The product's key in the policy.
        #[arg(long)]
        product: String,
        /// The country in which the communication ended: two letters of ISO 3166-1, or ZZ if it is
        /// unknown.
        #[arg(long)]
        country: Option<String>,
        /// The tenant, as the product's tenant column names it.
        #[arg(long)]
        tenant: Option<String>,
        /// Only this column (nested fields by their flattened name: sender_address).
        #[arg(long)]
        field: Option<String>,
        /// The policy file.
        #[arg(long, default_value = "config/policy.yaml")]
        policy: PathBuf,
        /// The format of the result.
        #[arg(long, value_enum, default_value_t)]
        output: OutputFormat,
    },
    Plan(planning::PolicyPlanArgs),
    Activate(activating::ActivateArgs),
    History(listing::PolicyHistoryArgs),
    /// Print the JSON Schema of policy files, for editors that complete and check as you type.
    Schema {
        /// The format; both are JSON.
        #[arg(long, value_enum, default_value_t)]
        output: OutputFormat,
    },
}

impl PolicyArgs {
    pub(super) fn run(self) -> CommandOutput {
        self.run_by(&clock())
    }

    fn run_by(self, clock: &SharedClock) -> CommandOutput {
        #[cfg(feature = "failpoints")]
        let _watched = ebbtide_base::failpoint::watch();
        match self.command {
            Command::Check { file, output } => check(&file, output),
            Command::Explain {
                product,
                country,
                tenant,
                field,
                policy,
                output,
            } => {
                let (tenant, field) = (tenant.as_deref(), field.as_deref());
                let country = match country.as_deref().map(Country::new).transpose() {
                    Ok(country) => country,
                    Err(error) => return CommandFailure::usage(error).outcome(),
                };
                let ask = ExplainRequest {
                    product: &product,
                    country,
                    tenant,
                    field,
                    now: clock.now(),
                };
                explain(&policy, &ask, output)
            }
            Command::Plan(args) => args.run(clock.now()),
            Command::Activate(args) => args.run(clock),
            Command::History(args) => args.run(),
            Command::Schema { .. } => CommandOutput::done(JSON_SCHEMA.to_owned()),
        }
    }
}

pub(super) fn check(file: &Path, output: OutputFormat) -> CommandOutput {
    match policy::check(file) {
        Ok(report) => report::problems(&report, output),
        Err(error) => CommandFailure::from(error).outcome(),
    }
}

pub(super) fn explain(
    file: &Path,
    request: &ExplainRequest<'_>,
    output: OutputFormat,
) -> CommandOutput {
    match policy::explain(file, request) {
        Ok(explanation) => CommandOutput::done(shown(&explanation, output, explain_text::text)),
        Err(ExplainPolicyError::Faulty(report)) => report::problems(&report, output),
        Err(error) => CommandFailure::from(error).outcome(),
    }
}

#[cfg(test)]
mod tests;
