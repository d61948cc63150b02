//! Notices of triggers: the end of a contract with a tenant, or a withdrawal of consent.
//!
//! Invariants: notices with the same content are recorded as one control, even if they are
//! repeated. The subject of a withdrawal is stored only while a record that the withdrawal concerns
//! could still arrive.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::hold::covers;
use super::plausible::ImplausibleDate;
use super::subject::Subject;
use ebbtide_base::ids::ProductKey;
use ebbtide_policy::{Policy, RetentionPeriod, Trigger};
use ebbtide_table::ControlsVersion;

/// The margin for differences between the clocks and calendars of two machines or two policies, and
/// one day for the bucket itself.
const MARGIN: TimeDelta = TimeDelta::days(3);

/// The longest time by which a withdrawal may lie in the future: the clock of its sender may run
/// ahead.
pub const AHEAD: TimeDelta = TimeDelta::hours(1);

/// Numbers of records by product.
pub type RecordCounts = BTreeMap<ProductKey, u64>;

/// The end of the contract with a tenant, in the past or in the future. If there are several
/// notices for one tenant and product, the newest counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractEnd {
    /// The tenant, as it is stored in the tables.
    pub tenant: String,
    /// The time at which the contract ends.
    pub ended_at: DateTime<Utc>,
    /// The time at which the notice was received.
    pub recorded_at: DateTime<Utc>,
    /// The reason why the contract ends later than an earlier notice said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The products to which the notice applies. Empty means all products.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<ProductKey>,
    /// The number of records that this notice and the notices accepted together with it made due,
    /// by product. Empty if a person confirmed the notice.
    #[serde(default, skip_serializing_if = "RecordCounts::is_empty")]
    pub made_due: RecordCounts,
}

/// A withdrawal of consent by a person. It concerns the records whose event is not after the
/// withdrawal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentWithdrawal {
    /// The person.
    pub subject: Subject,
    /// The tenant from which consent was withdrawn; `None` means all tenants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The time of the withdrawal.
    pub withdrawn_at: DateTime<Utc>,
    /// The time at which the notice was received.
    pub recorded_at: DateTime<Utc>,
    /// The time from which every record that the withdrawal concerns is past its window in any
    /// case. The withdrawal is forgotten then.
    pub until: DateTime<Utc>,
    /// The products to which the notice applies. Empty means all products.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<ProductKey>,
    /// The number of records that this notice and the notices accepted together with it made due,
    /// by product. Empty if a person confirmed the notice.
    #[serde(default, skip_serializing_if = "RecordCounts::is_empty")]
    pub made_due: RecordCounts,
}

/// The remainder of a withdrawal that no longer concerns any record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastWithdrawal {
    /// The time at which the notice was received.
    pub recorded_at: DateTime<Utc>,
    /// The products to which the notice applied. Empty means all products.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<ProductKey>,
    /// The number of records that this notice and the notices accepted together with it made due,
    /// by product. Empty if a person confirmed the notice.
    #[serde(default, skip_serializing_if = "RecordCounts::is_empty")]
    pub made_due: RecordCounts,
}

/// A received notice of a trigger, before it becomes a control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The end of a contract.
    ContractEnd {
        /// The tenant.
        tenant: String,
        /// The time at which the contract ends.
        ended_at: DateTime<Utc>,
        /// The reason why the contract ends later than an earlier notice said.
        reason: Option<String>,
        /// The products. Empty means all products.
        products: Vec<ProductKey>,
    },
    /// A withdrawal of consent.
    ConsentWithdrawal {
        /// The person.
        subject: Subject,
        /// The tenant from which consent was withdrawn; `None` means all tenants.
        tenant: Option<String>,
        /// The time of the withdrawal.
        withdrawn_at: DateTime<Utc>,
        /// The products. Empty means all products.
        products: Vec<ProductKey>,
    },
}

/// The reason why a notice is refused. It quotes no subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoticeError {
    /// The tenant is empty.
    #[error("the tenant is empty")]
    NoTenant,
    /// The withdrawal is in the future.
    #[error("consent cannot be withdrawn in the future; the notice says {}", .0.format("%Y-%m-%dT%H:%M:%SZ"))]
    Future(DateTime<Utc>),
    /// The notice would keep data longer than promised, and gives no reason.
    #[error(
        "the contract is recorded to end at {}; to let it end later say why: a reason that was not given before",
        known.format("%Y-%m-%dT%H:%M:%SZ")
    )]
    Lengthens {
        /// The end that is in force.
        known: DateTime<Utc>,
    },
    /// Its date is not plausible.
    #[error("{0}")]
    Implausible(ImplausibleDate),
    /// A person rejected the same notice.
    #[error("the same notice was rejected, as control {}", .0.0)]
    Rejected(ControlsVersion),
    /// No rule of the policy counts from a withdrawal.
    #[error("no rule of the policy has the trigger consent_withdrawn, so it would have no effect")]
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
            Notice::ContractEnd { products, .. } | Notice::ConsentWithdrawal { products, .. } => {
                products
            }
        }
    }

    /// Returns the trigger, and the time at which it occurred.
    #[must_use]
    pub fn trigger(&self) -> (Trigger, DateTime<Utc>) {
        match self {
            Notice::ContractEnd { ended_at, .. } => (Trigger::ContractEnd, *ended_at),
            Notice::ConsentWithdrawal { withdrawn_at, .. } => {
                (Trigger::ConsentWithdrawn, *withdrawn_at)
            }
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
    /// Returns true if the notice applies to records of the product.
    #[must_use]
    pub fn covers(&self, product: &ProductKey) -> bool {
        covers(&self.products, product)
    }

    /// Returns true if two notices have the same content.
    pub(super) fn same(&self, other: &ContractEnd) -> bool {
        let words = |of: &ContractEnd| {
            (
                of.tenant.clone(),
                of.ended_at,
                of.reason.clone(),
                of.products.clone(),
            )
        };
        words(self) == words(other)
    }
}

impl ConsentWithdrawal {
    /// Returns true if two notices have the same content.
    pub(super) fn same(&self, other: &ConsentWithdrawal) -> bool {
        let words = |of: &ConsentWithdrawal| {
            (
                of.subject.clone(),
                of.tenant.clone(),
                of.withdrawn_at,
                of.products.clone(),
            )
        };
        words(self) == words(other)
    }

    /// Returns the remainder that is stored once the withdrawal no longer concerns any record.
    pub(super) fn past(&self) -> PastWithdrawal {
        PastWithdrawal {
            recorded_at: self.recorded_at,
            products: self.products.clone(),
            made_due: self.made_due.clone(),
        }
    }
}

/// Returns the time from which every record with an event up to `withdrawn_at` is past its window,
/// by the longest window of all rules with the trigger `consent_withdrawn`. `None` if there is no
/// such rule.
#[must_use]
pub fn over_after(policy: &Policy, withdrawn_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let rules = policy
        .rules
        .iter()
        .filter(|rule| rule.trigger == Trigger::ConsentWithdrawn);
    let longest = rules.map(|rule| longest(rule.keep)).max()?;
    let over = withdrawn_at
        .checked_add_signed(longest)
        .and_then(|over| over.checked_add_signed(MARGIN));
    Some(over.unwrap_or(DateTime::<Utc>::MAX_UTC))
}

/// Returns the maximum length of a calendar duration.
fn longest(keep: RetentionPeriod) -> TimeDelta {
    match keep {
        RetentionPeriod::Hours(hours) => TimeDelta::hours(i64::from(hours)),
        RetentionPeriod::Days(days) => TimeDelta::days(i64::from(days) + 1),
        RetentionPeriod::Months(months) => TimeDelta::days(i64::from(months) * 31),
    }
}
