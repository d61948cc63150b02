use chrono::TimeDelta;
use clap::Parser;
use serde_json::json;

use super::ParkedNoticeArgs;
use crate::cli::notice_options::testing::{
    assert_refused_by_a_wrong_clock, clock, held_tables, outcome_text, words,
};
use ebbtide_controls::testing::two_tables;
use ebbtide_table::testing::noon;
use ebbtide_table::{ControlLog, ControlsVersion, Root};

#[derive(Parser)]
#[command(name = "ebbtide notice")]
struct TestCli {
    #[command(flatten)]
    args: ParkedNoticeArgs,
}

fn answer(root: &Root, line: &str) -> String {
    answer_at(root, line, 1)
}

/// Returns the exit code and the output at a clock that shows `days` after noon.
fn answer_at(root: &Root, line: &str, days: i64) -> String {
    let line = TestCli::try_parse_from(words("notice", root, line))
        .unwrap_or_else(|error| panic!("{error}"));
    outcome_text(line.args.answer(&clock(days)))
}

#[test]
fn notices_that_wait_are_listed_shown_and_decided() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (_folder, root) = runtime.block_on(two_tables());
    let mut all = format!("> list\n{}", answer(&root, "list"));
    let parked = |tenant: &str| {
        let end = json!({"tenant": tenant, "ended_at": noon(), "recorded_at": noon()});
        json!({"format": 1, "kind": "parked_notice", "parked_at": noon(), "product": "sms", "due": 700,
            "records": 900, "notice": {"contract_end": end}})
    };
    let subject = json!({"kind": "phone", "canonical": "31699887766"});
    let withdrawal = json!({"subject": subject, "withdrawn_at": noon(), "recorded_at": noon(),
        "until": noon() + TimeDelta::days(99)});
    let withdrawal = json!({"format": 1, "kind": "parked_notice", "parked_at": noon(), "product": "sms", "due": 700,
        "records": 900, "notice": {"consent_withdrawal": withdrawal}});
    for (version, control) in (1..).zip([parked("acme"), parked("rare"), withdrawal]) {
        let log = ControlLog::open(&root);
        runtime
            .block_on(log.append(ControlsVersion(version), &control))
            .unwrap();
    }
    for line in [
        "list",
        "show 1",
        "show 7",
        "confirm 1",
        "confirm 1",
        "reject 1",
        "reject 2 --reason unknown",
        "confirm 2",
        "list",
        "list --all",
        "show 3 --output json",
    ] {
        all += &format!("> {line}\n{}", answer(&root, line));
    }
    assert!(!all.contains("99887766"), "{all}");
    insta::assert_snapshot!(all);
}

#[test]
fn decision_by_a_wrong_clock_is_refused_and_the_notice_still_waits() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (_folder, root, _) = runtime.block_on(held_tables());
    let end = json!({"tenant": "acme", "ended_at": noon(), "recorded_at": noon()});
    let parked = json!({"format": 1, "kind": "parked_notice", "parked_at": noon(), "product": "sms", "due": 700,
        "records": 900, "notice": {"contract_end": end}});
    runtime
        .block_on(ControlLog::open(&root).append(ControlsVersion(2), &parked))
        .unwrap();
    for line in ["confirm 2", "reject 2 --reason unknown"] {
        assert_refused_by_a_wrong_clock(&root, line, answer_at);
    }
    assert!(answer_at(&root, "list", 1).contains("waiting"));
    assert!(answer_at(&root, "reject 2", 2).starts_with("0\n"));
}

#[test]
fn unreadable_control_log_is_a_failure_and_no_wrong_use() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (_folder, root, _) = runtime.block_on(held_tables());
    let entries = std::fs::read_dir(root.controls_folder()).unwrap();
    for entry in entries.map(|entry| entry.unwrap().path()) {
        if entry.is_file() {
            std::fs::write(entry, "{").unwrap();
        }
    }
    for line in ["list", "show 2", "confirm 2", "reject 2"] {
        let said = answer(&root, line);
        assert!(said.starts_with("1\nerror: "), "{line}: {said}");
    }
}
