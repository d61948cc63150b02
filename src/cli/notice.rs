//! The common parts of `ebbtide contract` and `ebbtide consent`: options, and how a notice is
//! recorded and reported.
//!
//! A command that exits with 0 has put its notice in force in every table that it covers. No
//! subject is ever shown. Exit code 1: it is not in force everywhere; 2: wrong use, nothing was
//! changed.

use std::collections::BTreeSet;
use std::fmt::Write;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::commit_clock::{CommitClockError, commit_time};
use super::context::{CliContext, CliContextError};
use super::hold::StdinError;
use super::time_arg::utc_and_local;
use super::{CommandOutput, OutputFormat, json};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::{Bucket, BucketUnit, Category, Country, ProductKey};
use ebbtide_base::problem::nearest;
use ebbtide_controls::{
    CommitIdentity, DecideError, ImplausibleDate, Notice, NoticeError, NoticeOutcome, NotifyError,
    Preview, PreviewError, RecordCounts, Screening, ScreeningOutcome, SharedControls, SubjectError,
    TableEffect, UsePolicyError, consider, notify_screened, require_active,
};
use ebbtide_policy::{Boundary, Calendar, Policy, Profile, Resolver, Trigger};
use ebbtide_query::products;
use ebbtide_table::{Root, StoreError};

/// The options that every such command has.
#[derive(Debug, clap::Args)]
pub(super) struct NoticeOptions {
    #[command(flatten)]
    pub(super) grounds: CliContext,
    /// How to write the result.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(super) output: OutputFormat,
}

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoticeCliError {
    #[error(transparent)]
    Grounds(#[from] CliContextError),
    #[error(transparent)]
    Active(#[from] UsePolicyError),
    #[error(transparent)]
    Subject(#[from] SubjectError),
    #[error("--at: {0:?} is no date like 2026-11-24 and no instant like 2026-11-24T10:00:00Z")]
    When(String),
    #[error("there are no records of a product `{0}`{1}")]
    Product(ProductKey, String),
    #[error("{0}")]
    Notice(NoticeError),
    #[error("{0}; nothing was noted; if it is meant, say --confirm")]
    Implausible(ImplausibleDate),
    #[error(
        "it would make {} of {} records of {} due at once{}, more than notices.max_share allows; nothing was noted; look at \
         it with --dry-run, and if it is meant, say --confirm", .0.due, .0.records, .0.product, before(.0)
    )]
    TooMuch(Box<TableEffect>),
    #[error(
        "the same notice waits for a decision: `ebbtide notice show {0}`, then `ebbtide notice confirm {0}` or `reject {0}`"
    )]
    Waiting(i64),
    #[error(
        "{0} can be the whole day in a policy of hours: some rules keep at least so long and others at most; give the instant, like {0}T18:00:00Z"
    )]
    WholeDay(NaiveDate),
    #[error(transparent)]
    Notify(#[from] NotifyError),
    #[error(transparent)]
    Preview(#[from] PreviewError),
    #[error(transparent)]
    Decide(#[from] DecideError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Stdin(#[from] StdinError),
    #[error(transparent)]
    Clock(#[from] CommitClockError),
}

impl NoticeCliError {
    fn refused(error: NoticeError) -> Self {
        match error {
            NoticeError::Implausible(why) => Self::Implausible(why),
            error => Self::Notice(error),
        }
    }

    fn too_much(effect: &TableEffect) -> Self {
        Self::TooMuch(Box::new(effect.clone()))
    }

    /// Returns the outcome that the caller sees: a wrong use if the caller can fix it, otherwise a
    /// failure.
    pub(super) fn outcome(self) -> CommandOutput {
        match self {
            Self::Clock(error) => error.outcome(),
            Self::Active(error) if !error.is_other_policy() => {
                CommandOutput::failure(format!("error: {error}\n"))
            }
            Self::Notify(_)
            | Self::Preview(_)
            | Self::Store(_)
            | Self::Io(_)
            | Self::Decide(DecideError::Notify(_) | DecideError::Log(_)) => {
                CommandOutput::failure(format!("error: {self}\n"))
            }
            error => CommandOutput::usage(error),
        }
    }
}

/// A notice that was given by a command.
pub(super) struct NoticeRequest<'a> {
    /// The first words of the messages about it: `The contract with t ends at`.
    pub(super) what: &'a str,
    /// The notice.
    pub(super) notice: Notice,
    /// True if its effects are only shown.
    pub(super) dry_run: bool,
    /// True if a person has confirmed it, however implausible it is.
    pub(super) confirmed: bool,
}

/// The report about a notice.
#[derive(Serialize)]
struct NoticeReport {
    taken: bool,
    /// True if the same notice was recorded before.
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<i64>,
    at: DateTime<Utc>,
    /// True if it is accepted only with `--confirm`.
    needs_confirmation: bool,
    tables: Vec<CoveredTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// A table that a notice covers, and the deadlines that are counted from the notice there.
#[derive(Serialize)]
struct CoveredTable {
    product: ProductKey,
    reading: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<TableEffect>,
}

impl NoticeOptions {
    /// Applies a notice, or shows its effects.
    pub(super) async fn take(
        &self,
        policy: &Policy,
        given: NoticeRequest<'_>,
        clock: &SharedClock,
    ) -> Result<CommandOutput, NoticeCliError> {
        let root = self.grounds.root()?;
        require_active(
            &root,
            &SharedControls::new(root.clone()),
            &self.grounds.loaded()?,
        )
        .await?;
        let NoticeRequest {
            what,
            notice,
            dry_run,
            confirmed,
        } = given;
        let existing = products(&root).await?;
        check_products(policy, notice.products(), &existing)?;
        let now = if dry_run {
            clock.now()
        } else {
            commit_time(&root, clock, &self.grounds.sweep()).await?
        };
        let limits = self.grounds.notice_limits();
        let screening = if confirmed {
            Screening::none()
        } else {
            Screening::refusing(limits)
        };
        let considered = consider(&root, policy, &notice, now, &screening).await?;
        let considered = considered.map_err(NoticeCliError::refused)?;
        let large = considered
            .effects
            .iter()
            .find(|effect| effect.is_too_much(&limits))
            .cloned();
        let large = large.filter(|_| !confirmed);
        let noted = match (dry_run, &large) {
            (true, _) => None,
            (false, Some(effect)) => return Err(NoticeCliError::too_much(effect)),
            (false, None) => {
                let by = CommitIdentity {
                    writer: Uuid::new_v4(),
                    at: now,
                    policy_version: policy.version.clone(),
                };
                match notify_screened(&root, policy, vec![notice.clone()], &by, &screening)
                    .await?
                    .pop()
                {
                    Some(ScreeningOutcome::Passed(NoticeOutcome::Refused(refused))) => {
                        return Err(NoticeCliError::refused(refused));
                    }
                    Some(ScreeningOutcome::TooMuch(effect)) => {
                        return Err(NoticeCliError::too_much(&effect));
                    }
                    Some(ScreeningOutcome::Parked { version, .. }) => {
                        return Err(NoticeCliError::Waiting(version.0));
                    }
                    Some(ScreeningOutcome::Passed(NoticeOutcome::Taken { version, known })) => {
                        Some((version.0, known))
                    }
                    None => None,
                }
            }
        };
        let tables = covered(policy, existing, (&notice, considered.effects));
        let (control, known) = noted.unzip();
        let (at, taken) = (notice.trigger().1, noted.is_some());
        let hint = match considered.known {
            Some(_) => None,
            None => hint(&root, policy, (&notice, &tables)).await?,
        };
        let report = NoticeReport {
            taken,
            known,
            control,
            at,
            needs_confirmation: large.is_some(),
            tables,
            hint,
        };
        Ok(CommandOutput::done(match self.output {
            OutputFormat::Json => json(&report),
            OutputFormat::Text => text(what, &utc_and_local(at, policy), &report),
        }))
    }
}

/// Returns the tables that a notice covers, with its effects.
fn covered(
    policy: &Policy,
    existing: Vec<ProductKey>,
    (notice, effects): (&Notice, Vec<TableEffect>),
) -> Vec<CoveredTable> {
    let covers =
        |product: &ProductKey| notice.products().is_empty() || notice.products().contains(product);
    let of_table = |product: ProductKey| CoveredTable {
        reading: reading(policy, &product, notice),
        effect: effects
            .iter()
            .find(|effect| effect.product == product)
            .cloned(),
        product,
    };
    existing.into_iter().filter(covers).map(of_table).collect()
}

fn text(what: &str, at: &str, report: &NoticeReport) -> String {
    let mut out = match (report.control, report.known) {
        (Some(control), Some(true)) => {
            format!("{what} {at}; that was noted before, as control {control}\n")
        }
        (Some(control), _) => format!("{what} {at}, as control {control}\n"),
        _ => format!("Nothing was noted. {what} {at}\n"),
    };
    if report.tables.is_empty() {
        out.push_str("No table is covered yet; those made later begin under it\n");
        return out;
    }
    out.push_str(if report.taken {
        "In force in"
    } else {
        "It would be in force in"
    });
    out.push_str(" these tables, and in those made later:\n");
    let width = report
        .tables
        .iter()
        .map(|table| table.product.as_str().len())
        .max()
        .unwrap_or(0);
    for table in &report.tables {
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            out,
            "  {:<width$}  {}{}",
            table.product.as_str(),
            table.reading,
            counted(table.effect.as_ref())
        );
    }
    if let Some(hint) = &report.hint {
        let _ = writeln!(out, "{hint}");
    }
    if report.needs_confirmation {
        out.push_str(
            "That is more than notices.max_share allows at once: it is noted with --confirm only\n",
        );
    }
    if report.taken && report.known != Some(true) {
        out.push_str("The sweeps bring stored tags up to date; `ebbtide sweep --dry-run` tells what is left to do\n");
    }
    out
}

/// Describes the effect on stored records, if there are any.
fn counted(effect: Option<&TableEffect>) -> String {
    match effect {
        Some(effect) if effect.concerned > 0 => {
            format!("; {}", effect_text(effect))
        }
        _ => String::new(),
    }
}

/// Describes the records that a notice is about, and those of which a part is due immediately.
pub(super) fn effect_text(effect: &TableEffect) -> String {
    let TableEffect {
        records,
        concerned,
        due,
        categories,
        ..
    } = effect;
    let mut text = format!("{concerned} of {records} records concerned, {due} due at once");
    if *due > 0 {
        let categories: Vec<&str> = categories.iter().map(Category::as_str).collect();
        let _ = write!(text, " ({})", categories.join(", "));
    }
    text
}

/// Describes the records that other notices made due, if any.
fn before(effect: &TableEffect) -> String {
    match effect.before {
        0 => String::new(),
        before => format!(" after {before} in the 24 hours before"),
    }
}

/// Returns the hint for a notice that concerns none of the records that wait for such a trigger.
async fn hint(
    root: &Root,
    policy: &Policy,
    (notice, tables): (&Notice, &[CoveredTable]),
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

/// Describes the deadlines of a product that count from a notice: by the rules of its tenant, if it
/// names one.
pub(super) fn reading(policy: &Policy, product: &ProductKey, notice: &Notice) -> String {
    let (trigger, at) = notice.trigger();
    let records = policy
        .products
        .get(product)
        .and_then(|product| product.records.as_ref());
    let (Some(records), Some(resolver)) = (records, Resolver::new(policy, product)) else {
        return "the policy has no such product: nothing counts from it".to_owned();
    };
    let mut waiting: BTreeSet<String> = BTreeSet::new();
    let mut note = |profile: &Profile| {
        let terms = profile.terms.iter().filter(|term| term.trigger == trigger);
        waiting.extend(terms.map(|term| term.category.to_string()));
    };
    match notice.tenant() {
        None => resolver.profiles().for_each(|profile| note(profile)),
        Some(tenant) => {
            let class = resolver.tenant_class(Some(tenant));
            let countries = (0..Country::INDEXES).filter_map(Country::of_index);
            countries.for_each(|country| note(resolver.profile(country, class)));
        }
    }
    let told = match trigger {
        Trigger::ContractEnd => records
            .tenant
            .as_ref()
            .is_some_and(|column| records.fields.contains_key(column)),
        _ => match notice {
            Notice::ConsentWithdrawal { subject, .. } => subject.is_stored_in(records),
            Notice::ContractEnd { .. } => false,
        },
    };
    if waiting.is_empty() {
        return "nothing counts from it".to_owned();
    }
    let waiting = waiting.into_iter().collect::<Vec<_>>().join(", ");
    match (told, Calendar::is_countable(at)) {
        (false, _) => {
            "stores nothing that tells whose its records are: none can be found".to_owned()
        }
        (true, true) => format!("{waiting} counted from it"),
        (true, false) => format!("{waiting} open: nothing is counted from that date"),
    }
}

/// Refuses a named product that has neither records in the policy nor a table.
fn check_products(
    policy: &Policy,
    named: &[ProductKey],
    existing: &[ProductKey],
) -> Result<(), NoticeCliError> {
    let has_records = |product: &ProductKey| {
        policy
            .products
            .get(product)
            .is_some_and(|product| product.records.is_some())
    };
    for product in named {
        if !has_records(product) && !existing.contains(product) {
            let known = policy
                .products
                .values()
                .filter(|product| product.records.is_some());
            let near = nearest(product.as_str(), known.map(|product| product.key.as_str()));
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(NoticeCliError::Product(product.clone(), near));
        }
    }
    Ok(())
}

/// Returns the instant that `--at` means for a trigger at `now`. A date means its whole day in the
/// policy's zone: if buckets are hours, a withdrawal uses the last hour of the day (or now), so
/// that it concerns all of the day. The end of a contract uses the first hour for ceilings and the
/// last for minimums; a policy that has both requires the instant.
pub(super) fn at(
    policy: &Policy,
    text: &str,
    (trigger, now): (Trigger, DateTime<Utc>),
) -> Result<DateTime<Utc>, NoticeCliError> {
    let Ok(day) = text.parse::<NaiveDate>() else {
        let at = DateTime::parse_from_rfc3339(text).map(|at| at.with_timezone(&Utc));
        return at.map_err(|_| NoticeCliError::When(text.to_owned()));
    };
    let calendar = Calendar::new(policy.zone, BucketUnit::Day);
    let start = calendar.start(Bucket::Day(day));
    let last = calendar.end(Bucket::Day(day)) - TimeDelta::seconds(1);
    if policy.bucket == BucketUnit::Day {
        return Ok(start);
    }
    let waiting = || policy.rules.iter().filter(|rule| rule.trigger == trigger);
    let minimum = waiting().any(|rule| rule.boundary == Boundary::AtLeast);
    let ceiling = waiting().any(|rule| rule.boundary == Boundary::AtMost);
    match trigger {
        Trigger::ContractEnd if minimum && ceiling => Err(NoticeCliError::WholeDay(day)),
        Trigger::ContractEnd => Ok(if minimum { last } else { start }),
        _ if start <= now => Ok(last.min(now)),
        _ => Ok(last),
    }
}

/// Returns the products that were named, sorted and without duplicates.
pub(super) fn sorted(products: &[ProductKey]) -> Vec<ProductKey> {
    let mut products = products.to_vec();
    products.sort();
    products.dedup();
    products
}

/// Formats an instant as every output writes it.
pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
pub(super) mod testing {
    //! Helpers of the tests of both commands.

    use std::sync::Arc;

    use chrono::TimeDelta;

    use super::{CommandOutput, NoticeCliError};
    use ebbtide_base::clock::{ManualClock, SharedClock};
    use ebbtide_controls::testing::{order, signature, two_tables};
    use ebbtide_controls::{Scope, place};
    use ebbtide_table::Root;
    use ebbtide_table::testing::noon;

    /// Returns a clock that shows `days` after noon.
    pub fn clock(days: i64) -> SharedClock {
        Arc::new(ManualClock::at(noon() + TimeDelta::days(days)))
    }

    /// Returns two tables whose newest commit was made at noon, by a hold, and the name of the
    /// hold.
    pub async fn held_tables() -> (tempfile::TempDir, Root, String) {
        let (folder, root) = two_tables().await;
        let scope = Scope {
            tenant: Some("customer-9".to_owned()),
            ..Scope::default()
        };
        let placed = place(&root, order(scope), &signature()).await.unwrap();
        (folder, root, placed.id.to_string())
    }

    /// Returns the paths of all files and folders under a root, sorted.
    pub fn files(root: &Root) -> Vec<std::path::PathBuf> {
        let entries = walkdir::WalkDir::new(root.folder()).sort_by_file_name();
        entries
            .into_iter()
            .map(|entry| entry.unwrap().into_path())
            .collect()
    }

    /// Asserts that `answer` refuses a line by a clock that is far off, and that it changes
    /// nothing.
    pub fn assert_refused_by_a_wrong_clock(
        root: &Root,
        line: &str,
        answer: impl Fn(&Root, &str, i64) -> String,
    ) {
        let before = files(root);
        for (days, verdict) in [
            (400, "ahead"),
            (4, "ahead"),
            (-1, "behind_commit"),
            (-400, "behind_commit"),
        ] {
            let said = answer(root, line, days);
            let start =
                format!("4\nerror: the clock is not trusted ({verdict}), so nothing was changed: ");
            assert!(said.starts_with(&start), "{line} {days}: {said}");
            assert!(
                said.contains("`ebbtide clock show`") && said.contains("`ebbtide clock confirm`"),
                "{said}"
            );
            assert_eq!(files(root), before, "{line} {days}");
        }
    }

    /// Returns the words of a command line for that root and the shipped policy.
    pub fn words(command: &str, root: &Root, line: &str) -> Vec<String> {
        let root = root.folder().display().to_string();
        let words = [command].into_iter().chain(line.split(' '));
        words
            .chain(["--root", &root, "--policy", "config/policy.yaml"])
            .map(str::to_owned)
            .collect()
    }

    /// Returns the exit code and all output.
    pub fn outcome_text(answer: Result<CommandOutput, NoticeCliError>) -> String {
        let outcome = answer.unwrap_or_else(NoticeCliError::outcome);
        format!("{}\n{}{}", outcome.code, outcome.out, outcome.err)
    }
}

#[cfg(test)]
mod tests;
