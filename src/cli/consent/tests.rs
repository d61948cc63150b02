use clap::Parser;

use super::ConsentArgs;
use crate::cli::notice_options::testing::{
    assert_refused_by_a_wrong_clock, clock, held_tables, outcome_text, words,
};
use ebbtide_controls::testing::{HELD, naming, two_tables};
use ebbtide_table::Root;

#[derive(Parser)]
#[command(name = "ebbtide consent")]
struct TestCli {
    #[command(flatten)]
    args: ConsentArgs,
}

fn answer(root: &Root, line: &str) -> String {
    answer_at(root, line, 1)
}

/// Returns the exit code and the output at a clock that shows `days` after noon.
fn answer_at(root: &Root, line: &str, days: i64) -> String {
    let line = TestCli::try_parse_from(words("consent", root, line))
        .unwrap_or_else(|error| panic!("{error}"));
    outcome_text(line.args.answer(&clock(days)))
}

#[test]
fn a_withdrawal_is_recorded_once_and_its_subject_never_shown() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (_folder, root) = runtime.block_on(two_tables());
    let mut all = String::new();
    for line in [
        format!("withdraw --subject phone:+{HELD} --at 2026-09-20 --dry-run"),
        format!("withdraw --subject phone:+{HELD} --at 2026-09-20"),
        format!("withdraw --subject phone:+{HELD} --at 2027-09-20"),
        "withdraw --subject fax:1 --at 2026-09-20".to_owned(),
    ] {
        all += &format!("> {line}\n{}", answer(&root, &line)).replace(HELD, "NUMBER");
    }
    assert!(naming(&root).len() <= 1);
    insta::assert_snapshot!(all);
}

#[test]
fn withdrawal_by_a_wrong_clock_is_refused_and_leaves_no_commit() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (_folder, root, _) = runtime.block_on(held_tables());
    let line = format!("withdraw --subject phone:+{HELD} --at 2026-09-20");
    assert_refused_by_a_wrong_clock(&root, &line, answer_at);
    assert!(naming(&root).is_empty());
    assert!(answer_at(&root, &line, 2).starts_with("0\n"));
}
