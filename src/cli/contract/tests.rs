use chrono::TimeDelta;
use clap::Parser;

use super::Args;
use crate::cli::notice::NoticeCliError;
use crate::controls::testing::two_tables;
use crate::store::Root;
use crate::store::testing::noon;

#[derive(Parser)]
#[command(name = "ebbtide contract")]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn answer(root: &Root, line: &str) -> String {
    let words = ["contract"].into_iter().chain(line.split(' ')).map(str::to_owned);
    let root = root.folder().display().to_string();
    let line =
        Line::try_parse_from(words.chain(["--root", &root, "--policy", "config/policy.yaml"].map(str::to_owned)));
    let line = line.unwrap_or_else(|error| panic!("{error}"));
    let outcome = line.args.answer(noon() + TimeDelta::days(1)).unwrap_or_else(NoticeCliError::outcome);
    format!("{}\n{}{}", outcome.code, outcome.out, outcome.err)
}

#[test]
fn a_contracts_end_is_noted_once_replaced_with_a_reason_and_listed() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (_folder, root) = runtime.block_on(two_tables());
    let mut told = String::new();
    for line in [
        "list",
        "end customer-1 --at 2026-11-30 --dry-run",
        "end customer-1 --at 2026-11-30",
        "end customer-1 --at 2026-11-30",
        "end customer-1 --at 2026-10-31 --product sms",
        "end customer-1 --at 2027-05-31",
        "end customer-1 --at 2027-05-31 --reason renewed",
        "end customer-2 --at someday",
        "end customer-2 --at 2026-11-30 --product smss",
        "list",
        "list --output json",
    ] {
        told += &format!("> {line}\n{}", answer(&root, line));
    }
    insta::assert_snapshot!(told);
}
