//! Partitions that must not be read: records that retention deleted too early, topics that were
//! recreated. Only these are refused, by name; an operator decides, and the decision is recorded in
//! the evidence.

use std::time::Duration;

use crate::program;
use ebbtide_testkit::ebbtide::Ebbtide;
use ebbtide_testkit::proxy::Proxy;
use ebbtide_testkit::scene::Scene;
use ebbtide_testkit::{eventually, kafka, registry};

const PATIENCE: Duration = Duration::from_secs(60);

fn scene(partitions: u32) -> Scene<'static> {
    Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms"],
        partitions,
    )
}

fn refused(ebbtide: &mut Ebbtide, partitions: f64) -> String {
    eventually("the partitions are refused", PATIENCE, || {
        assert!(
            ebbtide.process.ended().is_none(),
            "{}",
            ebbtide.process.tail()
        );
        let all = ebbtide.metric("ebbtide_refused_partitions") == partitions;
        let (status, said) = ebbtide.ask("/readyz").filter(|_| all)?;
        (status == 503 && said.contains("accept-loss")).then_some(said)
    })
}

fn continues(ebbtide: &mut Ebbtide) {
    eventually(
        "the partition is taken up again without a restart",
        PATIENCE,
        || {
            assert!(
                ebbtide.process.ended().is_none(),
                "{}",
                ebbtide.process.tail()
            );
            (ebbtide.metric("ebbtide_refused_partitions") == 0.0).then_some(())
        },
    );
    ebbtide.ready();
}

fn accept<'w>(topic: &'w str, partition: &'w str) -> [&'w str; 6] {
    [
        "partition",
        "accept-loss",
        "--topic",
        topic,
        "--partition",
        partition,
    ]
}

fn audited(scene: &Scene<'_>) -> serde_json::Value {
    let root = scene.root.display().to_string();
    let (code, said) =
        scene.command(&["table", "audit", "sms", "--output", "json", "--root", &root]);
    assert_eq!(code, 0, "{said}");
    serde_json::from_str(&said).unwrap()
}

/// Reads a topic of 120 records to its end; then the topic is deleted and recreated with `records`,
/// while the instance runs or not.
fn recreated(records: usize, live: bool) {
    let scene = scene(1);
    let topic = scene.topics[0].clone();
    scene.produce(120, 0, "before").finish(PATIENCE);
    let mut ebbtide = scene.start("before", &[]);
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    let (end, stored) = (scene.committed(&topic, 0), scene.stored("sms"));
    if !live {
        ebbtide.stop();
    }
    scene.kafka.delete(&scene.topics);
    scene.kafka.create(&scene.topics, 1, &[]);
    if records > 0 {
        scene
            .produce_in("commit", records, "after")
            .finish(PATIENCE);
    }
    if !live {
        ebbtide = scene.start("after", &[]);
    }
    let said = refused(&mut ebbtide, 1.0);
    assert!(
        said.contains(&format!("{topic}/0")) && said.contains(&format!("at offset {end}")),
        "{said}"
    );
    assert!(
        said.contains("deleted and created again") && said.contains("accept-loss"),
        "{said}"
    );
    assert_eq!(
        (scene.stored("sms"), scene.committed(&topic, 0)),
        (stored, end),
        "nothing of it is stored"
    );

    let (code, said) = scene.command(&["partition", "list", "--refused"]);
    assert!(code == 1 && said.contains(&topic), "{said}");
    let (code, said) = scene.command(&[accept(&topic, "0").as_slice(), &["--dry-run"]].concat());
    assert!(code == 0 && said.contains("Nothing was changed"), "{said}");
    let (code, said) = scene.command(&accept(&topic, "0"));
    assert!(
        code == 0 && said.contains("reading continues at offset 0"),
        "{said}"
    );
    continues(&mut ebbtide);
    eventually("the new topic is stored", PATIENCE, || {
        (scene.stored("sms") == stored + records as u64).then_some(())
    });
    ebbtide.stop();
    scene.audit();
    let (code, said) = scene.command(&accept(&topic, "0"));
    assert!(code == 0 && said.contains("not refused"), "{said}");
}

#[test]
fn a_recreated_topic_that_is_empty_is_refused_at_start() {
    recreated(0, false);
}

#[test]
fn a_recreated_topic_that_is_as_long_is_refused_at_start() {
    // With 120 records and tombstones the old topic ends at 123, the new one with its marker at
    // 123.
    recreated(122, false);
}

#[test]
fn a_recreated_topic_that_is_longer_is_refused_at_start() {
    recreated(400, false);
}

#[test]
fn a_recreated_topic_that_is_shorter_is_refused_while_running() {
    recreated(30, true);
}

#[test]
fn a_recreated_topic_that_is_longer_is_refused_while_running() {
    recreated(400, true);
}

#[test]
fn lost_records_refuse_their_partition_alone_until_the_loss_is_accepted() {
    let scene = scene(3);
    let topic = scene.topics[0].clone();
    scene.produce(300, 0, "read").finish(PATIENCE);
    let mut ebbtide = scene.start("first", &[]);
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    ebbtide.stop();
    let before = scene.committed(&topic, 1);
    scene.produce(300, 0, "unread").finish(PATIENCE);
    scene.kafka.delete_before(&topic, 1, before + 17);
    let mut ebbtide = scene.start("second", &[]);
    let said = refused(&mut ebbtide, 1.0);
    let range = format!("offsets {before} to {} were deleted", before + 16);
    assert!(
        said.contains(&format!("{topic}/1")) && said.contains(&range),
        "{said}"
    );
    assert!(
        ebbtide.process.log().contains(&range),
        "{}",
        ebbtide.process.tail()
    );
    let ends = scene.kafka.ends(&scene.topics)[0].1.clone();
    eventually("the other partitions go on", PATIENCE, || {
        [0, 2]
            .iter()
            .all(|p| scene.committed(&topic, *p) == ends[*p])
            .then_some(())
    });
    assert_eq!(scene.committed(&topic, 1), before);

    let (code, said) = scene.command(&[accept(&topic, "1").as_slice(), &["--dry-run"]].concat());
    assert!(
        code == 0 && said.contains("at most 17 records") && said.contains("Nothing was changed"),
        "{said}"
    );
    assert_eq!(scene.committed(&topic, 1), before);
    let (code, said) = scene.command(&accept(&topic, "1"));
    assert!(code == 0 && said.contains("Accepted in version"), "{said}");
    continues(&mut ebbtide);
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    ebbtide.stop();
    let audit = audited(&scene);
    assert_eq!(audit["totals"]["lost_offsets"], 17, "{audit}");
    let root = scene.root.display().to_string();
    let (_, said) = scene.command(&[
        "history",
        "sms",
        "--operation",
        "accept-loss",
        "--root",
        &root,
    ]);
    assert!(said.contains("17 offsets"), "{said}");
}

#[test]
fn records_deleted_while_the_lane_waits_are_refused_and_others_stored() {
    let door = Proxy::to(registry::shared().port());
    let mut scene = Scene::new(program(), kafka::shared(), door.base(), &["sms"], 2);
    // The client's queue is small, and a partition that waits is paused: records that are produced
    // then are not fetched before the registry answers.
    scene.property("fetch.message.max.bytes", "2000");
    scene.property("queued.max.messages.kbytes", "4");
    scene.property("queued.min.messages", "10");
    let topic = scene.topics[0].clone();
    door.shut();
    scene.produce(1000, 0, "fetched").finish(PATIENCE);
    let mut ebbtide = scene.start("ebbtide", &[]);
    eventually("it waits for the registry", PATIENCE, || {
        ebbtide.has_trouble("registry").then_some(())
    });
    std::thread::sleep(Duration::from_secs(4));
    scene.produce(1000, 0, "unread").finish(PATIENCE);
    let ends = scene.kafka.ends(&scene.topics)[0].1.clone();
    scene.kafka.delete_before(&topic, 0, ends[0] - 3);
    door.open();
    let said = refused(&mut ebbtide, 1.0);
    assert!(
        said.contains(&format!("{topic}/0")) && said.contains("were deleted"),
        "{said}"
    );
    eventually("the other partition goes on", PATIENCE, || {
        (scene.committed(&topic, 1) == ends[1]).then_some(())
    });
    let (code, said) = scene.command(&accept(&topic, "0"));
    assert_eq!(code, 0, "{said}");
    continues(&mut ebbtide);
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    ebbtide.stop();
    let audit = audited(&scene);
    let lost = audit["totals"]["lost_offsets"].as_u64().unwrap();
    let read = audit["totals"]["read"].as_u64().unwrap();
    assert_eq!(
        read + lost,
        (ends[0] + ends[1]) as u64,
        "each offset was read or is counted as lost: {audit}"
    );
}
