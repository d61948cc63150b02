//! The policy that a new policy is compared with: the active one, or the configured one if none is active.
//!
//! An activated policy is read from the control log, whatever happened to its files.

use std::path::{Path, PathBuf};

use crate::cli::commit_clock::CommitClockError;
use crate::cli::place::{Place, PlaceError};
use crate::cli::{Outcome, Output, report};
use ebbtide_controls::{ActivateError, ActiveError, Controls};
use ebbtide_maintenance::SurveyError;
use ebbtide_policy::Checked;
use ebbtide_services::app::{UnreadablePolicy, read_policy};
use ebbtide_table::{ControlsVersion, Root, StoreError};

/// The root, and the policy in use where none is active yet.
#[derive(Debug, clap::Args)]
pub(super) struct Standing {
    #[command(flatten)]
    pub(super) place: Place,
    /// The policy that the tables were written under, if none is active yet. Without it, `policy` of the
    /// configuration. Not used if a policy is active: the control log has its text.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// The reason why a change of policy cannot be shown or made.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChangeError {
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Unreadable(#[from] UnreadablePolicy),
    #[error("no policy is active yet: say which one is in use with --policy, or with a configuration that names it")]
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
    Record(#[from] ActiveError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Clock(#[from] CommitClockError),
    #[error("{0}")]
    Threads(#[from] std::io::Error),
}

impl ChangeError {
    pub(super) fn outcome(self) -> Outcome {
        match &self {
            Self::Clock(error) => error.outcome(),
            Self::Place(_) | Self::Unreadable(_) | Self::NoPolicy | Self::Faulty { .. } => Outcome::usage(self),
            Self::Activate(ActivateError::Used(_) | ActivateError::Faulty | ActivateError::Stored(_)) => {
                Outcome::usage(self)
            }
            Self::Record(error) if error.is_other_policy() => Outcome::usage(self),
            _ => Outcome::failure(format!("error: {self}\n")),
        }
    }
}

impl Standing {
    pub(super) fn root(&self) -> Result<Root, ChangeError> {
        Ok(self.place.root()?)
    }

    /// Returns the policy that a new policy is compared with.
    pub(super) async fn policy(&self, root: &Root) -> Result<Checked, ChangeError> {
        let controls = Controls::load(root, ControlsVersion(0)).await?;
        if let Some((_, active)) = controls.active() {
            let checked = active.text.checked(&format!("policy {}", active.version));
            return match checked.policy {
                Some(_) => Ok(checked),
                None => {
                    Err(ChangeError::Active(checked.problems.iter().map(|problem| format!("{problem}; ")).collect()))
                }
            };
        }
        let configured = || self.place.config().map(|config| config.policy);
        let file = self.policy.clone().or_else(configured).ok_or(ChangeError::NoPolicy)?;
        let checked = read_policy(&file)?;
        if checked.policy.is_some() { Ok(checked) } else { Err(ChangeError::Faulty { file }) }
    }
}

/// Reads the new policy. Returns the report about its problems if it has errors.
pub(super) fn read_new(file: &Path, output: Output) -> Result<Result<Checked, Outcome>, ChangeError> {
    let checked = read_policy(file)?;
    Ok(match checked.policy {
        Some(_) => Ok(checked),
        None => Err(report::problems(file, &checked.problems, output)),
    })
}
