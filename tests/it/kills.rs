//! An instance is killed without warning, again and again, and at every named step of a commit: no
//! record is lost or stored twice.
//!
//! `SOAK_KILLS` in the environment asks for more kills than the few of `make test`.

use std::time::{Duration, Instant};

use ebbtide_base::failpoint::COMMIT;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::program;
use ebbtide_testkit::scene::{KILLED_IN_BETWEEN, Scene};
use ebbtide_testkit::{kafka, registry};

fn scene() -> Scene<'static> {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms", "voice", "conversations"],
        4,
    );
    // Small commits, so that most kills hit one; the group gives up a dead member soon.
    scene.set("commit_age", "150ms");
    scene.session = 1500;
    scene
}

#[test]
fn killed_at_random_again_and_again_under_load() {
    let kills: usize = std::env::var("SOAK_KILLS").map_or(12, |text| text.parse().unwrap());
    let scene = scene();
    let mut producer = scene.produce(usize::MAX / 2, 250, "kills");
    let mut random = StdRng::seed_from_u64(7);
    for kill in 0..kills {
        let mut ebbtide = scene.start("ebbtide", &[]);
        // Some are killed early, some when they have records, some in the middle of their commits.
        if random.random_bool(0.8) {
            let patience = Instant::now() + Duration::from_secs(20);
            while ebbtide.metric("ebbtide_records_total") < 1.0 && Instant::now() < patience {
                assert!(
                    ebbtide.process.ended().is_none(),
                    "life {kill} ended by itself:\n{}",
                    ebbtide.process.tail()
                );
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        std::thread::sleep(Duration::from_millis(random.random_range(0..1500)));
        ebbtide.process.kill();
        println!("kill {} of {kills}", kill + 1);
    }
    let mut ebbtide = scene.start("ebbtide", &[]);
    let acked = producer.stop(Duration::from_secs(60));
    scene.caught_up(KILLED_IN_BETWEEN, &mut [&mut ebbtide.process]);
    ebbtide.stop();
    println!("{}", scene.check(&[acked], "duckdb"));
}

#[test]
fn killed_at_every_named_step_of_a_commit() {
    let scene = scene();
    let mut producer = scene.produce(usize::MAX / 2, 250, "steps");
    for step in ["dead-letters-delivered"].into_iter().chain(COMMIT) {
        // Once at the first pass of the step, and once after the instance has made commits.
        for failpoints in [format!("{step}=return"), format!("{step}=3*off->return")] {
            let mut ebbtide = scene.start("ebbtide", &[("FAILPOINTS", &failpoints)]);
            let status = ebbtide.process.wait(KILLED_IN_BETWEEN);
            assert_eq!(
                status.code(),
                Some(128 + 6),
                "{failpoints} must abort it:\n{}",
                ebbtide.process.tail()
            );
        }
    }
    let mut ebbtide = scene.start("ebbtide", &[]);
    let acked = producer.stop(Duration::from_secs(60));
    scene.caught_up(KILLED_IN_BETWEEN, &mut [&mut ebbtide.process]);
    ebbtide.stop();
    println!("{}", scene.check(&[acked], "duckdb"));
}
