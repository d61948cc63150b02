//! Tests of the helpers: servers start and stop, the producer's records are in the topics, the
//! oracle compares.

use std::time::Duration;

use crate::program;
use ebbtide_testkit::kafka;
use ebbtide_testkit::scene::Scene;
use ebbtide_testkit::volume::Volume;
use ebbtide_testkit::{Scratch, http_get};
use ebbtide_testkit::{process::Process, proxy::Proxy, registry};

#[test]
fn the_producers_records_are_in_the_topics_that_acknowledged_them() {
    let scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms", "push"],
        2,
    );
    let mut producer = scene.produce(200, 0, "1");
    let acked = producer.finish(Duration::from_secs(60));
    assert_eq!(std::fs::read_to_string(acked).unwrap().lines().count(), 204);
    let held: i64 = scene
        .kafka
        .ends(&scene.topics)
        .iter()
        .flat_map(|(_, ends)| ends)
        .sum();
    assert_eq!(held, 204);
}

#[test]
fn a_process_does_not_outlive_its_value() {
    let scratch = Scratch::new();
    let process = Process::start(
        "/bin/sleep".as_ref(),
        &["600".to_owned()],
        &[],
        &scratch.join("sleep.log"),
    );
    let pid = process.pid();
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
    drop(process);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn shut_proxy_does_not_answer_and_an_opened_one_answers_again() {
    let proxy = Proxy::to(registry::shared().port());
    let url = format!("{}/apis/ccompat/v7/subjects", proxy.base());
    assert_eq!(http_get(&url).map(|answer| answer.0), Some(200));
    proxy.shut();
    assert_eq!(http_get(&url), None);
    proxy.open();
    assert_eq!(http_get(&url).map(|answer| answer.0), Some(200));
}

#[test]
fn a_small_disk_fills_turns_read_only_and_grows_in_its_namespace_alone() {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms"],
        1,
    );
    let volume = Volume::mount(&mut scene, "1m");
    let file = scene.seen.join("file");
    assert!(
        std::fs::write(&file, vec![0; 2 << 20]).is_err(),
        "it must be full"
    );
    volume.remount("size=8m");
    std::fs::write(&file, vec![0; 2 << 20]).unwrap();
    volume.remount("ro");
    assert!(
        std::fs::write(&file, "more").is_err(),
        "it must be read-only"
    );
    volume.remount("rw");
    std::fs::write(&file, "other").unwrap();
    assert!(!scene.root.join("file").exists());
    volume.unload(&mut scene);
    assert_eq!(
        std::fs::read_to_string(scene.root.join("file")).unwrap(),
        "other"
    );
}
