//! `ebbtide consent withdraw`: records the withdrawals of consent that end the retention based on
//! it.

use clap::Subcommand;

use super::notice_options::NoticeOptions;
use super::stdin::value_of_stdin;
use super::{CommandFailure, CommandOutput, clock, runtime};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::ProductKey;
use ebbtide_controls::{Notice, Subject};
use ebbtide_policy::Trigger;
use ebbtide_services::notices::{NoticeRequest, notice_date, sorted};

#[derive(Debug, clap::Args)]
pub(super) struct ConsentArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: NoticeOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Record that a person withdrew consent.
    ///
    /// Data that the policy keeps because of consent is due at the withdrawal, unless it is due
    /// earlier: in records that name the person and whose event is not after the withdrawal. Later
    /// events need a new consent. When the command exits with 0, the withdrawal is in force in
    /// every table that it covers, and in every table that is created later. The person is
    /// forgotten once every such record has expired anyway.
    #[command(
        after_help = "Examples:\n  ebbtide consent withdraw --subject phone:+31612345678 --at 2026-11-24 --dry-run\n  \
                            printf 'email:ann@example.org' | ebbtide consent withdraw --subject - --at 2026-11-24"
    )]
    Withdraw {
        /// The person: phone:+31612345678, email:ann@example.org or channel:whatsapp:ID. With `-`
        /// it is read from standard input, and so is not in the history of the shell.
        #[arg(long, value_name = "KIND:VALUE")]
        subject: String,
        /// Only the consent given to this tenant, as it is stored in the tables.
        #[arg(long)]
        tenant: Option<String>,
        /// The day of the withdrawal (the whole day counts), or the instant.
        #[arg(long, value_name = "DATE")]
        at: String,
        /// A product that the consent is about; can be repeated. Without it, every product.
        #[arg(long = "product", value_name = "PRODUCT", value_parser = ProductKey::new)]
        products: Vec<ProductKey>,
        /// Show what would be recorded, and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Record it although the date is implausible, or an unusual share of a table is due
        /// immediately. Run with --dry-run first.
        #[arg(long)]
        confirm: bool,
    },
}

impl ConsentArgs {
    pub(super) fn run(self) -> CommandOutput {
        #[cfg(feature = "failpoints")]
        let _watched = ebbtide_base::failpoint::watch();
        self.answer(&clock())
            .unwrap_or_else(CommandFailure::outcome)
    }

    fn answer(&self, clock: &SharedClock) -> Result<CommandOutput, CommandFailure> {
        let Command::Withdraw {
            subject,
            tenant,
            at: day,
            products,
            dry_run,
            confirm,
        } = &self.command;
        let subject: Subject = if subject == "-" {
            value_of_stdin()?.parse()?
        } else {
            subject.parse()?
        };
        let loaded = self.common.grounds.loaded()?;
        let what = format!("{subject} withdrew at");
        let trigger = Trigger::ConsentWithdrawn;
        let notice = Notice::ConsentWithdrawal {
            subject,
            tenant: tenant.clone(),
            withdrawn_at: notice_date(&loaded.policy, day, trigger, clock.now())?,
            products: sorted(products),
        };
        let request = NoticeRequest {
            notice,
            dry_run: *dry_run,
            confirmed: *confirm,
        };
        runtime()?.block_on(self.common.record(&loaded, &what, request, clock))
    }
}

#[cfg(test)]
mod tests;
