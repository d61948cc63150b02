//! `ebbtide contract end` and `list`: the ends of tenants' contracts, from which the deadlines of
//! their data count.

use std::fmt::Write;

use clap::Subcommand;

use super::notice_options::NoticeOptions;
use super::time_arg::instant;
use super::{CommandFailure, CommandOutput, clock, runtime, shown};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::ProductKey;
use ebbtide_controls::Notice;
use ebbtide_policy::Trigger;
use ebbtide_services::notices::{
    ListedContractEnd, NoticeRequest, contract_ends, notice_date, sorted,
};

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
    List,
}

impl ContractArgs {
    pub(super) fn run(self) -> CommandOutput {
        #[cfg(feature = "failpoints")]
        let _watched = ebbtide_base::failpoint::watch();
        self.answer(&clock())
            .unwrap_or_else(CommandFailure::outcome)
    }

    fn answer(&self, clock: &SharedClock) -> Result<CommandOutput, CommandFailure> {
        runtime()?.block_on(async {
            match &self.command {
                Command::End {
                    tenant,
                    at: day,
                    products,
                    reason,
                    dry_run,
                    confirm,
                } => {
                    let loaded = self.common.grounds.loaded()?;
                    let notice = Notice::ContractEnd {
                        tenant: tenant.clone(),
                        ended_at: notice_date(
                            &loaded.policy,
                            day,
                            Trigger::ContractEnd,
                            clock.now(),
                        )?,
                        reason: reason.clone(),
                        products: sorted(products),
                    };
                    let request = NoticeRequest {
                        notice,
                        dry_run: *dry_run,
                        confirmed: *confirm,
                    };
                    let what = format!("The contract with {tenant} ends at");
                    self.common.record(&loaded, &what, request, clock).await
                }
                Command::List => self.list().await,
            }
        })
    }

    async fn list(&self) -> Result<CommandOutput, CommandFailure> {
        let listed = contract_ends(&self.common.grounds.root()?).await?;
        let whole = listed.iter().all(|end| end.missing.is_empty());
        let out = shown(&listed, self.common.output, |listed| text(listed));
        Ok(CommandOutput::checked(out, whole))
    }
}

fn text(listed: &[ListedContractEnd]) -> String {
    if listed.is_empty() {
        return "No contract end is recorded.\n".to_owned();
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
            "{:<width$}  {}  {products}, recorded {} as control {}{replaced}{open}",
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
