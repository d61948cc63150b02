//! The active policy of a root and those that were active before, as the controls have them.

use std::sync::Arc;

use super::activation::PolicyActivation;
use super::log::Controls;
use ebbtide_base::ids::PolicyVersion;
use ebbtide_policy::Policy;
use ebbtide_table::ControlsVersion;

/// The reason why a policy may not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InactivePolicy {
    /// The policy was active, and is no longer.
    #[error("{}", no_longer_active(own.as_str(), active.as_str()))]
    Past {
        /// The policy of the caller.
        own: PolicyVersion,
        /// The active one.
        active: PolicyVersion,
    },
    /// The policy has never been activated.
    #[error(
        "policy {own} is not activated; {active} is active: start with it (`ebbtide policy history --show {active}` prints \
         it), or see with `ebbtide policy plan` what {own} changes and put it in force with `ebbtide policy activate`"
    )]
    Never {
        /// The policy of the caller.
        own: PolicyVersion,
        /// The active one.
        active: PolicyVersion,
    },
    /// Another text was activated under the version of the policy.
    #[error(
        "policy {own} is not what was activated as {own}: its text or a schema that it names is another; restore them \
         (`ebbtide policy history --show {own}` prints the text), or give the new text a version of its own, see with \
         `ebbtide policy plan` what it changes and put it in force with `ebbtide policy activate`"
    )]
    OtherText {
        /// The policy of the caller.
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
    /// Returns every activation with the version of its control, oldest first.
    pub fn activations(
        &self,
    ) -> impl DoubleEndedIterator<Item = (ControlsVersion, &PolicyActivation)> {
        self.iter()
            .filter_map(|(version, control)| Some((*version, control.activation()?)))
    }

    /// Returns the active policy; `None` in a root where no instance was ever started.
    #[must_use]
    pub fn active(&self) -> Option<(ControlsVersion, &PolicyActivation)> {
        self.activations().next_back()
    }

    /// Refuses a policy that is not the active one.
    pub fn check_active(&self, policy: &Policy) -> Result<(), InactivePolicy> {
        let Some((_, active)) = self.active() else {
            return Ok(());
        };
        let own = policy.version.clone();
        if active.version == own {
            return if active.sha256 == policy.digest {
                Ok(())
            } else {
                Err(InactivePolicy::OtherText { own })
            };
        }
        let past = self.was_active(&own);
        let active = active.version.clone();
        Err(if past {
            InactivePolicy::Past { own, active }
        } else {
            InactivePolicy::Never { own, active }
        })
    }

    /// Returns true if a policy of that version is active or was active before.
    pub(super) fn was_active(&self, version: &PolicyVersion) -> bool {
        self.activations()
            .any(|(_, activation)| activation.version == *version)
            || self
                .policies()
                .iter()
                .any(|policy| policy.version == *version)
    }

    /// Returns every policy that was ever active, oldest first. Policies that this version of the
    /// program no longer accepts are left out.
    #[must_use]
    pub fn policies(&self) -> &[Arc<Policy>] {
        self.policies.get_or_init(|| {
            let texts = self
                .activations()
                .flat_map(|(_, of)| of.instead_of.iter().chain([&of.text]));
            texts
                .filter_map(|text| text.checked("").policy.map(Arc::new))
                .collect()
        })
    }
}
