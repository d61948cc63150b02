use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{CommitClockError, UrgentTime, commit_time};
use ebbtide_base::clock::{ManualClock, SharedClock};
use ebbtide_config::SweepConfig;
use ebbtide_maintenance::testing::{World, start, texts};
use ebbtide_query::newest_commit;
use ebbtide_table::{Root, TrustedTime};

/// Creates a root whose only commit is dated `at`.
async fn committed(at: DateTime<Utc>) -> World {
    let mut world = World::new("remove");
    world.clock.set_wall(at);
    world.ingest(&texts(at, 3)).await;
    world
}

fn clock(at: DateTime<Utc>) -> SharedClock {
    Arc::new(ManualClock::at(at))
}

/// Returns the time of a commit, or the verdict that prevents it.
async fn time(root: &Root, at: DateTime<Utc>) -> Result<DateTime<Utc>, &'static str> {
    commit_time(root, &clock(at), &SweepConfig::default())
        .await
        .map_err(|error| match error {
            CommitClockError::Untrusted { verdict, reason } => {
                assert!(reason.contains("`ebbtide clock confirm`"), "{reason}");
                verdict
            }
            error => panic!("{error}"),
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_clock_that_may_ingest_dates_a_commit() {
    let world = committed(start()).await;
    for (days, expected) in [
        (0, Ok(start())),
        (2, Ok(start() + TimeDelta::days(2))),
        (4, Err("ahead")),
        (400, Err("ahead")),
        (-2, Err("behind_commit")),
        (-400, Err("behind_commit")),
    ] {
        assert_eq!(
            time(&world.root, start() + TimeDelta::days(days)).await,
            expected,
            "{days}"
        );
        assert!(
            !world.root.folder().join("_clock").exists(),
            "{days}: nothing is recorded"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn root_without_any_time_takes_every_clock() {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::parse(folder.path().to_str().unwrap()).unwrap();
    for days in [0, 400, -400] {
        let at = start() + TimeDelta::days(days);
        assert_eq!(time(&root, at).await, Ok(at));
        let urgent = UrgentTime::find(&root, &clock(at), &SweepConfig::default())
            .await
            .unwrap();
        assert_eq!((urgent.at, urgent.warning(at).as_str()), (at, ""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_records_of_the_time_date_no_commit() {
    let world = committed(start()).await;
    let folder = world.root.folder().join("_clock");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("trusted.json"), "{").unwrap();
    assert_eq!(time(&world.root, start()).await, Err("unknown"));
    let urgent = UrgentTime::find(&world.root, &clock(start()), &SweepConfig::default())
        .await
        .unwrap();
    assert_eq!(urgent.at, start());
    assert!(
        urgent
            .warning(urgent.at)
            .starts_with("warning: the clock is not trusted (unknown)")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn urgent_commit_is_dated_by_the_newest_commit_if_the_clock_is_wrong() {
    let world = committed(start()).await;
    let until = start() + TimeDelta::days(30);
    for days in [400, 4, -2, -400] {
        let at = start() + TimeDelta::days(days);
        let urgent = UrgentTime::find(&world.root, &clock(at), &SweepConfig::default())
            .await
            .unwrap();
        assert_eq!(
            Some(urgent.before(until)),
            newest_commit(&world.root).await.unwrap(),
            "{days}"
        );
        assert!(
            urgent.warning(start()).contains("2026-11-24T12:00:00Z"),
            "{}",
            urgent.warning(start())
        );
    }
    let at = start() + TimeDelta::days(2);
    let urgent = UrgentTime::find(&world.root, &clock(at), &SweepConfig::default())
        .await
        .unwrap();
    assert_eq!(
        (urgent.before(until), urgent.warning(at).as_str()),
        (at, "")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn urgent_commit_is_dated_before_its_end_after_a_wrong_clock_committed() {
    let world = committed(start() + TimeDelta::days(400)).await;
    let urgent = UrgentTime::find(&world.root, &clock(start()), &SweepConfig::default())
        .await
        .unwrap();
    for (days, expected) in [(30, 0), (399, 0), (400, 0), (401, 400), (800, 400)] {
        let until = start() + TimeDelta::days(days);
        assert_eq!(
            urgent.before(until),
            start() + TimeDelta::days(expected),
            "{days}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn urgent_commit_without_another_commit_is_dated_by_the_last_trusted_time() {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::parse(folder.path().to_str().unwrap()).unwrap();
    root.record_trusted(&TrustedTime {
        at: start(),
        confirmation: None,
    })
    .await
    .unwrap();
    let at = start() + TimeDelta::days(400);
    assert_eq!(time(&root, at).await, Err("ahead"));
    assert_eq!(
        UrgentTime::find(&root, &clock(at), &SweepConfig::default())
            .await
            .unwrap()
            .at,
        start()
    );
}
