//! Where the store is, as every subcommand that looks into it is told: by `--root`, or by the configuration.

use std::path::PathBuf;

use crate::config::Config;
use crate::store::{Root, RootError};

/// The options that tell it.
#[derive(Debug, clap::Args)]
pub(super) struct RootArgs {
    /// The folder or URL under which the tables are; without it, `root` of the configuration.
    #[arg(long, global = true)]
    root: Option<String>,
    /// The configuration that names the root.
    #[arg(long, global = true, default_value = "config/ebbtide.yaml")]
    config: PathBuf,
}

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoRoot {
    /// The configuration that should name the root cannot be used.
    #[error("{} cannot be used; mend it, or say where the tables are with --root", file.display())]
    Config {
        /// The file.
        file: PathBuf,
    },
    /// The root is none.
    #[error(transparent)]
    Root(#[from] RootError),
}

impl RootArgs {
    /// The root.
    pub(super) fn find(&self) -> Result<Root, NoRoot> {
        if let Some(root) = &self.root {
            return Ok(Root::parse(root)?);
        }
        let unusable = || NoRoot::Config { file: self.config.clone() };
        let config = Config::load(&self.config).config.ok_or_else(unusable)?;
        Ok(Root::parse(&config.root)?)
    }
}
