//! The author of the commits of controls, for their evidence.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use ebbtide_base::ids::PolicyVersion;
use ebbtide_table::Evidence;

/// The process that makes commits, the time, and the policy in use: the content of the commits'
/// evidence besides counts.
#[derive(Debug, Clone)]
pub struct CommitIdentity {
    /// The random id of the process.
    pub writer: Uuid,
    /// The current time.
    pub at: DateTime<Utc>,
    /// The version of the policy in use.
    pub policy_version: PolicyVersion,
}

impl CommitIdentity {
    /// Returns the evidence of a commit.
    pub(super) fn evidence(&self, operation: &str) -> Evidence {
        Evidence::control(operation, self.writer, self.at, self.policy_version.clone())
    }
}
