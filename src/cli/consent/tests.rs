use chrono::TimeDelta;
use clap::Parser;

use super::Args;
use crate::cli::notice::testing::{told, words};
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
    let line = Line::try_parse_from(words("consent", root, line)).unwrap_or_else(|error| panic!("{error}"));
    told(line.args.answer(noon() + TimeDelta::days(1)))
}

#[test]
fn who_withdrew_is_noted_once_and_never_shown() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
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
