//! The options that name the root, and the policy in use where none is active yet.

use std::path::PathBuf;

use crate::cli::root_args::RootArgs;

#[derive(Debug, clap::Args)]
pub(super) struct BaselineArgs {
    #[command(flatten)]
    pub(super) place: RootArgs,
    /// The policy that the tables were written under, if none is active yet. Without it, `policy`
    /// of the configuration. Not used if a policy is active: the control log has its text.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl BaselineArgs {
    /// Returns the file of the policy in use, if an option or the configuration names it.
    pub(super) fn policy(&self) -> Option<PathBuf> {
        let configured = || self.place.config().map(|config| config.policy);
        self.policy.clone().or_else(configured)
    }
}
