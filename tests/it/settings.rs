//! Settings, properties and topics that an instance refuses at its start, with the fix for each.

use std::process::{Command, Output};
use std::time::Duration;

use crate::program;
use ebbtide_testkit::kafka::Kafka;
use ebbtide_testkit::scene::Scene;
use ebbtide_testkit::{eventually, kafka, registry};

fn run(scene: &Scene<'_>, words: &[&str]) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(program())
        .args(words)
        .arg(scene.config())
        .output()
        .unwrap();
    (
        status.code(),
        String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr),
    )
}

/// Asserts that `config check` and `run` both refuse, and that their output contains each of
/// `parts`.
fn refused(scene: &Scene<'_>, parts: &[&str]) {
    for words in [&["config", "check"][..], &["run", "--config"]] {
        let (code, said) = run(scene, words);
        assert_eq!(code, Some(1), "{words:?}: {said}");
        for part in parts {
            assert!(
                said.contains(part),
                "{words:?} does not say {part:?}: {said}"
            );
        }
    }
}

#[test]
fn a_property_that_no_client_takes_is_refused_before_the_start() {
    for (name, value, parts) in [
        (
            "isolation.level",
            "read_uncommitted",
            &["ebbtide.yaml:", "isolation.level", "aborted transactions"][..],
        ),
        (
            "ssl.ca.location",
            "/nowhere/ca.pem",
            &[
                "ebbtide.yaml:",
                "kafka.properties.ssl.ca.location",
                "refuses it",
            ],
        ),
        (
            "queue.buffering.backpressure.threshold",
            "9",
            &["ebbtide.yaml:", "producer of dead letters refuses it"],
        ),
        (
            "fetch.max.bytes",
            "1000",
            &[
                "ebbtide.yaml:",
                "kafka.properties.fetch.max.bytes",
                "consumer refuses it",
            ],
        ),
    ] {
        let mut scene = Scene::new(
            program(),
            kafka::shared(),
            registry::shared().base(),
            &["sms"],
            1,
        );
        scene.property(
            "security.protocol",
            if name.starts_with("ssl") {
                "ssl"
            } else {
                "plaintext"
            },
        );
        scene.property(name, value);
        refused(&scene, parts);
    }
}

#[test]
fn settings_that_break_the_grace_are_refused_by_all_deleting_commands() {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms"],
        1,
    );
    scene.sections = "maintain:\n  readers_grace: 30d\n".to_owned();
    let parts = [
        "ebbtide.yaml:",
        "maintain.readers_grace",
        "policy.yaml:",
        "grace of 24 hours",
        "write 23h or less",
    ];
    refused(&scene, &parts);
    for command in ["sweep", "compact"] {
        let (code, said) = run(&scene, &[command, "--config"]);
        assert_eq!(code, Some(2), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
}

#[test]
fn a_source_topic_takes_no_dead_letters() {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms", "voice"],
        1,
    );
    scene.dead_letters = scene.topics[1].clone();
    refused(
        &scene,
        &[
            "kafka.dead_letter_topic",
            "a source of product voice",
            "policy.yaml:",
            "ebbtide.dead-letters",
        ],
    );
}

/// Starts an instance that must end without a signal, and returns its output.
fn ended(scene: &Scene<'_>, name: &str) -> String {
    let mut instance = scene.start(name, &[]);
    let status = instance.process.wait(Duration::from_secs(90));
    assert_eq!(status.code(), Some(1), "{}", instance.process.log());
    instance.process.log()
}

#[test]
fn a_topic_that_is_missing_is_said_to_be_missing() {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms"],
        1,
    );
    scene.kafka.delete(&scene.topics);
    let said = ended(&scene, "missing");
    assert!(
        said.contains(&format!(
            "topic {} does not exist; create it with retention.ms=",
            scene.topics[0]
        )),
        "{said}"
    );
    assert!(!said.contains("for ever"), "{said}");

    // If the check only warns, the instance waits for the topic.
    scene.retention_check = "warn";
    let mut instance = scene.start("warned", &[]);
    eventually("the warning is in the log", Duration::from_secs(60), || {
        instance
            .process
            .log()
            .contains("does not exist; create it")
            .then_some(())
    });
    let (_, metrics) = instance.ask("/metrics").unwrap();
    assert!(
        !metrics.contains(&format!(
            "ebbtide_topic_retention_ok{{topic=\"{}\"",
            scene.topics[0]
        )),
        "{metrics}"
    );
    scene.kafka.create(&scene.topics, 1, &[]);
    let acked = scene
        .produce(50, 0, "later")
        .finish(Duration::from_secs(60));
    scene.caught_up(Duration::from_secs(90), &mut [&mut instance.process]);
    instance.stop();
    scene.check(&[acked], "duckdb");
}

#[test]
fn a_missing_topic_of_dead_letters_or_notices_is_named_with_its_setting() {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms"],
        1,
    );
    scene.sections = "notices:\n  contracts: nowhere.contracts\n".to_owned();
    scene
        .kafka
        .delete(std::slice::from_ref(&scene.dead_letters));
    let said = ended(&scene, "missing");
    for part in [
        "its name in kafka.dead_letter_topic",
        "topic nowhere.contracts does not exist",
        "in notices.contracts",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn hidden_topic_is_distinguished_from_one_with_hidden_settings() {
    let kafka = Kafka::start_with_lists();
    let scene = Scene::new(
        program(),
        &kafka,
        registry::shared().base(),
        &["sms", "voice", "email"],
        1,
    );
    kafka.deny(&scene.topics[0], "describe");
    kafka.deny(&scene.topics[1], "describe_configs");
    let said = ended(&scene, "hidden");
    let unseen = format!(
        "do not let this client see topic {}; grant it Describe, DescribeConfigs and Read",
        scene.topics[0]
    );
    let hidden = format!(
        "do not show this client how long topic {} keeps records; grant it DescribeConfigs",
        scene.topics[1]
    );
    for part in [&unseen, &hidden] {
        assert!(said.contains(part.as_str()), "{part}: {said}");
    }
    // The log names the third for another reason: the size of its records.
    let refusal: String = said
        .lines()
        .filter(|line| line.starts_with("error"))
        .collect();
    assert!(
        !refusal.contains(&scene.topics[2]) && !said.contains("for ever"),
        "{said}"
    );
}

#[test]
fn ceilings_of_hours_are_said_in_hours() {
    let mut scene = Scene::short(program(), kafka::shared(), registry::shared().base(), 1);
    scene.retention_check = "refuse";
    scene.kafka.delete(&scene.topics[..1]);
    scene
        .kafka
        .create(&scene.topics[..1], 1, &["retention.ms=18000000"]);
    let said = ended(&scene, "hours");
    let (short, long) = (&scene.topics[0], &scene.topics[1]);
    assert!(
        said.contains(&format!(
            "topic {short} keeps records for 5 hours, the policy allows 3 hours"
        )),
        "{said}"
    );
    assert!(
        said.contains(&format!(
            "topic {long} keeps records for 7 days, the policy allows 3 hours"
        )),
        "{said}"
    );
}
