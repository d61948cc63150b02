//! Several instances of one group: members join, leave, die and freeze under load, and one that was
//! frozen commits nothing when it continues.

use std::thread::sleep;
use std::time::Duration;

use crate::program;
use ebbtide_testkit::scene::{KILLED_IN_BETWEEN, Scene};
use ebbtide_testkit::{eventually, kafka, registry};

fn churn(property: &'static str, value: &str) {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms", "voice", "conversations"],
        6,
    );
    scene.set("commit_age", "300ms");
    scene.session = 3000;
    scene.property(property, value);
    let mut producer = scene.produce(usize::MAX / 2, 250, "members");
    let mut first = scene.start("first", &[]);
    first.ready();
    let mut second = scene.start("second", &[]);
    sleep(Duration::from_secs(3));
    let mut third = scene.start("third", &[]);
    sleep(Duration::from_secs(4));
    // Frozen for longer than its session, while it has records; others take over its partitions.
    second.process.signal("STOP");
    sleep(Duration::from_secs(7));
    second.process.signal("CONT");
    sleep(Duration::from_secs(2));
    third.stop();
    let mut fourth = scene.start("fourth", &[]);
    sleep(Duration::from_secs(3));
    first.process.kill();
    sleep(Duration::from_secs(3));
    let acked = producer.stop(Duration::from_secs(60));
    scene.caught_up(
        KILLED_IN_BETWEEN,
        &mut [&mut second.process, &mut fourth.process],
    );
    second.stop();
    fourth.stop();
    println!("{}", scene.check(&[acked], "duckdb"));
}

#[test]
fn members_join_leave_die_and_freeze_with_cooperative_rebalances() {
    churn("partition.assignment.strategy", "cooperative-sticky");
}

#[test]
fn members_join_leave_die_and_freeze_with_eager_rebalances() {
    churn("partition.assignment.strategy", "range,roundrobin");
}

#[test]
fn members_join_leave_die_and_freeze_with_kafka_4s_consumer_protocol() {
    churn("group.protocol", "consumer");
}

#[test]
fn an_instance_restarts_where_its_tables_end_with_the_consumer_protocol() {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms"],
        3,
    );
    scene.property("group.protocol", "consumer");
    // A static member: its partitions stay assigned to it while it is away.
    scene.property("group.instance.id", "pod-1");
    scene.set("lanes", "2");
    let mut acked = Vec::new();
    for (name, killed) in [("first", false), ("second", true), ("third", false)] {
        acked.push(scene.produce(300, 0, name).finish(Duration::from_secs(60)));
        let mut instance = scene.start(name, &[]);
        scene.caught_up(Duration::from_secs(60), &mut [&mut instance.process]);
        if killed {
            instance.process.kill()
        } else {
            instance.stop()
        }
    }
    println!("{}", scene.check(&acked, "duckdb"));
}

#[test]
fn a_refused_partition_holds_up_no_other_with_the_consumer_protocol() {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms", "voice"],
        1,
    );
    scene.property("group.protocol", "consumer");
    scene
        .produce(300, 0, "before")
        .finish(Duration::from_secs(60));
    let mut instance = scene.start("before", &[]);
    scene.caught_up(Duration::from_secs(60), &mut [&mut instance.process]);
    instance.stop();
    // The table of the first topic is ahead of a topic that was recreated.
    scene.kafka.delete(&scene.topics[..1]);
    scene.kafka.create(&scene.topics[..1], 1, &[]);
    scene
        .produce(40, 0, "after")
        .finish(Duration::from_secs(60));
    let end = scene.kafka.ends(&scene.topics[1..])[0].1[0];
    let mut instance = scene.start("after", &[]);
    eventually(
        "one partition is refused and the other one committed",
        Duration::from_secs(60),
        || {
            assert!(
                instance.process.ended().is_none(),
                "{}",
                instance.process.tail()
            );
            let refused = instance.metric("ebbtide_refused_partitions") >= 1.0;
            (refused && scene.committed(&scene.topics[1], 0) == end).then_some(())
        },
    );
    sleep(Duration::from_secs(3));
    let assigned = instance.process.log().matches("partition assigned").count();
    assert!(
        assigned < 5,
        "the group assigns the refused partition again and again:\n{}",
        instance.process.tail()
    );
    instance.stop();
}
