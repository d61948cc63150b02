use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use clap::{CommandFactory, Parser};

use super::CompactArgs;
use crate::cli::CommandOutput;
use crate::cli::exit_codes::with_exit_codes;
use crate::cli::testing::CommandFixture;
use ebbtide_base::clock::ManualClock;
use ebbtide_maintenance::testing::ANONYMIZE;

#[derive(Parser)]
#[command(name = "ebbtide compact")]
struct TestCli {
    #[command(flatten)]
    args: CompactArgs,
}

/// Creates two days of three segments each.
fn filled() -> CommandFixture {
    let mut place = CommandFixture::new(ANONYMIZE, "sweep: { clock_max_step: 3650d }\n", answer);
    for _ in 0..2 {
        [20, 10, 15]
            .into_iter()
            .for_each(|count| place.ingest(count));
        place.world.pass(TimeDelta::days(1));
    }
    place.world.pass(TimeDelta::hours(12));
    place
}

fn answer(line: &[&str], config: &Path, at: DateTime<Utc>) -> CommandOutput {
    let words = ["compact"]
        .iter()
        .chain(line)
        .map(|word| (*word).to_owned());
    let words = words.chain(["--config".to_owned(), config.display().to_string()]);
    TestCli::parse_from(words)
        .args
        .outcome(Arc::new(ManualClock::at(at)))
}

/// Returns the number of files of rows that the table lists.
fn segments(place: &CommandFixture) -> u64 {
    let found = place
        .runtime
        .block_on(ebbtide_query::audit(
            &place.world.root,
            &"sms".parse().unwrap(),
        ))
        .unwrap();
    assert!(found.holds(), "{:?}", found.broken);
    found.segments
}

#[test]
fn help_shows_the_purpose_and_the_meaning_of_the_exit_codes() {
    let help = with_exit_codes(TestCli::command(), "compact")
        .term_width(120)
        .render_long_help()
        .to_string();
    insta::assert_snapshot!("help", help);
}

#[test]
fn a_dry_run_shows_the_merges_and_changes_nothing() {
    let place = filled();
    let (code, text) = place.says("--dry-run");
    assert_eq!(code, 0);
    insta::assert_snapshot!("dry_run", text);
    insta::assert_snapshot!("dry_run_json", place.says("--dry-run --output json").1);
    assert_eq!(segments(&place), 6);
}

#[test]
fn merges_are_reported_and_work_that_is_left_has_its_own_exit_code() {
    let place = filled();
    let (code, text) = place.says("--steps 1");
    let mut transcript = format!("--- one step: {code}\n{text}");
    assert_eq!(segments(&place), 4);
    let (code, text) = place.says("--product sms --output json");
    transcript += &format!("--- the rest: {code}\n{text}");
    assert_eq!(segments(&place), 2);
    let (code, text) = place.says("");
    transcript += &format!("--- once more: {code}\n{text}");
    transcript += &place.says("--dry-run").1;
    insta::assert_snapshot!("results", transcript);
    assert_eq!(place.runtime.block_on(place.world.rows()).len(), 90);
}

#[test]
fn a_failed_merge_is_reported_and_other_segments_are_merged() {
    let place = filled();
    let files = walkdir::WalkDir::new(place.world.root.folder())
        .into_iter()
        .map(|entry| entry.unwrap().into_path());
    let of_the_first =
        |path: &std::path::PathBuf| path.display().to_string().contains("bucket=2026-11-24");
    let damaged = files
        .filter(|path| path.extension().is_some_and(|kind| kind == "parquet"))
        .find(of_the_first);
    std::fs::write(damaged.unwrap(), "damaged").unwrap();
    let (code, text) = place.says("");
    assert_eq!(code, 1);
    assert!(text.starts_with("2 merges: 5 segments became 2"), "{text}");
    assert!(
        text.ends_with("1 merge failed; the log says why\n"),
        "{text}"
    );
}

#[test]
fn a_wrong_use_is_reported_and_nothing_is_done() {
    let place = filled();
    let (code, text) = place.says("--product voice");
    let mut transcript = format!("{code} {text}");
    std::fs::write(place.folder.path().join("policy.yaml"), "version: 1\n").unwrap();
    let (code, text) = place.says("");
    transcript += &format!("{code} {text}");
    std::fs::remove_file(place.folder.path().join("ebbtide.yaml")).unwrap();
    let (code, text) = place.says("");
    transcript += &format!("{code} {text}");
    insta::assert_snapshot!("wrong_uses", transcript);
    assert_eq!(segments(&place), 6);
}

#[test]
fn a_policy_that_is_not_the_active_one_is_a_wrong_use() {
    let place = filled();
    place.activate_another();
    let (code, text) = place.says("");
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("test-2"), "{text}");
    assert_eq!(segments(&place), 6);
}
