//! Random histories of Kafka topics with a real broker: transactions, gaps, retention, compaction,
//! topics that are created again, a registry that lags, a dead-letter topic that refuses, kills
//! (`tests/python/topic_histories.py`).
//!
//! `SOAK_TOPICS_FROM` and `SOAK_TOPICS` in the environment choose the seeds of the long run.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::program;
use ebbtide_testkit::{kafka, python};

#[test]
fn two_hundred_topic_histories_end_as_the_model_says() {
    run((0, 200), SHORT);
}

#[test]
#[ignore = "five thousand histories take more than an hour: `make soak`"]
fn five_thousand_topic_histories() {
    let set =
        |name: &str, usual: u64| std::env::var(name).map_or(usual, |set| set.parse().unwrap());
    run(
        (set("SOAK_TOPICS_FROM", 200), set("SOAK_TOPICS", 5000)),
        LONG,
    );
}

/// The number of histories that share one instance, and the number of rounds of each.
type Size = (u64, u64);

/// Histories mostly wait, so fifty at the same time take little longer than twenty.
const SHORT: Size = (50, 3);
const LONG: Size = (20, 5);

/// Runs `count` histories from seed `first` on, on their own broker.
fn run((first, count): (u64, u64), (side_by_side, rounds): Size) {
    let kafka = kafka::Kafka::start();
    // Syncs cost nothing in memory, and no power cut is tested here.
    let folder = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    let mut player = Command::new(python::interpreter())
        .args(["-B", &python::script("topic_histories.py")])
        .args([
            program().path().as_os_str(),
            kafka.bootstrap().as_ref(),
            folder.path().join("groups").as_os_str(),
        ])
        .args([first, count, side_by_side, rounds].map(|number| number.to_string()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = String::new();
    for line in BufReader::new(player.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        println!("{line}");
        output.push_str(&line);
        output.push('\n');
    }
    assert!(
        player.wait().unwrap().success(),
        "histories are wrong:\n{output}"
    );
}
