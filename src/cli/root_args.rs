//! The location of the tables, for every subcommand that reads them: `--root`, or `root` of the
//! configuration.
//!
//! Both mean the same for all subcommands.

use std::path::{Path, PathBuf};

use ebbtide_config::{Config, ConfigInputs, ObjectStoreConfig, SweepConfig};
use ebbtide_table::{Root, RootError};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct RootArgs {
    /// The folder or URL of the tables. Without it, `root` of the configuration.
    #[arg(long, global = true)]
    root: Option<String>,
    /// The configuration that names the root.
    #[arg(long, global = true, default_value = "config/ebbtide.yaml")]
    config: PathBuf,
}

/// The location of the tables cannot be determined. Always a wrong use.
#[derive(Debug, thiserror::Error)]
pub(super) enum LocateRootError {
    /// The configuration that should name the root cannot be used.
    #[error("{0} cannot be used; see `ebbtide config check {0}`, or say where the tables are with --root", file.display())]
    Config {
        /// The file.
        file: PathBuf,
    },
    /// The root is not valid.
    #[error(transparent)]
    Root(#[from] RootError),
}

impl RootArgs {
    /// Opens the root.
    pub(super) fn root(&self) -> Result<Root, LocateRootError> {
        if let Some(root) = &self.root {
            return Ok(Root::open(root, &settings(&self.config))?);
        }
        let unusable = || LocateRootError::Config {
            file: self.config.clone(),
        };
        let config = self.config().ok_or_else(unusable)?;
        Ok(Root::open(&config.root, &config.store)?)
    }

    /// Returns the bounds of the clock: those of the configuration if it can be used, otherwise the
    /// defaults.
    pub(super) fn sweep(&self) -> SweepConfig {
        self.config().map(|config| config.sweep).unwrap_or_default()
    }

    /// Returns the configuration, if there is one that can be used.
    pub(super) fn config(&self) -> Option<Config> {
        Config::load(&self.config).config
    }
}

/// Returns the access to an object store that a command line names: that of the configuration if it
/// can be used, otherwise that of the environment.
pub(super) fn settings(config: &Path) -> ObjectStoreConfig {
    let loaded = Config::load(config).config;
    loaded.map_or_else(
        || ObjectStoreConfig::of(&ConfigInputs::of(config)),
        |config| config.store,
    )
}
