//! A parked notice and the decision about it as the control log stores them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::notice::{ConsentWithdrawal, ContractEnd, Notice, RecordCounts};
use ebbtide_base::ids::ProductKey;

/// A notice as the control that it would become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerNotice {
    /// The end of a contract.
    ContractEnd(ContractEnd),
    /// A withdrawal of consent.
    ConsentWithdrawal(ConsentWithdrawal),
}

/// A notice that is not applied until a person confirms it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParkedNotice {
    /// The notice.
    pub notice: TriggerNotice,
    /// The time at which it was parked.
    pub parked_at: DateTime<Utc>,
    /// The product in which it would have made too many records due immediately.
    pub product: ProductKey,
    /// The number of records found that would be due immediately. There may be more: counting ended
    /// at the limit.
    pub due: u64,
    /// The number of records of the product at that time.
    pub records: u64,
    /// The number of records that the notices of the 24 hours before it made due.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub before: u64,
}

/// The remainder of a parked notice that names a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastParkedNotice {
    /// The time at which it was parked.
    pub parked_at: DateTime<Utc>,
    /// The product in which it would have made too many records due immediately.
    pub product: ProductKey,
}

/// The decision of a person about a parked notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeDecision {
    /// The version of the control that parked it.
    pub parked: i64,
    /// The decision.
    pub decision: ParkedDecision,
    /// The time of the decision.
    pub decided_at: DateTime<Utc>,
    /// The reason, in the words of the person who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParkedDecision {
    /// The notice is applied.
    Confirmed,
    /// It is never applied.
    Rejected,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl TriggerNotice {
    /// Returns the same notice with the records that it makes due.
    #[must_use]
    pub(super) fn with_made_due(mut self, made_due: RecordCounts) -> TriggerNotice {
        match &mut self {
            TriggerNotice::ContractEnd(end) => end.made_due = made_due,
            TriggerNotice::ConsentWithdrawal(withdrawal) => withdrawal.made_due = made_due,
        }
        self
    }

    /// Returns the notice as it was received.
    #[must_use]
    pub fn notice(&self) -> Notice {
        match self.clone() {
            TriggerNotice::ContractEnd(ContractEnd {
                tenant,
                ended_at,
                reason,
                products,
                ..
            }) => Notice::ContractEnd {
                tenant,
                ended_at,
                reason,
                products,
            },
            TriggerNotice::ConsentWithdrawal(withdrawal) => {
                let ConsentWithdrawal {
                    subject,
                    tenant,
                    withdrawn_at,
                    products,
                    ..
                } = withdrawal;
                Notice::ConsentWithdrawal {
                    subject,
                    tenant,
                    withdrawn_at,
                    products,
                }
            }
        }
    }

    /// Returns true if two notices have the same content.
    pub(super) fn same(&self, other: &TriggerNotice) -> bool {
        match (self, other) {
            (TriggerNotice::ContractEnd(one), TriggerNotice::ContractEnd(other)) => one.same(other),
            (TriggerNotice::ConsentWithdrawal(one), TriggerNotice::ConsentWithdrawal(other)) => {
                one.same(other)
            }
            _ => false,
        }
    }
}

impl ParkedNotice {
    /// Returns its remainder once it needs no decision; `None` if it names no person.
    pub(super) fn past(&self) -> Option<PastParkedNotice> {
        match &self.notice {
            TriggerNotice::ContractEnd(_) => None,
            TriggerNotice::ConsentWithdrawal(_) => Some(PastParkedNotice {
                parked_at: self.parked_at,
                product: self.product.clone(),
            }),
        }
    }
}
