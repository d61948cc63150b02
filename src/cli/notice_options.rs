//! The options of `ebbtide contract`, `ebbtide consent` and `ebbtide notice`, and the report about a
//! recorded notice as text. No subject is ever shown.

use std::fmt::Write;

use super::context::CliContext;
use super::time_arg::utc_and_local;
use super::{CommandFailure, CommandOutput, OutputFormat, shown};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::Category;
use ebbtide_controls::TableEffect;
use ebbtide_policy::LoadedPolicy;
use ebbtide_services::notices::{NoticeContext, NoticeReport, NoticeRequest, record};

/// The options that every such command has.
#[derive(Debug, clap::Args)]
pub(super) struct NoticeOptions {
    #[command(flatten)]
    pub(super) grounds: CliContext,
    /// The format of the result.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(super) output: OutputFormat,
}

impl NoticeOptions {
    /// Records a notice, or shows its effects. `what` has the first words of the text about it: `The
    /// contract with t ends at`.
    pub(super) async fn record(
        &self,
        loaded: &LoadedPolicy,
        what: &str,
        request: NoticeRequest,
        clock: &SharedClock,
    ) -> Result<CommandOutput, CommandFailure> {
        let context = NoticeContext {
            root: &self.grounds.root()?,
            loaded,
            limits: self.grounds.notice_limits(),
            clock,
            sweep: &self.grounds.sweep(),
        };
        let report = record(&context, request).await?;
        let at = utc_and_local(report.at, &loaded.policy);
        let out = shown(&report, self.output, |report| text(what, &at, report));
        Ok(CommandOutput::done(out))
    }
}

fn text(what: &str, at: &str, report: &NoticeReport) -> String {
    let mut out = match (report.control, report.known) {
        (Some(control), Some(true)) => {
            format!("{what} {at}; that was recorded before, as control {control}\n")
        }
        (Some(control), _) => format!("{what} {at}, as control {control}\n"),
        _ => format!("Nothing was recorded. {what} {at}\n"),
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
            "That is more than notices.max_share allows in one step: it is recorded only with --confirm\n",
        );
    }
    if report.taken && report.known != Some(true) {
        out.push_str("The sweeps bring stored tags up to date; `ebbtide sweep --dry-run` shows what is left to do\n");
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
    let mut text = format!("{concerned} of {records} records concerned, {due} due immediately");
    if *due > 0 {
        let categories: Vec<&str> = categories.iter().map(Category::as_str).collect();
        let _ = write!(text, " ({})", categories.join(", "));
    }
    text
}

#[cfg(test)]
pub(super) mod testing {
    //! Helpers of the tests of both commands.

    use std::sync::Arc;

    use chrono::TimeDelta;

    use crate::cli::{CommandFailure, CommandOutput};
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
    pub fn outcome_text(answer: Result<CommandOutput, CommandFailure>) -> String {
        let outcome = answer.unwrap_or_else(CommandFailure::outcome);
        format!("{}\n{}{}", outcome.code, outcome.out, outcome.err)
    }
}
