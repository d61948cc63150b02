//! A policy compared with the policies that the tables were written under, for a root in which no
//! policy was ever activated: a root of an earlier version of the program, whose instances used
//! whatever policy they were started with.
//!
//! Finds plain differences: the versions and the resolved rules that segments name, and columns
//! that the policy does not have. A column that only moved to another category of the product
//! leaves no trace in such tables.

use std::collections::BTreeSet;

use ebbtide_base::ids::{PolicyVersion, ProductKey};
use ebbtide_policy::{Policy, Profile, Resolver, RetentionTerm};
use ebbtide_query::{StoredTags, ViewError, products, stored_columns, stored_tags};
use ebbtide_table::{Root, StoreError, TableSpec};

/// The tables were written under another policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no policy is active under this root yet, and {what}; start once with the policy that the tables were written under, \
     which records it as active, then see with `ebbtide policy plan` what the new one changes and put it in force with \
     `ebbtide policy activate` (or do both with `ebbtide policy activate NEW --policy OLD`)"
)]
pub struct PolicyMismatchError {
    /// The difference.
    pub what: PolicyMismatch,
}

/// A part of a table that contradicts the policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyMismatch {
    /// The policy has no such product.
    #[error("table {0} holds records of a product that policy {1} does not have")]
    Product(ProductKey, PolicyVersion),
    /// Segments name other policies.
    #[error("table {0} holds records that were stored under policy {1}, not {2}")]
    Version(ProductKey, String, PolicyVersion),
    /// Segments of the policy's own version were stored under other rules.
    #[error(
        "table {0} holds records that were stored under policy {1} with {2}, which policy {1} does not say now"
    )]
    Terms(ProductKey, PolicyVersion, String),
    /// Segments have columns that the policy does not have.
    #[error("table {0} holds columns that policy {1} does not have: {2}")]
    Columns(ProductKey, PolicyVersion, String),
}

/// Refuses a policy if the tables of a root were clearly written under another one.
pub async fn check_stored<E>(root: &Root, policy: &Policy) -> Result<(), E>
where
    E: From<StoreError> + From<PolicyMismatchError>,
{
    for product in products(root).await? {
        let Some(tags) = stored_tags(root, &product).await? else {
            continue;
        };
        if tags.segments == 0 {
            continue;
        }
        let mut what =
            other_policy(&product, &tags, policy).or_else(|| other_terms(&product, &tags, policy));
        if what.is_none() {
            what = other_columns(root, &product, &tags, policy).await?;
        }
        if let Some(what) = what {
            return Err(PolicyMismatchError { what }.into());
        }
    }
    Ok(())
}

/// Refuses policies if segments of the same policy version were stored under other rules.
pub async fn check_terms<E>(root: &Root, policies: &[&Policy]) -> Result<(), E>
where
    E: From<StoreError> + From<PolicyMismatchError>,
{
    for product in products(root).await? {
        let Some(tags) = stored_tags(root, &product).await? else {
            continue;
        };
        if let Some(what) = policies
            .iter()
            .find_map(|policy| other_terms(&product, &tags, policy))
        {
            return Err(PolicyMismatchError { what }.into());
        }
    }
    Ok(())
}

fn other_policy(
    product: &ProductKey,
    tags: &StoredTags,
    policy: &Policy,
) -> Option<PolicyMismatch> {
    let (product, own) = (product.clone(), policy.version.clone());
    if policy
        .products
        .get(&product)
        .is_none_or(|product| product.records.is_none())
    {
        return Some(PolicyMismatch::Product(product, own));
    }
    let others: Vec<&str> = tags
        .versions
        .iter()
        .filter(|of| **of != own)
        .map(PolicyVersion::as_str)
        .collect();
    (!others.is_empty()).then(|| PolicyMismatch::Version(product, others.join(", "), own))
}

/// Finds a term of segments of the policy's version that the policy gives to no record of the
/// product.
fn other_terms(product: &ProductKey, tags: &StoredTags, policy: &Policy) -> Option<PolicyMismatch> {
    let resolver = Resolver::new(policy, product)?;
    let own: Vec<&RetentionTerm> = resolver
        .profiles()
        .flat_map(|profile| &profile.terms)
        .collect();
    let alike = |a: &RetentionTerm, b: &RetentionTerm| {
        (&a.category, a.keep, a.trigger, a.boundary) == (&b.category, b.keep, b.trigger, b.boundary)
    };
    let texts = tags
        .profiles
        .iter()
        .filter(|(version, _)| *version == policy.version);
    // A text that another version of the program wrote cannot be compared.
    let terms = texts
        .filter_map(|(_, text)| Profile::parse(text))
        .flat_map(|profile| profile.terms);
    let other = terms
        .into_iter()
        .find(|term| !own.iter().any(|own| alike(own, term)))?;
    let RetentionTerm {
        category,
        keep,
        boundary,
        trigger,
        ..
    } = other;
    let terms = format!("{category} kept {boundary} {keep} from {trigger}");
    Some(PolicyMismatch::Terms(
        product.clone(),
        policy.version.clone(),
        terms,
    ))
}

/// Finds columns of segments that the policy does not have: no rule would set their deadline.
async fn other_columns(
    root: &Root,
    product: &ProductKey,
    tags: &StoredTags,
    policy: &Policy,
) -> Result<Option<PolicyMismatch>, StoreError> {
    let Some(spec) = TableSpec::of(policy, product) else {
        return Ok(None);
    };
    let extra: BTreeSet<String> = tags
        .columns
        .iter()
        .filter(|name| spec.column(name).is_none())
        .cloned()
        .collect();
    if extra.is_empty() {
        return Ok(None);
    }
    let found = stored_columns(root, product, extra)
        .await
        .map_err(|error| match error {
            ViewError::Store(error) => error,
            error => StoreError::Refused(error.to_string()),
        })?;
    let named = found.into_iter().collect::<Vec<_>>().join(", ");
    Ok((!named.is_empty())
        .then(|| PolicyMismatch::Columns(product.clone(), policy.version.clone(), named)))
}
