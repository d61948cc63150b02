//! `ebbtide notice`: contract ends and withdrawals that are not applied until a person confirms
//! them.
//!
//! No subject is ever shown.

use std::fmt::Write;

use clap::Subcommand;

use super::notice_options::{NoticeOptions, effect_text};
use super::time_arg::instant;
use super::{CommandFailure, CommandOutput, clock, runtime, shown};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::ProductKey;
use ebbtide_services::notices::{
    DecisionReport, ListedNotice, ParkedNoticeReport, ParkedNotices, list_parked,
};
use ebbtide_table::Root;

#[derive(Debug, clap::Args)]
pub(super) struct ParkedNoticeArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: NoticeOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the notices that wait for a decision.
    ///
    /// A notice from a topic waits if more than notices.max_share of a table would be due
    /// immediately. It is not in force before it is confirmed.
    List {
        /// List decided notices too.
        #[arg(long)]
        all: bool,
    },
    /// Show one notice, and the records that would be due immediately in the tables as they are
    /// now.
    Show {
        /// The notice's number, as `list` shows it.
        number: i64,
    },
    /// Apply a notice. When the command exits with 0, it is in force in every table that it covers.
    #[command(after_help = "Example:\n  ebbtide notice show 17\n  ebbtide notice confirm 17")]
    Confirm {
        /// The notice's number, as `list` shows it.
        number: i64,
    },
    /// Reject a notice: it is not applied, also if the topic repeats it.
    ///
    /// `contract end` and `consent withdraw` with --confirm still record the same.
    Reject {
        /// The notice's number, as `list` shows it.
        number: i64,
        /// The reason. It is kept: do not name a person.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

impl ParkedNoticeArgs {
    pub(super) fn run(self) -> CommandOutput {
        #[cfg(feature = "failpoints")]
        let _watched = ebbtide_base::failpoint::watch();
        self.answer(&clock())
            .unwrap_or_else(CommandFailure::outcome)
    }

    fn answer(&self, clock: &SharedClock) -> Result<CommandOutput, CommandFailure> {
        let (runtime, root) = (runtime()?, self.common.grounds.root()?);
        runtime.block_on(async {
            let output = self.common.output;
            Ok(CommandOutput::done(match &self.command {
                Command::List { all } => return self.list(&root, *all, clock).await,
                Command::Show { number } => {
                    let notices = self.parked(root, clock).await?;
                    shown(&notices.show(*number).await?, output, text)
                }
                Command::Confirm { number } => {
                    let notices = self.parked(root, clock).await?;
                    shown(&notices.confirm(*number).await?, output, decision)
                }
                Command::Reject { number, reason } => {
                    let notices = self.parked(root, clock).await?;
                    let report = notices.reject(*number, reason.clone()).await?;
                    shown(&report, output, decision)
                }
            }))
        })
    }

    async fn parked(
        &self,
        root: Root,
        clock: &SharedClock,
    ) -> Result<ParkedNotices, CommandFailure> {
        Ok(ParkedNotices {
            policy: self.common.grounds.active_policy(&root).await?,
            root,
            clock: SharedClock::clone(clock),
            sweep: self.common.grounds.sweep(),
        })
    }

    async fn list(
        &self,
        root: &Root,
        all: bool,
        clock: &SharedClock,
    ) -> Result<CommandOutput, CommandFailure> {
        let mut listed = list_parked(root, clock.now()).await?;
        let none_waits = !listed.iter().any(ListedNotice::is_waiting);
        listed.retain(|notice| all || notice.is_waiting());
        let out = shown(&listed, self.common.output, |listed| {
            match listed.is_empty() {
                true => "No notice waits for a decision.\n".to_owned(),
                false => listed.iter().map(line).collect(),
            }
        });
        Ok(CommandOutput::checked(out, none_waits))
    }
}

fn decision(report: &DecisionReport) -> String {
    let DecisionReport {
        control,
        decision,
        number,
    } = report;
    match control {
        Some(control) => {
            format!("Notice {number} is {decision} and in force, as control {control}\n")
        }
        None => format!("Notice {number} is {decision}: it is not applied\n"),
    }
}

fn text(report: &ParkedNoticeReport) -> String {
    let (notice, tables) = (&report.notice, &report.tables);
    let mut out = line(notice);
    out.push_str("By the tables as they are now:\n");
    let width = tables
        .iter()
        .map(|table| table.product.as_str().len())
        .max()
        .unwrap_or(0);
    for table in tables {
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            out,
            "  {:<width$}  {}",
            table.product.as_str(),
            effect_text(table)
        );
    }
    if notice.is_waiting() {
        let number = notice.number;
        let _ = writeln!(
            out,
            "Apply it with `ebbtide notice confirm {number}`, or `ebbtide notice reject {number}`"
        );
    }
    out
}

fn line(notice: &ListedNotice) -> String {
    let what = match (&notice.subject, &notice.tenant) {
        (Some(subject), Some(tenant)) => format!("{subject} withdrew consent from {tenant}"),
        (Some(subject), None) => format!("{subject} withdrew consent"),
        (None, tenant) => format!(
            "the contract with {} ends",
            tenant.as_deref().unwrap_or("?")
        ),
    };
    let products: Vec<&str> = notice.products.iter().map(ProductKey::as_str).collect();
    let products = if products.is_empty() {
        "all products".to_owned()
    } else {
        products.join(", ")
    };
    let mut text = format!(
        "{}  {}: {what} at {}, {products}; parked {} since it would make at least {} of {} records of {} due immediately",
        notice.number,
        notice.state,
        instant(notice.at),
        instant(notice.parked_at),
        notice.due,
        notice.records,
        notice.product,
    );
    if notice.before > 0 {
        let _ = write!(text, ", after {} in the 24 hours before", notice.before);
    }
    if let Some(at) = notice.decided_at {
        let _ = write!(text, "; decided {}", instant(at));
    }
    if let Some(reason) = &notice.reason {
        let _ = write!(text, " because {reason}");
    }
    text + "\n"
}

#[cfg(test)]
mod tests;
