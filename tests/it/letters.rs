//! Dead letters that their topic refuses for ever or for some time, against real Kafka: each
//! arrives once, in the best form that the topic accepts, and other products are stored meanwhile.
//! Also, lanes that cannot work report it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::program;
use ebbtide_testkit::args;
use ebbtide_testkit::ebbtide::Ebbtide;
use ebbtide_testkit::process::Process;
use ebbtide_testkit::python::{interpreter, run, script};
use ebbtide_testkit::scene::Scene;
use ebbtide_testkit::volume::Volume;
use ebbtide_testkit::{eventually, kafka, registry};

const PRODUCTS: [&str; 2] = ["sms", "conversations"];

/// Returns a text of `length` that no codec makes much smaller, and that is not a record.
fn noise(length: usize, seed: u64) -> String {
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    (0..length)
        .map(|_| char::from(random.random_range(b'A'..=b'z')))
        .collect()
}

/// Sends messages to partition 0 of a topic, one per line.
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

/// Returns the dead letters by source offset. Asserts that each exists once.
fn letters_by_offset(scene: &Scene<'_>) -> BTreeMap<(String, i64), Value> {
    let (letters, _) = scene.dead_letters();
    let place = |letter: &Value| {
        let header = |name: &str| letter["headers"][name].as_str().unwrap().to_owned();
        let from = format!(
            "{}/{}",
            header("ebbtide.topic"),
            header("ebbtide.partition")
        );
        (from, header("ebbtide.offset").parse().unwrap())
    };
    let count = letters.len();
    let by_offset: BTreeMap<_, _> = letters
        .into_iter()
        .map(|letter| (place(&letter), letter))
        .collect();
    assert_eq!(
        by_offset.len(),
        count,
        "some letters were delivered more than once"
    );
    by_offset
}

fn quarantined(scene: &Scene<'_>) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(scene.root.join("_quarantine"))
        .into_iter()
        .filter_map(Result::ok);
    files
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect()
}

fn ready(instance: &Ebbtide) -> (u16, String) {
    instance.ask("/readyz").unwrap_or_default()
}

/// Sends letters of many sizes to a dead-letter topic of one limit. Returns the offsets that
/// arrived completely, those that arrived without their record, and the number that was
/// quarantined.
fn play(limit: u32) -> (Vec<usize>, Vec<usize>, f64) {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &PRODUCTS,
        1,
    );
    scene.dead_letters = format!("{}.limited", scene.dead_letters);
    let setting = format!("max.message.bytes={limit}");
    scene
        .kafka
        .create(std::slice::from_ref(&scene.dead_letters), 1, &[&setting]);
    // Many small messages, whose batch is larger than any of them, with larger messages between
    // them.
    let sizes: Vec<usize> = (0..40)
        .map(|row| {
            if row % 10 == 9 {
                50_000
            } else {
                300 + 40 * row
            }
        })
        .collect();
    let messages: Vec<String> = sizes
        .iter()
        .zip(0..)
        .map(|(size, seed)| noise(*size, seed))
        .collect();
    let topic = scene
        .topics
        .iter()
        .find(|topic| topic.ends_with("sms"))
        .unwrap()
        .clone();
    say(&scene, &topic, &messages);
    let acked = scene
        .produce(200, 0, "letters")
        .finish(Duration::from_secs(60));
    let mut instance = scene.start("ebbtide", &[]);
    scene.caught_up(Duration::from_secs(60), &mut [&mut instance.process]);
    let quarantine = instance.metric("ebbtide_quarantined_letters_total");
    instance.stop();

    let letters = letters_by_offset(&scene);
    let (mut whole, mut reduced) = (Vec::new(), Vec::new());
    for (row, message) in messages.iter().enumerate() {
        let Some(letter) = letters.get(&(format!("{topic}/0"), i64::try_from(row).unwrap())) else {
            continue;
        };
        let headers = &letter["headers"];
        assert_eq!(headers["ebbtide.code"], "bad_magic", "{headers}");
        if letter["value"].is_null() {
            let digest: String = Sha256::digest(message)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(headers["ebbtide.value-sha256"], digest.as_str());
            assert_eq!(
                headers["ebbtide.value-bytes"],
                message.len().to_string().as_str()
            );
            reduced.push(row);
        } else {
            assert!(headers["ebbtide.omitted"].is_null(), "{headers}");
            whole.push(row);
        }
    }
    let kept: Vec<Vec<u8>> = quarantined(&scene)
        .into_iter()
        .map(|file| fs::read(file).unwrap())
        .collect();
    for (row, message) in messages.iter().enumerate() {
        let is_kept = kept.iter().any(|file| {
            file.windows(message.len())
                .any(|part| part == message.as_bytes())
        });
        assert_eq!(
            is_kept,
            !whole.contains(&row) && !reduced.contains(&row),
            "letter {row} of {limit}"
        );
    }
    scene.audit();
    assert!(acked.exists());
    (whole, reduced, quarantine)
}

#[test]
fn letter_arrives_in_the_best_form_that_its_topic_takes() {
    let large = |row: &usize| row % 10 == 9;
    let (whole, reduced, quarantined) = play(100_000);
    assert_eq!((whole.len(), reduced.len(), quarantined), (40, 0, 0.0));

    let (whole, reduced, quarantined) = play(20_000);
    assert_eq!((whole.len(), reduced.len(), quarantined), (36, 4, 0.0));
    assert!(reduced.iter().all(large), "{reduced:?}");

    // Some of the small messages fit, and headers alone fit.
    let (whole, reduced, quarantined) = play(1_400);
    assert_eq!((whole.len() + reduced.len(), quarantined), (40, 0.0));
    assert!(
        !whole.is_empty() && reduced.len() > 4,
        "{whole:?} {reduced:?}"
    );

    // Nothing fits, not even headers. The producer's tombstones are quarantined too.
    let (whole, reduced, quarantined) = play(150);
    assert_eq!((whole.len(), reduced.len()), (0, 0));
    assert!(quarantined >= 40.0, "{quarantined}");
}

#[test]
fn missing_dead_letter_topic_holds_its_product_and_no_other() {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &PRODUCTS,
        1,
    );
    scene.dead_letters = format!("{}.missing", scene.dead_letters);
    // The other product has no dead letter of its own to wait for.
    scene.tombstones = 0;
    scene.retention_check = "warn";
    scene.set("lanes", "1");
    let topic = |name: &str| {
        scene
            .topics
            .iter()
            .find(|topic| topic.ends_with(name))
            .unwrap()
            .clone()
    };
    let (sms, conversations) = (topic("sms"), topic("conversations"));
    let mut instance = scene.start("ebbtide", &[]);
    instance.ready();
    say(&scene, &sms, &[noise(100, 1)]);
    let why = eventually("it says what is missing", Duration::from_secs(60), || {
        let (status, why) = ready(&instance);
        (status == 503 && why.contains("letters/") && why.contains(&scene.dead_letters))
            .then_some(why)
    });
    assert!(why.contains("create the topic"), "{why}");

    // The lane has one thread, and the records of the other product are still committed.
    let mut producer = scene.produce(usize::MAX / 2, 60, "neighbour");
    let next_commit = |patience: u64| {
        let before = scene.committed(&conversations, 0);
        eventually(
            "the neighbour is committed",
            Duration::from_secs(patience),
            || (scene.committed(&conversations, 0) > before).then_some(()),
        );
    };
    // The first commit waits for the producer to start.
    next_commit(60);
    (0..3).for_each(|_| next_commit(5));
    assert_eq!(
        scene.committed(&sms, 0),
        0,
        "no commit may pass a letter that is not delivered"
    );
    let acked = producer.stop(Duration::from_secs(60));

    scene
        .kafka
        .create(std::slice::from_ref(&scene.dead_letters), 1, &[]);
    scene.caught_up(Duration::from_secs(60), &mut [&mut instance.process]);
    instance.ready();
    instance.stop();
    assert!(letters_by_offset(&scene).contains_key(&(format!("{sms}/0"), 0)));
    assert!(acked.exists());
    scene.audit();
}

#[test]
fn full_disk_makes_each_dead_letter_once() {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &PRODUCTS,
        2,
    );
    let volume = Volume::mount(&mut scene, "1m");
    let mut producer = scene.produce(usize::MAX / 2, 400, "disk");
    let mut instance = volume.start(&scene, "ebbtide");
    eventually(
        "commits fail on the full disk",
        Duration::from_secs(120),
        || {
            assert!(
                instance.process.ended().is_none(),
                "it must wait:\n{}",
                instance.process.tail()
            );
            instance.has_trouble("table/").then_some(())
        },
    );
    sleep(Duration::from_secs(20));
    volume.remount("size=400m");
    let acked = producer.stop(Duration::from_secs(90));
    scene.caught_up(Duration::from_secs(90), &mut [&mut instance.process]);
    instance.stop();
    volume.unload(&mut scene);
    assert!(letters_by_offset(&scene).len() > 20);
    println!("{}", scene.check(&[acked], "duckdb"));
}

#[test]
fn client_that_cannot_be_made_ends_the_start() {
    for (session, properties, said) in [
        // Longer than `max.poll.interval.ms`, which only the creation of a consumer reports.
        (400_000, &[][..], "max.poll.interval.ms"),
        (
            6000,
            &[
                ("security.protocol", "ssl"),
                ("ssl.ca.location", "/nowhere/ca.pem"),
            ][..],
            "ssl.ca.location",
        ),
        (
            6000,
            &[("max.in.flight.requests.per.connection", "6")][..],
            "max.in.flight",
        ),
    ] {
        let mut scene = Scene::new(
            program(),
            kafka::shared(),
            registry::shared().base(),
            &["sms"],
            1,
        );
        scene.retention_check = "warn";
        scene.session = session;
        for (name, value) in properties {
            scene.property(name, value);
        }
        let mut instance = scene.start("refused", &[]);
        let status = instance.process.wait(Duration::from_secs(30));
        let log = instance.process.log();
        assert!(
            !status.success() && log.contains(said),
            "{said}: {status}\n{log}"
        );
    }
}

#[test]
fn lane_that_the_group_refuses_is_not_ready_until_it_is_taken() {
    let scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms"],
        2,
    );
    let group = scene.dead_letters.strip_suffix(".dead").unwrap();
    // A member with an assignment protocol that is not compatible with Ebbtide's.
    let bootstrap = scene.kafka.bootstrap();
    let join = args![
        "-B",
        script("join.py"),
        "--bootstrap",
        bootstrap,
        "--group",
        group,
        "--strategy",
        "cooperative-sticky",
        scene.topics[0]
    ];
    let mut member = Process::start(&interpreter(), join, &[], &scene.scratch.join("member.log"));
    eventually(
        "the other member has joined",
        Duration::from_secs(90),
        || member.log().contains("joined").then_some(()),
    );
    let mut instance = scene.start("ebbtide", &[]);
    let why = eventually(
        "it says that it is refused",
        Duration::from_secs(60),
        || {
            let (status, why) = ready(&instance);
            (status == 503 && why.contains("lane/")).then_some(why)
        },
    );
    assert!(why.contains("refused"), "{why}");
    assert!(instance.metric("ebbtide_lanes_failing") >= 1.0);
    sleep(Duration::from_secs(8));
    assert_eq!(
        ready(&instance).0,
        503,
        "it is not ready while it is refused"
    );

    member.kill();
    let acked = scene
        .produce(100, 0, "taken")
        .finish(Duration::from_secs(60));
    scene.caught_up(Duration::from_secs(120), &mut [&mut instance.process]);
    instance.ready();
    assert_eq!(instance.metric("ebbtide_lanes_failing"), 0.0);
    instance.stop();
    assert!(acked.exists());
}
