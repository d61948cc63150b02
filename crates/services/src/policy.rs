//! The use cases about the retention policy: check and explain a file, show what a new policy does
//! to stored data, activate it, and list the policies that were active.

mod activate;
mod baseline;
mod history;
mod plan;

use std::path::Path;

use ebbtide_policy::{ExplainError, ExplainRequest, Explanation};

use crate::policy_file::{ReadPolicyError, read_policy};
use crate::problem_report::ProblemReport;

pub use activate::{ActivationOutcome, ActivationReport, activate};
pub use baseline::{PolicyChange, PolicyChangeError, active_policy};
pub use history::{PastPolicy, PolicyTextError, policies, policy_text};
pub use plan::{PolicyPlan, plan};

/// The reason why a policy file does not explain a product.
#[derive(Debug, thiserror::Error)]
pub enum ExplainPolicyError {
    /// The file cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ReadPolicyError),
    /// The policy has errors.
    #[error("the policy {} has errors; see `ebbtide policy check`", .0.file)]
    Faulty(ProblemReport),
    /// The policy has no such product or column.
    #[error(transparent)]
    Unknown(#[from] ExplainError),
}

/// Returns the problems of a policy file, and of the schemas that it names. Errors if the file
/// cannot be read.
pub fn check(file: &Path) -> Result<ProblemReport, ReadPolicyError> {
    Ok(ProblemReport::new(file, read_policy(file)?.problems))
}

/// Returns which rule of a policy file decides for the fields of a product, until when and why.
pub fn explain(
    file: &Path,
    request: &ExplainRequest<'_>,
) -> Result<Explanation, ExplainPolicyError> {
    let checked = read_policy(file)?;
    let Some(policy) = &checked.policy else {
        return Err(ExplainPolicyError::Faulty(ProblemReport::new(
            file,
            checked.problems,
        )));
    };
    Ok(ebbtide_policy::explain(policy, request)?)
}
