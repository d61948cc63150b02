use clap::{CommandFactory, Parser};

use super::HoldArgs;
use crate::cli::exit_codes::with_exit_codes;
use crate::cli::notice_options::testing::{assert_refused_by_a_wrong_clock, clock, held_tables};
use ebbtide_base::ids::ProductKey;
use ebbtide_controls::testing::{naming, signature, two_tables};
use ebbtide_table::testing::{noon, root};
use ebbtide_table::{ControlsVersion, Root, raise_controls};

#[derive(Parser)]
#[command(name = "ebbtide hold")]
struct TestCli {
    #[command(flatten)]
    args: HoldArgs,
}

const ORDER: &str = "place --case 2026-17 --basis court-order --until 2027-01-31";

fn parsed(root: &Root, line: &str) -> Result<TestCli, clap::Error> {
    let words = ["hold"]
        .into_iter()
        .chain(line.split(' '))
        .map(str::to_owned);
    let root = root.folder().display().to_string();
    TestCli::try_parse_from(
        words.chain(["--root", &root, "--policy", "config/policy.yaml"].map(str::to_owned)),
    )
}

/// Returns the exit code and the output at a clock that shows `days` after noon.
fn answer_at(root: &Root, line: &str, days: i64) -> (u8, String) {
    let line = parsed(root, line).unwrap_or_else(|error| panic!("{error}"));
    let outcome = line.args.outcome(&clock(days));
    (outcome.code, outcome.out + &outcome.err)
}

/// Records that the time is `days` after the first.
fn confirm_clock(root: &Root, days: i64) {
    let (id, at) = (
        "confirmed".to_owned(),
        noon() + chrono::TimeDelta::days(days),
    );
    let confirmation = ebbtide_table::Confirmation {
        id,
        at,
        by: None,
        newest_commit: None,
        ahead_of_store: None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime
        .block_on(root.record_confirmation(&confirmation))
        .unwrap();
}

fn answer(root: &Root, line: &str) -> (u8, String) {
    answer_at(root, line, 0)
}

fn nameless(text: &str) -> String {
    regex::Regex::new("hold-[0-9a-f]{8}")
        .unwrap()
        .replace_all(text, "hold-N")
        .into_owned()
}

fn name(text: &str) -> String {
    regex::Regex::new("hold-[0-9a-f]{8}")
        .unwrap()
        .find(text)
        .unwrap()
        .as_str()
        .to_owned()
}

fn tables() -> (tempfile::TempDir, Root) {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(two_tables())
}

#[test]
fn a_hold_is_placed_listed_released_and_forgotten() {
    let (_folder, root) = tables();
    let (code, placed) = answer(
        &root,
        &format!(
            "{ORDER} --subject phone:+31699887766 --tenant customer-1 --from 2026-09-01 --to 2026-09-30"
        ),
    );
    let mut transcript = format!("{code}\n{placed}");
    let (code, listed) = answer(&root, "list");
    transcript += &format!("--- list {code}\n{listed}");
    let (code, revealed) = answer(&root, "list --reveal");
    assert!(
        code == 0 && revealed.contains("  subject   phone:+31699887766\n"),
        "{revealed}"
    );
    let (code, released) = answer(&root, &format!("release {}", name(&placed)));
    transcript += &format!("--- release {code}\n{released}");
    let (code, listed) = answer(&root, "list");
    transcript += &format!("--- list {code}\n{listed}");
    assert!(
        !transcript.contains("99887766") && naming(&root).is_empty(),
        "{transcript}"
    );
    insta::assert_snapshot!("a_life", nameless(&transcript));
}

#[test]
fn a_dry_run_says_what_would_be_held_and_does_nothing() {
    let (_folder, root) = tables();
    let (code, text) = answer(
        &root,
        &format!("{ORDER} --subject phone:0699887766 --dry-run"),
    );
    assert_eq!((code, root.controls_folder().exists()), (0, false));
    insta::assert_snapshot!("dry_run", text);
    let (_, text) = answer(
        &root,
        &format!("{ORDER} --subject email:ann@example.org --dry-run --output json"),
    );
    insta::assert_snapshot!("dry_run_json", text);
}

#[test]
fn a_list_comes_as_json_too_with_masked_subjects() {
    let (_folder, root) = tables();
    assert_eq!(
        answer(&root, "list"),
        (0, "There are no holds.\n".to_owned())
    );
    answer(
        &root,
        &format!("{ORDER} --subject channel:WhatsApp:4917012345 --product voice"),
    );
    let (code, refused) = answer(&root, "list --output json");
    assert_eq!(
        (code, refused),
        (0, "[]\n".to_owned()),
        "a product that has no channel subject was accepted"
    );
    answer(
        &root,
        &format!(
            "{ORDER} --subject phone:+31699887766 --product voice --to 2026-09-30T12:00:00+02:00"
        ),
    );
    let (code, text) = answer(&root, "list --output json");
    assert_eq!(code, 0);
    insta::assert_snapshot!("list_json", nameless(&text));
}

#[test]
fn a_hold_that_is_not_in_force_everywhere_is_reported_and_repaired() {
    let (_folder, root) = tables();
    let (_, placed) = answer(&root, &format!("{ORDER} --product sms"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        // As if the command had been killed after the first of its two tables.
        let log = ebbtide_table::ControlLog::open(&root);
        let (_, mut control) = log.load_from(ControlsVersion(1)).await.unwrap().remove(0);
        control["id"] = "hold-00000001".into();
        control["scope"]["products"] = serde_json::json!(["sms", "voice"]);
        log.append(ControlsVersion(2), &control).await.unwrap();
        let sms: ProductKey = "sms".parse().unwrap();
        let evidence = ebbtide_table::Evidence::control(
            "hold",
            signature().writer,
            noon(),
            signature().policy_version,
        );
        raise_controls(&root, &sms, ControlsVersion(2), evidence)
            .await
            .unwrap();
    });
    let (code, text) = answer(&root, "list");
    assert_eq!(code, 1);
    assert!(text.contains(&name(&placed)), "{text}");
    assert!(
        text.ends_with(
            "  tables    sms\n  MISSING   voice: finish it with `ebbtide hold list --repair`\n"
        ),
        "{text}"
    );
    let (code, text) = answer(&root, "list --repair");
    assert!(
        code == 0 && text.ends_with("  tables    sms, voice\n"),
        "{text}"
    );
}

#[test]
fn a_hold_past_its_end_is_listed_as_ended_and_repair_forgets_its_scope() {
    let (_folder, root) = tables();
    answer(&root, &format!("{ORDER} --subject phone:+31699887766"));
    let (_, text) = answer_at(&root, "list", 200);
    assert!(
        text.contains("  ended\n") && text.contains("  subject   phone:…66\n"),
        "{text}"
    );
    let (code, text) = answer_at(&root, "list --repair", 200);
    assert!(
        code == 4 && text.contains("`ebbtide clock confirm`"),
        "{text}"
    );
    assert_eq!(
        naming(&root).len(),
        1,
        "nothing is forgotten by a clock that is not trusted"
    );
    confirm_clock(&root, 200);
    let (_, text) = answer_at(&root, "list --repair", 200);
    assert!(
        text.contains("  ended\n") && text.contains("  covered   is forgotten\n"),
        "{text}"
    );
    assert!(naming(&root).is_empty());
}

#[test]
fn a_date_takes_in_its_whole_day_in_the_policys_zone() {
    let (_folder, root) = tables();
    let (_, text) = answer(
        &root,
        &format!("{ORDER} --from 2026-10-25 --to 2026-10-25 --dry-run"),
    );
    assert!(text.contains("until 2027-01-31T23:00:00Z"), "{text}");
    // The clocks of Amsterdam were set back on that day.
    assert!(
        text.contains("from 2026-10-24T22:00:00Z and before 2026-10-25T23:00:00Z"),
        "{text}"
    );
    let (_, text) = answer(
        &root,
        &format!("{ORDER} --to 2026-10-25T12:00:00+02:00 --dry-run"),
    );
    assert!(
        text.contains("events    before 2026-10-25T10:00:00Z"),
        "{text}"
    );
}

#[test]
fn a_wrong_use_is_reported_with_its_fix_and_nothing_is_done() {
    let (_folder, root) = tables();
    let lines = [
        "",
        " --subject phone",
        " --subject fax:+31699887766",
        " --subject phone:+31699887766 --product email",
        " --product smms",
        " --from 2026-09-02 --to 2026-09-01",
        " --from yesterday",
        " --tenant t --until 2020-01-01",
    ];
    let refusals: String = lines
        .iter()
        .map(|line| {
            let order = if line.contains("--until") {
                "place --case c --basis b"
            } else {
                ORDER
            };
            let (code, text) = answer(&root, &format!("{order}{line}"));
            assert_eq!(code, 2, "{line}");
            text
        })
        .collect();
    assert!(!root.controls_folder().exists() && !refusals.contains("99887766"));
    let (code, unknown) = answer(&root, "release hold-00000000");
    assert_eq!(code, 1);
    let misnamed = parsed(&root, "release seventeen")
        .err()
        .unwrap()
        .to_string();
    insta::assert_snapshot!("wrong_uses", format!("{refusals}{unknown}{misnamed}"));
}

#[test]
fn a_root_without_tables_takes_a_hold_for_those_to_come() {
    let (_folder, root) = root();
    let (code, text) = answer(&root, &format!("{ORDER} --tenant customer-1"));
    assert!(
        code == 0 && text.contains("No table is covered yet; those made later begin under it"),
        "{text}"
    );
}

#[test]
fn the_help_of_hold_is_worth_reading() {
    let mut command = with_exit_codes(TestCli::command(), "hold").term_width(100);
    command.build();
    let mut text = command.render_long_help().to_string();
    for name in ["place", "list", "release"] {
        text += &format!(
            "\n--- {name}\n{}",
            command
                .find_subcommand_mut(name)
                .unwrap()
                .render_long_help()
        );
    }
    insta::assert_snapshot!("help", text);
}

#[test]
fn hold_is_placed_by_a_wrong_clock_and_dated_by_the_newest_commit() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (_folder, root, _) = runtime.block_on(held_tables());
    for (days, verdict) in [(400, "ahead"), (4, "ahead"), (-400, "behind_commit")] {
        let order = "place --case 2026-17 --basis court-order --until 2029-01-31 --output json";
        let line = parsed(&root, &format!("{order} --subject phone:+31699887766")).unwrap();
        let outcome = line.args.outcome(&clock(days));
        assert_eq!(outcome.code, 0, "{days}: {}", outcome.err);
        let shown: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
        assert_eq!(shown["placed"], true, "{days}");
        let warning =
            format!("warning: the clock is not trusted ({verdict}), so the commit is dated 2026-");
        assert!(outcome.err.starts_with(&warning), "{days}: {}", outcome.err);
        let newest = runtime
            .block_on(ebbtide_query::newest_commit(&root))
            .unwrap();
        assert_eq!(
            newest,
            Some(noon()),
            "{days}: the right clock stays trusted"
        );
    }
    let (code, text) = answer_at(&root, &format!("{ORDER} --tenant t"), 2);
    assert!(code == 0 && !text.contains("warning"), "{text}");
}

#[test]
fn hold_is_placed_although_a_wrong_clock_dated_a_commit_after_its_end() {
    let (_folder, root) = tables();
    let far = "place --case 2026-17 --basis court-order --until 2029-01-31 --tenant t";
    assert_eq!(
        answer_at(&root, far, 500).0,
        0,
        "nothing shows that this clock is wrong"
    );
    let (code, text) = answer_at(&root, &format!("{ORDER} --subject phone:+31699887766"), 0);
    assert!(
        code == 0 && text.contains("warning: the clock is not trusted (behind_commit)"),
        "{text}"
    );
    let (_, text) = answer_at(&root, "list", 0);
    assert!(text.contains("  in force"), "{text}");
}

#[test]
fn release_by_a_wrong_clock_is_refused_and_the_hold_stays() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (_folder, root, id) = runtime.block_on(held_tables());
    let said = |root: &Root, line: &str, days: i64| {
        let (code, text) = answer_at(root, line, days);
        format!("{code}\n{text}")
    };
    assert_refused_by_a_wrong_clock(&root, &format!("release {id}"), said);
    assert!(answer_at(&root, "list", 0).1.contains("in force"));
    assert_eq!(answer_at(&root, &format!("release {id}"), 2).0, 0);
}

#[test]
fn repair_by_a_wrong_clock_dates_its_commits_by_the_newest() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (_folder, root, _) = runtime.block_on(held_tables());
    runtime.block_on(async {
        // As if the command had been killed before its first table.
        let log = ebbtide_table::ControlLog::open(&root);
        let (_, mut control) = log.load_from(ControlsVersion(1)).await.unwrap().remove(0);
        control["id"] = "hold-00000001".into();
        log.append(ControlsVersion(2), &control).await.unwrap();
    });
    let (code, text) = answer_at(&root, "list --repair", 400);
    assert!(
        code == 4 && text.contains("(ahead): every control is in force"),
        "{text}"
    );
    assert_eq!(
        answer(&root, "list").0,
        0,
        "the hold is in force in every table"
    );
    assert_eq!(
        runtime
            .block_on(ebbtide_query::newest_commit(&root))
            .unwrap(),
        Some(noon())
    );
}
