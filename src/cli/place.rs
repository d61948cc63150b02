//! Where the tables are, as every subcommand that looks into them is told: `--root`, or the configuration's.
//!
//! Promises one meaning of both for all of them.

use std::path::PathBuf;

use crate::config::Config;
use crate::store::{Root, RootError};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Place {
    /// The folder or URL under which the tables are; without it, `root` of the configuration.
    #[arg(long, global = true)]
    root: Option<String>,
    /// The configuration that names the root.
    #[arg(long, global = true, default_value = "config/ebbtide.yaml")]
    config: PathBuf,
}

/// It cannot be told where the tables are. Always a wrong use.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
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

impl Place {
    /// The root.
    pub(super) fn root(&self) -> Result<Root, PlaceError> {
        if let Some(root) = &self.root {
            return Ok(Root::parse(root)?);
        }
        let unusable = || PlaceError::Config { file: self.config.clone() };
        Ok(Root::parse(&self.config().ok_or_else(unusable)?.root)?)
    }

    /// The configuration, if there is one that can be used.
    pub(super) fn config(&self) -> Option<Config> {
        Config::load(&self.config).config
    }
}
