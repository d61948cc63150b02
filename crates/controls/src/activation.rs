//! The activation of a policy as the control log stores it. It contains the policy's texts, so that
//! the policy of any time can be read years later.
//!
//! Invariants: a version has the same text for ever. An activation contains nothing but the policy,
//! because it applies to every table.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use ebbtide_base::ids::PolicyVersion;
use ebbtide_policy::{PolicyDigest, PolicyText};

/// The activation of a policy in every table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyActivation {
    /// The policy's version.
    pub version: PolicyVersion,
    /// The digest of its texts.
    pub sha256: PolicyDigest,
    /// The time of the activation.
    pub activated_at: DateTime<Utc>,
    /// Its texts.
    pub text: PolicyText,
    /// The texts of the policy that it replaces, if no control has them: only in the first
    /// activation of a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<PolicyText>,
}
