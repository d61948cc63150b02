//! Notices that are not applied until a person confirms them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::ProductKey;
use ebbtide_config::SweepConfig;
use ebbtide_controls::{
    CommitIdentity, Controls, DecideError, LoggedNotice, Notice, ParkedDecision, ParkedState,
    Preview, PreviewError, TableEffect, confirm, reject,
};
use ebbtide_policy::Policy;
use ebbtide_table::{ControlsVersion, Root, StoreError};

use crate::commit_clock::{CommitClockError, commit_time};

/// The root and the policy in use, for a decision about a notice.
pub struct ParkedNotices {
    /// The root of the tables.
    pub root: Root,
    /// The active policy.
    pub policy: Policy,
    /// The clock that dates commits.
    pub clock: SharedClock,
    /// The bounds of the clock.
    pub sweep: SweepConfig,
}

/// The state of a notice that waits for a decision.
const WAITING: &str = "waiting";

/// A notice in the list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListedNotice {
    /// The version of the control log that parked it.
    pub number: i64,
    /// `contract_end` or `consent_withdrawn`.
    pub trigger: String,
    /// The tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The person, in a form that does not identify them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The instant from which deadlines would count.
    pub at: DateTime<Utc>,
    /// The products that it is about; every product if empty.
    pub products: Vec<ProductKey>,
    /// The time at which it was parked.
    pub parked_at: DateTime<Utc>,
    /// The product in which it would have made too many records due immediately when it was parked.
    pub product: ProductKey,
    /// The number of records of that product that it would have made due immediately.
    pub due: u64,
    /// The number of all records of that product.
    pub records: u64,
    /// The number of records that the notices of the 24 hours before it made due.
    pub before: u64,
    /// `waiting`, `confirmed`, `rejected` or `over`.
    pub state: &'static str,
    /// The time of the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<DateTime<Utc>>,
    /// The reason of the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A notice with its effect on the tables as they are now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ParkedNoticeReport {
    /// The notice.
    #[serde(flatten)]
    pub notice: ListedNotice,
    /// The effect.
    pub tables: Vec<TableEffect>,
}

/// A decision about a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DecisionReport {
    /// The version of the control log that puts a confirmed notice in force.
    pub control: Option<i64>,
    /// `confirmed` or `rejected`.
    pub decision: &'static str,
    /// The notice's number.
    pub number: i64,
}

/// The reason why a notice cannot be shown or decided.
#[derive(Debug, thiserror::Error)]
pub enum ParkedNoticeError {
    /// No such notice waits, or the decision is not in force everywhere.
    #[error(transparent)]
    Decide(#[from] DecideError),
    /// The effects could not be determined.
    #[error(transparent)]
    Preview(#[from] PreviewError),
    /// The control log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The clock is not trusted, or cannot be checked.
    #[error(transparent)]
    Clock(#[from] CommitClockError),
}

/// Returns all notices that were parked, as of `now`.
pub async fn list_parked(root: &Root, now: DateTime<Utc>) -> Result<Vec<ListedNotice>, StoreError> {
    let controls = Controls::load(root, ControlsVersion(0)).await?;
    Ok(controls.parked(now).iter().map(ListedNotice::new).collect())
}

impl ParkedNotices {
    /// Returns one notice, and the records that it would make due immediately.
    pub async fn show(&self, number: i64) -> Result<ParkedNoticeReport, ParkedNoticeError> {
        let (number, now) = (ControlsVersion(number), self.clock.now());
        let controls = Controls::load(&self.root, ControlsVersion(0)).await?;
        let known = controls
            .parked(now)
            .into_iter()
            .find(|known| known.version == number);
        let known = known.ok_or(DecideError::Unknown(number))?;
        let control = known.notice.notice.control();
        let recent = controls.made_due_recently(now);
        let tables = Preview::open(&self.root, &self.policy, recent)
            .await?
            .effects(&[&control], now)
            .await?;
        Ok(ParkedNoticeReport {
            notice: ListedNotice::new(&known),
            tables,
        })
    }

    /// Puts a notice in force in every table that it covers.
    pub async fn confirm(&self, number: i64) -> Result<DecisionReport, ParkedNoticeError> {
        let by = self.signature().await?;
        let control = confirm(&self.root, &self.policy, ControlsVersion(number), &by).await?;
        Ok(DecisionReport {
            control: Some(control.0),
            decision: "confirmed",
            number,
        })
    }

    /// Rejects a notice: it is not applied. The reason is kept.
    pub async fn reject(
        &self,
        number: i64,
        reason: Option<String>,
    ) -> Result<DecisionReport, ParkedNoticeError> {
        let by = self.signature().await?;
        reject(&self.root, ControlsVersion(number), reason, &by).await?;
        Ok(DecisionReport {
            control: None,
            decision: "rejected",
            number,
        })
    }

    async fn signature(&self) -> Result<CommitIdentity, CommitClockError> {
        Ok(CommitIdentity {
            writer: Uuid::new_v4(),
            at: commit_time(&self.root, &self.clock, &self.sweep).await?,
            policy_version: self.policy.version.clone(),
        })
    }
}

impl ListedNotice {
    /// Returns true if the notice waits for a decision.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.state == WAITING
    }

    fn new(known: &LoggedNotice<'_>) -> ListedNotice {
        let notice = known.notice.notice.notice();
        let (trigger, at) = notice.trigger();
        let subject = match &notice {
            Notice::ConsentWithdrawal { subject, .. } => Some(subject.to_string()),
            Notice::ContractEnd { .. } => None,
        };
        ListedNotice {
            number: known.version.0,
            trigger: trigger.to_string(),
            tenant: notice.tenant().map(str::to_owned),
            subject,
            at,
            products: notice.products().to_vec(),
            parked_at: known.notice.parked_at,
            product: known.notice.product.clone(),
            due: known.notice.due,
            records: known.notice.records,
            before: known.notice.before,
            state: match known.state {
                ParkedState::Waiting => WAITING,
                ParkedState::Decided(ParkedDecision::Confirmed) => "confirmed",
                ParkedState::Decided(ParkedDecision::Rejected) => "rejected",
                ParkedState::Over => "over",
            },
            decided_at: known.decision.map(|decision| decision.decided_at),
            reason: known.decision.and_then(|decision| decision.reason.clone()),
        }
    }
}
