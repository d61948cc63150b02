//! Opens products: their tables and segments, without any further state.
//!
//! Products come in the policy's order, and a few are opened concurrently. Opening one reads its
//! whole log, so a caller that needs one twice clones it.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, future, stream};

use super::SweptProduct;
use super::end_plan::EndPlan;
use super::state::ProductState;
use crate::error::SweepError;
use crate::record_rules::RecordRules;
use crate::review::ProductReviews;
use crate::triggers::state::TriggerState;
use ebbtide_base::ids::ProductKey;
use ebbtide_policy::anonymize::{CellPlan, CellPlanError};
use ebbtide_policy::{Calendar, EndRule, Policy};
use ebbtide_table::{OpenError, Root, SegmentedTable, StoreError, Table, TableSpec};

/// The reason why a product's table cannot be swept.
#[derive(Debug, thiserror::Error)]
pub enum OpenProductError {
    /// The table cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its segments cannot be listed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The policy's `anonymize` does not fit it.
    #[error(transparent)]
    Plan(#[from] CellPlanError),
}

impl From<OpenProductError> for SweepError {
    fn from(error: OpenProductError) -> Self {
        match error {
            OpenProductError::Store(error) => SweepError::Store(error),
            OpenProductError::Plan(error) => SweepError::Plan(error),
            OpenProductError::Open(error) => {
                SweepError::Store(StoreError::Refused(error.to_string()))
            }
        }
    }
}

impl SweptProduct {
    /// Opens the tables of a policy's products under `root`, or of the `wanted` one.
    pub async fn open(
        root: &Root,
        policy: &Policy,
        wanted: Option<&ProductKey>,
    ) -> Result<Vec<SweptProduct>, OpenProductError> {
        let specs = TableSpec::all(policy)
            .filter(|spec| wanted.is_none_or(|wanted| *wanted == spec.product));
        Self::of(Table::open_all(root, specs.collect()).await?, policy).await
    }

    /// Creates the products of tables that are open.
    pub async fn of(
        tables: Vec<Table>,
        policy: &Policy,
    ) -> Result<Vec<SweptProduct>, OpenProductError> {
        let products = stream::iter(tables)
            .map(|table| Self::of_one(table, policy))
            .buffered(Table::AT_ONCE);
        products.try_filter_map(future::ok).try_collect().await
    }

    /// Creates the product of one table; `None` if the product has no records.
    async fn of_one(
        table: Table,
        policy: &Policy,
    ) -> Result<Option<SweptProduct>, OpenProductError> {
        let key = table.spec().product.clone();
        let Some(records) = policy
            .products
            .get(&key)
            .and_then(|product| product.records.clone())
        else {
            return Ok(None);
        };
        let ending = match &records.end {
            EndRule::Remove => EndPlan::Remove,
            EndRule::Anonymize(anonymize) => {
                EndPlan::Anonymize(CellPlan::new(anonymize, |name| {
                    table
                        .spec()
                        .column(name)
                        .map(|column| column.data_type.clone())
                })?)
            }
        };
        let categories = records
            .fields
            .values()
            .filter_map(|class| class.category().cloned())
            .collect();
        let mut table = SegmentedTable::load(table).await?;
        table.follow_ingest();
        let calendar = Calendar::new(policy.zone, policy.bucket);
        let state = ProductState {
            key,
            ending,
            categories,
            rules: RecordRules { records, calendar },
            lag: None,
            triggers: TriggerState::new(),
            reviews: ProductReviews::default(),
            controls: Arc::default(),
        };
        Ok(Some(SweptProduct { table, state }))
    }
}
