//! The activation of a policy, as the control log keeps it: with the texts, so that what held when can be read years later.
//!
//! Promises that a version means one text for ever. Must hold nothing but the policy: it is for every table.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::log::Controls;
use crate::ids::PolicyVersion;
use crate::policy::{Policy, PolicyDigest, PolicyText};
use crate::store::ControlsVersion;

/// A policy takes force in every table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyActivation {
    /// The policy's version.
    pub version: PolicyVersion,
    /// The digest of its texts.
    pub sha256: PolicyDigest,
    /// When it was activated.
    pub activated_at: DateTime<Utc>,
    /// Its texts.
    pub text: PolicyText,
    /// The texts of the policy that it takes the place of, where no control tells them: that of a root's first activation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<PolicyText>,
}

/// A policy that may not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotActive {
    /// It was active, and is no longer.
    #[error("{}", no_longer_active(own.as_str(), active.as_str()))]
    Past {
        /// The policy in hand.
        own: PolicyVersion,
        /// The active one.
        active: PolicyVersion,
    },
    /// It has never been activated.
    #[error(
        "policy {own} is not activated; {active} is active: start with it (`ebbtide policy history --show {active}` prints \
         it), or see with `ebbtide policy plan` what {own} changes and put it in force with `ebbtide policy activate`"
    )]
    Never {
        /// The policy in hand.
        own: PolicyVersion,
        /// The active one.
        active: PolicyVersion,
    },
    /// Another text was activated under its version.
    #[error(
        "policy {own} is not what was activated as {own}: its text or a schema that it names is another; restore them \
         (`ebbtide policy history --show {own}` prints the text), or give the new text a version of its own, see with \
         `ebbtide policy plan` what it changes and put it in force with `ebbtide policy activate`"
    )]
    OtherText {
        /// The policy in hand.
        own: PolicyVersion,
    },
}

/// Returns the message about an instance whose policy `own` was replaced by `active`, with the fix.
#[must_use]
pub fn no_longer_active(own: &str, active: &str) -> String {
    format!(
        "policy {own} is no longer active; {active} is: restart the instance with it (`ebbtide policy history --show {active}` \
         prints it)"
    )
}

impl Controls {
    /// Every activation with its control's version, oldest first.
    pub fn activations(&self) -> impl DoubleEndedIterator<Item = (ControlsVersion, &PolicyActivation)> {
        self.iter().filter_map(|(version, control)| Some((*version, control.activation()?)))
    }

    /// Returns the active policy; `None` in a root where no instance was ever started.
    #[must_use]
    pub fn active(&self) -> Option<(ControlsVersion, &PolicyActivation)> {
        self.activations().next_back()
    }

    /// Refuses a policy that is not the active one.
    pub fn check_active(&self, policy: &Policy) -> Result<(), NotActive> {
        let Some((_, active)) = self.active() else { return Ok(()) };
        let own = policy.version.clone();
        if active.version == own {
            return if active.sha256 == policy.digest { Ok(()) } else { Err(NotActive::OtherText { own }) };
        }
        let past = self.was_active(&own);
        let active = active.version.clone();
        Err(if past { NotActive::Past { own, active } } else { NotActive::Never { own, active } })
    }

    /// Whether a policy of that version is active or was.
    pub(super) fn was_active(&self, version: &PolicyVersion) -> bool {
        self.activations().any(|(_, activation)| activation.version == *version)
            || self.policies().iter().any(|policy| policy.version == *version)
    }

    /// Every policy that was ever active, oldest first. What this version of the program no longer takes for one is left out:
    /// nothing but work is saved by knowing it.
    #[must_use]
    pub fn policies(&self) -> &[Arc<Policy>] {
        self.policies.get_or_init(|| {
            let texts = self.activations().flat_map(|(_, of)| of.instead_of.iter().chain([&of.text]));
            texts.filter_map(|text| text.checked("").policy.map(Arc::new)).collect()
        })
    }
}
