//! `ebbtide contract end` and `list`: the ends of tenants' contracts, from which the deadlines of
//! their data count.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde::Serialize;

use super::notice::{NoticeCliError, NoticeOptions, NoticeRequest, at, instant, sorted};
use super::{CommandOutput, OutputFormat, clock, json};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::ProductKey;
use ebbtide_controls::{Control, Controls, Notice, standing};
use ebbtide_policy::{Calendar, Trigger};

#[derive(Debug, clap::Args)]
pub(super) struct ContractArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: NoticeOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Record that the contract with a tenant ended, or will end.
    ///
    /// Categories that the policy keeps until a time after the end of the contract get their
    /// deadline: stored records with the next sweeps, new records when they arrive. When the
    /// command exits with 0, the end is in force in every table that it covers, and in every table
    /// that is created later. The same end given again changes nothing. An earlier end replaces the
    /// recorded one. A later end needs --reason, and does not restore deleted data.
    ///
    /// Without --confirm, these are refused: a date that systems write if they have none
    /// (0001-01-01, 1970-01-01, 9999-12-31), a date before notices.earliest or after
    /// notices.contract_ahead, and an end after which more than notices.max_share of a table is due
    /// immediately.
    ///
    /// Exit code 0: it is in force everywhere. 1: it is not. 2: wrong use or refused, nothing was
    /// changed. 4: the clock is not trusted, and nothing was changed; see `ebbtide clock show`.
    #[command(
        after_help = "Examples:\n  ebbtide contract end customer-17 --at 2026-11-30 --dry-run\n  \
                            ebbtide contract end customer-17 --at 2027-05-31 --reason 'renewed for half a year'"
    )]
    End {
        /// The tenant, as it is stored in the tables.
        tenant: String,
        /// The day on which the contract ends, or the instant.
        #[arg(long, value_name = "DATE")]
        at: String,
        /// A product that the contract is about; can be repeated. Without it, every product.
        #[arg(long = "product", value_name = "PRODUCT", value_parser = ProductKey::new)]
        products: Vec<ProductKey>,
        /// The reason for an end that is later than the recorded one. It is kept: do not name a
        /// person.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Show what would be recorded, and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Record it although the date is implausible, or an unusual share of a table is due
        /// immediately. Run with --dry-run first.
        #[arg(long)]
        confirm: bool,
    },
    /// List the recorded contract ends, which of them count, and where one is not in force yet.
    ///
    /// Exit code 0: all are in force everywhere. 1: one is not; `ebbtide hold list --repair`
    /// finishes it.
    List,
}

/// A contract end as it is listed.
#[derive(Serialize)]
struct Listed {
    control: i64,
    tenant: String,
    ended_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    products: Vec<ProductKey>,
    /// True if no deadline is counted from that date: the deadlines that wait for it are open.
    open: bool,
    /// True if a later notice about the same products replaced it.
    replaced: bool,
    /// The tables that it covers and in which it is not in force yet.
    missing: Vec<ProductKey>,
}

impl ContractArgs {
    pub(super) fn run(self) -> CommandOutput {
        #[cfg(feature = "failpoints")]
        let _watched = ebbtide_base::failpoint::watch();
        self.answer(&clock())
            .unwrap_or_else(NoticeCliError::outcome)
    }

    fn answer(&self, clock: &SharedClock) -> Result<CommandOutput, NoticeCliError> {
        let runtime = super::runtime()?;
        runtime.block_on(async {
            match &self.command {
                Command::End {
                    tenant,
                    at: day,
                    products,
                    reason,
                    dry_run,
                    confirm,
                } => {
                    let policy = self.common.grounds.policy()?;
                    let notice = Notice::ContractEnd {
                        tenant: tenant.clone(),
                        ended_at: at(&policy, day, (Trigger::ContractEnd, clock.now()))?,
                        reason: reason.clone(),
                        products: sorted(products),
                    };
                    let what = format!("The contract with {tenant} ends at");
                    let given = NoticeRequest {
                        what: &what,
                        notice,
                        dry_run: *dry_run,
                        confirmed: *confirm,
                    };
                    self.common.take(&policy, given, clock).await
                }
                Command::List => self.list().await,
            }
        })
    }

    async fn list(&self) -> Result<CommandOutput, NoticeCliError> {
        let root = self.common.grounds.root()?;
        let tables = standing(&root).await?;
        let known = tables
            .iter()
            .map(|(_, version)| *version)
            .max()
            .unwrap_or_default();
        let controls = Controls::load(&root, known).await?;
        let ends = controls
            .iter()
            .filter_map(|(version, control)| match control {
                Control::ContractEnd(end) => Some((*version, end)),
                _ => None,
            });
        let mut listed: Vec<Listed> = Vec::new();
        for (version, end) in ends {
            for before in listed
                .iter_mut()
                .filter(|before| before.tenant == end.tenant)
            {
                let covers = |product: &ProductKey| end.covers(product);
                before.replaced |= end.products.is_empty()
                    || (!before.products.is_empty() && before.products.iter().all(covers));
            }
            let behind = tables
                .iter()
                .filter(|(product, at)| end.covers(product) && *at < version);
            listed.push(Listed {
                control: version.0,
                tenant: end.tenant.clone(),
                ended_at: end.ended_at,
                open: !Calendar::is_countable(end.ended_at),
                recorded_at: end.recorded_at,
                reason: end.reason.clone(),
                products: end.products.clone(),
                replaced: false,
                missing: behind.map(|(product, _)| product.clone()).collect(),
            });
        }
        let whole = listed.iter().all(|end| end.missing.is_empty());
        let out = if self.common.output == OutputFormat::Json {
            json(&listed)
        } else {
            text(&listed)
        };
        Ok(if whole {
            CommandOutput::done(out)
        } else {
            CommandOutput::problem(out)
        })
    }
}

fn text(listed: &[Listed]) -> String {
    if listed.is_empty() {
        return "No contract is noted to have ended.\n".to_owned();
    }
    let names = |products: &[ProductKey]| {
        products
            .iter()
            .map(ProductKey::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut out = String::new();
    let width = listed
        .iter()
        .map(|end| end.tenant.chars().count())
        .max()
        .unwrap_or(0);
    for end in listed {
        let products = if end.products.is_empty() {
            "all products".to_owned()
        } else {
            names(&end.products)
        };
        let replaced = if end.replaced { ", replaced" } else { "" };
        let open = if end.open {
            ", open: nothing is counted from it"
        } else {
            ""
        };
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            out,
            "{:<width$}  {}  {products}, noted {} as control {}{replaced}{open}",
            end.tenant,
            instant(end.ended_at),
            instant(end.recorded_at),
            end.control,
        );
        if let Some(reason) = &end.reason {
            let _ = writeln!(out, "{:<width$}  because {reason}", "");
        }
        if !end.missing.is_empty() {
            let missing = names(&end.missing);
            let _ = writeln!(
                out,
                "{:<width$}  MISSING in {missing}: finish it with `ebbtide hold list --repair`",
                ""
            );
        }
    }
    out
}

#[cfg(test)]
mod tests;
