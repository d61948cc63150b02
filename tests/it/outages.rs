//! Outages of the registry, the broker and the store: an instance waits, reports that it is not
//! ready, and loses nothing.

use std::thread::sleep;
use std::time::Duration;

use crate::program;
use ebbtide_testkit::kafka::{self, Kafka};
use ebbtide_testkit::proxy::Proxy;
use ebbtide_testkit::readers::ReaderComparison;
use ebbtide_testkit::scene::{KILLED_IN_BETWEEN, Scene};
use ebbtide_testkit::volume::Volume;
use ebbtide_testkit::{eventually, registry};

const PRODUCTS: [&str; 2] = ["sms", "conversations"];

#[test]
fn a_registry_that_is_down_is_waited_for_and_makes_no_dead_letter() {
    let door = Proxy::to(registry::shared().port());
    door.shut();
    let scene = Scene::new(program(), kafka::shared(), door.base(), &PRODUCTS, 2);
    let acked = scene
        .produce(500, 0, "registry")
        .finish(Duration::from_secs(60));
    let mut ebbtide = scene.start("ebbtide", &[]);
    eventually(
        "it asked the registry in vain",
        Duration::from_secs(90),
        || {
            assert!(
                ebbtide.process.ended().is_none(),
                "it must wait:\n{}",
                ebbtide.process.tail()
            );
            (ebbtide.ask("/readyz")?.0 == 503
                && ebbtide.metric("ebbtide_schema_fetches_total") >= 1.0)
                .then_some(())
        },
    );
    sleep(Duration::from_secs(3));
    assert_eq!(ebbtide.ask("/livez").map(|answer| answer.0), Some(200));
    door.open();
    scene.caught_up(Duration::from_secs(60), &mut [&mut ebbtide.process]);
    ebbtide.ready();
    ebbtide.stop();
    let counts = scene.check(&[acked], "duckdb");
    assert_eq!(
        counts["dead"], 10,
        "tombstones alone are dead letters: {counts}"
    );
}

#[test]
fn a_broker_that_is_down_for_thirty_seconds_is_waited_for() {
    let kafka = Kafka::start();
    let scene = Scene::new(program(), &kafka, registry::shared().base(), &PRODUCTS, 2);
    let mut producer = scene.produce(usize::MAX / 2, 200, "broker");
    let mut ebbtide = scene.start("ebbtide", &[]);
    eventually("it stores", Duration::from_secs(60), || {
        (ebbtide.metric("ebbtide_records_total") > 0.0).then_some(())
    });
    kafka.kill();
    sleep(Duration::from_secs(30));
    assert!(
        ebbtide.process.ended().is_none(),
        "it must wait:\n{}",
        ebbtide.process.tail()
    );
    kafka.resume();
    let acked = producer.stop(Duration::from_secs(240));
    scene.caught_up(Duration::from_secs(90), &mut [&mut ebbtide.process]);
    ebbtide.stop();
    println!("{}", scene.check(&[acked], "duckdb"));
}

#[test]
fn a_stop_while_the_broker_is_down_ends_well_and_within_its_bound() {
    let kafka = Kafka::start();
    let scene = Scene::new(program(), &kafka, registry::shared().base(), &PRODUCTS, 2);
    let acked = scene
        .produce(500, 0, "stop")
        .finish(Duration::from_secs(60));
    let mut ebbtide = scene.start("ebbtide", &[]);
    scene.caught_up(Duration::from_secs(60), &mut [&mut ebbtide.process]);
    let (_, dead) = scene.dead_letters();
    kafka.kill();
    sleep(Duration::from_secs(3));
    ebbtide.stop();
    let compared = ReaderComparison {
        root: &scene.root,
        policy: &scene.policy,
        acked: &[acked],
        dead: Some(&dead),
        readers: "duckdb",
    };
    compared.check();
}

#[test]
fn a_full_disk_is_waited_for_and_a_kill_on_it_loses_nothing() {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &PRODUCTS,
        2,
    );
    let volume = Volume::mount(&mut scene, "1m");
    let mut producer = scene.produce(usize::MAX / 2, 400, "disk");
    let mut ebbtide = volume.start(&scene, "ebbtide");
    eventually(
        "commits fail on the full disk",
        Duration::from_secs(120),
        || {
            assert!(
                ebbtide.process.ended().is_none(),
                "it must wait:\n{}",
                ebbtide.process.tail()
            );
            ebbtide.has_trouble("table/").then_some(())
        },
    );
    sleep(Duration::from_secs(3));
    ebbtide.process.kill();
    let mut ebbtide = volume.start(&scene, "ebbtide");
    sleep(Duration::from_secs(4));
    volume.remount("size=400m");
    let acked = producer.stop(Duration::from_secs(90));
    scene.caught_up(KILLED_IN_BETWEEN, &mut [&mut ebbtide.process]);
    ebbtide.stop();
    volume.unload(&mut scene);
    println!("{}", scene.check(&[acked], "duckdb"));
}

#[test]
fn a_store_that_is_read_only_for_a_while_is_waited_for() {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &PRODUCTS,
        2,
    );
    let volume = Volume::mount(&mut scene, "400m");
    let mut producer = scene.produce(usize::MAX / 2, 300, "read-only");
    let mut ebbtide = volume.start(&scene, "ebbtide");
    eventually("it stores", Duration::from_secs(60), || {
        (ebbtide.metric("ebbtide_records_total") > 300.0).then_some(())
    });
    volume.remount("ro");
    eventually(
        "it says that it is not ready",
        Duration::from_secs(90),
        || (ebbtide.ask("/readyz")?.0 == 503).then_some(()),
    );
    sleep(Duration::from_secs(5));
    assert!(
        ebbtide.process.ended().is_none(),
        "it must wait:\n{}",
        ebbtide.process.tail()
    );
    volume.remount("rw");
    let acked = producer.stop(Duration::from_secs(90));
    scene.caught_up(Duration::from_secs(90), &mut [&mut ebbtide.process]);
    ebbtide.stop();
    volume.unload(&mut scene);
    println!("{}", scene.check(&[acked], "duckdb"));
}
