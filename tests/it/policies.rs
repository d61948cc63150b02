//! A policy changes under a running instance: the old instance stores nothing any more and says why, nothing is lost, and
//! foreign readers see every record tagged by the new policy.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::args;
use crate::support::ebbtide::program;
use crate::support::readers::WITH_SPARK;
use crate::support::scene::Scene;
use crate::support::{eventually, kafka, registry};

/// Runs a subcommand; its exit code and all that it says.
fn says(arguments: &[String]) -> (i32, String) {
    let output = Command::new(program()).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout) + &text(output.stderr))
}

/// The policy in the next version: every window of months a month longer, by the rules' bases; one field left out of each product.
fn next(text: &str) -> String {
    let text = text.replacen("version: ", "version: next-", 1);
    let longer = regex::Regex::new(r"keep: (\d+) months").unwrap();
    let text = longer
        .replace_all(&text, |of: &regex::Captures<'_>| format!("keep: {} months", of[1].parse::<u32>().unwrap() + 1));
    assert!(text.contains("      encoding: none\n"), "the shipped policy has that field");
    text.replacen("      encoding: none\n", "", 1)
}

#[test]
fn a_policy_changes_under_a_running_instance_and_every_record_is_stored_once_and_tagged_by_the_new_one() {
    let mut scene = Scene::new(kafka::shared(), registry::shared().base(), &["sms"], 3);
    let mut old = scene.start("old", &[("EBBTIDE_SWEEP_EVERY", "1s")]);
    let before = scene.produce(1500, 0, "before").finish(Duration::from_secs(60));
    scene.caught_up(Duration::from_secs(60), &mut [&mut old.process]);

    let new = scene.scratch.join("next.yaml");
    fs::write(&new, next(&fs::read_to_string(&scene.policy).unwrap())).unwrap();
    let config = scene.config().display().to_string();
    let (code, planned) = says(args!["policy", "plan", new.display(), "--config", config]);
    assert_eq!(code, 0, "{planned}");
    assert!(planned.contains("kept longer") && planned.contains("field encoding goes"), "{planned}");
    let (code, said) = says(args!["policy", "activate", new.display(), "--config", config]);
    assert_eq!(code, 0, "{said}");

    // The old instance meets it with its next commit.
    let after = scene.produce(1500, 0, "after").finish(Duration::from_secs(60));
    eventually("the old instance says that its policy is over", Duration::from_secs(30), || {
        assert!(old.process.ended().is_none(), "it ended:\n{}", old.process.tail());
        let (code, body) = old.ask("/readyz")?;
        (code != 200 && body.contains("is no longer active")).then_some(())
    });
    let refused = says(args!["sweep", "--config", config]);
    assert!(refused.0 == 2 && refused.1.contains("is no longer active"), "{refused:?}");

    scene.policy = new;
    let mut fresh = scene.start("fresh", &[("EBBTIDE_SWEEP_EVERY", "1s")]);
    scene.caught_up(Duration::from_secs(90), &mut [&mut fresh.process]);
    eventually("every tag is up to date", Duration::from_secs(60), || {
        (fresh.metric("ebbtide_retagged_records_total") > 0.0 && fresh.metric("ebbtide_stale_tag_records") == 0.0)
            .then_some(())
    });
    assert_eq!(fresh.metric("ebbtide_overdue_fields"), 0.0);
    old.stop();
    fresh.stop();
    println!("{}", scene.check(&[before, after], WITH_SPARK));
}
