//! Random histories of a table: policies and their changes, traffic, late records, compaction,
//! holds, contract ends, withdrawals, jumps of time, one instance or two. After each step, a slow
//! model that reads the table as foreign readers do (`tests/python/history.py`) checks the table.
//! This module carries out the steps.
//!
//! A failure is reported with its seed; `SOAK_HISTORIES_FROM` and `SOAK_HISTORIES` in the
//! environment choose the seeds of the long run.

mod instance;
mod records;
mod world;
mod writer;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use tokio::runtime::Builder;

use ebbtide_testkit::python;
use world::{Step, World, instant};

#[test]
fn foreign_readers_agree_with_the_model_after_each_step_of_200_histories() {
    run(0, 200);
}

#[test]
#[ignore = "five thousand histories take many minutes: `make soak`"]
fn five_thousand_histories() {
    let set =
        |name: &str, usual: u64| std::env::var(name).map_or(usual, |set| set.parse().unwrap());
    run(set("SOAK_HISTORIES_FROM", 200), set("SOAK_HISTORIES", 5000));
}

/// Runs the histories of `count` seeds from `first` on, with one thread for each core.
fn run(first: u64, count: u64) {
    // Syncs cost nothing in memory, and no power cut is tested here.
    let folder = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    let hands = 2;
    std::thread::scope(|scope| {
        for hand in 0..hands {
            let folder = folder.path().join(hand.to_string());
            let share = count / hands;
            scope.spawn(move || play(&folder, first + hand * share, share));
        }
    });
}

/// Starts one reader, carries out the steps of its histories, and sends it the results.
fn play(folder: &Path, first: u64, count: u64) {
    let mut reader = Command::new(python::interpreter())
        .arg("-B")
        .arg(python::script("history.py"))
        .args([
            folder.to_str().unwrap(),
            &first.to_string(),
            &count.to_string(),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut answers, said) = (
        reader.stdin.take().unwrap(),
        BufReader::new(reader.stdout.take().unwrap()),
    );
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (mut world, mut reported) = (None, 0);
    for line in said.lines() {
        let answer = match serde_json::from_str(&line.unwrap()).unwrap() {
            Step::Open {
                folder,
                policy,
                now,
                ahead,
            } => match runtime.block_on(World::open(&folder, &policy, instant(now), &ahead)) {
                Ok(opened) => {
                    world = Some(opened);
                    json!({ "refused": [] })
                }
                Err(refused) => json!({ "refused": refused }),
            },
            Step::End { histories } => {
                reported = histories;
                json!({})
            }
            step => runtime.block_on(world.as_mut().unwrap().carry_out(step)),
        };
        // The reader may have found an error and ended: its exit status shows it.
        let _ = writeln!(answers, "{answer}");
    }
    let status = reader.wait().unwrap();
    assert!(
        status.success() && reported == count,
        "histories from seed {first} on: {reported} of {count}, {status}"
    );
}
