use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use clap::{CommandFactory, Parser};

use super::SweepArgs;
use crate::cli::CommandOutput;
use crate::cli::exit_codes::with_exit_codes;
use crate::cli::testing::{CommandFixture, plain};
use ebbtide_base::clock::{Clock, ManualClock};
use ebbtide_controls::Scope;
use ebbtide_maintenance::testing::{ANONYMIZE, number};

#[derive(Parser)]
#[command(name = "ebbtide sweep")]
struct TestCli {
    #[command(flatten)]
    args: SweepArgs,
}

/// Creates a place with twenty records of as many people, stored as they were sent. The clock may
/// advance by years while no instance runs.
fn filled(end: &str) -> CommandFixture {
    let maintain = "maintain: { readers_grace: 0s, orphan_age: 1000d }\n";
    let mut place = CommandFixture::new(
        end,
        &format!("{maintain}sweep: {{ clock_max_step: 3650d }}\n"),
        answer,
    );
    place.ingest(20);
    place
}

/// Returns the table's files of rows.
fn segments(place: &CommandFixture) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(place.world.root.folder())
        .into_iter()
        .map(|entry| entry.unwrap().into_path());
    files
        .filter(|path| path.to_string_lossy().contains("profile=") && path.extension().is_some())
        .collect()
}

fn answer(line: &[&str], config: &Path, at: DateTime<Utc>) -> CommandOutput {
    let words = ["sweep"].iter().chain(line).map(|word| (*word).to_owned());
    let words = words.chain(["--config".to_owned(), config.display().to_string()]);
    TestCli::parse_from(words)
        .args
        .outcome(Arc::new(ManualClock::at(at)))
}

#[test]
fn help_shows_the_purpose_and_the_meaning_of_the_exit_codes() {
    let help = with_exit_codes(TestCli::command(), "sweep")
        .term_width(120)
        .render_long_help()
        .to_string();
    insta::assert_snapshot!("help", help);
}

#[test]
fn a_dry_run_shows_what_is_due_and_changes_nothing() {
    let place = filled("remove");
    let before = segments(&place);
    let (code, nothing) = place.says("--dry-run");
    assert_eq!((code, nothing.as_str()), (0, "nothing is due\n"));
    place.world.pass(TimeDelta::days(8));
    let (code, text) = place.says("--dry-run");
    assert_eq!(code, 0);
    insta::assert_snapshot!("dry_run", text);
    let later = (place.world.clock.now() + TimeDelta::days(30)).to_rfc3339();
    insta::assert_snapshot!(
        "dry_run_json",
        place
            .says(&format!("--dry-run --output json --until {later}"))
            .1
    );
    assert_eq!(segments(&place), before);
}

#[test]
fn due_data_is_deleted_and_the_deletion_is_reported() {
    let place = filled(ANONYMIZE);
    place.world.pass(TimeDelta::days(8));
    let (code, text) = place.says("");
    let mut transcript = format!("--- after 8 days: {code}\n{text}");
    let (code, text) = place.says("");
    transcript += &format!("--- once more: {code}\n{text}");
    place.world.pass(TimeDelta::days(30));
    let (code, text) = place.says("--product sms --output json");
    transcript += &format!("--- after 38 days: {code}\n{text}");
    insta::assert_snapshot!("results", transcript);
    place.runtime.block_on(place.world.balances());
}

#[test]
fn held_data_stays_and_is_reported() {
    let place = filled("remove");
    let subject = format!("phone:{}", number(3)).parse().unwrap();
    let scope = Scope {
        subject: Some(subject),
        ..Scope::default()
    };
    place.runtime.block_on(place.world.hold(scope));
    place.world.pass(TimeDelta::days(38));
    let (_, planned) = place.says("--dry-run");
    assert!(
        planned.contains("19 records in 1 segment") && planned.ends_with(", 1 more held\n"),
        "{planned}"
    );
    let (code, text) = place.says("");
    assert_eq!(code, 0);
    assert_eq!(
        place.says("--dry-run"),
        (0, "nothing is due\n".to_owned()),
        "what is held is not due"
    );
    insta::assert_snapshot!(text, @r"
    1 piece of work in 2 commits: 0 fields dropped, 19 records ended (0 in 0 cells, 0 suppressed, 19 removed), 1 held; N bytes copied, N bytes dropped; 0 replaced files unlinked
    ");
    assert_eq!(place.runtime.block_on(place.world.rows()).len(), 1);
}

#[test]
fn more_that_is_left_is_an_exit_code_of_its_own() {
    let mut place = filled("remove");
    place.world.pass(TimeDelta::days(1));
    place.ingest(5);
    place.world.pass(TimeDelta::days(8));
    let (code, text) = place.says("--steps 1");
    assert_eq!(code, 3, "{text}");
    insta::assert_snapshot!(text, @r"
    1 piece of work in 1 commit: 20 fields dropped, 0 records ended (0 in 0 cells, 0 suppressed, 0 removed), 0 held; N bytes copied, N bytes dropped; 0 replaced files unlinked
    more is due
    ");
    assert_eq!(place.says("--steps 1").0, 0);
}

#[test]
fn a_clock_that_is_not_trusted_stops_it() {
    let mut place = filled("remove");
    place.world.pass(TimeDelta::days(9));
    place.ingest(5);
    let outcome = place.outcome("", place.world.clock.now() - TimeDelta::hours(1));
    assert_eq!(outcome.code, 4);
    insta::assert_snapshot!(plain(&outcome.out), @r"
    0 pieces of work in 0 commits: 0 fields dropped, 0 records ended (0 in 0 cells, 0 suppressed, 0 removed), 0 held; N bytes copied, N bytes dropped; 0 replaced files unlinked
    stopped: the clock is not trusted (behind_commit): the clock shows 2026-12-03T11:00:00Z, 60 minutes before the newest commit, 2026-12-03T12:00:00Z; nothing is deleted until the clock is corrected, or `ebbtide clock confirm` says that it is right
    more is due
    ");
    let json: serde_json::Value = serde_json::from_str(
        &place
            .outcome(
                "--output json",
                place.world.clock.now() - TimeDelta::hours(1),
            )
            .out,
    )
    .unwrap();
    assert_eq!(
        (&json["clock"], &json["more"]),
        (&"behind_commit".into(), &true.into())
    );
}

#[test]
fn sweep_stops_if_the_clock_differs_from_the_records_of_the_root() {
    let mut place = CommandFixture::new(
        "remove",
        "maintain: { readers_grace: 0s, orphan_age: 1000d }\n",
        answer,
    );
    place.ingest(20);
    assert_eq!(place.says("").0, 0);
    let before = segments(&place);
    let now = place.world.clock.now();
    for days in [100, 4, 3650, -1, -100] {
        let outcome = place.outcome("", now + TimeDelta::days(days));
        assert_eq!(outcome.code, 4, "{days}: {}", outcome.out);
        assert!(
            outcome.out.contains("`ebbtide clock confirm`"),
            "{days}: {}",
            outcome.out
        );
        assert_eq!(segments(&place), before, "{days}");
    }
    // Within the bound of the last trusted sweep.
    for days in [2, 5, 8] {
        assert_eq!(
            place.outcome("", now + TimeDelta::days(days)).code,
            0,
            "{days}"
        );
    }
    assert_ne!(segments(&place), before, "the content was due after 7 days");
}

#[test]
fn file_that_cannot_be_deleted_is_a_failure_and_the_others_are_deleted() {
    let mut place = filled("remove");
    place.world.pass(TimeDelta::days(1));
    place.ingest(5);
    let files = segments(&place);
    let set = |sign: &str| {
        std::process::Command::new("chattr")
            .arg(sign)
            .arg(&files[0])
            .output()
    };
    if !set("+i").is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: this file system or user cannot make a file immutable (chattr +i)");
        return;
    }
    place.world.pass(TimeDelta::days(40));
    place.says("");
    place.world.pass(TimeDelta::minutes(1));
    let (text, json) = (place.says(""), place.says("--output json"));
    set("-i").unwrap();
    assert_eq!((text.0, json.0), (1, 1), "{}", text.1);
    assert!(
        text.1.contains("1 file could not be deleted: bucket=") && text.1.contains(".parquet"),
        "{}",
        text.1
    );
    assert!(json.1.contains("\"undeleted\": 1"), "{}", json.1);
    assert_eq!(segments(&place), files[..1]);
    assert_eq!(place.says("").0, 0);
    assert!(segments(&place).is_empty());
}

#[test]
fn a_segment_that_cannot_be_swept_fails_and_its_neighbours_are_swept() {
    let mut place = filled("remove");
    for file in segments(&place) {
        std::fs::write(file, "damaged").unwrap();
    }
    place.world.pass(TimeDelta::days(1));
    place.ingest(5);
    place.world.pass(TimeDelta::days(8));
    let (code, text) = place.says("");
    assert_eq!(code, 1);
    insta::assert_snapshot!(text, @r"
    1 piece of work in 1 commit: 5 fields dropped, 0 records ended (0 in 0 cells, 0 suppressed, 0 removed), 0 held; N bytes copied, N bytes dropped; 0 replaced files unlinked
    1 piece of work failed; the log says why
    ");
}

#[test]
fn those_that_would_end_with_a_segment_at_fault_end_without_it() {
    let mut place = filled(ANONYMIZE);
    for file in segments(&place) {
        std::fs::write(file, "damaged").unwrap();
    }
    place.ingest(5);
    place.world.pass(TimeDelta::days(38));
    let (code, text) = place.says("");
    assert_eq!(code, 1);
    assert!(
        text.starts_with("1 piece of work in 1 commit: 0 fields dropped, 5 records ended "),
        "{text}"
    );
    assert!(
        text.ends_with("1 piece of work failed; the log says why\n"),
        "{text}"
    );
}

#[test]
fn a_wrong_use_is_reported_and_nothing_is_done() {
    let place = filled("remove");
    place.world.pass(TimeDelta::days(8));
    let later = (place.world.clock.now() + TimeDelta::days(1)).to_rfc3339();
    let mut transcript = String::new();
    for line in ["--product voice".to_owned(), format!("--until {later}")] {
        let (code, text) = place.says(&line);
        transcript += &format!("{code} {text}");
    }
    let nowhere = answer(
        &[],
        Path::new("/nowhere/ebbtide.yaml"),
        place.world.clock.now(),
    );
    transcript += &format!("{} {}", nowhere.code, nowhere.err);
    std::fs::write(place.folder.path().join("policy.yaml"), "version: 1\n").unwrap();
    let (code, text) = place.says("");
    transcript += &format!("{code} {text}");
    std::fs::remove_file(place.folder.path().join("policy.yaml")).unwrap();
    let (code, text) = place.says("");
    transcript += &format!("{code} {text}");
    insta::assert_snapshot!("wrong_uses", transcript);
    assert!(TestCli::try_parse_from(["sweep", "--product", "No product"]).is_err());
    assert!(TestCli::try_parse_from(["sweep", "--until", "tomorrow"]).is_err());
}

/// Returns the policy of the place with words replaced.
fn edited(end: &str, from: &str, to: &str) -> String {
    let text = ebbtide_maintenance::testing::policy_text(end);
    assert!(text.contains(from), "nothing to replace: {from}");
    text.replace(from, to)
}

/// Edits of the text under its version, each with the expected part of the refusal.
const EDITS: [(&str, &str, &str); 6] = [
    (
        "body: content",
        "body: phone_number",
        "sms: field body: content -> phone_number",
    ),
    (
        "keep: 7 days",
        "keep: 8 days",
        "sms: content: at_most 7 days",
    ),
    (
        "      segments: none\n",
        "",
        "sms: field segments is removed (was none)",
    ),
    ("content", "message_text", "category message_text is new"),
    (
        "version: test-1\n",
        "version: test-1 # as agreed\n",
        "line 1 of the policy file",
    ),
    (
        "zone: UTC",
        "zone: Asia/Kolkata",
        "zone: the days of stored data were counted in UTC",
    ),
];

#[test]
fn first_sweep_records_its_policy_and_any_other_text_is_refused() {
    let place = filled("remove");
    place.world.pass(TimeDelta::days(6));
    assert_eq!(place.says("").0, 0);
    let before = segments(&place);
    place.world.pass(TimeDelta::days(2));
    for (from, to, says) in EDITS {
        place.write("policy.yaml", &edited("remove", from, to));
        for line in ["", "--dry-run"] {
            let (code, text) = place.says(line);
            assert_eq!(code, 2, "{to}: {text}");
            assert!(
                text.contains("policy test-1 is not what was activated as test-1"),
                "{to}: {text}"
            );
            assert!(
                text.contains(says) && text.contains("ebbtide policy plan"),
                "{to}: {text}"
            );
        }
    }
    place.write(
        "policy.yaml",
        &edited("remove", "version: test-1", "version: test-2"),
    );
    let (code, text) = place.says("");
    assert!(
        code == 2 && text.contains("policy test-2 is not activated; test-1 is active"),
        "{text}"
    );
    place.write("policy.yaml", &edited("remove", "test-1", "test-1"));
    let schema = ebbtide_maintenance::testing::SCHEMA.replace("\"int\"", "\"long\"");
    place.write("sms.avsc", &schema);
    let (code, text) = place.says("");
    assert!(
        code == 2 && text.contains("line 7 of schema sms.avsc"),
        "{text}"
    );
    assert_eq!(segments(&place), before, "nothing was deleted");
    place.write("sms.avsc", ebbtide_maintenance::testing::SCHEMA);
    let (code, text) = place.says("");
    assert!(code == 0 && text.contains("20 fields dropped"), "{text}");
}

#[test]
fn tables_without_an_active_policy_accept_only_the_policy_of_their_data() {
    for (from, to, says) in [
        (
            "version: test-1",
            "version: test-2",
            "stored under policy test-1, not test-2",
        ),
        (
            "keep: 7 days",
            "keep: 8 days",
            "content kept at_most 7 days from event",
        ),
        (
            "content",
            "message_text",
            "content kept at_most 7 days from event",
        ),
        (
            "      segments: none\n",
            "",
            "holds columns that policy test-1 does not have: segments",
        ),
        (
            "body: content",
            "body: phone_number",
            "content kept at_most 7 days from event",
        ),
        (
            "  sms:\n    topics: [traffic.sms]",
            "  mms:\n    topics: [traffic.sms]",
            "does not have",
        ),
    ] {
        let place = filled("remove");
        place.world.pass(TimeDelta::days(8));
        let text = edited("remove", from, to).replace(
            "products: [sms]",
            if to.contains("mms") {
                "products: [mms]"
            } else {
                "products: [sms]"
            },
        );
        place.write("policy.yaml", &text);
        let (code, text) = place.says("");
        assert_eq!(code, 2, "{to}: {text}");
        assert!(
            text.contains(says) && text.contains("ebbtide policy activate NEW --policy OLD"),
            "{to}: {text}"
        );
        assert!(
            !place.world.root.controls_folder().exists(),
            "{to}: nothing is recorded"
        );
        place.write("policy.yaml", &edited("remove", "test-1", "test-1"));
        assert_eq!(place.says("--dry-run").0, 0);
        assert!(
            !place.world.root.controls_folder().exists(),
            "a dry run records nothing"
        );
        let (code, text) = place.says("");
        assert!(code == 0 && text.contains("20 fields dropped"), "{text}");
    }
}

#[test]
fn a_policy_that_is_not_the_active_one_is_a_wrong_use() {
    let place = filled(ANONYMIZE);
    place.activate_another();
    place.world.pass(TimeDelta::days(8));
    let (code, text) = place.says("");
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("test-2"), "{text}");
}

#[test]
fn times_that_do_not_fit_the_policys_grace_are_refused_with_both_places() {
    for (sections, key) in [
        (
            "maintain: { readers_grace: 30d, orphan_age: 1000d }\n",
            "maintain.readers_grace",
        ),
        ("sweep: { every: 24h, takeover: 24h }\n", "sweep.every"),
        ("sweep: { clock_settle: 10h }\n", "sweep.clock_settle"),
    ] {
        let place = CommandFixture::new("remove", sections, answer);
        for words in ["", "--dry-run"] {
            let (code, said) = place.says(words);
            assert_eq!(code, 2, "{said}");
            let problem = format!(": error: {key}: ");
            let parts = [
                problem.as_str(),
                "HERE/policy.yaml:",
                "a grace of 6 hours; write ",
            ];
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        }
    }
}
