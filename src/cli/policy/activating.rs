//! `ebbtide policy activate`: puts a new policy in force in every table.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::baseline::{BaselineArgs, PolicyChangeError, read_new};
use super::planning::{plan, told};
use crate::cli::commit_clock::commit_time;
use crate::cli::{CommandOutput, OutputFormat, json, runtime};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::{PolicyVersion, ProductKey};
use ebbtide_controls::{CommitIdentity, Controls, SharedControls, activate, record_active};
use ebbtide_maintenance::{PolicyEffects, examine};
use ebbtide_policy::CheckedPolicy;
use ebbtide_query::products;
use ebbtide_table::{ControlsVersion, Root};

/// Put a new policy in force: record it with its schemas, and commit it in every table.
///
/// From then on no instance with another policy stores or deletes anything: it reports which policy
/// is active and waits. Start the instances with the new one. Their sweeps update the tags of
/// stored records before they delete by them.
///
/// A policy that `policy plan` refuses is refused. The version must be new: to go back, give the
/// old text a new version. The command can be run again after any error.
///
/// Exit code 0: it is in force everywhere. 1: it is not, and why. 2: wrong use, nothing was
/// changed. 4: the clock is not trusted, and nothing was changed; see `ebbtide clock show`.
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
    /// How to write the result.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

#[derive(Serialize)]
struct ActivationReport<'a> {
    version: &'a PolicyVersion,
    control: i64,
    tables: &'a [ProductKey],
}

impl ActivateArgs {
    pub(super) fn run(self, clock: &SharedClock) -> CommandOutput {
        let answer = match self.dry_run {
            true => plan(&self.standing, &self.file, self.output, clock.now()),
            false => self.activate(clock),
        };
        answer.unwrap_or_else(PolicyChangeError::outcome)
    }

    fn activate(&self, clock: &SharedClock) -> Result<CommandOutput, PolicyChangeError> {
        let root = self.standing.root()?;
        let new = match read_new(&self.file, self.output)? {
            Ok(new) => new,
            Err(outcome) => return Ok(outcome),
        };
        runtime()?.block_on(async {
            let now = commit_time(&root, clock, &self.standing.place.sweep()).await?;
            if self.is_first(&root, &new).await? {
                return self.record(&root, new, now).await;
            }
            let old = self.standing.policy(&root).await?;
            let (before, after) = old
                .policy
                .as_ref()
                .zip(new.policy.as_ref())
                .ok_or(PolicyChangeError::NoPolicy)?;
            let diff = examine(&root, before, after).await?;
            if !diff.refused.is_empty() {
                let effects = PolicyEffects {
                    diff,
                    products: Vec::new(),
                };
                return Ok(told(&effects, (&self.file, &new), self.output));
            }
            let by = CommitIdentity {
                writer: Uuid::new_v4(),
                at: now,
                policy_version: after.version.clone(),
            };
            let done = activate(&root, (&old, &new), &by).await?;
            let (version, control) = (&done.version, done.control.0);
            Ok(self.done(&ActivationReport {
                version,
                control,
                tables: &done.tables,
            }))
        })
    }

    /// Returns true if there is no policy to compare with: none is active, and the root has no
    /// table or the new policy is the configured one.
    async fn is_first(&self, root: &Root, new: &CheckedPolicy) -> Result<bool, PolicyChangeError> {
        if Controls::load(root, ControlsVersion(0))
            .await?
            .active()
            .is_some()
        {
            return Ok(false);
        }
        if products(root).await?.is_empty() {
            return Ok(true);
        }
        let old = self.standing.policy(root).await?;
        Ok(old
            .policy
            .zip(new.policy.as_ref())
            .is_some_and(|(old, new)| old.digest == new.digest))
    }

    /// Records the policy as the first active one, as the first start of an instance does.
    async fn record(
        &self,
        root: &Root,
        new: CheckedPolicy,
        now: DateTime<Utc>,
    ) -> Result<CommandOutput, PolicyChangeError> {
        let loaded = new.loaded().ok_or(PolicyChangeError::NoPolicy)?;
        let version = &loaded.policy.version;
        let by = CommitIdentity {
            writer: Uuid::new_v4(),
            at: now,
            policy_version: version.clone(),
        };
        let controls = SharedControls::new(root.clone());
        record_active(root, &controls, &loaded, &by).await?;
        let control = controls
            .newest(ControlsVersion(0))
            .await?
            .active()
            .map_or(0, |(control, _)| control.0);
        Ok(self.done(&ActivationReport {
            version,
            control,
            tables: &products(root).await?,
        }))
    }

    fn done(&self, active: &ActivationReport<'_>) -> CommandOutput {
        let ActivationReport {
            version,
            control,
            tables,
        } = active;
        let tables: Vec<&str> = tables.iter().map(ProductKey::as_str).collect();
        let tables = if tables.is_empty() {
            "no table yet".to_owned()
        } else {
            tables.join(", ")
        };
        CommandOutput::done(match self.output {
            OutputFormat::Json => json(active),
            OutputFormat::Text => {
                format!(
                    "policy {version} is active in {tables}, as control {control}; start the instances with it\n"
                )
            }
        })
    }
}
