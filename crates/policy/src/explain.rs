//! Explains the retention of a field: the rule that applies, its reasons, and why each other rule
//! does not apply.
//!
//! Invariant: the answer is the one that the resolver gives at ingest, in words.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::calendar::Calendar;
use super::model::{ColumnClass, Jurisdiction, Policy, Records, Rule};
use super::profile::RetentionTerm;
use super::resolve::{RecordKinds, RuleMatch, RuleQuery, resolve};
use ebbtide_base::ids::{Category, Country, ProductKey};
use ebbtide_base::problem::nearest;

/// A question about the retention of a product's columns.
#[derive(Debug, Clone)]
pub struct ExplainRequest<'a> {
    /// The product's key.
    pub product: &'a str,
    /// The jurisdiction; `None` for any that no rule names.
    pub country: Option<Country>,
    /// The tenant; `None` for any that no rule names.
    pub tenant: Option<&'a str>,
    /// The only column to explain; `None` for all.
    pub field: Option<&'a str>,
    /// The current time.
    pub now: DateTime<Utc>,
}

/// The reason why there is no explanation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// The policy has no such product.
    #[error("there is no product `{0}`{1}")]
    Product(String, String),
    /// The product has no records of its own.
    #[error("`{0}` has no records of its own, so there is nothing to keep")]
    NoRecords(String),
    /// The product has no such column.
    #[error("`{0}` has no field `{1}`{2}")]
    Field(String, String, String),
}

/// The answer.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The product.
    pub product: ProductKey,
    /// The policy's version.
    pub policy_version: String,
    /// The zone in which days are counted.
    pub zone: String,
    /// The jurisdiction; `None` for any that no rule names.
    pub country: Option<Country>,
    /// The tenant; `None` for any that no rule names.
    pub tenant: Option<String>,
    /// The bucket of a record of today.
    pub bucket: String,
    /// Additional notes: for instance that the product's jurisdiction is fixed.
    pub notes: Vec<String>,
    /// The categories, by name.
    pub categories: Vec<ExplainedCategory>,
    /// The columns that are not personal and are kept, of those asked for.
    pub not_personal: Vec<String>,
}

/// One category of the product.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedCategory {
    /// The category.
    pub category: Category,
    /// Its term of the W3C Data Privacy Vocabulary.
    pub term: String,
    /// The columns of the category, of those asked for.
    pub fields: Vec<String>,
    /// The rule that applies.
    pub rule: String,
    /// The retention period, in words.
    pub keep: String,
    /// `at_most` or `at_least`.
    pub boundary: String,
    /// The trigger that starts the retention period.
    pub trigger: String,
    /// The deadline of a record of today (RFC 3339, in UTC); `None` while it is open.
    pub due: Option<String>,
    /// The wall-clock time of that deadline in the policy's zone.
    pub due_local: Option<String>,
    /// The time after the deadline during which the category may still be visible.
    pub grace: String,
    /// Legal bases.
    pub bases: Vec<String>,
    /// Purposes.
    pub purposes: Vec<String>,
    /// The source of the rule.
    pub source: Option<String>,
    /// Every other rule, with the reason why it does not apply.
    pub others: Vec<LosingRule>,
}

/// A rule that does not apply.
#[derive(Debug, Clone, Serialize)]
pub struct LosingRule {
    /// Its id.
    pub rule: String,
    /// True if it matches too and is less specific; false if it does not match.
    pub matches: bool,
    /// The reason, in words.
    pub why: String,
}

/// Explains the retention that `policy` prescribes. Errors if the product or the column is unknown,
/// or has no records.
pub fn explain(policy: &Policy, ask: &ExplainRequest<'_>) -> Result<Explanation, ExplainError> {
    let (product, records) = find(policy, ask)?;
    let (country, asked, notes) = country(policy, product, records, ask);
    let calendar = Calendar::new(policy.zone, policy.bucket);
    let mut categories = Vec::new();
    let mut not_personal = Vec::new();
    for (column, class) in records
        .fields
        .iter()
        .filter(|(column, _)| ask.field.is_none_or(|field| field == *column))
    {
        let ColumnClass::Personal(category) = class else {
            not_personal.push(column.clone());
            continue;
        };
        let known: &mut Vec<ExplainedCategory> = &mut categories;
        if let Some(explained) = known
            .iter_mut()
            .find(|explained| explained.category == *category)
        {
            explained.fields.push(column.clone());
            continue;
        }
        let question = RuleQuery {
            product,
            category,
            country,
            tenant: ask.tenant.filter(|_| records.tenant.is_some()),
        };
        // A checked policy answers every question that a record can raise.
        let RuleMatch::Rule(winner) = resolve(&policy.rules, question) else {
            continue;
        };
        let rule = &policy.rules[winner];
        let due = calendar.bucket_of(ask.now).and_then(|bucket| {
            RetentionTerm::from_rule(rule, category).deadline(&calendar, bucket, 0)
        });
        known.push(ExplainedCategory {
            category: category.clone(),
            term: policy.categories.get(category).cloned().unwrap_or_default(),
            fields: vec![column.clone()],
            rule: rule.id.to_string(),
            keep: rule.keep.to_string(),
            boundary: rule.boundary.to_string(),
            trigger: rule.trigger.to_string(),
            due: due.map(|due| due.0.to_rfc3339_opts(SecondsFormat::Secs, true)),
            due_local: due.map(|due| {
                due.0
                    .with_timezone(&policy.zone)
                    .format("%Y-%m-%d %H:%M")
                    .to_string()
            }),
            grace: rule.grace.to_string(),
            bases: rule.bases.clone(),
            purposes: rule.purposes.clone(),
            source: rule.source.clone(),
            others: others(&policy.rules, winner, question, asked.is_none()),
        });
    }
    categories.sort_by(|a, b| a.category.cmp(&b.category));
    Ok(Explanation {
        product: product.clone(),
        policy_version: policy.version.to_string(),
        zone: policy.zone.name().to_owned(),
        country: asked,
        tenant: ask.tenant.map(str::to_owned),
        bucket: calendar
            .bucket_of(ask.now)
            .map(|bucket| bucket.to_string())
            .unwrap_or_default(),
        notes,
        categories,
        not_personal,
    })
}

fn find<'p>(
    policy: &'p Policy,
    ask: &ExplainRequest<'_>,
) -> Result<(&'p ProductKey, &'p Records), ExplainError> {
    let mean = |near: Option<&str>| {
        near.map(|near| format!("; did you mean `{near}`?"))
            .unwrap_or_default()
    };
    let found = policy
        .products
        .iter()
        .find(|(key, _)| key.as_str() == ask.product);
    let Some((key, product)) = found else {
        let near = nearest(ask.product, policy.products.keys().map(ProductKey::as_str));
        return Err(ExplainError::Product(ask.product.to_owned(), mean(near)));
    };
    let records = product
        .records
        .as_ref()
        .ok_or_else(|| ExplainError::NoRecords(key.to_string()))?;
    if let Some(field) = ask
        .field
        .filter(|field| !records.fields.contains_key(*field))
    {
        let near = nearest(field, records.fields.keys().map(String::as_str));
        return Err(ExplainError::Field(
            key.to_string(),
            field.to_owned(),
            mean(near),
        ));
    }
    Ok((key, records))
}

/// Returns the country to resolve for, the country to show, and the notes about them.
fn country(
    policy: &Policy,
    product: &ProductKey,
    records: &Records,
    ask: &ExplainRequest<'_>,
) -> (Country, Option<Country>, Vec<String>) {
    let mut notes = Vec::new();
    if ask.tenant.is_some() && records.tenant.is_none() {
        notes.push(format!(
            "records of `{product}` name no tenant: rules for tenants never match them"
        ));
    }
    let only = match records.jurisdiction {
        Jurisdiction::Fixed(country) => Some(country),
        Jurisdiction::Unknown => Some(Country::UNKNOWN),
        Jurisdiction::CountryOf(_) | Jurisdiction::Column(_) => None,
    };
    if let Some(only) = only {
        if ask.country.is_some_and(|asked| asked != only) {
            let why = if only == Country::UNKNOWN {
                "cannot be determined (ZZ)".to_owned()
            } else {
                format!("is always {only}")
            };
            notes.push(format!(
                "the jurisdiction of `{product}` {why}: that is what is explained"
            ));
        }
        return (only, Some(only), notes);
    }
    // Class 0 is a country that no rule names.
    let unnamed = RecordKinds::new(&policy.rules, product).countries[0];
    (ask.country.unwrap_or(unnamed), ask.country, notes)
}

fn others(
    rules: &[Rule],
    winner: usize,
    asked: RuleQuery<'_>,
    any_country: bool,
) -> Vec<LosingRule> {
    let others = rules
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != winner);
    others
        .map(|(_, rule)| {
            let matches = rule.matches(asked);
            let why = if matches {
                less_specific(rule, &rules[winner])
            } else {
                mismatch(rule, asked, any_country)
            };
            LosingRule {
                rule: rule.id.to_string(),
                matches,
                why,
            }
        })
        .collect()
}

/// Names the first dimension, from the most specific, that the winner names and the loser does not.
fn less_specific(loser: &Rule, winner: &Rule) -> String {
    let names = |rule: &Rule| {
        [
            (!rule.tenants.is_empty(), "tenants"),
            (!rule.jurisdictions.is_empty(), "jurisdictions"),
            (!rule.categories.is_empty(), "categories"),
            (!rule.products.is_empty(), "products"),
        ]
    };
    let differs = names(winner)
        .into_iter()
        .zip(names(loser))
        .find(|(winner, loser)| winner.0 && !loser.0);
    let what = differs.map_or("more", |((_, what), _)| what);
    format!(
        "matches too, but `{}` names {what} and so is more specific",
        winner.id
    )
}

fn mismatch(rule: &Rule, asked: RuleQuery<'_>, any_country: bool) -> String {
    let list = |named: Vec<&str>| match named.len() {
        0..=6 => named.join(", "),
        more => format!("{} and {} more", named[..5].join(", "), more - 5),
    };
    if !rule.products.is_empty() && !rule.products.contains(asked.product) {
        return format!(
            "for {} only",
            list(rule.products.iter().map(ProductKey::as_str).collect())
        );
    }
    if !rule.categories.is_empty() && !rule.categories.contains(asked.category) {
        return format!(
            "for {} only",
            list(rule.categories.iter().map(Category::as_str).collect())
        );
    }
    if !rule.jurisdictions.is_empty() && !rule.jurisdictions.contains(&asked.country) {
        let only = list(rule.jurisdictions.iter().map(Country::as_str).collect());
        return if any_country {
            format!("in {only} only (see --country)")
        } else {
            format!("in {only} only")
        };
    }
    format!(
        "for tenants {} only",
        list(rule.tenants.iter().map(String::as_str).collect())
    )
}
