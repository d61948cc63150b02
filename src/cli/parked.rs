//! `ebbtide notice`: contract ends and withdrawals that are not applied until a person confirms
//! them.
//!
//! No subject is ever shown. Exit code 1: a notice waits, or it is not in force everywhere; 2:
//! wrong use.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde::Serialize;
use uuid::Uuid;

use super::commit_clock::commit_time;
use super::notice::{NoticeCliError, NoticeOptions, effect_text, instant};
use super::{CommandOutput, OutputFormat, clock, json};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::ProductKey;
use ebbtide_controls::{
    CommitIdentity, Controls, DecideError, LoggedNotice, Notice, ParkedDecision, ParkedState,
    Preview, TableEffect, confirm, reject,
};
use ebbtide_policy::Policy;
use ebbtide_table::{ControlsVersion, Root};

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
    ///
    /// Exit code 0: none waits. 1: at least one waits.
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
    ///
    /// Exit code 0: it is in force everywhere. 1: it is not. 2: wrong use, or no such notice waits.
    /// 4: the clock is not trusted, and nothing was changed; see `ebbtide clock show`.
    #[command(after_help = "Example:\n  ebbtide notice show 17\n  ebbtide notice confirm 17")]
    Confirm {
        /// The notice's number, as `list` shows it.
        number: i64,
    },
    /// Reject a notice: it is not applied, also if the topic repeats it.
    ///
    /// `contract end` and `consent withdraw` with --confirm still record the same.
    ///
    /// Exit code 0: it is rejected. 1: something failed. 2: wrong use, or no such notice waits. 4:
    /// the clock is not trusted, and nothing was changed; see `ebbtide clock show`.
    Reject {
        /// The notice's number, as `list` shows it.
        number: i64,
        /// The reason. It is kept: do not name a person.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

/// A notice in the list.
#[derive(Serialize)]
struct Listed {
    number: i64,
    /// `contract_end` or `consent_withdrawn`.
    trigger: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    /// The person, in a form that does not identify them.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    at: DateTime<Utc>,
    products: Vec<ProductKey>,
    parked_at: DateTime<Utc>,
    /// The product in which it would have made too many records due immediately when it was parked.
    product: ProductKey,
    due: u64,
    records: u64,
    /// The number of records that the notices of the 24 hours before it made due.
    before: u64,
    /// `waiting`, `confirmed`, `rejected` or `over`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A notice with its effect.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    listed: Listed,
    tables: Vec<TableEffect>,
}

impl ParkedNoticeArgs {
    pub(super) fn run(self) -> CommandOutput {
        #[cfg(feature = "failpoints")]
        let _watched = ebbtide_base::failpoint::watch();
        self.answer(&clock())
            .unwrap_or_else(NoticeCliError::outcome)
    }

    fn answer(&self, clock: &SharedClock) -> Result<CommandOutput, NoticeCliError> {
        let runtime = super::runtime()?;
        runtime.block_on(async {
            let root = self.common.grounds.root()?;
            match &self.command {
                Command::List { all } => self.list(&root, *all, clock.now()).await,
                Command::Show { number } => {
                    self.show(&root, ControlsVersion(*number), clock.now())
                        .await
                }
                Command::Confirm { number } => {
                    let policy = self.common.grounds.active_policy(&root).await?;
                    let by = self.signature(&root, &policy, clock).await?;
                    let control = confirm(&root, &policy, ControlsVersion(*number), &by).await?;
                    Ok(self.decided(*number, "confirmed", Some(control.0)))
                }
                Command::Reject { number, reason } => {
                    let policy = self.common.grounds.active_policy(&root).await?;
                    let by = self.signature(&root, &policy, clock).await?;
                    reject(&root, ControlsVersion(*number), reason.clone(), &by).await?;
                    Ok(self.decided(*number, "rejected", None))
                }
            }
        })
    }

    async fn signature(
        &self,
        root: &Root,
        policy: &Policy,
        clock: &SharedClock,
    ) -> Result<CommitIdentity, NoticeCliError> {
        let at = commit_time(root, clock, &self.common.grounds.sweep()).await?;
        Ok(CommitIdentity {
            writer: Uuid::new_v4(),
            at,
            policy_version: policy.version.clone(),
        })
    }

    async fn list(
        &self,
        root: &Root,
        all: bool,
        now: DateTime<Utc>,
    ) -> Result<CommandOutput, NoticeCliError> {
        let controls = Controls::load(root, ControlsVersion(0)).await?;
        let parked = controls.parked(now);
        let waiting = parked
            .iter()
            .filter(|known| known.state == ParkedState::Waiting)
            .count();
        let shown = parked
            .iter()
            .filter(|known| all || known.state == ParkedState::Waiting);
        let listed: Vec<Listed> = shown.map(Listed::of).collect();
        let out = match self.common.output {
            OutputFormat::Json => json(&listed),
            OutputFormat::Text if listed.is_empty() => {
                "No notice waits for a decision.\n".to_owned()
            }
            OutputFormat::Text => listed.iter().map(Listed::text).collect(),
        };
        Ok(if waiting == 0 {
            CommandOutput::done(out)
        } else {
            CommandOutput::problem(out)
        })
    }

    async fn show(
        &self,
        root: &Root,
        number: ControlsVersion,
        now: DateTime<Utc>,
    ) -> Result<CommandOutput, NoticeCliError> {
        let policy = self.common.grounds.active_policy(root).await?;
        let controls = Controls::load(root, ControlsVersion(0)).await?;
        let known = controls
            .parked(now)
            .into_iter()
            .find(|known| known.version == number);
        let known = known.ok_or(DecideError::Unknown(number))?;
        let control = known.notice.notice.control();
        let recent = controls.made_due_recently(now);
        let tables = Preview::open(root, &policy, recent)
            .await?
            .effects(&[&control], now)
            .await?;
        let listed = Listed::of(&known);
        if self.common.output == OutputFormat::Json {
            return Ok(CommandOutput::done(json(&Shown { listed, tables })));
        }
        let mut out = listed.text();
        out.push_str("By the tables as they are now:\n");
        let width = tables
            .iter()
            .map(|table| table.product.as_str().len())
            .max()
            .unwrap_or(0);
        for table in &tables {
            // Writing to a `String` cannot fail.
            let _ = writeln!(
                out,
                "  {:<width$}  {}",
                table.product.as_str(),
                effect_text(table)
            );
        }
        if known.state == ParkedState::Waiting {
            let number = number.0;
            let _ = writeln!(
                out,
                "Apply it with `ebbtide notice confirm {number}`, or `ebbtide notice reject {number}`"
            );
        }
        Ok(CommandOutput::done(out))
    }

    fn decided(&self, number: i64, decision: &str, control: Option<i64>) -> CommandOutput {
        CommandOutput::done(match (self.common.output, control) {
            (OutputFormat::Json, control) => json(
                &serde_json::json!({ "number": number, "decision": decision, "control": control }),
            ),
            (OutputFormat::Text, Some(control)) => {
                format!("Notice {number} is {decision} and in force, as control {control}\n")
            }
            (OutputFormat::Text, None) => {
                format!("Notice {number} is {decision}: it is not applied\n")
            }
        })
    }
}

impl Listed {
    fn of(known: &LoggedNotice<'_>) -> Listed {
        let notice = known.notice.notice.notice();
        let (trigger, at) = notice.trigger();
        let subject = match &notice {
            Notice::ConsentWithdrawal { subject, .. } => Some(subject.to_string()),
            Notice::ContractEnd { .. } => None,
        };
        Listed {
            number: known.version.0,
            trigger: trigger.to_string(),
            tenant: notice.tenant().map(str::to_owned),
            subject,
            at,
            products: notice.products().to_vec(),
            parked_at: known.notice.parked_at,
            product: known.notice.product.clone(),
            due: known.notice.due,
            records: known.notice.records,
            before: known.notice.before,
            state: match known.state {
                ParkedState::Waiting => "waiting",
                ParkedState::Decided(ParkedDecision::Confirmed) => "confirmed",
                ParkedState::Decided(ParkedDecision::Rejected) => "rejected",
                ParkedState::Over => "over",
            },
            decided_at: known.decision.map(|decision| decision.decided_at),
            reason: known.decision.and_then(|decision| decision.reason.clone()),
        }
    }

    fn text(&self) -> String {
        let what = match (&self.subject, &self.tenant) {
            (Some(subject), Some(tenant)) => format!("{subject} withdrew consent from {tenant}"),
            (Some(subject), None) => format!("{subject} withdrew consent"),
            (None, tenant) => format!(
                "the contract with {} ends",
                tenant.as_deref().unwrap_or("?")
            ),
        };
        let products: Vec<&str> = self.products.iter().map(ProductKey::as_str).collect();
        let products = if products.is_empty() {
            "all products".to_owned()
        } else {
            products.join(", ")
        };
        let mut text = format!(
            "{}  {}: {what} at {}, {products}; parked {} since it would make at least {} of {} records of {} due at once",
            self.number,
            self.state,
            instant(self.at),
            instant(self.parked_at),
            self.due,
            self.records,
            self.product,
        );
        if self.before > 0 {
            let _ = write!(text, ", after {} in the 24 hours before", self.before);
        }
        if let Some(at) = self.decided_at {
            let _ = write!(text, "; decided {}", instant(at));
        }
        if let Some(reason) = &self.reason {
            let _ = write!(text, " because {reason}");
        }
        text + "\n"
    }
}

#[cfg(test)]
mod tests;
