//! Contract ends and withdrawals of consent: recording one, and the deadlines that count from it.
//!
//! A function that records a notice without an error has put it in force in every table that it
//! covers. A report never shows a subject.

mod contracts;
mod date;
mod parked;
mod reading;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::ProductKey;
use ebbtide_config::{NoticeLimits, SweepConfig};
use ebbtide_controls::{
    CommitIdentity, ImplausibleDate, Notice, NoticeError, NoticeOutcome, NotifyError, Preview,
    PreviewError, RecordCounts, Screening, ScreeningOutcome, SharedControls, TableEffect,
    UsePolicyError, consider, notify_screened, require_active,
};
use ebbtide_policy::{LoadedPolicy, Policy};
use ebbtide_query::products;
use ebbtide_table::{Root, StoreError};

use crate::commit_clock::{CommitClockError, commit_time};
use crate::holds::nearest_product;

pub use contracts::{ListedContractEnd, contract_ends};
pub use date::{NoticeDateError, notice_date};
pub use parked::{
    DecisionReport, ListedNotice, ParkedNoticeError, ParkedNoticeReport, ParkedNotices, list_parked,
};
pub use reading::reading;

/// The root, the policy and the limits under which a notice is recorded.
pub struct NoticeContext<'a> {
    /// The root of the tables.
    pub root: &'a Root,
    /// The policy, which must be the active one.
    pub loaded: &'a LoadedPolicy,
    /// The limits above which a notice needs a person's confirmation.
    pub limits: NoticeLimits,
    /// The clock that dates commits.
    pub clock: &'a SharedClock,
    /// The bounds of the clock.
    pub sweep: &'a SweepConfig,
}

/// A notice to record.
#[derive(Debug, Clone)]
pub struct NoticeRequest {
    /// The notice.
    pub notice: Notice,
    /// True if its effects are only reported, and nothing is changed.
    pub dry_run: bool,
    /// True if a person has confirmed it, however implausible it is.
    pub confirmed: bool,
}

/// The report about a notice.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NoticeReport {
    /// True if it is recorded; false after a dry run.
    pub taken: bool,
    /// True if the same notice was recorded before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<bool>,
    /// The version of the control log that records it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<i64>,
    /// The instant from which deadlines count.
    pub at: DateTime<Utc>,
    /// True if it is accepted only with a confirmation.
    pub needs_confirmation: bool,
    /// The tables that it covers.
    pub tables: Vec<NotifiedTable>,
    /// The hint about a tenant that no record names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A table that a notice covers, and the deadlines that are counted from the notice there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NotifiedTable {
    /// The product of the table.
    pub product: ProductKey,
    /// The categories whose deadlines count from the notice, in words.
    pub reading: String,
    /// The effect on stored records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<TableEffect>,
}

/// The reason why a notice is not in force everywhere.
#[derive(Debug, thiserror::Error)]
pub enum RecordNoticeError {
    /// Another policy is active, or the active policy cannot be determined.
    #[error(transparent)]
    Active(#[from] UsePolicyError),
    /// A named product does not exist.
    #[error("there are no records of a product `{0}`{1}")]
    Product(ProductKey, String),
    /// The notice is refused.
    #[error("{0}")]
    Notice(NoticeError),
    /// The date is implausible, and was not confirmed.
    #[error("{0}; nothing was recorded; if it is intended, use --confirm")]
    Implausible(ImplausibleDate),
    /// Too many records would be due immediately, and that was not confirmed.
    #[error(
        "it would make {} of {} records of {} due immediately{}, more than notices.max_share allows; nothing was recorded; \
         see its effect with --dry-run, and if it is intended, use --confirm", .0.due, .0.records, .0.product, before(.0)
    )]
    TooMuch(Box<TableEffect>),
    /// The same notice is parked.
    #[error(
        "the same notice waits for a decision: `ebbtide notice show {0}`, then `ebbtide notice confirm {0}` or `reject {0}`"
    )]
    Waiting(i64),
    /// It could not be put in force everywhere.
    #[error(transparent)]
    Notify(#[from] NotifyError),
    /// Its effects could not be determined.
    #[error(transparent)]
    Preview(#[from] PreviewError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The clock is not trusted, or cannot be checked.
    #[error(transparent)]
    Clock(#[from] CommitClockError),
}

impl RecordNoticeError {
    fn refused(error: NoticeError) -> Self {
        match error {
            NoticeError::Implausible(why) => Self::Implausible(why),
            error => Self::Notice(error),
        }
    }

    fn too_much(effect: &TableEffect) -> Self {
        Self::TooMuch(Box::new(effect.clone()))
    }
}

/// Records a notice in every table that it covers, or reports its effects.
pub async fn record(
    context: &NoticeContext<'_>,
    request: NoticeRequest,
) -> Result<NoticeReport, RecordNoticeError> {
    let NoticeContext {
        root,
        loaded,
        limits,
        clock,
        sweep,
    } = context;
    let policy = loaded.policy.as_ref();
    require_active(root, &SharedControls::new((*root).clone()), loaded).await?;
    let NoticeRequest {
        notice,
        dry_run,
        confirmed,
    } = request;
    let existing = products(root).await?;
    check_products(policy, notice.products(), &existing)?;
    let now = match dry_run {
        true => clock.now(),
        false => commit_time(root, clock, sweep).await?,
    };
    let screening = match confirmed {
        true => Screening::none(),
        false => Screening::refusing(*limits),
    };
    let considered = consider(root, policy, &notice, now, &screening).await?;
    let considered = considered.map_err(RecordNoticeError::refused)?;
    let large = considered
        .effects
        .iter()
        .find(|effect| effect.is_too_much(limits))
        .filter(|_| !confirmed)
        .cloned();
    let recorded = match (dry_run, &large) {
        (true, _) => None,
        (false, Some(effect)) => return Err(RecordNoticeError::too_much(effect)),
        (false, None) => {
            let notifying = Notifying {
                root,
                policy,
                screening: &screening,
            };
            notifying.notify(notice.clone(), now).await?
        }
    };
    let is_new = considered.known.is_none();
    let tables = covered(policy, existing, &notice, &considered.effects);
    let hint = match is_new {
        false => None,
        true => hint(root, policy, &notice, &tables).await?,
    };
    let (control, known) = recorded.unzip();
    Ok(NoticeReport {
        taken: control.is_some(),
        known,
        control,
        at: notice.trigger().1,
        needs_confirmation: large.is_some(),
        tables,
        hint,
    })
}

/// The root, the policy and the limits of one commit that records a notice.
struct Notifying<'a> {
    root: &'a Root,
    policy: &'a Policy,
    screening: &'a Screening,
}

impl Notifying<'_> {
    /// Puts the notice in force. Returns its version of the control log, and true if the same
    /// notice was recorded before.
    async fn notify(
        &self,
        notice: Notice,
        at: DateTime<Utc>,
    ) -> Result<Option<(i64, bool)>, RecordNoticeError> {
        let by = CommitIdentity {
            writer: Uuid::new_v4(),
            at,
            policy_version: self.policy.version.clone(),
        };
        let notified =
            notify_screened(self.root, self.policy, vec![notice], &by, self.screening).await?;
        match notified.into_iter().next_back() {
            Some(ScreeningOutcome::Passed(NoticeOutcome::Refused(refused))) => {
                Err(RecordNoticeError::refused(refused))
            }
            Some(ScreeningOutcome::TooMuch(effect)) => Err(RecordNoticeError::too_much(&effect)),
            Some(ScreeningOutcome::Parked { version, .. }) => {
                Err(RecordNoticeError::Waiting(version.0))
            }
            Some(ScreeningOutcome::Passed(NoticeOutcome::Taken { version, known })) => {
                Ok(Some((version.0, known)))
            }
            None => Ok(None),
        }
    }
}

/// Returns the tables that a notice covers, with its effects.
fn covered(
    policy: &Policy,
    existing: Vec<ProductKey>,
    notice: &Notice,
    effects: &[TableEffect],
) -> Vec<NotifiedTable> {
    let covers =
        |product: &ProductKey| notice.products().is_empty() || notice.products().contains(product);
    let of_table = |product: ProductKey| NotifiedTable {
        reading: reading(policy, &product, notice),
        effect: effects
            .iter()
            .find(|effect| effect.product == product)
            .cloned(),
        product,
    };
    existing.into_iter().filter(covers).map(of_table).collect()
}

/// Returns the hint for a notice that concerns none of the records that wait for such a trigger.
async fn hint(
    root: &Root,
    policy: &Policy,
    notice: &Notice,
    tables: &[NotifiedTable],
) -> Result<Option<String>, PreviewError> {
    let Some(tenant) = notice.tenant() else {
        return Ok(None);
    };
    let effects = || tables.iter().filter_map(|table| table.effect.as_ref());
    if effects().any(|effect| effect.concerned > 0) || effects().all(|effect| effect.records == 0) {
        return Ok(None);
    }
    let near = Preview::open(root, policy, RecordCounts::new())
        .await?
        .meant_tenant(notice)
        .await?;
    let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    Ok(Some(format!(
        "No stored record that waits for it names the tenant `{tenant}`{near}"
    )))
}

/// Refuses a named product that has neither records in the policy nor a table.
fn check_products(
    policy: &Policy,
    named: &[ProductKey],
    existing: &[ProductKey],
) -> Result<(), RecordNoticeError> {
    let has_records = |product: &ProductKey| {
        policy
            .products
            .get(product)
            .is_some_and(|product| product.records.is_some())
    };
    for product in named {
        if !has_records(product) && !existing.contains(product) {
            let near = nearest_product(policy, product);
            return Err(RecordNoticeError::Product(product.clone(), near));
        }
    }
    Ok(())
}

/// Describes the records that other notices made due, if any.
fn before(effect: &TableEffect) -> String {
    match effect.before {
        0 => String::new(),
        before => format!(" after {before} in the 24 hours before"),
    }
}

/// Returns the products that were named, sorted and without duplicates.
#[must_use]
pub fn sorted(products: &[ProductKey]) -> Vec<ProductKey> {
    let mut products = products.to_vec();
    products.sort();
    products.dedup();
    products
}

#[cfg(test)]
mod tests;
