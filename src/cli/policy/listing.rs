//! `ebbtide policy history`: the policies that were active, and since when.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::baseline::PolicyChangeError;
use crate::cli::root_args::RootArgs;
use crate::cli::{CommandOutput, OutputFormat, json, runtime};
use ebbtide_base::ids::PolicyVersion;
use ebbtide_controls::Controls;
use ebbtide_policy::PolicyDigest;
use ebbtide_table::ControlsVersion;

/// List the policies that were activated, oldest first, with the digest of their texts.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PolicyHistoryArgs {
    #[command(flatten)]
    place: RootArgs,
    /// Print the text of this version, as it was activated, instead of the list.
    #[arg(long, value_name = "VERSION", value_parser = PolicyVersion::new)]
    show: Option<PolicyVersion>,
    /// How to write the result.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

#[derive(Serialize)]
struct Listed {
    version: PolicyVersion,
    active: bool,
    activated_at: DateTime<Utc>,
    control: i64,
    sha256: PolicyDigest,
}

impl PolicyHistoryArgs {
    pub(super) fn run(self) -> CommandOutput {
        self.answer().unwrap_or_else(PolicyChangeError::outcome)
    }

    fn answer(&self) -> Result<CommandOutput, PolicyChangeError> {
        let root = self.place.root()?;
        let controls = runtime()?.block_on(Controls::load(&root, ControlsVersion(0)))?;
        if let Some(version) = &self.show {
            let found = controls
                .activations()
                .find(|(_, activation)| activation.version == *version);
            return Ok(match (found, self.output) {
                (None, _) => {
                    CommandOutput::failure(format!("error: policy {version} was never activated\n"))
                }
                (Some((_, activation)), OutputFormat::Text) => {
                    CommandOutput::done(activation.text.yaml.clone())
                }
                (Some((_, activation)), OutputFormat::Json) => {
                    CommandOutput::done(json(activation))
                }
            });
        }
        let newest = controls.active().map(|(version, _)| version);
        let listed: Vec<Listed> = controls
            .activations()
            .map(|(control, activation)| Listed {
                version: activation.version.clone(),
                active: Some(control) == newest,
                activated_at: activation.activated_at,
                control: control.0,
                sha256: activation.sha256.clone(),
            })
            .collect();
        if self.output == OutputFormat::Json {
            return Ok(CommandOutput::done(json(&listed)));
        }
        let mut out = String::new();
        for Listed {
            version,
            active,
            activated_at,
            control,
            sha256,
        } in &listed
        {
            let at = activated_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            let state = if *active { "active" } else { "past" };
            // Writing to a `String` cannot fail.
            let _ = writeln!(
                out,
                "{version}  {state} since {at}, control {control}, sha256 {sha256}"
            );
        }
        if listed.is_empty() {
            out.push_str(
                "No policy is active yet: the first start of an instance records its own.\n",
            );
        }
        Ok(CommandOutput::done(out))
    }
}
