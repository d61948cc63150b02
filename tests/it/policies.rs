//! A policy changes while an instance runs: the old instance stores nothing more and reports why,
//! nothing is lost, and foreign readers see every record tagged by the new policy.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::program;
use ebbtide_testkit::args;
use ebbtide_testkit::readers::WITH_SPARK;
use ebbtide_testkit::scene::Scene;
use ebbtide_testkit::{eventually, kafka, registry};

/// Runs a subcommand. Returns its exit code and all output.
fn says(arguments: &[String]) -> (i32, String) {
    let output = Command::new(program()).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap_or(-1),
        text(output.stdout) + &text(output.stderr),
    )
}

/// Returns the next version of the policy: every retention of months is one month longer; one field
/// of each product is left out.
fn next(text: &str) -> String {
    let text = text.replacen("version: ", "version: next-", 1);
    let longer = regex::Regex::new(r"keep: (\d+) months").unwrap();
    let text = longer.replace_all(&text, |of: &regex::Captures<'_>| {
        format!("keep: {} months", of[1].parse::<u32>().unwrap() + 1)
    });
    assert!(
        text.contains("      encoding: none\n"),
        "the shipped policy has that field"
    );
    text.replacen("      encoding: none\n", "", 1)
}

#[test]
fn policy_change_under_load_stores_each_record_once_with_the_new_tags() {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms"],
        3,
    );
    let mut old = scene.start("old", &[("EBBTIDE_SWEEP_EVERY", "1s")]);
    let before = scene
        .produce(1500, 0, "before")
        .finish(Duration::from_secs(60));
    scene.caught_up(Duration::from_secs(60), &mut [&mut old.process]);

    let new = scene.scratch.join("next.yaml");
    fs::write(&new, next(&fs::read_to_string(&scene.policy).unwrap())).unwrap();
    let config = scene.config().display().to_string();
    let (code, planned) = says(args!["policy", "plan", new.display(), "--config", config]);
    assert_eq!(code, 0, "{planned}");
    assert!(
        planned.contains("kept longer") && planned.contains("field encoding is removed"),
        "{planned}"
    );
    let (code, said) = says(args![
        "policy",
        "activate",
        new.display(),
        "--config",
        config
    ]);
    assert_eq!(code, 0, "{said}");

    // The next commit of the old instance fails because of it.
    let after = scene
        .produce(1500, 0, "after")
        .finish(Duration::from_secs(60));
    eventually(
        "the old instance says that its policy is over",
        Duration::from_secs(30),
        || {
            assert!(
                old.process.ended().is_none(),
                "it ended:\n{}",
                old.process.tail()
            );
            let (code, body) = old.ask("/readyz")?;
            (code != 200 && body.contains("is no longer active")).then_some(())
        },
    );
    let refused = says(args!["sweep", "--config", config]);
    assert!(
        refused.0 == 2 && refused.1.contains("is no longer active"),
        "{refused:?}"
    );

    scene.policy = new;
    let mut fresh = scene.start("fresh", &[("EBBTIDE_SWEEP_EVERY", "1s")]);
    scene.caught_up(Duration::from_secs(90), &mut [&mut fresh.process]);
    eventually("every tag is up to date", Duration::from_secs(180), || {
        (fresh.metric("ebbtide_retagged_records_total") > 0.0
            && fresh.metric("ebbtide_stale_tag_records") == 0.0)
            .then_some(())
    });
    assert_eq!(fresh.metric("ebbtide_overdue_fields"), 0.0);
    old.stop();
    fresh.stop();
    println!("{}", scene.check(&[before, after], WITH_SPARK));
}

/// Returns other texts of the policy under its version: a column in another category, a rule with a
/// shorter retention, a comment.
fn edits(text: &str) -> [(&'static str, String, &'static str); 3] {
    let moved = text.replacen(
        "      recipient: phone_number\n",
        "      recipient: traffic_data\n",
        1,
    );
    let shorter = text.replacen("keep: 6 months", "keep: 5 months", 1);
    assert!(
        moved != text && shorter != text,
        "the shipped policy has both"
    );
    [
        (
            "moved",
            moved,
            "field recipient: phone_number -> traffic_data",
        ),
        ("shorter", shorter, "5 months"),
        (
            "comment",
            format!("# As agreed.\n{text}"),
            "line 1 of the policy file",
        ),
    ]
}

#[test]
fn text_edited_under_its_version_is_refused_by_instances_and_commands() {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms"],
        1,
    );
    let mut first = scene.start("first", &[]);
    let before = scene
        .produce(300, 0, "before")
        .finish(Duration::from_secs(60));
    scene.caught_up(Duration::from_secs(60), &mut [&mut first.process]);
    let (policy, config) = (scene.policy.clone(), scene.config().display().to_string());
    let text = fs::read_to_string(&policy).unwrap();
    let (code, listed) = says(args!["policy", "history", "--config", config]);
    assert!(code == 0 && listed.contains("active since"), "{listed}");
    let version = listed.split_whitespace().next().unwrap().to_owned();
    assert_eq!(
        says(args![
            "policy", "history", "--show", version, "--config", config
        ])
        .1,
        text
    );

    for (name, edited, differs) in edits(&text) {
        scene.policy = scene.scratch.join(format!("{name}.yaml"));
        fs::write(&scene.policy, edited).unwrap();
        let mut second = scene.start(name, &[]);
        let status = second.process.wait(Duration::from_secs(60));
        let said = second.process.log();
        assert!(
            status.code() == Some(1)
                && said.contains(differs)
                && said.contains("ebbtide policy plan"),
            "{said}"
        );
        let config = scene.config().display().to_string();
        for words in [
            args!["sweep"].to_vec(),
            args!["compact"].to_vec(),
            args!["contract", "end", "customer-1", "--at", "2026-01-01"].to_vec(),
            args![
                "consent",
                "withdraw",
                "--subject",
                "phone:+31612345678",
                "--at",
                "2026-01-01"
            ]
            .to_vec(),
        ] {
            let (code, said) = says(&[words.clone(), args!["--config", config].to_vec()].concat());
            assert!(
                code == 2 && said.contains(differs),
                "{words:?}: {code} {said}"
            );
        }
    }
    assert!(first.process.ended().is_none());
    let config = scene.config().display().to_string();
    let until = "2099-01-01";
    let hold = args![
        "hold", "place", "--case", "1", "--basis", "order", "--until", until, "--tenant", "t",
        "--config", config
    ];
    let (code, said) = says(hold);
    assert_eq!(code, 0, "an order does not wait for the right file: {said}");
    scene.policy = policy;
    let after = scene
        .produce(300, 0, "after")
        .finish(Duration::from_secs(60));
    scene.caught_up(Duration::from_secs(60), &mut [&mut first.process]);
    first.stop();
    scene.check(&[before, after], "duckdb");
}
