//! The options of a subcommand that needs the policy too: `--root` and `--policy`, or both from the
//! configuration.
//!
//! They mean the same for all commands that give an order. Must never open a table.

use std::path::PathBuf;
use std::sync::Arc;

use super::root_args::settings;
use ebbtide_config::{Config, NoticeLimits, SweepConfig};
use ebbtide_policy::{LoadedPolicy, Policy};
use ebbtide_services::policy::active_policy;
use ebbtide_services::policy_file::{ReadPolicyError, read_policy};
use ebbtide_table::{Root, RootError, StoreError};

#[derive(Debug, clap::Args)]
pub(super) struct CliContext {
    /// The folder or URL of the tables. Without it, `root` of the configuration.
    #[arg(long, global = true)]
    root: Option<String>,
    /// The policy. Without it, `policy` of the configuration.
    #[arg(long, global = true, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// The configuration that names the root and the policy.
    #[arg(long, global = true, default_value = "config/ebbtide.yaml")]
    config: PathBuf,
}

/// The reason why the root or the policy cannot be determined.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliContextError {
    /// The configuration that should name them cannot be used.
    #[error("{0} cannot be used; see `ebbtide config check {0}`, or say where things are with --root and --policy", file.display())]
    Config {
        /// The file.
        file: PathBuf,
    },
    /// The root is not valid.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The control log cannot be read.
    #[error(transparent)]
    Controls(StoreError),
    /// The policy cannot be read.
    #[error(transparent)]
    UnreadablePolicy(#[from] ReadPolicyError),
    /// The policy has errors.
    #[error("the policy {} has errors; see `ebbtide policy check`", file.display())]
    Policy {
        /// The file.
        file: PathBuf,
    },
}

impl CliContext {
    /// Opens the root; if it is in an object store, with the access that the configuration gives.
    pub(super) fn root(&self) -> Result<Root, CliContextError> {
        match &self.root {
            Some(root) => Ok(Root::open(root, &settings(&self.config))?),
            None => {
                let config = self.config()?;
                Ok(Root::open(&config.root, &config.store)?)
            }
        }
    }

    /// Returns the checked policy of the file.
    pub(super) fn policy(&self) -> Result<Policy, CliContextError> {
        Ok(Arc::unwrap_or_clone(self.loaded()?.policy))
    }

    /// Returns the checked policy with the texts that it was read from.
    pub(super) fn loaded(&self) -> Result<LoadedPolicy, CliContextError> {
        let file = match &self.policy {
            Some(file) => file.clone(),
            None => self.config()?.policy,
        };
        read_policy(&file)?
            .loaded()
            .ok_or(CliContextError::Policy { file })
    }

    /// Returns the active policy of the root, whatever the file contains; that of the file if none
    /// is active yet. For orders that must not wait until the right file is found.
    pub(super) async fn active_policy(&self, root: &Root) -> Result<Policy, CliContextError> {
        match active_policy(root)
            .await
            .map_err(CliContextError::Controls)?
        {
            Some(policy) => Ok(policy),
            None => self.policy(),
        }
    }

    /// Returns the limits above which notices need a person's confirmation: those of the
    /// configuration if it can be used, otherwise the defaults.
    pub(super) fn notice_limits(&self) -> NoticeLimits {
        Config::load(&self.config)
            .config
            .map(|config| config.notices.limits)
            .unwrap_or_default()
    }

    /// Returns the bounds of the clock: those of the configuration if it can be used, otherwise the
    /// defaults.
    pub(super) fn sweep(&self) -> SweepConfig {
        self.config().map(|config| config.sweep).unwrap_or_default()
    }

    /// Returns the configuration, if there is one that can be used.
    pub(super) fn config(&self) -> Result<Config, CliContextError> {
        Config::load(&self.config)
            .config
            .ok_or_else(|| CliContextError::Config {
                file: self.config.clone(),
            })
    }
}
