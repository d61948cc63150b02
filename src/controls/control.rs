//! A control as the control log keeps it: one JSON object with a format, a kind, and the kind's own fields.
//!
//! Promises that what this version does not understand whole is an error that quotes nothing: an unknown kind, field or
//! format may be an order.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::activation::PolicyActivation;
use super::hold::{Hold, HoldId, covers};
use super::notice::{ConsentWithdrawal, ContractEnd, PastWithdrawal};
use super::parked::{NoticeDecision, ParkedNotice, PastParkedNotice};
use crate::ids::ProductKey;
use crate::store::{ControlsVersion, StoreError};

/// The format of every control that this version writes.
const FORMAT: u64 = 1;

/// What changes what writers may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "there are few of them")]
pub enum Control {
    /// An order to keep matching data although it is due.
    Hold(Hold),
    /// The end of a hold before its time.
    Release(Release),
    /// What is left of a hold that is over: it stands in the place of the hold, without what it covered.
    PastHold(PastHold),
    /// A policy takes force in every table.
    PolicyActivation(PolicyActivation),
    /// The end of a contract with a tenant.
    ContractEnd(ContractEnd),
    /// A withdrawal of consent.
    ConsentWithdrawal(ConsentWithdrawal),
    /// What is left of a withdrawal that concerns no record any more: it stands in its place, without the subject.
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
    /// When it was released.
    pub released_at: DateTime<Utc>,
    /// The products of the hold; none given: of any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<ProductKey>,
}

/// What is left of a hold that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastHold {
    /// Its name.
    pub id: HoldId,
    /// The case that it belonged to.
    pub case: String,
    /// The legal basis.
    pub basis: String,
    /// When it was placed.
    pub placed_at: DateTime<Utc>,
    /// When it ended, or would have.
    pub until: DateTime<Utc>,
    /// The products that it covered; none given: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<ProductKey>,
}

impl Control {
    /// What the file of `version` says.
    pub fn parse(version: ControlsVersion, mut value: Value) -> Result<Control, StoreError> {
        let unreadable = |what: &str| StoreError::ControlsUnreadable {
            version: u64::try_from(version.0).unwrap_or(0),
            what: what.to_owned(),
        };
        let format = value.as_object_mut().and_then(|fields| fields.remove("format"));
        if format.as_ref().and_then(Value::as_u64) != Some(FORMAT) {
            return Err(unreadable("its format is not of this version"));
        }
        // The parser's own words would quote it, and it is personal.
        serde_json::from_value(value).map_err(|_| unreadable("its kind or a field of it is not known to this version"))
    }

    /// The file that says it.
    pub fn to_value(&self) -> Result<Value, StoreError> {
        let refused = || StoreError::Refused("the control is no JSON".to_owned());
        let mut value = serde_json::to_value(self).map_err(|_| refused())?;
        value.as_object_mut().ok_or_else(refused)?.insert("format".to_owned(), FORMAT.into());
        Ok(value)
    }

    /// What the commit is called that puts it in force.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        match self {
            Control::Hold(_) | Control::PastHold(_) => "hold",
            Control::Release(_) => "release",
            Control::PolicyActivation(_) => "activate",
            Control::ContractEnd(_) => "contract_end",
            Control::ConsentWithdrawal(_) | Control::PastWithdrawal(_) => "consent_withdrawn",
            Control::ParkedNotice(_) | Control::NoticeDecision(_) | Control::PastParkedNotice(_) => "parked_notice",
        }
    }

    /// Whether it changes what may be done to records of that product.
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
            // They change no record: a confirmed notice is a control of its own.
            Control::ParkedNotice(_) | Control::NoticeDecision(_) | Control::PastParkedNotice(_) => false,
        }
    }

    /// Whether ingest does anything otherwise under it: then a batch made without it must be made anew.
    #[must_use]
    pub fn changes_ingest(&self) -> bool {
        // A hold keeps what is stored. What arrives past its deadline never was, and is not stored for being held.
        match self {
            Control::Hold(_) | Control::Release(_) | Control::PastHold(_) => false,
            // Of another policy than a batch was made under; who commits looks at which.
            Control::PolicyActivation(_) => false,
            // Records that came before their notice have tags that are no longer true.
            Control::ContractEnd(_) | Control::ConsentWithdrawal(_) => true,
            Control::PastWithdrawal(_) => false,
            Control::ParkedNotice(_) | Control::NoticeDecision(_) | Control::PastParkedNotice(_) => false,
        }
    }

    /// The activation, if it is one.
    #[must_use]
    pub fn activation(&self) -> Option<&PolicyActivation> {
        match self {
            Control::PolicyActivation(activation) => Some(activation),
            _ => None,
        }
    }
}

impl Hold {
    /// What is left of it once it is over.
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
