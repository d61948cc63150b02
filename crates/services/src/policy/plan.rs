//! The effect of a new policy on stored data, before it is activated. Changes nothing.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Serialize;

use ebbtide_base::problem::Problem;
use ebbtide_maintenance::{PolicyEffects, SurveyProgress, survey};
use ebbtide_policy::CheckedPolicy;

use super::baseline::{PolicyChange, PolicyChangeError};

/// The effect of a new policy, and the parts of it that are refused.
#[derive(Debug, Serialize)]
pub struct PolicyPlan {
    /// The effect.
    #[serde(flatten)]
    pub effects: PolicyEffects,
    /// The reasons why the policy is refused, in the order of its file; empty if it can be
    /// activated.
    pub problems: Vec<Problem>,
}

impl PolicyPlan {
    pub(super) fn new(effects: PolicyEffects, file: &Path, new: &CheckedPolicy) -> PolicyPlan {
        let name = file.display().to_string();
        let mut problems: Vec<Problem> = effects
            .diff
            .refused
            .iter()
            .map(|refusal| refusal.problem(&name, &new.text))
            .collect();
        problems.sort_by(|a, b| (a.at, &a.path).cmp(&(b.at, &b.path)));
        PolicyPlan { effects, problems }
    }
}

/// Returns what the new policy does to stored data as of `now`. `progress` is called for each
/// segment.
pub async fn plan(
    change: &PolicyChange<'_>,
    now: DateTime<Utc>,
    progress: impl FnMut(&SurveyProgress),
) -> Result<PolicyPlan, PolicyChangeError> {
    let new = change.read_new()?;
    let old = change.old().await?;
    let (before, after) = old
        .policy
        .as_ref()
        .zip(new.policy.as_ref())
        .ok_or(PolicyChangeError::NoPolicy)?;
    let effects = survey(change.root, before, after, now, progress).await?;
    Ok(PolicyPlan::new(effects, change.new, &new))
}
