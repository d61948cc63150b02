//! The checks before the first record, the refusals then, and what an instance reports about itself
//! once it runs.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::program;
use ebbtide_testkit::scene::Scene;
use ebbtide_testkit::{eventually, kafka, registry};

#[test]
fn a_topic_that_keeps_records_too_long_is_refused_with_the_right_setting() {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms"],
        1,
    );
    scene.kafka.delete(&scene.topics);
    scene.kafka.create(&scene.topics, 1, &["retention.ms=-1"]);
    let mut ebbtide = scene.start("refused", &[]);
    let status = ebbtide.process.wait(Duration::from_secs(60));
    let said = ebbtide.process.log();
    assert_ne!(status.code(), Some(0), "{said}");
    assert!(
        said.contains(&scene.topics[0]) && said.contains("retention.ms"),
        "{said}"
    );

    scene.retention_check = "warn";
    let mut ebbtide = scene.start("warned", &[]);
    eventually("the warning is in the log", Duration::from_secs(60), || {
        ebbtide.process.log().contains("retention.ms").then_some(())
    });
    ebbtide.ready();
    let (_, metrics) = ebbtide.ask("/metrics").unwrap();
    for (topic, ok) in [(&scene.topics[0], 0), (&scene.dead_letters, 1)] {
        let series = format!("ebbtide_topic_retention_ok{{topic=\"{topic}\"}} {ok}\n");
        assert!(
            metrics.contains(&series),
            "{series} is not exported:\n{metrics}"
        );
    }
    ebbtide.stop();
}

#[test]
fn dead_letters_that_are_kept_longer_than_the_policy_are_refused_too() {
    let scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms"],
        1,
    );
    let dead_letters = std::slice::from_ref(&scene.dead_letters);
    scene.kafka.delete(dead_letters);
    scene
        .kafka
        .create(dead_letters, 1, &["cleanup.policy=compact"]);
    let mut ebbtide = scene.start("refused", &[]);
    let status = ebbtide.process.wait(Duration::from_secs(60));
    let said = ebbtide.process.log();
    assert_ne!(status.code(), Some(0), "{said}");
    assert!(
        said.contains(&scene.dead_letters) && said.contains("cleanup.policy=delete"),
        "{said}"
    );
}

#[test]
fn recreated_topic_is_refused_and_never_skipped_or_rewound() {
    let scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms"],
        1,
    );
    scene
        .produce(300, 0, "before")
        .finish(Duration::from_secs(60));
    let mut ebbtide = scene.start("before", &[]);
    scene.caught_up(Duration::from_secs(60), &mut [&mut ebbtide.process]);
    ebbtide.stop();
    let committed = scene.committed(&scene.topics[0], 0);

    scene.kafka.delete(&scene.topics);
    scene.kafka.create(&scene.topics, 1, &[]);
    scene
        .produce(50, 0, "after")
        .finish(Duration::from_secs(60));
    let mut ebbtide = scene.start("after", &[]);
    eventually("the partition is refused", Duration::from_secs(60), || {
        assert!(
            ebbtide.process.ended().is_none(),
            "{}",
            ebbtide.process.tail()
        );
        let refused = ebbtide.metric("ebbtide_refused_partitions") >= 1.0;
        ebbtide
            .ask("/readyz")
            .filter(|(status, _)| refused && *status == 503)
    });
    std::thread::sleep(Duration::from_secs(2));
    ebbtide.stop();
    assert_eq!(scene.committed(&scene.topics[0], 0), committed);
    scene.audit();
}

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics_of_a_running_instance() {
    let scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms", "push"],
        1,
    );
    scene
        .produce(200, 0, "metrics")
        .finish(Duration::from_secs(60));
    let mut ebbtide = scene.start("ebbtide", &[]);
    scene.caught_up(Duration::from_secs(60), &mut [&mut ebbtide.process]);
    let (status, metrics) = ebbtide.ask("/metrics").unwrap();
    assert_eq!(status, 200);
    ebbtide.stop();
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(metrics.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.trim().is_empty(),
        "promtool: {said}\n{metrics}"
    );
}
