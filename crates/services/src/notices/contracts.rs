//! The list of recorded contract ends.

use chrono::{DateTime, Utc};
use serde::Serialize;

use ebbtide_base::ids::ProductKey;
use ebbtide_controls::{Control, tables_and_controls};
use ebbtide_policy::Calendar;
use ebbtide_table::{Root, StoreError};

/// A contract end as it is listed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListedContractEnd {
    /// The version of the control log that records it.
    pub control: i64,
    /// The tenant.
    pub tenant: String,
    /// The instant at which the contract ends.
    pub ended_at: DateTime<Utc>,
    /// The time at which it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// The reason why it is later than an earlier one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The products of the contract; every product if empty.
    pub products: Vec<ProductKey>,
    /// True if no deadline is counted from that date: the deadlines that wait for it are open.
    pub open: bool,
    /// True if a later notice about the same products replaced it.
    pub replaced: bool,
    /// The tables that it covers and in which it is not in force yet.
    pub missing: Vec<ProductKey>,
}

/// Returns the recorded contract ends, oldest first.
pub async fn contract_ends(root: &Root) -> Result<Vec<ListedContractEnd>, StoreError> {
    let (tables, controls) = tables_and_controls(root).await?;
    let ends = controls
        .iter()
        .filter_map(|(version, control)| match control {
            Control::ContractEnd(end) => Some((*version, end)),
            _ => None,
        });
    let mut listed: Vec<ListedContractEnd> = Vec::new();
    for (version, end) in ends {
        for before in listed
            .iter_mut()
            .filter(|before| before.tenant == end.tenant)
        {
            let covers = |product: &ProductKey| end.covers(product);
            before.replaced |= end.products.is_empty()
                || (!before.products.is_empty() && before.products.iter().all(covers));
        }
        let missing = tables
            .iter()
            .filter(|(product, at)| end.covers(product) && *at < version);
        listed.push(ListedContractEnd {
            control: version.0,
            tenant: end.tenant.clone(),
            ended_at: end.ended_at,
            open: !Calendar::is_countable(end.ended_at),
            recorded_at: end.recorded_at,
            reason: end.reason.clone(),
            products: end.products.clone(),
            replaced: false,
            missing: missing.map(|(product, _)| product.clone()).collect(),
        });
    }
    Ok(listed)
}
