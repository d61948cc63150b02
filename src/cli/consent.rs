//! `ebbtide consent withdraw`: people who withdrew consent, at which windows that rest on it end.

use clap::Subcommand;

use super::hold::value_of_stdin;
use super::notice::{Common, Given, NoticeCliError, at, sorted};
use super::{Outcome, clock};
use crate::clock::SharedClock;
use crate::controls::{Notice, Subject};
use crate::ids::ProductKey;
use crate::policy::Trigger;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Note that a person withdrew consent.
    ///
    /// What the policy keeps on consent is due at the withdrawal, where its window is longer: of the records that name the person
    /// and whose event is not later. What happens on a later day is another consent's. It is in force in every table that it
    /// covers once the command ends with 0, and in every table made later; who withdrew is forgotten once every record that it
    /// concerns would be past its window anyway.
    #[command(
        after_help = "Examples:\n  ebbtide consent withdraw --subject phone:+31612345678 --at 2026-11-24 --dry-run\n  \
                            printf 'email:ann@example.org' | ebbtide consent withdraw --subject - --at 2026-11-24"
    )]
    Withdraw {
        /// The person: phone:+31612345678, email:ann@example.org or channel:whatsapp:ID; `-` reads it from standard input, which
        /// keeps it out of the shell's history.
        #[arg(long, value_name = "KIND:VALUE")]
        subject: String,
        /// From this tenant only, as it stands in the tables.
        #[arg(long)]
        tenant: Option<String>,
        /// The day on which it was withdrawn, all of it, or the instant.
        #[arg(long, value_name = "DATE")]
        at: String,
        /// A product that it is about; give it again for more. Without it, every product.
        #[arg(long = "product", value_name = "PRODUCT", value_parser = ProductKey::new)]
        products: Vec<ProductKey>,
        /// Say what would be noted, and do nothing.
        #[arg(long)]
        dry_run: bool,
        /// Note it although its date is unlikely, or it makes an unusual share of a table due at once. See --dry-run first.
        #[arg(long)]
        confirm: bool,
    },
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        #[cfg(feature = "failpoints")]
        let _watched = crate::failpoint::watch();
        self.answer(&clock()).unwrap_or_else(NoticeCliError::outcome)
    }

    fn answer(&self, clock: &SharedClock) -> Result<Outcome, NoticeCliError> {
        let Command::Withdraw { subject, tenant, at: day, products, dry_run, confirm } = &self.command;
        let subject: Subject = if subject == "-" { value_of_stdin()?.parse()? } else { subject.parse()? };
        let policy = self.common.grounds.policy()?;
        let what = format!("{subject} withdrew at");
        let (tenant, withdrawn_at) = (tenant.clone(), at(&policy, day, (Trigger::ConsentWithdrawn, clock.now()))?);
        let notice = Notice::ConsentWithdrawal { subject, tenant, withdrawn_at, products: sorted(products) };
        let runtime = super::runtime()?;
        let given = Given { what: &what, notice, dry_run: *dry_run, confirmed: *confirm };
        runtime.block_on(self.common.take(&policy, given, clock))
    }
}

#[cfg(test)]
mod tests;
