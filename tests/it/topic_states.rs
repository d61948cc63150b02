//! Topics that are deleted, hidden or closed to reading while an instance runs: `/readyz` names
//! each with the fix, and the other topics are read and measured as before.

use std::path::PathBuf;
use std::time::Duration;

use crate::program;
use ebbtide_testkit::ebbtide::Ebbtide;
use ebbtide_testkit::kafka::{self, Kafka};
use ebbtide_testkit::proxy::Proxy;
use ebbtide_testkit::scene::Scene;
use ebbtide_testkit::{eventually, registry};

const PATIENCE: Duration = Duration::from_secs(60);

/// Returns a scene with SMS and calls, one partition each. Records are committed late enough to be
/// seen as lag.
fn scene(kafka: &Kafka) -> Scene<'_> {
    let mut scene = Scene::new(
        program(),
        kafka,
        registry::shared().base(),
        &["sms", "voice"],
        1,
    );
    scene.set("commit_age", "8s");
    scene
}

fn topic(scene: &Scene<'_>, product: &str) -> String {
    scene
        .topics
        .iter()
        .find(|topic| topic.contains(product))
        .unwrap()
        .clone()
}

/// Returns the value of a topic's only series of a metric; `None` if no series exists.
fn series(ebbtide: &Ebbtide, metric: &str, topic: &str) -> Option<f64> {
    let (_, metrics) = ebbtide.ask("/metrics")?;
    let label = format!("topic=\"{topic}\"");
    let line = metrics
        .lines()
        .find(|line| line.starts_with(&format!("{metric}{{")) && line.contains(&label))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Waits until `/readyz` names the topic with each of `parts`.
fn named(ebbtide: &mut Ebbtide, topic: &str, parts: &[&str]) {
    let mut said = String::new();
    eventually(
        &format!("topic {topic} is named with {parts:?}"),
        Duration::from_secs(30),
        || {
            assert!(
                ebbtide.process.ended().is_none(),
                "{}",
                ebbtide.process.tail()
            );
            said = ebbtide.ask("/readyz")?.1;
            let trouble = said
                .split("{\"part\":")
                .find(|part| part.starts_with(&format!("\"topic/{topic}\"")))?;
            parts
                .iter()
                .all(|part| trouble.contains(part))
                .then_some(())
        },
    );
    std::thread::sleep(Duration::from_secs(3));
    let (status, later) = ebbtide.ask("/readyz").unwrap();
    assert!(
        status == 503 && later.contains(&format!("topic/{topic}")),
        "it stays: {said}, then {later}"
    );
}

/// Starts an instance and waits until it is ready and has stored earlier records. Returns the file
/// of these records too.
fn caught_up(scene: &Scene<'_>) -> (Vec<PathBuf>, Ebbtide) {
    let acked = vec![scene.produce_in("commit", 60, "before").finish(PATIENCE)];
    let mut ebbtide = scene.start("ebbtide", &[]);
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    ebbtide.ready();
    (acked, ebbtide)
}

/// Asserts that the instance becomes ready and stores every acknowledged record once.
fn assert_all_is_stored(scene: &Scene<'_>, mut ebbtide: Ebbtide, acked: &[PathBuf]) {
    ebbtide.ready();
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    ebbtide.stop();
    scene.check(acked, "duckdb");
}

/// Asserts that new calls are counted as lag and then stored.
fn calls_go_on(scene: &Scene<'_>, ebbtide: &mut Ebbtide, seed: &str) -> PathBuf {
    let (voice, stored) = (topic(scene, "voice"), scene.stored("voice"));
    let mut producer = scene.produce_only("voice", 40, seed);
    // Looked at from the first record on: the lag ends with the commit.
    eventually("the calls are counted as lag", PATIENCE, || {
        assert!(
            ebbtide.process.ended().is_none(),
            "{}",
            ebbtide.process.tail()
        );
        (series(ebbtide, "ebbtide_ingest_lag_records", &voice)? >= 40.0).then_some(())
    });
    let acked = producer.finish(PATIENCE);
    eventually("the calls are stored", PATIENCE, || {
        (scene.stored("voice") == stored + 40).then_some(())
    });
    eventually("their lag returns to 0", PATIENCE, || {
        (series(ebbtide, "ebbtide_ingest_lag_records", &voice)? == 0.0).then_some(())
    });
    acked
}

fn ends(ebbtide: &mut Ebbtide, metric: &str, topic: &str) {
    eventually(
        &format!("the series {metric} of {topic} ends"),
        PATIENCE,
        || {
            assert!(
                ebbtide.process.ended().is_none(),
                "{}",
                ebbtide.process.tail()
            );
            series(ebbtide, metric, topic).is_none().then_some(())
        },
    );
}

fn accept(scene: &Scene<'_>, topic: &str, partition: usize) {
    let number = partition.to_string();
    let (code, said) = scene.command(&[
        "partition",
        "accept-loss",
        "--topic",
        topic,
        "--partition",
        &number,
    ]);
    assert!(code == 0 && said.contains("Accepted in version"), "{said}");
}

fn refused(ebbtide: &mut Ebbtide, partitions: f64) {
    eventually(
        &format!("{partitions} partitions are refused"),
        PATIENCE,
        || {
            assert!(
                ebbtide.process.ended().is_none(),
                "{}",
                ebbtide.process.tail()
            );
            (ebbtide.metric("ebbtide_refused_partitions") == partitions).then_some(())
        },
    );
}

/// Waits until that number of partitions is refused, and asserts that no lane fails meanwhile.
fn resumed(ebbtide: &mut Ebbtide, partitions: f64) {
    eventually("the partitions are read again", PATIENCE, || {
        assert_eq!(
            ebbtide.metric("ebbtide_lanes_failing"),
            0.0,
            "{}",
            ebbtide.process.tail()
        );
        let (_, said) = ebbtide.ask("/readyz")?;
        assert!(!said.contains("lane/"), "{said}");
        (ebbtide.metric("ebbtide_refused_partitions") == partitions).then_some(())
    });
    let log = ebbtide.process.log();
    assert!(
        !log.contains("drops what is uncommitted") && !log.contains("in a row"),
        "{}",
        ebbtide.process.tail()
    );
}

/// Creates the topic of SMS again with 25 records, and waits until it is refused.
fn recreate_sms(scene: &Scene<'_>, ebbtide: &mut Ebbtide) {
    let sms = topic(scene, "sms");
    scene.kafka.create(std::slice::from_ref(&sms), 1, &[]);
    scene.produce_only("sms", 25, "after").finish(PATIENCE);
    refused(ebbtide, 1.0);
}

/// Accepts the recreated topic of SMS, and waits until its records are stored beside `stored`.
fn accept_sms(scene: &Scene<'_>, ebbtide: &mut Ebbtide, stored: u64) {
    accept(scene, &topic(scene, "sms"), 0);
    resumed(ebbtide, 0.0);
    eventually("the new topic is stored", PATIENCE, || {
        (scene.stored("sms") == stored + 25).then_some(())
    });
}

#[test]
fn deleted_topic_is_named_until_it_exists_and_its_sibling_continues() {
    let scene = scene(kafka::shared());
    let sms = topic(&scene, "sms");
    scene.produce(60, 0, "before").finish(PATIENCE);
    let mut ebbtide = scene.start("ebbtide", &[]);
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    ebbtide.ready();
    scene.kafka.delete(std::slice::from_ref(&sms));
    named(
        &mut ebbtide,
        &sms,
        &[
            "does not exist",
            "create it with retention.ms=",
            "products.sms.topics",
        ],
    );
    calls_go_on(&scene, &mut ebbtide, "meanwhile");
    ends(&mut ebbtide, "ebbtide_ingest_lag_seconds", &sms);
    ends(&mut ebbtide, "ebbtide_ingest_lag_records", &sms);
    let stored = scene.stored("sms");
    recreate_sms(&scene, &mut ebbtide);
    eventually("the topic is not named any more", PATIENCE, || {
        (!ebbtide.ask("/readyz")?.1.contains("topic/")).then_some(())
    });
    accept_sms(&scene, &mut ebbtide, stored);
    ebbtide.ready();
    ebbtide.stop();
    scene.audit();
}

#[test]
fn topic_that_may_not_be_read_any_more_is_named_until_it_may() {
    let kafka = Kafka::start_with_lists();
    let scene = scene(&kafka);
    let sms = topic(&scene, "sms");
    let (mut acked, mut ebbtide) = caught_up(&scene);
    kafka.deny(&sms, "read");
    named(
        &mut ebbtide,
        &sms,
        &["do not let this client read from topic", "grant it Read"],
    );
    acked.push(scene.produce_only("sms", 30, "unread").finish(PATIENCE));
    acked.push(calls_go_on(&scene, &mut ebbtide, "meanwhile"));
    let lag = series(&ebbtide, "ebbtide_ingest_lag_records", &sms);
    assert!(
        lag.is_some_and(|records| records >= 30.0),
        "its records wait: {lag:?}"
    );
    kafka.allow(&sms);
    assert_all_is_stored(&scene, ebbtide, &acked);
}

#[test]
fn topic_that_is_hidden_is_named_and_its_lag_ends_until_it_is_seen() {
    let kafka = Kafka::start_with_lists();
    let scene = scene(&kafka);
    let sms = topic(&scene, "sms");
    let (mut acked, mut ebbtide) = caught_up(&scene);
    // Gathered and not committed when the topic is hidden.
    acked.push(scene.produce_only("sms", 20, "gathered").finish(PATIENCE));
    kafka.deny(&sms, "describe");
    named(
        &mut ebbtide,
        &sms,
        &["do not let this client see topic", "grant it Describe"],
    );
    acked.push(calls_go_on(&scene, &mut ebbtide, "meanwhile"));
    ends(&mut ebbtide, "ebbtide_ingest_lag_records", &sms);
    let (code, shown) = scene.command(&["partition", "list"]);
    assert!(
        code == 1 && shown.contains(&format!("do not let this client see topic {sms}")),
        "{code}: {shown}"
    );
    let state = |topic: &str| {
        shown
            .lines()
            .find(|line| line.starts_with(&format!("{topic}/0")))
            .unwrap_or_default()
    };
    assert!(
        state(&sms).ends_with("unknown: Kafka's position could not be read"),
        "{shown}"
    );
    assert!(
        state(&topic(&scene, "voice")).ends_with("  read"),
        "{shown}"
    );
    kafka.allow(&sms);
    acked.push(scene.produce_only("sms", 20, "after").finish(PATIENCE));
    assert_all_is_stored(&scene, ebbtide, &acked);
}

#[test]
fn accepted_loss_is_taken_up_while_another_refused_topic_is_missing() {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms", "voice"],
        1,
    );
    scene.set("lanes", "1");
    let (sms, voice) = (topic(&scene, "sms"), topic(&scene, "voice"));
    scene.produce(60, 0, "before").finish(PATIENCE);
    let mut ebbtide = scene.start("before", &[]);
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    ebbtide.stop();
    let stored = scene.stored("sms");
    scene.kafka.delete(&scene.topics);
    scene.kafka.create(&scene.topics, 1, &[]);
    scene.produce_only("sms", 25, "after").finish(PATIENCE);
    let mut ebbtide = scene.start("after", &[]);
    refused(&mut ebbtide, 2.0);
    scene.kafka.delete(std::slice::from_ref(&voice));
    named(&mut ebbtide, &voice, &["does not exist"]);
    accept(&scene, &sms, 0);
    eventually("the accepted loss is taken up", PATIENCE, || {
        assert_eq!(
            ebbtide.metric("ebbtide_lanes_failing"),
            0.0,
            "{}",
            ebbtide.process.tail()
        );
        (scene.stored("sms") == stored + 25).then_some(())
    });
    assert_eq!(series(&ebbtide, "ebbtide_refused_partitions", &sms), None);
    assert!(
        !ebbtide.process.log().contains("drops what is uncommitted"),
        "{}",
        ebbtide.process.tail()
    );
    ebbtide.stop();
    scene.audit();
}

#[test]
fn accepted_losses_of_many_partitions_restart_no_lane_as_failed() {
    let scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms"],
        5,
    );
    let sms = topic(&scene, "sms");
    scene.produce_in("commit", 200, "read").finish(PATIENCE);
    let mut ebbtide = scene.start("first", &[]);
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    ebbtide.stop();
    scene.produce_in("commit", 200, "unread").finish(PATIENCE);
    for partition in 0..5 {
        scene.kafka.delete_before(
            &sms,
            partition,
            scene.committed(&sms, partition as usize) + 3,
        );
    }
    let mut ebbtide = scene.start("second", &[]);
    refused(&mut ebbtide, 5.0);
    for partition in 0..5 {
        accept(&scene, &sms, partition);
        assert_eq!(
            ebbtide.metric("ebbtide_lanes_failing"),
            0.0,
            "{}",
            ebbtide.process.tail()
        );
    }
    resumed(&mut ebbtide, 0.0);
    ebbtide.ready();
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    ebbtide.stop();
    scene.audit();
}

#[test]
fn topic_recreated_before_its_first_commit_is_refused() {
    let door = Proxy::to(registry::shared().port());
    let scene = Scene::new(program(), kafka::shared(), door.base(), &["sms"], 1);
    let sms = topic(&scene, "sms");
    door.shut();
    scene.produce_in("commit", 40, "old").finish(PATIENCE);
    let mut ebbtide = scene.start("ebbtide", &[]);
    eventually("it waits for the registry", PATIENCE, || {
        ebbtide.has_trouble("registry").then_some(())
    });
    scene.kafka.delete(&scene.topics);
    scene.kafka.create(&scene.topics, 1, &[]);
    scene.produce_in("commit", 70, "new").finish(PATIENCE);
    refused(&mut ebbtide, 1.0);
    door.open();
    for name in ["again", "once more"] {
        std::thread::sleep(Duration::from_secs(8));
        refused(&mut ebbtide, 1.0);
        assert_eq!(
            scene.stored("sms"),
            0,
            "nothing of the new topic is stored without a decision"
        );
        ebbtide.stop();
        ebbtide = scene.start(name, &[]);
    }
    refused(&mut ebbtide, 1.0);
    accept(&scene, &sms, 0);
    resumed(&mut ebbtide, 0.0);
    eventually("the new topic is stored", PATIENCE, || {
        (scene.stored("sms") == 70).then_some(())
    });
    ebbtide.stop();
    scene.audit();
}

#[test]
fn topic_that_did_not_exist_at_a_rebalance_is_assigned_once_it_is_recreated() {
    let mut scene = scene(kafka::shared());
    scene.set("lanes", "1");
    // The client does not find the topic itself within the time of this test.
    scene.property("topic.metadata.refresh.interval.ms", "300000");
    let sms = topic(&scene, "sms");
    let (_, mut ebbtide) = caught_up(&scene);
    let mut leaving = scene.start("leaving", &[]);
    leaving.ready();
    let stored = scene.stored("sms");
    scene.kafka.delete(std::slice::from_ref(&sms));
    named(&mut ebbtide, &sms, &["does not exist"]);
    leaving.stop();
    // The group shares out its partitions without the topic: at the next heartbeats.
    std::thread::sleep(Duration::from_secs(10));
    recreate_sms(&scene, &mut ebbtide);
    let joined = "changed, and the lane has no partition of it";
    let log = ebbtide.process.log();
    assert_eq!(log.matches(joined).count(), 1, "{}", ebbtide.process.tail());
    accept_sms(&scene, &mut ebbtide, stored);
    ebbtide.ready();
    ebbtide.stop();
    scene.audit();
}
