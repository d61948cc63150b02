//! `ebbtide policy`: checks and explains a policy and prints its JSON Schema; shows what a new
//! policy does to stored data, activates it, and lists the policies that were active.
//!
//! Every subcommand but `activate` only reads.

mod activating;
mod baseline;
mod listing;
mod planning;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{CommandOutput, OutputFormat, clock, json, report};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::Country;
use ebbtide_policy::{ExplainRequest, ExplainedCategory, Explanation, JSON_SCHEMA, explain};
use ebbtide_services::app::read_policy;

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
    ///
    /// Exit code 0: no errors (there may be warnings). 1: errors. 2: the file cannot be read.
    #[command(after_help = "Example:\n  ebbtide policy check config/policy.yaml")]
    Check {
        /// The policy file.
        #[arg(default_value = "config/policy.yaml")]
        file: PathBuf,
        /// How to write the result.
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
        /// How to write the result.
        #[arg(long, value_enum, default_value_t)]
        output: OutputFormat,
    },
    Plan(planning::PolicyPlanArgs),
    Activate(activating::ActivateArgs),
    History(listing::PolicyHistoryArgs),
    /// Print the JSON Schema of policy files, for editors that complete and check as you type.
    Schema {
        /// How to write it; both are JSON.
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
                    Err(error) => return CommandOutput::usage(error),
                };
                let ask = ExplainRequest {
                    product: &product,
                    country,
                    tenant,
                    field,
                    now: clock.now(),
                };
                explain_file(&policy, &ask, output)
            }
            Command::Plan(args) => args.run(clock.now()),
            Command::Activate(args) => args.run(clock),
            Command::History(args) => args.run(),
            Command::Schema { .. } => CommandOutput::done(JSON_SCHEMA.to_owned()),
        }
    }
}

pub(super) fn check(file: &Path, output: OutputFormat) -> CommandOutput {
    match read_policy(file) {
        Ok(checked) => report::problems(file, &checked.problems, output),
        Err(why) => CommandOutput::usage(why),
    }
}

pub(super) fn explain_file(
    file: &Path,
    ask: &ExplainRequest<'_>,
    output: OutputFormat,
) -> CommandOutput {
    let checked = match read_policy(file) {
        Ok(checked) => checked,
        Err(why) => return CommandOutput::usage(why),
    };
    let Some(policy) = &checked.policy else {
        return report::problems(file, &checked.problems, output);
    };
    match (explain(policy, ask), output) {
        (Ok(explanation), OutputFormat::Text) => CommandOutput::done(text(&explanation)),
        (Ok(explanation), OutputFormat::Json) => CommandOutput::done(json(&explanation)),
        (Err(error), _) => CommandOutput::usage(error),
    }
}

fn text(explanation: &Explanation) -> String {
    let Explanation {
        product,
        policy_version,
        zone,
        country,
        tenant,
        bucket,
        notes,
        categories,
        not_personal,
    } = explanation;
    let country = country.map_or("any country that no rule names".to_owned(), |country| {
        country.to_string()
    });
    let tenant = tenant
        .as_deref()
        .map_or("any tenant that no rule names".to_owned(), |tenant| {
            format!("tenant {tenant}")
        });
    let mut text = format!(
        "{product}, {country}, {tenant}; policy {policy_version}, a record of {bucket} ({zone})\n"
    );
    for note in notes {
        let _ = writeln!(text, "note: {note}");
    }
    for category in categories {
        category_text(category, zone, &mut text);
    }
    if !not_personal.is_empty() {
        let _ = writeln!(text, "\nnot personal: {}", not_personal.join(", "));
    }
    text
}

fn category_text(explained: &ExplainedCategory, zone: &str, text: &mut String) {
    let ExplainedCategory {
        category,
        term,
        fields,
        rule,
        keep,
        boundary,
        trigger,
        due,
        grace,
        ..
    } = explained;
    let _ = writeln!(text, "\n{category} ({term}): {}", fields.join(", "));
    let clock = match trigger.as_str() {
        "contract_end" => "the end of the contract with the tenant",
        "consent_withdrawn" => "the event, or at once when consent is withdrawn",
        _ => "the event",
    };
    let bound = if boundary == "at_most" {
        "at most"
    } else {
        "at least"
    };
    let _ = writeln!(text, "  rule      {rule}: {bound} {keep} from {clock}");
    let _ = match (due, &explained.due_local) {
        (Some(due), Some(local)) if zone != "UTC" => {
            writeln!(
                text,
                "  due       {due} ({local} {zone}), gone within {grace}"
            )
        }
        (Some(due), _) => writeln!(text, "  due       {due}, gone within {grace}"),
        (None, _) => writeln!(
            text,
            "  due       open: {keep} after an end that is not known yet, gone within {grace}"
        ),
    };
    for (name, values) in [
        ("bases", &explained.bases),
        ("purposes", &explained.purposes),
    ] {
        if !values.is_empty() {
            let _ = writeln!(text, "  {name:<9} {}", values.join(", "));
        }
    }
    if let Some(source) = &explained.source {
        let _ = writeln!(text, "  source    {source}");
    }
    // First the rules that match. Rules that do not decide for the same reason share a line.
    let (near, far): (Vec<_>, Vec<_>) = explained.others.iter().partition(|lost| lost.matches);
    let mut lines: Vec<(Vec<&str>, &str)> = Vec::new();
    for lost in near.into_iter().chain(far) {
        match lines.iter_mut().find(|(_, why)| *why == lost.why) {
            Some((rules, _)) => rules.push(&lost.rule),
            None => lines.push((vec![&lost.rule], &lost.why)),
        }
    }
    for (index, (rules, why)) in lines.iter().enumerate() {
        let label = if index == 0 { "not" } else { "" };
        let _ = writeln!(text, "  {label:<9} {}: {why}", rules.join(", "));
    }
}

#[cfg(test)]
mod tests;
