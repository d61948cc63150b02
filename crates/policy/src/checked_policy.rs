//! A policy that was parsed and checked, with its texts and problems.

use std::sync::Arc;

use super::model::Policy;
use super::text::PolicyText;
use ebbtide_base::problem::Problem;

/// The result of a parsed and checked policy file.
#[derive(Debug, Clone)]
pub struct CheckedPolicy {
    /// The policy; `None` if any problem is an error.
    pub policy: Option<Policy>,
    /// All problems, in the order of the file.
    pub problems: Vec<Problem>,
    /// The texts that were read: the file, and each schema that it names and that could be loaded.
    pub text: PolicyText,
}

/// A policy without errors, and the texts that it was read from.
#[derive(Debug, Clone)]
pub struct LoadedPolicy {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Its texts.
    pub text: PolicyText,
}

impl CheckedPolicy {
    /// Returns the policy with its texts; `None` if it has errors.
    #[must_use]
    pub fn loaded(self) -> Option<LoadedPolicy> {
        let CheckedPolicy { policy, text, .. } = self;
        policy.map(|policy| LoadedPolicy {
            policy: Arc::new(policy),
            text,
        })
    }
}
