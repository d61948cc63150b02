//! An instance is killed without warning while it reads and sweeps, and at every named step of a
//! sweep's commit: no record is lost or stored twice, nothing that is due is left, and no file that
//! no version needs.
//!
//! `SOAK_SWEEP_KILLS` in the environment asks for more kills than the few of `make test`.

use std::fs;
use std::time::{Duration, Instant};

use ebbtide_base::failpoint::COMMIT;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::program;
use ebbtide_testkit::args;
use ebbtide_testkit::clock_ahead::living;
use ebbtide_testkit::ebbtide::Ebbtide;
use ebbtide_testkit::process::Process;
use ebbtide_testkit::scene::{KILLED_IN_BETWEEN, Scene};
use ebbtide_testkit::swept::{Swept, micros, past_the_hour, sweep};
use ebbtide_testkit::{kafka, readers, registry};

/// The seconds that the clock advances for each life: in every other one, a bucket of an hour
/// reaches a deadline.
const STEP: u64 = 25 * 60;

fn scene() -> Scene<'static> {
    let mut scene = Scene::short(program(), kafka::shared(), registry::shared().base(), 4);
    scene.set("commit_age", "300ms");
    scene.session = 1500;
    // The modification times of files are real, so nothing may be decided by them while the clock
    // is ahead.
    scene.sections = sections("1s", "3650d");
    scene
}

fn sections(readers_grace: &str, orphan_age: &str) -> String {
    format!(
        "maintain:\n  readers_grace: {readers_grace}\n  orphan_age: {orphan_age}\n  log_retention: 3650d\n  checkpoint_every: 20\n\
         sweep:\n  every: 100ms\n"
    )
}

/// Kills an instance in the middle of its work, and a sweep that runs next to it, if there is one.
fn live_and_die(scene: &Scene<'_>, life: usize, ahead: u64, random: &mut StdRng) {
    let (name, value) = living(ahead);
    let mut instance = scene.start("ebbtide", &[(name, &value)]);
    let mut beside = random.random_bool(0.3).then(|| {
        let arguments = args!["sweep", "--config", scene.config().display()];
        Process::start(
            program().path(),
            arguments,
            &[(name.to_owned(), value.clone())],
            &scene.scratch.join("sweep.log"),
        )
    });
    let reads = |instance: &Ebbtide| instance.metric("ebbtide_records_total") >= 1.0;
    let sweeps = |instance: &Ebbtide| instance.metric("ebbtide_sweep_seconds_count") >= 1.0;
    let (wants_records, wants_sweeps) = (random.random_bool(0.7), random.random_bool(0.5));
    let patience = Instant::now() + Duration::from_secs(10);
    while (wants_records && !reads(&instance)) || (wants_sweeps && !sweeps(&instance)) {
        assert!(
            instance.process.ended().is_none(),
            "life {life} ended by itself:\n{}",
            instance.process.tail()
        );
        if Instant::now() > patience {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(random.random_range(0..1200)));
    if let Some(beside) = &mut beside {
        beside.kill();
    }
    instance.process.kill();
}

/// Asserts that after a sweep nothing is due, only files that a version lists exist, and every
/// record is accounted for.
fn settle(scene: &mut Scene<'_>, acked: &std::path::Path, ahead: u64) {
    let ahead = past_the_hour(ahead);
    let since = micros(ahead);
    println!("the last sweep: {}", sweep(scene, ahead)["did"]);
    // Killed processes left files that no commit names. No one writes now, so they may be deleted
    // immediately.
    scene.sections = sections("0s", "1h");
    std::thread::sleep(Duration::from_millis(10));
    sweep(scene, ahead);
    let acked = [acked.to_owned()];
    let at = (since, micros(ahead));
    let swept = Swept {
        scene,
        acked: &acked,
        at,
        held: None,
        settled: true,
        readers: readers::ALL,
    };
    println!("{}", swept.check());
}

#[test]
fn killed_at_random_again_and_again_while_it_reads_and_sweeps() {
    let kills: usize = std::env::var("SOAK_SWEEP_KILLS").map_or(20, |text| text.parse().unwrap());
    let mut scene = scene();
    let ahead_of_events = scene.scratch.join("ahead");
    fs::write(&ahead_of_events, "0").unwrap();
    let mut producer = scene.produce_ahead(&ahead_of_events, 150, "sweeps");
    let mut random = StdRng::seed_from_u64(11);
    let mut ahead = 0;
    for kill in 0..kills {
        live_and_die(&scene, kill, ahead, &mut random);
        println!("kill {} of {kills}", kill + 1);
        // Events are never ahead of the instance's clock: they lag by one life.
        fs::write(scene.scratch.join("ahead.new"), ahead.to_string()).unwrap();
        fs::rename(scene.scratch.join("ahead.new"), &ahead_of_events).unwrap();
        ahead += STEP;
    }
    let (name, value) = living(ahead);
    let mut instance = scene.start("ebbtide", &[(name, &value)]);
    let acked = producer.stop(Duration::from_secs(60));
    scene.caught_up(KILLED_IN_BETWEEN, &mut [&mut instance.process]);
    instance.ready();
    instance.stop();
    settle(&mut scene, &acked, ahead);
}

#[test]
fn killed_at_every_named_step_of_a_sweeps_commit() {
    let mut scene = scene();
    let acked = scene
        .produce(4000, 0, "sweep-steps")
        .finish(Duration::from_secs(60));
    let mut instance = scene.start("ebbtide", &[("EBBTIDE_SWEEP_ENABLED", "false")]);
    scene.caught_up(Duration::from_secs(60), &mut [&mut instance.process]);
    instance.stop();
    // Four hours later, all content of the last hours is due, whatever the minute is; more is due
    // after each half hour, so that there is work for each step.
    let (mut ahead, mut deaths) = (0, 0);
    let steps = COMMIT.into_iter().chain(["segment-part-written"]);
    for (nth, step) in steps.enumerate() {
        ahead = 3600 * (nth as u64 + 8) / 2;
        for failpoints in [format!("{step}=return"), format!("{step}=1*off->return")] {
            let mut command = std::process::Command::new(program());
            command.args(args!["sweep", "--config", scene.config().display()]);
            command
                .env("CLOCK_AHEAD", ahead.to_string())
                .env("FAILPOINTS", &failpoints);
            let status = command.status().unwrap();
            let died = status.code().is_none();
            // The buckets that are due depend on the minute: a sweep may have nothing left to die
            // at.
            assert!(died || status.success(), "{failpoints}: {status}");
            deaths += usize::from(died);
        }
        scene.audit();
    }
    assert!(deaths > COMMIT.len(), "{deaths} deaths");
    let said = program().run_ahead(ahead, args!["sweep", "--config", scene.config().display()]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    settle(&mut scene, &acked, ahead);
}
