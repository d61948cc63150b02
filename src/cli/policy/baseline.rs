//! The policy that a new policy is compared with: the active one, or the configured one if none is
//! active.
//!
//! An activated policy is read from the control log, whatever happened to its files.

use std::path::{Path, PathBuf};

use crate::cli::commit_clock::CommitClockError;
use crate::cli::root_args::{LocateRootError, RootArgs};
use crate::cli::{CommandOutput, OutputFormat, report};
use ebbtide_controls::{ActivateError, Controls, UsePolicyError};
use ebbtide_maintenance::SurveyError;
use ebbtide_policy::CheckedPolicy;
use ebbtide_services::app::{ReadPolicyError, read_policy};
use ebbtide_table::{ControlsVersion, Root, StoreError};

/// The root, and the policy in use where none is active yet.
#[derive(Debug, clap::Args)]
pub(super) struct BaselineArgs {
    #[command(flatten)]
    pub(super) place: RootArgs,
    /// The policy that the tables were written under, if none is active yet. Without it, `policy`
    /// of the configuration. Not used if a policy is active: the control log has its text.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// The reason why a change of policy cannot be shown or made.
#[derive(Debug, thiserror::Error)]
pub(super) enum PolicyChangeError {
    #[error(transparent)]
    Place(#[from] LocateRootError),
    #[error(transparent)]
    Unreadable(#[from] ReadPolicyError),
    #[error(
        "no policy is active yet: say which one is in use with --policy, or with a configuration that names it"
    )]
    NoPolicy,
    #[error("the policy in use, {}, has errors; see `ebbtide policy check`", file.display())]
    Faulty { file: PathBuf },
    #[error("the active policy has errors for this version of the program: {0}")]
    Active(String),
    #[error(transparent)]
    Survey(#[from] SurveyError),
    #[error(transparent)]
    Activate(#[from] ActivateError),
    #[error(transparent)]
    Record(#[from] UsePolicyError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Clock(#[from] CommitClockError),
    #[error("{0}")]
    Threads(#[from] std::io::Error),
}

impl PolicyChangeError {
    pub(super) fn outcome(self) -> CommandOutput {
        match &self {
            Self::Clock(error) => error.outcome(),
            Self::Place(_) | Self::Unreadable(_) | Self::NoPolicy | Self::Faulty { .. } => {
                CommandOutput::usage(self)
            }
            Self::Activate(
                ActivateError::Used(_) | ActivateError::Faulty | ActivateError::Stored(_),
            ) => CommandOutput::usage(self),
            Self::Record(error) if error.is_other_policy() => CommandOutput::usage(self),
            _ => CommandOutput::failure(format!("error: {self}\n")),
        }
    }
}

impl BaselineArgs {
    pub(super) fn root(&self) -> Result<Root, PolicyChangeError> {
        Ok(self.place.root()?)
    }

    /// Returns the policy that a new policy is compared with.
    pub(super) async fn policy(&self, root: &Root) -> Result<CheckedPolicy, PolicyChangeError> {
        let controls = Controls::load(root, ControlsVersion(0)).await?;
        if let Some((_, active)) = controls.active() {
            let checked = active.text.checked(&format!("policy {}", active.version));
            return match checked.policy {
                Some(_) => Ok(checked),
                None => Err(PolicyChangeError::Active(
                    checked
                        .problems
                        .iter()
                        .map(|problem| format!("{problem}; "))
                        .collect(),
                )),
            };
        }
        let configured = || self.place.config().map(|config| config.policy);
        let file = self
            .policy
            .clone()
            .or_else(configured)
            .ok_or(PolicyChangeError::NoPolicy)?;
        let checked = read_policy(&file)?;
        if checked.policy.is_some() {
            Ok(checked)
        } else {
            Err(PolicyChangeError::Faulty { file })
        }
    }
}

/// Reads the new policy. Returns the report about its problems if it has errors.
pub(super) fn read_new(
    file: &Path,
    output: OutputFormat,
) -> Result<Result<CheckedPolicy, CommandOutput>, PolicyChangeError> {
    let checked = read_policy(file)?;
    Ok(match checked.policy {
        Some(_) => Ok(checked),
        None => Err(report::problems(file, &checked.problems, output)),
    })
}
