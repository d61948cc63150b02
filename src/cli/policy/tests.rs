use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;

use super::PolicyArgs;
use crate::cli::CommandOutput;
use crate::cli::testing::CommandFixture;
use ebbtide_base::clock::{Clock, ManualClock, SharedClock};
use ebbtide_controls::Controls;
use ebbtide_maintenance::testing::policy_text;
use ebbtide_table::ControlsVersion;

#[derive(Parser)]
#[command(name = "ebbtide policy")]
struct TestCli {
    #[command(flatten)]
    args: PolicyArgs,
}

/// Creates a table of twenty texts, and next to it the policy in use.
fn filled() -> CommandFixture {
    let mut place = CommandFixture::new("remove", "", answer);
    place.ingest(20);
    place
}

fn answer(line: &[&str], config: &Path, at: DateTime<Utc>) -> CommandOutput {
    let words = ["policy"].iter().chain(line).map(|word| (*word).to_owned());
    TestCli::parse_from(words.chain(["--config".to_owned(), config.display().to_string()]))
        .args
        .run_by(&(Arc::new(ManualClock::at(at)) as SharedClock))
}

/// Writes a policy of that version, with words of the first policy replaced.
fn policy(place: &CommandFixture, version: &str, words: &[(&str, &str)]) {
    let text = policy_text("remove").replace("version: test-1", &format!("version: {version}"));
    let text = words.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "nothing to replace: {from}");
        text.replace(from, to)
    });
    place.write(&format!("{version}.yaml"), &text);
}

/// Returns the exit code and the output of a command line, without the digest of a policy.
fn says(place: &CommandFixture, line: &str) -> (u8, String) {
    let (code, text) = place.says(line);
    (
        code,
        regex::Regex::new("[0-9a-f]{64}")
            .unwrap()
            .replace_all(&text, "DIGEST")
            .into_owned(),
    )
}

const SHORTER: (&str, &str) = ("keep: 7 days", "keep: 1 days");

#[test]
fn a_plan_shows_what_moves_what_is_deleted_and_the_cost() {
    let place = filled();
    place.world.pass(TimeDelta::days(3));
    policy(
        &place,
        "test-2",
        &[
            SHORTER,
            ("keep: 30 days", "keep: 40 days"),
            ("      segments: none\n", ""),
            ("status: none", "status: content"),
        ],
    );
    let (code, text) = says(&place, "plan HERE/test-2.yaml");
    assert_eq!(code, 0, "{text}");
    insta::assert_snapshot!("plan", text);
    let (code, text) = says(&place, "plan HERE/test-2.yaml --output json");
    assert_eq!(code, 0);
    insta::assert_snapshot!("plan_json", text);
    policy(&place, "test-3", &[]);
    insta::assert_snapshot!("plan_of_nothing", says(&place, "plan HERE/test-3.yaml").1);
    assert!(
        !place.world.root.controls_folder().exists(),
        "a plan changes nothing"
    );
}

#[test]
fn an_impossible_change_is_refused_by_plan_and_activate() {
    let place = filled();
    let basis =
        "keep: 7 days, trigger: event, boundary: at_most, grace: 6 hours, bases: [eu-gdpr:A6-1-b]";
    let longer = "keep: 9 days, trigger: event, boundary: at_most, grace: 6 hours";
    policy(
        &place,
        "test-2",
        &[(basis, longer), ("zone: UTC", "zone: Europe/Amsterdam")],
    );
    let (code, planned) = says(&place, "plan HERE/test-2.yaml");
    assert_eq!(code, 1);
    insta::assert_snapshot!("refused", planned);
    let (code, refused) = says(&place, "activate HERE/test-2.yaml");
    assert_eq!(code, 1);
    let complaints = |text: &str| {
        text.lines()
            .filter(|line| line.contains(": error: "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(complaints(&refused), complaints(&planned));
    policy(
        &place,
        "test-3",
        &[("event_time: sent_at", "event_time: sent")],
    );
    assert_eq!(
        says(&place, "activate HERE/test-3.yaml").0,
        1,
        "it does not even pass the check"
    );
    assert!(!place.world.root.controls_folder().exists());
}

#[test]
fn a_policy_is_activated_once_and_its_history_is_shown() {
    let place = filled();
    policy(&place, "test-2", &[SHORTER]);
    let mut transcript = String::new();
    for line in [
        "history",
        "activate HERE/test-2.yaml --dry-run",
        "activate HERE/test-2.yaml",
        // Repeated, as after a lost answer.
        "activate HERE/test-2.yaml",
        "activate HERE/test-1.yaml",
        "history",
        "history --output json",
    ] {
        policy(&place, "test-1", &[]);
        let (code, text) = says(&place, line);
        transcript += &format!("--- {line}: {code}\n{text}");
    }
    insta::assert_snapshot!("a_life", transcript);
    let controls = place
        .runtime
        .block_on(Controls::load(&place.world.root, ControlsVersion(0)))
        .unwrap();
    assert_eq!(controls.iter().count(), 1);
    policy(&place, "test-2", &[("keep: 7 days", "keep: 2 days")]);
    let (code, text) = says(&place, "activate HERE/test-2.yaml");
    assert_eq!(code, 1);
    assert!(
        text.contains("another policy has the version `test-2` already"),
        "{text}"
    );
    let (code, text) = says(&place, "history --show test-2");
    assert!(code == 0 && text.contains("keep: 1 days"), "{text}");
}

#[test]
fn activation_by_a_wrong_clock_is_refused_and_records_nothing() {
    let place = filled();
    let before = place.world.clock.now();
    policy(&place, "test-1", &[]);
    policy(&place, "test-2", &[SHORTER]);
    // The first activation of a root, and a change of policy.
    for (version, days) in [
        ("test-1", 400),
        ("test-2", 400),
        ("test-2", -400),
        ("test-2", 4),
    ] {
        let at = before + TimeDelta::days(days);
        let CommandOutput { out, err, code } =
            place.outcome(&format!("activate HERE/{version}.yaml"), at);
        assert_eq!((code, out.as_str()), (4, ""), "{version} {days}: {err}");
        assert!(
            err.contains("the clock is not trusted") && err.contains("`ebbtide clock show`"),
            "{err}"
        );
        assert!(
            !place.world.root.controls_folder().exists(),
            "{version} {days}"
        );
    }
    let later = before + TimeDelta::days(2);
    assert_eq!(place.outcome("activate HERE/test-2.yaml", later).code, 0);
}
