use chrono::TimeDelta;
use clap::Parser;

use super::Args;
use crate::cli::notice::NoticeCliError;
use crate::controls::testing::{HELD, naming, two_tables};
use crate::store::Root;
use crate::store::testing::noon;

#[derive(Parser)]
#[command(name = "ebbtide consent")]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn answer(root: &Root, line: &str) -> String {
    let words = ["consent"].into_iter().chain(line.split(' ')).map(str::to_owned);
    let root = root.folder().display().to_string();
    let line =
        Line::try_parse_from(words.chain(["--root", &root, "--policy", "config/policy.yaml"].map(str::to_owned)));
    let line = line.unwrap_or_else(|error| panic!("{error}"));
    let outcome = line.args.answer(noon() + TimeDelta::days(1)).unwrap_or_else(NoticeCliError::outcome);
    format!("{}\n{}{}", outcome.code, outcome.out, outcome.err)
}

#[test]
fn who_withdrew_is_noted_once_and_never_shown() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (_folder, root) = runtime.block_on(two_tables());
    let mut told = String::new();
    for line in [
        format!("withdraw --subject phone:+{HELD} --at 2026-09-20 --dry-run"),
        format!("withdraw --subject phone:+{HELD} --at 2026-09-20"),
        format!("withdraw --subject phone:+{HELD} --at 2027-09-20"),
        "withdraw --subject fax:1 --at 2026-09-20".to_owned(),
    ] {
        told += &format!("> {line}\n{}", answer(&root, &line)).replace(HELD, "NUMBER");
    }
    assert!(naming(&root).len() <= 1);
    insta::assert_snapshot!(told);
}
