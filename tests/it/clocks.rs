//! A wrong clock deletes nothing: at the start, after a restart, ahead or late, until it is right
//! or a person confirms it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::program;
use ebbtide_testkit::ebbtide::Ebbtide;
use ebbtide_testkit::scene::Scene;
use ebbtide_testkit::shifted::ShiftedClock;
use ebbtide_testkit::swept::{HOUR, micros};
use ebbtide_testkit::{eventually, kafka, registry};

/// Creates records that are due in hours, stored by an instance whose clock was right.
fn filled(seed: &str) -> Scene<'static> {
    let mut scene = Scene::short(program(), kafka::shared(), registry::shared().base(), 1);
    scene.sections =
        "maintain:\n  readers_grace: 0s\n  orphan_age: 3650d\nsweep:\n  every: 500ms\n".to_owned();
    scene.produce(400, 0, seed).finish(Duration::from_secs(60));
    let mut instance = scene.start("filling", &[("EBBTIDE_SWEEP_ENABLED", "false")]);
    scene.caught_up(Duration::from_secs(60), &mut [&mut instance.process]);
    instance.stop();
    scene
}

/// Returns the files of rows.
fn files(scene: &Scene<'_>) -> BTreeSet<PathBuf> {
    let all = walkdir::WalkDir::new(scene.root.join("tables"))
        .into_iter()
        .map(|entry| entry.unwrap().into_path());
    all.filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "parquet")
    })
    .collect()
}

fn start(scene: &Scene<'_>, clock: &ShiftedClock, name: &str) -> Ebbtide {
    let environment = clock.environment();
    scene.start(
        name,
        &environment
            .each_ref()
            .map(|(name, value)| (*name, value.as_str())),
    )
}

/// Returns the reason that `/readyz` gives for a part.
fn trouble(instance: &Ebbtide, part: &str) -> Option<String> {
    let (status, body) = instance.ask("/readyz")?;
    let body: Value = serde_json::from_str(&body).ok()?;
    let troubles = body["troubles"].as_array()?;
    let reason = troubles.iter().find(|trouble| trouble["part"] == part)?["reason"].as_str()?;
    assert_eq!(status, 503);
    Some(reason.to_owned())
}

fn distrusts(instance: &mut Ebbtide) -> String {
    eventually("the clock is distrusted", Duration::from_secs(60), || {
        assert!(
            instance.process.ended().is_none(),
            "ebbtide ended:\n{}",
            instance.process.tail()
        );
        trouble(instance, "clock").filter(|_| instance.metric("ebbtide_clock_trusted") == 0.0)
    })
}

#[test]
fn command_by_a_wrong_clock_deletes_nothing_until_it_is_confirmed() {
    let scene = filled("far off");
    let clock = ShiftedClock::new(&scene);
    let before = files(&scene);
    assert!(!before.is_empty());
    for days in [100, 4, -100, -1] {
        clock.set(days);
        for command in ["sweep", "compact"] {
            let said = clock.ebbtide(&scene, command);
            assert_eq!(said.code, 4, "{command} {days}: {}{}", said.out, said.err);
            assert!(
                said.out.contains("the clock is not trusted"),
                "{command} {days}: {}",
                said.out
            );
            assert!(
                said.out.contains("`ebbtide clock confirm`"),
                "{command} {days}: {}",
                said.out
            );
        }
        let shown = clock.ebbtide(&scene, "clock show");
        assert!(
            shown.code == 1 && shown.out.contains("NOT TRUSTED"),
            "{days}: {}",
            shown.out
        );
        assert_eq!(files(&scene), before, "{days}");
    }
    clock.set(100);
    let confirmed = clock.ebbtide(&scene, "clock confirm --by anna");
    assert_eq!(confirmed.code, 0, "{}", confirmed.err);
    assert_eq!(clock.ebbtide(&scene, "clock show").code, 0);
    let said = clock.ebbtide(&scene, "sweep");
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    // The files that the sweep replaced are past a readers' grace of zero only in the next sweep.
    assert_eq!(clock.ebbtide(&scene, "sweep").code, 0);
    assert_ne!(files(&scene), before);
    // The confirmation was for that clock only.
    for days in [0, 200] {
        clock.set(days);
        assert_eq!(clock.ebbtide(&scene, "sweep").code, 4, "{days}");
    }
}

#[test]
fn instance_that_starts_by_a_wrong_clock_reads_and_deletes_nothing() {
    let scene = filled("started");
    let clock = ShiftedClock::new(&scene);
    let before = files(&scene);
    scene
        .produce(100, 0, "started, more")
        .finish(Duration::from_secs(60));
    for days in [100, -100] {
        clock.set(days);
        let mut instance = start(&scene, &clock, "wrong");
        let reason = distrusts(&mut instance);
        let side = if days > 0 {
            "days after the last trusted time"
        } else {
            "days before the newest commit"
        };
        assert!(reason.contains(side), "{reason}");
        // Long enough for several rounds of the sweep.
        std::thread::sleep(Duration::from_secs(4));
        assert_eq!(files(&scene), before, "{days}");
        assert_eq!(
            instance.metric("ebbtide_records_total"),
            0.0,
            "{days}: a wrong clock would take records for expired"
        );
        instance.stop();
    }
    clock.set(0);
    let mut instance = start(&scene, &clock, "right");
    instance.ready();
    scene.caught_up(Duration::from_secs(60), &mut [&mut instance.process]);
    assert_eq!(instance.metric("ebbtide_clock_trusted"), 1.0);
    instance.stop();
}

#[test]
fn jump_of_a_running_instance_stays_distrusted_after_a_restart() {
    // A deadline between the start and the kill would rightly change the files.
    let left = HOUR - u64::try_from(micros(0) / 1_000_000).unwrap() % HOUR;
    if left < 180 {
        std::thread::sleep(Duration::from_secs(left + 5));
    }
    let scene = filled("jump");
    let clock = ShiftedClock::new(&scene);
    let before = files(&scene);
    let mut instance = start(&scene, &clock, "jumping");
    instance.ready();
    clock.set(31);
    distrusts(&mut instance);
    instance.process.kill();
    let mut instance = start(&scene, &clock, "restarted");
    let reason = distrusts(&mut instance);
    assert!(
        reason.contains("31 days after the last trusted time"),
        "{reason}"
    );
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(files(&scene), before);

    // The clock was right: a person confirms it, and the running instance continues.
    assert_eq!(clock.ebbtide(&scene, "clock confirm").code, 0);
    instance.ready();
    eventually("what is due is deleted", Duration::from_secs(60), || {
        (files(&scene).is_disjoint(&before)).then_some(())
    });
    assert_eq!(instance.metric("ebbtide_clock_trusted"), 1.0);
    instance.stop();
}

#[test]
fn command_by_a_wrong_clock_leaves_no_date_that_stops_the_right_instances() {
    let scene = filled("commands");
    let clock = ShiftedClock::new(&scene);
    let hold = "hold place --case 1 --basis order --until 2036-01-31 --tenant absent";
    let (policy, topic) = (scene.policy.display(), &scene.topics[0]);
    for days in [400, 4, -400] {
        clock.set(days);
        for command in [
            "contract end tenant-1 --at 2026-01-31".to_owned(),
            "consent withdraw --subject phone:+31612345678 --at 2026-01-31".to_owned(),
            format!("policy activate {policy}"),
            format!("partition accept-loss --topic {topic} --partition 0"),
            "notice confirm 1".to_owned(),
            "notice reject 1".to_owned(),
            "hold release hold-00000001".to_owned(),
        ] {
            let said = clock.ebbtide(&scene, &command);
            assert_eq!(said.code, 4, "{command} {days}: {}{}", said.out, said.err);
            assert!(
                said.err.contains("the clock is not trusted ("),
                "{command} {days}: {}",
                said.err
            );
            assert!(
                said.err.contains("`ebbtide clock show`"),
                "{command} {days}: {}",
                said.err
            );
        }
        let said = clock.ebbtide(&scene, hold);
        assert!(
            said.code == 0 && said.err.contains("warning: the clock is not trusted ("),
            "{days}: {}",
            said.err
        );
        assert!(clock.ebbtide(&scene, &format!("{hold} --dry-run")).code == 0);
    }
    clock.set(0);
    let shown = clock.ebbtide(&scene, "clock show");
    assert_eq!(shown.code, 0, "{}", shown.out);
    let said = clock.ebbtide(&scene, "sweep");
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_eq!(clock.ebbtide(&scene, hold).err, "");
}
