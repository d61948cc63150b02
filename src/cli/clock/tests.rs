use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use clap::{CommandFactory, Parser};

use super::ClockArgs;
use crate::cli::CommandOutput;
use crate::cli::exit_codes::with_exit_codes;
use ebbtide_base::clock::{Clock, ManualClock};
use ebbtide_maintenance::testing::{World, start, texts};

#[derive(Parser)]
#[command(name = "ebbtide clock")]
struct TestCli {
    #[command(flatten)]
    args: ClockArgs,
}

fn answer(world: &World, line: &str, at: DateTime<Utc>) -> CommandOutput {
    let words = ["clock"]
        .into_iter()
        .chain(line.split(' '))
        .map(str::to_owned);
    let root = world.root.folder().display().to_string();
    let config = "/nowhere/ebbtide.yaml".to_owned();
    let line = TestCli::parse_from(words.chain([
        "--root".to_owned(),
        root,
        "--config".to_owned(),
        config,
    ]));
    line.args.outcome(Arc::new(ManualClock::at(at)))
}

fn filled() -> World {
    let mut world = World::new("remove");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(world.ingest(&texts(start(), 5)));
    world
}

#[test]
fn help_says_what_a_confirmation_means() {
    let mut command = with_exit_codes(TestCli::command(), "clock").term_width(120);
    let confirm = command.find_subcommand_mut("confirm").unwrap();
    insta::assert_snapshot!("help", confirm.render_long_help().to_string());
}

#[test]
fn clock_that_is_ahead_is_shown_and_confirmed() {
    let world = filled();
    let later = start() + TimeDelta::days(100);
    let mut said = String::new();
    for line in ["show", "confirm --by anna", "show"] {
        let CommandOutput { out, err, code } = answer(&world, line, later);
        said += &format!("$ clock {line}: {code}\n{out}{err}");
    }
    let CommandOutput { out, code, .. } = answer(&world, "show", later + TimeDelta::days(100));
    said += &format!("$ clock show, 100 days later: {code}\n{out}");
    insta::assert_snapshot!("confirm", said);
}

#[test]
fn show_records_nothing() {
    let world = filled();
    for off in [0, 100, -100] {
        answer(&world, "show", world.clock.now() + TimeDelta::days(off));
    }
    assert!(!world.root.folder().join("_clock").exists());
}

#[test]
fn result_for_programs_names_every_source() {
    let world = filled();
    let outcome = answer(&world, "show --output json", start() - TimeDelta::days(40));
    assert_eq!(outcome.code, 1);
    let shown: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(shown["verdict"], "behind_commit");
    assert_eq!(shown["newest_commit"], "2026-11-24T12:00:00Z");
    assert_eq!(
        (&shown["last_trusted"], &shown["object_store"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
    let confirmed = answer(&world, "confirm --output json", start());
    let confirmed: serde_json::Value = serde_json::from_str(&confirmed.out).unwrap();
    assert_eq!(
        (&confirmed["before"], &confirmed["confirmation"]["at"]),
        (&"trusted".into(), &"2026-11-24T12:00:00Z".into())
    );
}

#[test]
fn times_that_were_recorded_before_are_shown_and_not_the_present() {
    let world = filled();
    for line in ["show", "show --output json"] {
        let CommandOutput { out, code, .. } = answer(&world, line, start() + TimeDelta::hours(1));
        let none = out.contains("last trusted time  none recorded\n")
            || out.contains("\"last_trusted\": null");
        assert!(code == 0 && none, "{line}: {out}");
    }
    let first = answer(&world, "confirm", start() + TimeDelta::hours(1)).out;
    assert!(
        first.contains("the last trusted time before that: none recorded;"),
        "{first}"
    );
    let second = answer(&world, "confirm", start() + TimeDelta::hours(2)).out;
    assert!(
        second.contains("the last trusted time before that: 2026-11-24T13:00:00Z;"),
        "{second}"
    );
    let shown = answer(&world, "show", start() + TimeDelta::hours(3)).out;
    assert!(
        shown.contains("last trusted time  2026-11-24T14:00:00Z\n"),
        "{shown}"
    );
}

#[test]
fn root_that_does_not_exist_is_a_wrong_use_and_is_not_created() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("tables of no one");
    for line in ["show", "confirm", "show --output json"] {
        let words = ["clock"]
            .into_iter()
            .chain(line.split(' '))
            .map(str::to_owned);
        let root = ["--root".to_owned(), missing.display().to_string()];
        let CommandOutput { out, err, code } = TestCli::parse_from(words.chain(root))
            .args
            .outcome(Arc::new(ManualClock::at(start())));
        assert_eq!((code, out.as_str()), (2, ""), "{line}");
        assert!(
            err.contains("tables of no one does not exist; give the root"),
            "{line}: {err}"
        );
        assert!(!missing.exists(), "{line}");
    }
}
