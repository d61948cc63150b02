//! Contract ends, from a topic and from a command, against real Kafka: data of the ended contracts
//! is deleted, other data stays; a repeated end changes nothing, an interrupted one is finished.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::program;
use ebbtide_testkit::args;
use ebbtide_testkit::ebbtide::Ebbtide;
use ebbtide_testkit::python::run;
use ebbtide_testkit::scene::Scene;
use ebbtide_testkit::{eventually, kafka, registry};

/// Returns for each tenant the number of records that still name a person.
fn tenants(scene: &Scene<'_>) -> Value {
    let table = scene.root.join("tables/email");
    serde_json::from_str(&run("tenants.py", args!["--table", table.display()])).unwrap()
}

fn of(counts: &Value, tenant: &str) -> u64 {
    counts[tenant].as_u64().unwrap_or(0)
}

/// Sends messages to a topic, one per line.
fn say(scene: &Scene<'_>, topic: &str, messages: &[String]) {
    let lines = scene.scratch.join("said");
    fs::write(&lines, messages.join("\n")).unwrap();
    run(
        "broker.py",
        args![
            "say",
            "--bootstrap",
            scene.kafka.bootstrap(),
            "--lines",
            lines.display(),
            topic
        ],
    );
}

fn outcome(instance: &Ebbtide, outcome: &str) -> f64 {
    let (_, body) = instance.ask("/metrics").unwrap();
    let series = format!("ebbtide_notices_total{{outcome=\"{outcome}\"}} ");
    body.lines()
        .find_map(|line| line.strip_prefix(&series)?.parse().ok())
        .unwrap_or(0.0)
}

fn await_deletion(scene: &Scene<'_>, tenant: &str) {
    eventually(
        &format!("no person of {tenant} is named any more"),
        Duration::from_secs(60),
        || (of(&tenants(scene), tenant) == 0).then_some(()),
    );
}

#[test]
fn data_of_an_ended_contract_is_deleted_on_time_and_the_rest_stays() {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["email"],
        2,
    );
    let topic = format!("{}.contracts", scene.dead_letters);
    scene.kafka.create(std::slice::from_ref(&topic), 1, &[]);
    scene.sections = format!(
        "maintain:\n  readers_grace: 1s\nsweep:\n  every: 200ms\nnotices:\n  contracts: {topic}\n"
    );
    let produced = scene
        .produce(3000, 0, "contracts")
        .finish(Duration::from_secs(60));
    let mut instance = scene.start("ebbtide", &[]);
    scene.caught_up(Duration::from_secs(60), &mut [&mut instance.process]);
    let before = tenants(&scene);
    assert!(
        ["tenant-0005", "tenant-0006", "tenant-0007"]
            .iter()
            .all(|tenant| of(&before, tenant) > 0),
        "{before}"
    );

    // From the topic, next to a message that is not a notice.
    let ended = json!({"tenant": "tenant-0005", "ended_at": "2026-01-31T10:00:00Z", "event_id": 1})
        .to_string();
    say(&scene, &topic, &["not a notice".to_owned(), ended.clone()]);
    await_deletion(&scene, "tenant-0005");
    eventually("both notices are counted", Duration::from_secs(30), || {
        ((outcome(&instance, "taken"), outcome(&instance, "refused")) == (1.0, 1.0)).then_some(())
    });
    let (letters, _) = scene.dead_letters();
    let codes: Vec<&Value> = letters
        .iter()
        .map(|letter| &letter["headers"]["ebbtide.code"])
        .collect();
    assert!(codes.contains(&&json!("bad_notice")), "{codes:?}");

    // From the command: in force when it exits.
    let config = scene.config();
    let said = program().run_ahead(
        0,
        args![
            "contract",
            "end",
            "tenant-0006",
            "--at",
            "2026-02-28",
            "--config",
            config.display()
        ],
    );
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    await_deletion(&scene, "tenant-0006");

    // Repeated, it changes nothing.
    let controls = || fs::read_dir(scene.root.join("_controls")).unwrap().count();
    let count_before = controls();
    say(&scene, &topic, &[ended]);
    eventually("the notice is read again", Duration::from_secs(30), || {
        (outcome(&instance, "known") >= 1.0).then_some(())
    });
    assert_eq!(controls(), count_before);

    // Killed between the control log and the tables: the running instance finishes it.
    let mut command = Command::new(program());
    command.args(args![
        "contract",
        "end",
        "tenant-0007",
        "--at",
        "2026-02-28",
        "--config",
        config.display()
    ]);
    let status = command
        .env("FAILPOINTS", "control-appended=return")
        .status()
        .unwrap();
    assert!(status.code().is_none(), "it was to die: {status}");
    await_deletion(&scene, "tenant-0007");

    // Records that arrive from now on are decided on arrival.
    scene
        .produce(1000, 0, "later")
        .finish(Duration::from_secs(60));
    scene.caught_up(Duration::from_secs(60), &mut [&mut instance.process]);
    let after = tenants(&scene);
    for tenant in ["tenant-0005", "tenant-0006", "tenant-0007"] {
        assert_eq!(of(&after, tenant), 0, "{after}");
    }
    for (tenant, count) in before.as_object().unwrap() {
        let ended = ["tenant-0005", "tenant-0006", "tenant-0007"].contains(&tenant.as_str());
        assert!(
            ended || of(&after, tenant) >= count.as_u64().unwrap(),
            "{tenant}: {before} {after}"
        );
    }
    // The gauge is set every 15 s.
    eventually("no tag is stale", Duration::from_secs(90), || {
        (instance.metric("ebbtide_stale_tag_records") == 0.0).then_some(())
    });
    instance.stop();
    scene.audit();
    assert!(produced.exists());
}

#[test]
fn dates_of_no_end_are_dead_letters_and_large_ends_wait_for_a_person() {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["email"],
        2,
    );
    let topic = format!("{}.contracts", scene.dead_letters);
    scene.kafka.create(std::slice::from_ref(&topic), 1, &[]);
    scene.sections = format!(
        "maintain:\n  readers_grace: 1s\nsweep:\n  every: 200ms\nnotices:\n  contracts: {topic}\n  max_share: 0.001\n  \
         max_share_from: 0\n"
    );
    scene
        .produce(3000, 0, "plausible")
        .finish(Duration::from_secs(60));
    let mut instance = scene.start("ebbtide", &[]);
    scene.caught_up(Duration::from_secs(60), &mut [&mut instance.process]);
    let before = tenants(&scene);
    assert!(
        ["tenant-0005", "tenant-0006", "tenant-0007"]
            .iter()
            .all(|tenant| of(&before, tenant) > 5),
        "{before}"
    );

    let ended = |tenant: &str, at: &str| json!({"tenant": tenant, "ended_at": at}).to_string();
    let dates = [
        "0001-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "1899-12-30T00:00:00Z",
        "9999-12-31T00:00:00Z",
    ];
    let mut messages: Vec<String> = dates.iter().map(|at| ended("tenant-0006", at)).collect();
    messages.push(ended("tenant-0005", "2026-01-31T10:00:00Z"));
    say(&scene, &topic, &messages);
    eventually("the notices are read", Duration::from_secs(30), || {
        (outcome(&instance, "refused") + outcome(&instance, "parked") >= 5.0).then_some(())
    });
    assert_eq!(
        (outcome(&instance, "refused"), outcome(&instance, "parked")),
        (4.0, 1.0)
    );
    let (letters, _) = scene.dead_letters();
    let refused = letters
        .iter()
        .filter(|letter| letter["headers"]["ebbtide.code"] == json!("refused_notice"));
    let reasons: Vec<&str> = refused
        .map(|letter| letter["headers"]["ebbtide.reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons.len(), 4);
    for reason in [
        "is what systems write where they have no date",
        "is what systems write for \"no end\"",
    ] {
        assert!(reasons.iter().any(|of| of.contains(reason)), "{reasons:?}");
    }
    instance.stop();
    let log = instance.process.log();
    assert!(log.contains("1970-01-01 is what systems write"), "{log}");
    let parked = log
        .lines()
        .find(|line| line.contains("notice parked"))
        .unwrap();
    assert!(parked.contains("source.offset"), "{parked}");

    // The notice waits through a restart, and the same message again is the same notice.
    let mut instance = scene.start("ebbtide", &[]);
    say(
        &scene,
        &topic,
        &[ended("tenant-0005", "2026-01-31T10:00:00Z")],
    );
    eventually("the notice is known", Duration::from_secs(60), || {
        (outcome(&instance, "known") >= 1.0).then_some(())
    });
    eventually("it is counted", Duration::from_secs(60), || {
        (instance.metric("ebbtide_parked_notices") == 1.0).then_some(())
    });
    assert_eq!(tenants(&scene), before);
    let config = scene.config();
    let notice = |words: &[&str]| {
        let words = ["notice"]
            .iter()
            .chain(words)
            .map(|word| (*word).to_owned());
        program().run_ahead(
            0,
            &words
                .chain(["--config".to_owned(), config.display().to_string()])
                .collect::<Vec<_>>(),
        )
    };
    let listed = notice(&["list", "--output", "json"]);
    let waiting: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!(
        (listed.code, waiting.as_array().unwrap().len()),
        (1, 1),
        "{}",
        listed.err
    );
    let number = waiting[0]["number"].to_string();
    let shown = notice(&["show", &number, "--output", "json"]);
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    assert!(shown["tables"][0]["due"].as_u64().unwrap() > 0, "{shown}");

    let confirmed = notice(&["confirm", &number]);
    assert_eq!(confirmed.code, 0, "{}{}", confirmed.out, confirmed.err);
    await_deletion(&scene, "tenant-0005");
    let after = tenants(&scene);
    assert_eq!(
        of(&after, "tenant-0006"),
        of(&before, "tenant-0006"),
        "{before} {after}"
    );
    assert_eq!(notice(&["list"]).code, 0);
    instance.stop();
    scene.audit();
}
