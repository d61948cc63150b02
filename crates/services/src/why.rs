//! The state of one record: what is stored of it, until when, under which rule and which holds, or
//! which commit deleted it.
//!
//! Changes nothing. A report has no value of the record.

mod holds;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

use ebbtide_base::ids::{Bucket, Category, Country, ProductKey};
use ebbtide_policy::{Policy, RuleMatch, RuleQuery, resolve};
use ebbtide_query::{RecordHints, RecordHistory, RecordKey, RecordStatus, StoredRecord, ViewError};
use ebbtide_table::{Root, StoreError};
use holds::RecordHolds;

/// The record to explain.
#[derive(Clone)]
pub struct WhyRequest<'a> {
    /// The product of its table.
    pub product: ProductKey,
    /// The name of the record.
    pub key: RecordKey,
    /// The only bucket to look in.
    pub bucket: Option<Bucket>,
    /// The policy whose rules are shown. Without it, rules are not shown, and holds are not known.
    pub policy: Option<&'a Policy>,
    /// The current time, by which holds are in force.
    pub now: DateTime<Utc>,
}

/// The reason why the state of a record cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum WhyError {
    /// The table cannot be read, or does not exist.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The holds cannot be read.
    #[error(transparent)]
    Controls(#[from] StoreError),
}

/// The records that the request names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WhyReport {
    /// The product of their table.
    pub product: ProductKey,
    /// The records; empty if none has the value.
    pub records: Vec<RecordReport>,
}

/// The state of a record, with what the policy and the holds say about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordReport {
    /// The state.
    #[serde(flatten)]
    pub history: RecordHistory,
    /// The rule of each category, if the policy is known.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<Category, RuleReport>,
    /// The holds that keep it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held_by: Vec<String>,
    /// True if the holds cannot be determined because the policy is not known.
    #[serde(rename = "holds_untold", skip_serializing_if = "std::ops::Not::not")]
    pub holds_incomplete: bool,
}

/// The rule that applies to a category, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleReport {
    /// The id of the rule.
    pub rule: String,
    /// The duration for which data is kept.
    pub keep: String,
    /// `at_most` or `at_least`.
    pub boundary: String,
    /// The event from which the duration counts.
    pub trigger: String,
    /// The time in which expired data is deleted.
    pub grace: String,
    /// The version of the policy.
    pub policy_version: String,
}

impl WhyReport {
    /// Returns true if something is known of at least one record.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.records
            .iter()
            .any(|record| !matches!(record.history.fate, RecordStatus::Unknown { .. }))
    }
}

/// Returns the state of the records that the request names.
pub async fn why(root: &Root, request: &WhyRequest<'_>) -> Result<WhyReport, WhyError> {
    let WhyRequest {
        product,
        key,
        bucket,
        policy,
        now,
    } = request;
    let hints = hints(*policy, product, *bucket);
    let found = ebbtide_query::why(root, product, key, &hints).await?;
    let holds = holds::holds(root, product, *now).await?;
    let mut records = Vec::new();
    for history in found {
        let held = holds::held(root, product, &history, &holds, *policy).await?;
        records.push(RecordReport::new(history, product, *policy, held));
    }
    Ok(WhyReport {
        product: product.clone(),
        records,
    })
}

/// Returns what the policy, but not the table, says about a product.
fn hints(policy: Option<&Policy>, product: &ProductKey, bucket: Option<Bucket>) -> RecordHints {
    let records = policy.and_then(|policy| policy.products.get(product)?.records.as_ref());
    let mut fields: BTreeMap<Category, BTreeSet<String>> = BTreeMap::new();
    for (column, class) in records.iter().flat_map(|records| &records.fields) {
        if let Some(category) = class.category() {
            fields
                .entry(category.clone())
                .or_default()
                .insert(column.clone());
        }
    }
    RecordHints {
        bucket,
        tenant: records.and_then(|records| records.tenant.clone()),
        fields,
    }
}

impl RecordReport {
    fn new(
        history: RecordHistory,
        product: &ProductKey,
        policy: Option<&Policy>,
        held: RecordHolds,
    ) -> RecordReport {
        let rules = match (&history.fate, policy) {
            (RecordStatus::Here(stored), Some(policy)) => rules(stored, product, policy),
            _ => BTreeMap::new(),
        };
        RecordReport {
            history,
            rules,
            held_by: held.by,
            holds_incomplete: held.incomplete,
        }
    }
}

/// Returns the rule of each category of a stored record. A category that is no longer in the policy
/// has no rule.
fn rules(
    stored: &StoredRecord,
    product: &ProductKey,
    policy: &Policy,
) -> BTreeMap<Category, RuleReport> {
    let country = stored.jurisdiction.unwrap_or(Country::UNKNOWN);
    let mut rules = BTreeMap::new();
    for category in stored.categories.iter().map(|of| &of.category) {
        let query = RuleQuery {
            product,
            category,
            country,
            tenant: stored.tenant.as_deref(),
        };
        let RuleMatch::Rule(rule) = resolve(&policy.rules, query) else {
            continue;
        };
        let rule = &policy.rules[rule];
        rules.insert(
            category.clone(),
            RuleReport {
                rule: rule.id.to_string(),
                keep: rule.keep.to_string(),
                boundary: rule.boundary.to_string(),
                trigger: rule.trigger.to_string(),
                grace: rule.grace.to_string(),
                policy_version: policy.version.to_string(),
            },
        );
    }
    rules
}
