//! What `ebbtide contract` and `ebbtide consent` share: where things are, how a notice is taken, and what is said of it.
//!
//! Promises that a command that ends with 0 has its notice in force in every table that it covers, and that no subject is ever
//! shown. Exit code 1: it is not in force everywhere; 2: a wrong use, nothing was done.

use std::fmt::Write;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::grounds::{Grounds, GroundsError};
use super::{Outcome, Output, json};
use crate::controls::{
    ActiveError, Noted, Notice, NoticeError, NotifyError, SharedControls, Signature, SubjectError, consider, notify,
    require_active,
};
use crate::ids::{Bucket, BucketUnit, ProductKey};
use crate::policy::{Calendar, Policy, Resolver, Trigger};
use crate::problem::nearest;
use crate::store::{StoreError, products};

/// The options that every such command has.
#[derive(Debug, clap::Args)]
pub(super) struct Common {
    #[command(flatten)]
    pub(super) grounds: Grounds,
    /// How to write the result.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(super) output: Output,
}

/// Why a command could not be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoticeCliError {
    #[error(transparent)]
    Grounds(#[from] GroundsError),
    #[error(transparent)]
    Active(#[from] ActiveError),
    #[error(transparent)]
    Subject(#[from] SubjectError),
    #[error("--at: {0:?} is no date like 2026-11-24 and no instant like 2026-11-24T10:00:00Z")]
    When(String),
    #[error("there are no records of a product `{0}`{1}")]
    Product(ProductKey, String),
    #[error(transparent)]
    Notice(#[from] NoticeError),
    #[error(transparent)]
    Notify(#[from] NotifyError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl NoticeCliError {
    /// What the caller is told, and whether asking otherwise would mend it.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Active(error) if !error.is_other_policy() => Outcome::failure(format!("error: {error}\n")),
            Self::Notify(_) | Self::Store(_) | Self::Io(_) => Outcome::failure(format!("error: {self}\n")),
            error => Outcome::usage(error),
        }
    }
}

/// What is said of a notice.
#[derive(Serialize)]
struct Told {
    taken: bool,
    /// Whether the very same was noted before.
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<i64>,
    at: DateTime<Utc>,
    tables: Vec<Covered>,
}

/// A table that a notice covers, and what counts from it there.
#[derive(Serialize)]
struct Covered {
    product: ProductKey,
    reading: String,
}

impl Common {
    /// Takes a notice, or says what it would be; `what` begins what is said: `The contract with t ends at`.
    pub(super) async fn take(
        &self,
        policy: &Policy,
        (what, notice): (&str, Notice),
        now: DateTime<Utc>,
        dry_run: bool,
    ) -> Result<Outcome, NoticeCliError> {
        let root = self.grounds.root()?;
        require_active(&root, &SharedControls::new(root.clone()), &self.grounds.loaded()?).await?;
        let (at, trigger, named) = match &notice {
            Notice::ContractEnd { ended_at, products, .. } => (*ended_at, Trigger::ContractEnd, products.clone()),
            Notice::ConsentWithdrawal { withdrawn_at, products, .. } => {
                (*withdrawn_at, Trigger::ConsentWithdrawn, products.clone())
            }
        };
        let existing = products(&root).await?;
        check_products(policy, &named, &existing)?;
        let noted = if dry_run {
            consider(&root, policy, notice, now).await??;
            None
        } else {
            let by = Signature { writer: Uuid::new_v4(), at: now, policy_version: policy.version.clone() };
            match notify(&root, policy, vec![notice], &by).await?.pop() {
                Some(Noted::Refused(refused)) => return Err(refused.into()),
                Some(Noted::Taken { version, known }) => Some((version.0, known)),
                None => None,
            }
        };
        let covered = existing.into_iter().filter(|product| named.is_empty() || named.contains(product));
        let tables = covered.map(|product| Covered { reading: reading(policy, &product, trigger), product }).collect();
        let (control, known) = noted.unzip();
        let told = Told { taken: noted.is_some(), known, control, at, tables };
        Ok(Outcome::done(match self.output {
            Output::Json => json(&told),
            Output::Text => text(what, &told),
        }))
    }
}

fn text(what: &str, told: &Told) -> String {
    let at = instant(told.at);
    let mut out = match (told.control, told.known) {
        (Some(control), Some(true)) => format!("{what} {at}; that was noted before, as control {control}\n"),
        (Some(control), _) => format!("{what} {at}, as control {control}\n"),
        _ => format!("Nothing was noted. {what} {at}\n"),
    };
    if told.tables.is_empty() {
        out.push_str("No table is covered yet; those made later begin under it\n");
        return out;
    }
    out.push_str(if told.taken { "In force in" } else { "It would be in force in" });
    out.push_str(" these tables, and in those made later:\n");
    let width = told.tables.iter().map(|table| table.product.as_str().len()).max().unwrap_or(0);
    for table in &told.tables {
        // Writing to a text cannot fail.
        let _ = writeln!(out, "  {:<width$}  {}", table.product.as_str(), table.reading);
    }
    if told.taken && told.known != Some(true) {
        out.push_str("The sweeps bring stored tags up to date; `ebbtide sweep --dry-run` tells what is left to do\n");
    }
    out
}

/// What of a product counts from a trigger.
fn reading(policy: &Policy, product: &ProductKey, trigger: Trigger) -> String {
    let records = policy.products.get(product).and_then(|product| product.records.as_ref());
    let (Some(records), Some(resolver)) = (records, Resolver::new(policy, product)) else {
        return "the policy has no such product: nothing counts from it".to_owned();
    };
    let mut waiting: Vec<String> = Vec::new();
    for term in resolver.profiles().flat_map(|profile| &profile.terms).filter(|term| term.trigger == trigger) {
        if !waiting.iter().any(|known| known == term.category.as_str()) {
            waiting.push(term.category.to_string());
        }
    }
    waiting.sort();
    let told = match trigger {
        Trigger::ContractEnd => records.tenant.as_ref().is_some_and(|column| records.fields.contains_key(column)),
        _ => records.subjects.iter().any(|subject| records.fields.contains_key(&subject.column)),
    };
    match (waiting.is_empty(), told) {
        (true, _) => "nothing counts from it".to_owned(),
        (false, true) => format!("{} counted from it", waiting.join(", ")),
        (false, false) => "stores nothing that tells whose its records are: none can be found".to_owned(),
    }
}

/// Refuses a product that is named and is none.
fn check_products(policy: &Policy, named: &[ProductKey], existing: &[ProductKey]) -> Result<(), NoticeCliError> {
    let has_records =
        |product: &ProductKey| policy.products.get(product).is_some_and(|product| product.records.is_some());
    for product in named {
        if !has_records(product) && !existing.contains(product) {
            let known = policy.products.values().filter(|product| product.records.is_some());
            let near = nearest(product.as_str(), known.map(|product| product.key.as_str()));
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(NoticeCliError::Product(product.clone(), near));
        }
    }
    Ok(())
}

/// The instant that `--at` means: a date is the beginning of its day in the policy's zone.
pub(super) fn at(policy: &Policy, text: &str) -> Result<DateTime<Utc>, NoticeCliError> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(Calendar::new(policy.zone, BucketUnit::Day).start(Bucket::Day(day)));
    }
    let at = DateTime::parse_from_rfc3339(text).map(|at| at.with_timezone(&Utc));
    at.map_err(|_| NoticeCliError::When(text.to_owned()))
}

/// The products that were named, in order, none twice.
pub(super) fn sorted(products: &[ProductKey]) -> Vec<ProductKey> {
    let mut products = products.to_vec();
    products.sort();
    products.dedup();
    products
}

/// An instant as every output writes it.
pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
pub(super) mod testing {
    //! What the tests of both commands share.

    use super::{NoticeCliError, Outcome};
    use crate::store::Root;

    /// The words of a line, under that root and the shipped policy.
    pub fn words(command: &str, root: &Root, line: &str) -> Vec<String> {
        let root = root.folder().display().to_string();
        let words = [command].into_iter().chain(line.split(' '));
        words.chain(["--root", &root, "--policy", "config/policy.yaml"]).map(str::to_owned).collect()
    }

    /// The exit code and all that is said.
    pub fn told(answer: Result<Outcome, NoticeCliError>) -> String {
        let outcome = answer.unwrap_or_else(NoticeCliError::outcome);
        format!("{}\n{}{}", outcome.code, outcome.out, outcome.err)
    }
}
