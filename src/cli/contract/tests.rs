use clap::Parser;

use super::ContractArgs;
use crate::cli::notice_options::testing::{
    assert_refused_by_a_wrong_clock, clock, files, held_tables, outcome_text, words,
};
use ebbtide_controls::testing::two_tables;
use ebbtide_table::Root;

#[derive(Parser)]
#[command(name = "ebbtide contract")]
struct TestCli {
    #[command(flatten)]
    args: ContractArgs,
}

fn answer(root: &Root, line: &str) -> String {
    answer_at(root, line, 1)
}

/// Returns the exit code and the output at a clock that shows `days` after noon.
fn answer_at(root: &Root, line: &str, days: i64) -> String {
    let line = TestCli::try_parse_from(words("contract", root, line))
        .unwrap_or_else(|error| panic!("{error}"));
    outcome_text(line.args.answer(&clock(days)))
}

#[test]
fn a_contract_end_is_recorded_once_replaced_with_a_reason_and_listed() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (_folder, root) = runtime.block_on(two_tables());
    let mut all = String::new();
    for line in [
        "list",
        "end customer-1 --at 2026-11-30 --dry-run",
        "end customer-1 --at 2026-11-30",
        "end customer-1 --at 2026-11-30",
        "end customer-1 --at 2026-10-31 --product sms",
        "end customer-1 --at 2027-05-31",
        "end customer-1 --at 2027-05-31 --reason renewed",
        "end customer-2 --at 9999-12-31",
        "end customer-2 --at 9999-12-31 --confirm",
        "end customer-3 --at 0001-01-01 --dry-run",
        "end customer-3 --at 1970-01-01T00:00:00Z",
        "end customer-3 --at 1999-01-01",
        "end customer-3 --at 2099-12-31 --reason x",
        "end customer-2 --at someday",
        "end customer-2 --at 2026-11-30 --product smss",
        "list",
        "list --output json",
    ] {
        all += &format!("> {line}\n{}", answer(&root, line));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn contract_end_by_a_wrong_clock_is_refused_and_leaves_no_commit() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (_folder, root, _) = runtime.block_on(held_tables());
    for line in [
        "end customer-1 --at 2026-10-31",
        "end customer-1 --at 2026-10-31 --product sms --confirm",
    ] {
        assert_refused_by_a_wrong_clock(&root, line, answer_at);
    }
    let before = files(&root);
    let dry = answer_at(&root, "end customer-1 --at 2026-10-31 --dry-run", 400);
    assert!(dry.starts_with("0\nNothing was recorded."), "{dry}");
    assert_eq!(files(&root), before);
    assert!(answer_at(&root, "end customer-1 --at 2026-10-31", 2).starts_with("0\n"));
}
