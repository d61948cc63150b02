//! The policy that a new policy is compared with: the active one, or the configured one if none is
//! active.
//!
//! An activated policy is read from the control log, whatever happened to its files.

use std::path::{Path, PathBuf};

use ebbtide_controls::{ActivateError, Controls, UsePolicyError};
use ebbtide_maintenance::SurveyError;
use ebbtide_policy::{CheckedPolicy, Policy};
use ebbtide_table::{ControlsVersion, Root, StoreError};

use crate::commit_clock::CommitClockError;
use crate::policy_file::{ReadPolicyError, read_policy};
use crate::problem_report::ProblemReport;

/// A change from the policy in use to a new one.
#[derive(Debug)]
pub struct PolicyChange<'a> {
    /// The root of the tables.
    pub root: &'a Root,
    /// The file of the new policy.
    pub new: &'a Path,
    /// The file of the policy that the tables were written under. Used only if no policy is active.
    pub configured: Option<&'a Path>,
}

/// The reason why a change of policy cannot be shown or made.
#[derive(Debug, thiserror::Error)]
pub enum PolicyChangeError {
    /// A policy file cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ReadPolicyError),
    /// The new policy has errors.
    #[error("the policy {} has errors; see `ebbtide policy check`", .0.file)]
    NewFaulty(ProblemReport),
    /// There is no policy to compare with.
    #[error(
        "no policy is active yet: say which one is in use with --policy, or with a configuration that names it"
    )]
    NoPolicy,
    /// The configured policy has errors.
    #[error("the policy in use, {}, has errors; see `ebbtide policy check`", file.display())]
    Faulty {
        /// The file.
        file: PathBuf,
    },
    /// The active policy cannot be used by this version of the program.
    #[error("the active policy has errors for this version of the program: {0}")]
    Active(String),
    /// The effect on stored data cannot be predicted.
    #[error(transparent)]
    Survey(#[from] SurveyError),
    /// The policy is not in force everywhere.
    #[error(transparent)]
    Activate(#[from] ActivateError),
    /// The first policy of a root could not be recorded.
    #[error(transparent)]
    Record(#[from] UsePolicyError),
    /// The store failed, or the control log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The clock is not trusted, or cannot be checked.
    #[error(transparent)]
    Clock(#[from] CommitClockError),
}

impl PolicyChange<'_> {
    /// Reads the new policy. Errors with its problems if it has errors.
    pub(super) fn read_new(&self) -> Result<CheckedPolicy, PolicyChangeError> {
        let checked = read_policy(self.new)?;
        match checked.policy {
            Some(_) => Ok(checked),
            None => Err(PolicyChangeError::NewFaulty(ProblemReport::new(
                self.new,
                checked.problems,
            ))),
        }
    }

    /// Returns the policy that the new policy is compared with.
    pub(super) async fn old(&self) -> Result<CheckedPolicy, PolicyChangeError> {
        let controls = Controls::load(self.root, ControlsVersion(0)).await?;
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
        let file = self.configured.ok_or(PolicyChangeError::NoPolicy)?;
        let checked = read_policy(file)?;
        if checked.policy.is_some() {
            Ok(checked)
        } else {
            let file = file.to_owned();
            Err(PolicyChangeError::Faulty { file })
        }
    }
}

/// Returns the active policy of the root; `None` if none is active yet, or if this version of the
/// program cannot use it.
pub async fn active_policy(root: &Root) -> Result<Option<Policy>, StoreError> {
    let controls = Controls::load(root, ControlsVersion(0)).await?;
    Ok(controls
        .active()
        .and_then(|(_, active)| active.text.checked("").policy))
}
