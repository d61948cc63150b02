//! Placing a hold: the checks of an order, and the report about it.

use chrono::{DateTime, Utc};
use serde::Serialize;

use ebbtide_base::ids::ProductKey;
use ebbtide_base::problem::nearest;
use ebbtide_controls::{HoldOrder, PlaceHoldError, Scope, reading};
use ebbtide_policy::{Policy, Records};
use ebbtide_query::products;
use ebbtide_table::StoreError;

use super::HoldContext;
use crate::commit_clock::{CommitClockError, UrgentTime};
use crate::subject_notes::national_note;

/// An order to keep data.
#[derive(Debug, Clone)]
pub struct HoldRequest {
    /// The order.
    pub order: HoldOrder,
    /// True if only its effect is reported, and nothing is changed.
    pub dry_run: bool,
}

/// The report about a hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HoldReport {
    /// True if it is placed; false after a dry run.
    pub placed: bool,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The version of the control log that places it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<i64>,
    /// The first instant at which it is no longer in force.
    pub until: DateTime<Utc>,
    /// The tables that it covers.
    pub tables: Vec<CoveredTable>,
    /// Notes about conditions that may not mean what they seem to mean.
    pub notes: Vec<String>,
    /// The warning about a clock that is not trusted; empty if it is.
    #[serde(skip)]
    pub warning: String,
    /// Its conditions.
    #[serde(skip)]
    pub scope: Scope,
}

/// A table that a hold covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CoveredTable {
    /// The product of the table.
    pub product: ProductKey,
    /// The meaning of the hold's conditions there.
    pub reading: Vec<String>,
}

/// The reason why a hold is not in force everywhere.
#[derive(Debug, thiserror::Error)]
pub enum HoldRequestError {
    /// A text that must be given is empty.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// A named product does not exist.
    #[error("there are no records of a product `{product}`{near}")]
    Product {
        /// The product.
        product: ProductKey,
        /// The nearest product that exists, as a question.
        near: String,
    },
    /// No record of a named product can match.
    #[error("`{product}` has no {kind} subject, so none of its records can match; leave it out")]
    NoSubject {
        /// The product.
        product: ProductKey,
        /// The kind of the subject.
        kind: String,
    },
    /// The hold is refused, or not in force everywhere.
    #[error(transparent)]
    Place(#[from] PlaceHoldError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The clock cannot be checked.
    #[error(transparent)]
    Clock(#[from] CommitClockError),
}

/// Places a hold in every table that it covers. Does not wait for a trusted clock.
pub async fn place(
    context: &HoldContext<'_>,
    policy: &Policy,
    request: HoldRequest,
) -> Result<HoldReport, HoldRequestError> {
    let HoldRequest { order, dry_run } = request;
    for (name, value) in [("--case", &order.case), ("--basis", &order.basis)] {
        if value.trim().is_empty() {
            return Err(HoldRequestError::Empty(name));
        }
    }
    let time = UrgentTime::find(context.root, context.clock, context.sweep).await?;
    order.scope.check().map_err(PlaceHoldError::from)?;
    let at = time.before(order.until);
    if order.until <= at {
        return Err(PlaceHoldError::Over(order.until).into());
    }
    let existing = products(context.root).await?;
    check_products(policy, &order.scope, &existing)?;
    let (until, scope) = (order.until, order.scope.clone());
    let placed = match dry_run {
        true => None,
        false => Some(ebbtide_controls::place(context.root, order, &context.signature(at)).await?),
    };
    let tables = placed
        .as_ref()
        .map_or(existing, |placed| placed.tables.clone());
    Ok(HoldReport {
        placed: placed.is_some(),
        id: placed.as_ref().map(|placed| placed.id.to_string()),
        control: placed.as_ref().map(|placed| placed.version.0),
        until,
        tables: covered(policy, &scope, tables),
        notes: notes(&scope),
        warning: time.warning(at),
        scope,
    })
}

fn covered(policy: &Policy, scope: &Scope, tables: Vec<ProductKey>) -> Vec<CoveredTable> {
    tables
        .into_iter()
        .filter(|product| scope.covers(product))
        .map(|product| CoveredTable {
            reading: reading(scope, records(policy, &product)),
            product,
        })
        .collect()
}

/// Refuses a product that does not exist, or in which no record can match.
fn check_products(
    policy: &Policy,
    scope: &Scope,
    existing: &[ProductKey],
) -> Result<(), HoldRequestError> {
    for product in &scope.products {
        let Some(records) = records(policy, product) else {
            if existing.contains(product) {
                continue;
            }
            return Err(HoldRequestError::Product {
                product: product.clone(),
                near: nearest_product(policy, product),
            });
        };
        if let Some(subject) = &scope.subject
            && !records
                .subjects
                .iter()
                .any(|of| subject.kind.is_of(&of.kind))
        {
            return Err(HoldRequestError::NoSubject {
                product: product.clone(),
                kind: subject.kind.to_string(),
            });
        }
    }
    Ok(())
}

/// Returns the nearest product with records as a question; empty if none is near.
pub(crate) fn nearest_product(policy: &Policy, product: &ProductKey) -> String {
    let known = policy
        .products
        .values()
        .filter(|product| product.records.is_some());
    let near = nearest(product.as_str(), known.map(|product| product.key.as_str()));
    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

fn records<'a>(policy: &'a Policy, product: &ProductKey) -> Option<&'a Records> {
    policy.products.get(product)?.records.as_ref()
}

/// Returns the notes about a scope that may not mean what it seems to mean.
fn notes(scope: &Scope) -> Vec<String> {
    let mut notes: Vec<String> = national_note(scope.subject.as_ref(), "held")
        .into_iter()
        .collect();
    if scope.subject.is_some() {
        notes.push(
            "a record whose subject is already deleted matches no subject, and is not held"
                .to_owned(),
        );
    }
    notes
}
