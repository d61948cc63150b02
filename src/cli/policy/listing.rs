//! `ebbtide policy history`: the policies that were active, and since when.

use std::fmt::Write;

use crate::cli::root_args::RootArgs;
use crate::cli::{CommandFailure, CommandOutput, OutputFormat, runtime, shown};
use ebbtide_base::ids::PolicyVersion;
use ebbtide_services::policy::{PastPolicy, policies, policy_text};

/// List the policies that were activated, oldest first, with the digest of their texts.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PolicyHistoryArgs {
    #[command(flatten)]
    place: RootArgs,
    /// Print the text of this version, as it was activated, instead of the list.
    #[arg(long, value_name = "VERSION", value_parser = PolicyVersion::new)]
    show: Option<PolicyVersion>,
    /// The format of the result.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

impl PolicyHistoryArgs {
    pub(super) fn run(self) -> CommandOutput {
        self.answer().unwrap_or_else(CommandFailure::outcome)
    }

    fn answer(&self) -> Result<CommandOutput, CommandFailure> {
        let root = self.place.root()?;
        let runtime = runtime()?;
        Ok(CommandOutput::done(match &self.show {
            Some(version) => {
                let activation = runtime.block_on(policy_text(&root, version))?;
                shown(&activation, self.output, |found| found.text.yaml.clone())
            }
            None => {
                let listed = runtime.block_on(policies(&root))?;
                shown(&listed, self.output, |listed| text(listed))
            }
        }))
    }
}

fn text(listed: &[PastPolicy]) -> String {
    if listed.is_empty() {
        return "No policy is active yet: the first start of an instance records its own.\n"
            .to_owned();
    }
    let mut out = String::new();
    for PastPolicy {
        version,
        active,
        activated_at,
        control,
        sha256,
    } in listed
    {
        let at = activated_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let state = if *active { "active" } else { "past" };
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            out,
            "{version}  {state} since {at}, control {control}, sha256 {sha256}"
        );
    }
    out
}
