//! Lag and buffers are correct at all times while a lane waits: for the registry, for the
//! dead-letter topic, for the store.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::program;
use ebbtide_testkit::ebbtide::Ebbtide;
use ebbtide_testkit::proxy::Proxy;
use ebbtide_testkit::scene::Scene;
use ebbtide_testkit::volume::Volume;
use ebbtide_testkit::{eventually, kafka, registry};

const PATIENCE: Duration = Duration::from_secs(60);

/// Asserts that the lag in seconds grows with the clock between two readings, and that records are
/// buffered.
fn grows(ebbtide: &mut Ebbtide) {
    eventually("the gauges show that records wait", PATIENCE, || {
        assert!(
            ebbtide.process.ended().is_none(),
            "{}",
            ebbtide.process.tail()
        );
        let of = |name| ebbtide.metric(name);
        (of("ebbtide_ingest_lag_seconds") >= 2.0 && of("ebbtide_ingest_lag_records") >= 1.0)
            .then_some(())
    });
    let (began, seconds) = (Instant::now(), ebbtide.metric("ebbtide_ingest_lag_seconds"));
    sleep(Duration::from_secs(6));
    let (passed, later) = (
        began.elapsed().as_secs_f64(),
        ebbtide.metric("ebbtide_ingest_lag_seconds"),
    );
    assert!(
        (-1.0..=2.0).contains(&(later - seconds - passed)),
        "{seconds} s, and {passed} s later {later} s"
    );
}

fn returns_to_zero(ebbtide: &mut Ebbtide) {
    eventually("lag and buffers return to 0", PATIENCE, || {
        let lag = ebbtide.metric("ebbtide_ingest_lag_seconds")
            + ebbtide.metric("ebbtide_ingest_lag_records");
        (lag == 0.0).then_some(())
    });
}

#[test]
fn lag_grows_while_the_registry_is_down_and_counts_what_comes_meanwhile() {
    let door = Proxy::to(registry::shared().port());
    let scene = Scene::new(program(), kafka::shared(), door.base(), &["sms"], 1);
    door.shut();
    let mut ebbtide = scene.start("ebbtide", &[]);
    scene.produce_in("commit", 10, "first").finish(PATIENCE);
    grows(&mut ebbtide);
    assert!(ebbtide.metric("ebbtide_buffered_bytes") > 0.0);
    scene.produce_in("commit", 30, "more").finish(PATIENCE);
    eventually(
        "the new records are counted",
        Duration::from_secs(10),
        || (ebbtide.metric("ebbtide_ingest_lag_records") >= 40.0).then_some(()),
    );
    grows(&mut ebbtide);
    door.open();
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    returns_to_zero(&mut ebbtide);
    ebbtide.stop();
    scene.audit();
}

#[test]
fn lag_grows_while_the_dead_letter_topic_takes_nothing() {
    let scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms"],
        1,
    );
    let mut ebbtide = scene.start("ebbtide", &[]);
    ebbtide.ready();
    scene
        .kafka
        .delete(std::slice::from_ref(&scene.dead_letters));
    // One in 51 has no value and is a dead letter.
    scene.produce(100, 0, "letters").finish(PATIENCE);
    grows(&mut ebbtide);
    scene
        .kafka
        .create(std::slice::from_ref(&scene.dead_letters), 1, &[]);
    scene.caught_up(Duration::from_secs(120), &mut [&mut ebbtide.process]);
    returns_to_zero(&mut ebbtide);
    ebbtide.stop();
    scene.audit();
}

#[test]
fn lag_grows_while_the_disk_is_full() {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms"],
        1,
    );
    let volume = Volume::mount(&mut scene, "1m");
    let mut ebbtide = volume.start(&scene, "ebbtide");
    scene.produce(20, 0, "fits").finish(PATIENCE);
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    returns_to_zero(&mut ebbtide);
    volume.remount("ro");
    scene.produce(20, 0, "waits").finish(PATIENCE);
    grows(&mut ebbtide);
    volume.remount("rw");
    scene.caught_up(Duration::from_secs(120), &mut [&mut ebbtide.process]);
    returns_to_zero(&mut ebbtide);
    ebbtide.stop();
    volume.unload(&mut scene);
    scene.audit();
}
