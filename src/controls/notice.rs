//! A notice that a trigger came: the end of a contract with a tenant, or a withdrawal of consent.
//!
//! Promises that the same notice, word for word, is one control however often it is told. Of a withdrawal the subject is
//! remembered only while a record could still arrive that it concerns.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::hold::covers;
use super::plausible::Implausible;
use super::recent::RecordCounts;
use super::subject::Subject;
use crate::ids::ProductKey;
use crate::policy::{Keep, Policy, Trigger};
use crate::store::ControlsVersion;

/// How far the clocks and calendars of two machines, or of two policies, may lie apart, and a day of the bucket's own.
const MARGIN: TimeDelta = TimeDelta::days(3);

/// How far a withdrawal may lie in the future: its sender's clock may run ahead.
pub const AHEAD: TimeDelta = TimeDelta::hours(1);

/// The contract with a tenant ended, or will. Of several notices for one tenant and product the newest counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractEnd {
    /// The tenant, as it stands in the tables.
    pub tenant: String,
    /// When the contract ends.
    pub ended_at: DateTime<Utc>,
    /// When the notice came.
    pub recorded_at: DateTime<Utc>,
    /// Why it ends later than was noted before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The products that it is about; none given: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<ProductKey>,
    /// The records that the notice made due, with those of notices that were accepted together with it, by product.
    /// Empty if a person confirmed it.
    #[serde(default, skip_serializing_if = "RecordCounts::is_empty")]
    pub made_due: RecordCounts,
}

/// A person withdrew consent. It concerns the records whose event is not after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentWithdrawal {
    /// The person.
    pub subject: Subject,
    /// From this tenant; not given: from all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// When.
    pub withdrawn_at: DateTime<Utc>,
    /// When the notice came.
    pub recorded_at: DateTime<Utc>,
    /// From when on every record that it concerns is past its window whatever was withdrawn: then it is forgotten.
    pub until: DateTime<Utc>,
    /// The products that it is about; none given: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<ProductKey>,
    /// The records that the notice made due, with those of notices that were accepted together with it, by product.
    /// Empty if a person confirmed it.
    #[serde(default, skip_serializing_if = "RecordCounts::is_empty")]
    pub made_due: RecordCounts,
}

/// What is left of a withdrawal that concerns no record any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastWithdrawal {
    /// When the notice came.
    pub recorded_at: DateTime<Utc>,
    /// The products that it was about; none given: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<ProductKey>,
    /// The records that the notice made due, with those of notices that were accepted together with it, by product.
    /// Empty if a person confirmed it.
    #[serde(default, skip_serializing_if = "RecordCounts::is_empty")]
    pub made_due: RecordCounts,
}

/// What is told of a trigger that came, before it is a control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The end of a contract.
    ContractEnd {
        /// The tenant.
        tenant: String,
        /// When the contract ends.
        ended_at: DateTime<Utc>,
        /// Why it ends later than was noted before.
        reason: Option<String>,
        /// The products; none: all.
        products: Vec<ProductKey>,
    },
    /// A withdrawal of consent.
    ConsentWithdrawal {
        /// The person.
        subject: Subject,
        /// From this tenant; `None`: from all.
        tenant: Option<String>,
        /// When.
        withdrawn_at: DateTime<Utc>,
        /// The products; none: all.
        products: Vec<ProductKey>,
    },
}

/// A notice that cannot be meant, or may not be taken as it is. It quotes no subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoticeError {
    /// The tenant is empty.
    #[error("the tenant is empty")]
    NoTenant,
    /// It was withdrawn in the future.
    #[error("consent cannot be withdrawn in the future; the notice says {}", .0.format("%Y-%m-%dT%H:%M:%SZ"))]
    Future(DateTime<Utc>),
    /// It keeps data longer than was promised.
    #[error(
        "the contract was noted to end at {}; to let it end later say why: a reason that was not given before",
        known.format("%Y-%m-%dT%H:%M:%SZ")
    )]
    Lengthens {
        /// The end that is in force.
        known: DateTime<Utc>,
    },
    /// Its date is not plausible.
    #[error("{0}")]
    Implausible(Implausible),
    /// A person rejected the same notice.
    #[error("the same notice was rejected, as control {}", .0.0)]
    Rejected(ControlsVersion),
    /// No rule of the policy counts from a withdrawal.
    #[error("no rule of the policy has the trigger consent_withdrawn, so nothing would come of it")]
    NoRule,
    /// Every record that it could concern is past its window.
    #[error("every record that it could concern is past its window already")]
    Over,
}

impl Notice {
    /// Returns the products that the notice is about; empty means all.
    #[must_use]
    pub fn products(&self) -> &[ProductKey] {
        match self {
            Notice::ContractEnd { products, .. } | Notice::ConsentWithdrawal { products, .. } => products,
        }
    }

    /// Returns the trigger, and the time at which it occurred.
    #[must_use]
    pub fn trigger(&self) -> (Trigger, DateTime<Utc>) {
        match self {
            Notice::ContractEnd { ended_at, .. } => (Trigger::ContractEnd, *ended_at),
            Notice::ConsentWithdrawal { withdrawn_at, .. } => (Trigger::ConsentWithdrawn, *withdrawn_at),
        }
    }

    /// Returns the tenant that the notice names.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        match self {
            Notice::ContractEnd { tenant, .. } => Some(tenant),
            Notice::ConsentWithdrawal { tenant, .. } => tenant.as_deref(),
        }
    }
}

impl ContractEnd {
    /// Whether it is about records of that product.
    #[must_use]
    pub fn covers(&self, product: &ProductKey) -> bool {
        covers(&self.products, product)
    }

    /// Whether two notices say the same.
    pub(super) fn same(&self, other: &ContractEnd) -> bool {
        let words = |of: &ContractEnd| (of.tenant.clone(), of.ended_at, of.reason.clone(), of.products.clone());
        words(self) == words(other)
    }
}

impl ConsentWithdrawal {
    /// Whether two notices say the same.
    pub(super) fn same(&self, other: &ConsentWithdrawal) -> bool {
        let words =
            |of: &ConsentWithdrawal| (of.subject.clone(), of.tenant.clone(), of.withdrawn_at, of.products.clone());
        words(self) == words(other)
    }

    /// What is left of it once it concerns no record any more.
    pub(super) fn past(&self) -> PastWithdrawal {
        PastWithdrawal {
            recorded_at: self.recorded_at,
            products: self.products.clone(),
            made_due: self.made_due.clone(),
        }
    }
}

/// When every record with an event up to `withdrawn_at` is past its window: by the longest that any rule with that trigger
/// has. `None` if there is no such rule.
#[must_use]
pub fn over_after(policy: &Policy, withdrawn_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let rules = policy.rules.iter().filter(|rule| rule.trigger == Trigger::ConsentWithdrawn);
    let longest = rules.map(|rule| longest(rule.keep)).max()?;
    let over = withdrawn_at.checked_add_signed(longest).and_then(|over| over.checked_add_signed(MARGIN));
    Some(over.unwrap_or(DateTime::<Utc>::MAX_UTC))
}

/// A calendar duration at its longest.
fn longest(keep: Keep) -> TimeDelta {
    match keep {
        Keep::Hours(hours) => TimeDelta::hours(i64::from(hours)),
        Keep::Days(days) => TimeDelta::days(i64::from(days) + 1),
        Keep::Months(months) => TimeDelta::days(i64::from(months) * 31),
    }
}
