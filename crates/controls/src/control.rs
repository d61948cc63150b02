//! A control as the control log stores it: one JSON object with a format, a kind, and the kind's
//! own fields.
//!
//! Invariant: a control that this version does not fully understand is an error, because an unknown
//! kind, field or format may be an order. The error quotes nothing of the control.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::activation::PolicyActivation;
use super::hold::{Hold, HoldId, covers};
use super::notice::{ConsentWithdrawal, ContractEnd, PastWithdrawal};
use super::parked_notice::{NoticeDecision, ParkedNotice, PastParkedNotice, TriggerNotice};
use ebbtide_base::ids::ProductKey;
use ebbtide_table::{ControlsVersion, StoreError};

/// The format of every control that this version writes.
const FORMAT: u64 = 1;

/// A change of what writers may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "there are few of them")]
pub enum Control {
    /// An order to keep matching data although it is due.
    Hold(Hold),
    /// The end of a hold before its time.
    Release(Release),
    /// The remainder of a hold that is over. It replaces the hold in the log, without what the hold
    /// covered.
    PastHold(PastHold),
    /// The activation of a policy in every table.
    PolicyActivation(PolicyActivation),
    /// The end of a contract with a tenant.
    ContractEnd(ContractEnd),
    /// A withdrawal of consent.
    ConsentWithdrawal(ConsentWithdrawal),
    /// The remainder of a withdrawal that no longer concerns any record. It replaces the withdrawal
    /// in the log, without the subject.
    PastWithdrawal(PastWithdrawal),
    /// A notice that is not applied until a person confirms it.
    ParkedNotice(ParkedNotice),
    /// The decision of a person about a parked notice.
    NoticeDecision(NoticeDecision),
    /// The remainder of a parked notice that names a person and needs no decision any more.
    PastParkedNotice(PastParkedNotice),
}

/// The end of a hold before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The hold.
    pub hold: HoldId,
    /// The time at which it was released.
    pub released_at: DateTime<Utc>,
    /// The products that the hold covered. Empty means any product.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<ProductKey>,
}

/// The remainder of a hold that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastHold {
    /// Its name.
    pub id: HoldId,
    /// The case that it belonged to.
    pub case: String,
    /// The legal basis.
    pub basis: String,
    /// The time at which it was placed.
    pub placed_at: DateTime<Utc>,
    /// The time at which it ended, or would have ended without a release.
    pub until: DateTime<Utc>,
    /// The products that it covered. Empty means any product.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<ProductKey>,
}

impl Control {
    /// Parses the file of control `version`. Errors if this version of the program does not know
    /// its format, its kind or one of its fields.
    pub fn parse(version: ControlsVersion, mut value: Value) -> Result<Control, StoreError> {
        let unreadable = |what: &str| StoreError::ControlsUnreadable {
            version: u64::try_from(version.0).unwrap_or(0),
            what: what.to_owned(),
        };
        let format = value
            .as_object_mut()
            .and_then(|fields| fields.remove("format"));
        if format.as_ref().and_then(Value::as_u64) != Some(FORMAT) {
            return Err(unreadable("its format is not of this version"));
        }
        // The parser's own message would quote the control, which contains personal data.
        serde_json::from_value(value)
            .map_err(|_| unreadable("its kind or a field of it is not known to this version"))
    }

    /// Returns the content of the control's file.
    pub fn to_value(&self) -> Result<Value, StoreError> {
        let refused = || StoreError::Refused("the control is no JSON".to_owned());
        let mut value = serde_json::to_value(self).map_err(|_| refused())?;
        value
            .as_object_mut()
            .ok_or_else(refused)?
            .insert("format".to_owned(), FORMAT.into());
        Ok(value)
    }

    /// Returns the operation name of the commit that puts the control in force.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        match self {
            Control::Hold(_) | Control::PastHold(_) => "hold",
            Control::Release(_) => "release",
            Control::PolicyActivation(_) => "activate",
            Control::ContractEnd(_) => "contract_end",
            Control::ConsentWithdrawal(_) | Control::PastWithdrawal(_) => "consent_withdrawn",
            Control::ParkedNotice(_)
            | Control::NoticeDecision(_)
            | Control::PastParkedNotice(_) => "parked_notice",
        }
    }

    /// Returns true if the control changes what may be done to records of the product.
    #[must_use]
    pub fn covers(&self, product: &ProductKey) -> bool {
        match self {
            Control::Hold(hold) => hold.scope.covers(product),
            Control::Release(release) => covers(&release.products, product),
            Control::PastHold(past) => covers(&past.products, product),
            Control::PolicyActivation(_) => true,
            Control::ContractEnd(end) => end.covers(product),
            Control::ConsentWithdrawal(withdrawal) => covers(&withdrawal.products, product),
            Control::PastWithdrawal(past) => covers(&past.products, product),
            // They change no record: a confirmed notice is recorded as a separate control.
            Control::ParkedNotice(_)
            | Control::NoticeDecision(_)
            | Control::PastParkedNotice(_) => false,
        }
    }

    /// Returns true if the control changes what ingest does. A batch that was built without it must
    /// then be built again.
    #[must_use]
    pub fn changes_ingest(&self) -> bool {
        // A hold keeps stored data only. A record that arrives past its deadline was never stored,
        // and a hold does not change that.
        match self {
            Control::Hold(_) | Control::Release(_) | Control::PastHold(_) => false,
            // The function `changes_ingest` of `ingest_effect.rs` compares the active policy with
            // the policy of the batch.
            Control::PolicyActivation(_) => false,
            // Records that were tagged before the notice have tags that are no longer correct.
            Control::ContractEnd(_) | Control::ConsentWithdrawal(_) => true,
            Control::PastWithdrawal(_) => false,
            Control::ParkedNotice(_)
            | Control::NoticeDecision(_)
            | Control::PastParkedNotice(_) => false,
        }
    }

    /// Returns the activation, if the control is one.
    #[must_use]
    pub fn activation(&self) -> Option<&PolicyActivation> {
        match self {
            Control::PolicyActivation(activation) => Some(activation),
            _ => None,
        }
    }
}

impl Hold {
    /// Returns the remainder that is stored once the hold is over.
    pub(super) fn past(&self) -> PastHold {
        PastHold {
            id: self.id.clone(),
            case: self.case.clone(),
            basis: self.basis.clone(),
            placed_at: self.placed_at,
            until: self.until,
            products: self.scope.products.clone(),
        }
    }
}

impl TriggerNotice {
    /// Returns the control that the notice becomes when it is applied.
    #[must_use]
    pub fn control(&self) -> Control {
        match self {
            TriggerNotice::ContractEnd(end) => Control::ContractEnd(end.clone()),
            TriggerNotice::ConsentWithdrawal(withdrawal) => {
                Control::ConsentWithdrawal(withdrawal.clone())
            }
        }
    }
}

/// Returns true if two controls are the same order. A hold has a name of its own, a hold is
/// released once, and repeated notices with the same content are one control.
pub(super) fn same(one: &Control, other: &Control) -> bool {
    match (one, other) {
        (Control::Hold(one), Control::Hold(other)) => one.id == other.id,
        (Control::Release(one), Control::Release(other)) => one.hold == other.hold,
        (Control::ContractEnd(one), Control::ContractEnd(other)) => one.same(other),
        (Control::ConsentWithdrawal(one), Control::ConsentWithdrawal(other)) => one.same(other),
        (Control::ParkedNotice(one), Control::ParkedNotice(other)) => {
            one.notice.same(&other.notice)
        }
        (Control::NoticeDecision(one), Control::NoticeDecision(other)) => {
            one.parked == other.parked
        }
        _ => false,
    }
}
