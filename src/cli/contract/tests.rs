use chrono::TimeDelta;
use clap::Parser;

use super::Args;
use crate::cli::notice::testing::{told, words};
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
    let line = Line::try_parse_from(words("contract", root, line)).unwrap_or_else(|error| panic!("{error}"));
    told(line.args.answer(noon() + TimeDelta::days(1)))
}

#[test]
fn a_contracts_end_is_noted_once_replaced_with_a_reason_and_listed() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
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
