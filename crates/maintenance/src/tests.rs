//! Sweeps over a real table: due data is deleted, held data stays, and the evidence adds up after
//! each step.

mod compaction;
mod interleavings;
mod parked;
mod triggers;

use chrono::{DateTime, TimeDelta, Utc};

use super::testing::{ANONYMIZE, SmsRecord, World, number, start, texts};
use super::{CommitContext, PlanBounds, ReviewCache, SweepHolds};
use ebbtide_base::clock::{Clock, SharedClock};
use ebbtide_base::ids::Deadline;
use ebbtide_controls::Scope;

fn of(person: u32) -> Scope {
    Scope {
        subject: Some(format!("phone:+{}", number(person)).parse().unwrap()),
        ..Scope::default()
    }
}

fn named(rows: &[Vec<Option<String>>]) -> usize {
    rows.iter().filter(|row| row[0].is_some()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_category_is_dropped_at_its_deadline_and_not_before() {
    let mut world = World::new("remove");
    world.ingest(&texts(start(), 20)).await;
    // The bucket is the 24th, and content is kept for 7 days from its start: until the first
    // instant of 1 December.
    world.pass(TimeDelta::days(6) + TimeDelta::hours(11) + TimeDelta::minutes(59));
    assert_eq!(world.sweep().await.works, 0);
    world.pass(TimeDelta::minutes(1));
    let round = world.sweep().await;
    assert_eq!(
        (round.works, round.failed, round.more),
        (1, 0, false),
        "{round:?}"
    );
    assert_eq!(round.did.dropped.values().sum::<u64>(), 20);
    let rows = world.rows().await;
    assert!(
        rows.len() == 20 && rows.iter().all(|row| row[0].is_some() && row[1].is_none()),
        "{rows:?}"
    );
    world.balances().await;
    assert_eq!(world.sweep().await.works, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_removed_at_their_last_deadline() {
    let mut world = World::new("remove");
    world.ingest(&texts(start(), 20)).await;
    world.pass(TimeDelta::days(30));
    let round = world.sweep().await;
    assert_eq!((round.did.removed, round.did.cells), (20, 0));
    assert!(world.rows().await.is_empty());
    world.balances().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_become_cells_of_enough_people_over_all_segments_of_a_bucket() {
    let mut world = World::new(ANONYMIZE);
    // Two records of a customer in each of two segments: four people are enough, two would not be.
    let rare = |from: u32| {
        let mut two = texts(start(), from + 2).split_off(from as usize);
        two.iter_mut().for_each(|sms| {
            (sms.customer, sms.status) = ("rare".to_owned(), "delivered".to_owned())
        });
        two
    };
    world.ingest(&[texts(start(), 10), rare(0)].concat()).await;
    world.ingest(&rare(2)).await;
    world.pass(TimeDelta::days(30));
    let round = world.sweep().await;
    assert_eq!(
        (
            round.works,
            round.did.cells,
            round.did.cell_records,
            round.did.suppressed
        ),
        (1, 3, 14, 0)
    );
    let some = |texts: [&str; 4]| {
        let mut row = vec![None, None];
        row.extend(texts.map(|text| Some(text.to_owned())));
        row
    };
    let cells = [
        some(["acme", "delivered", "5", "5"]),
        some(["acme", "failed", "5", "5"]),
        some(["rare", "delivered", "4", "4"]),
    ];
    assert_eq!(world.rows().await, cells);
    world.balances().await;
    assert_eq!(world.sweep().await.works, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_row_survives_sweeps_of_its_neighbours_until_it_is_released() {
    let mut world = World::new("remove");
    world.ingest(&texts(start(), 20)).await;
    let hold = world.hold(of(7)).await;
    world.pass(TimeDelta::days(8));
    let round = world.sweep().await;
    assert_eq!(
        (round.did.held, round.did.dropped.values().sum::<u64>()),
        (1, 19)
    );
    let whole = |rows: &[Vec<Option<String>>]| rows.iter().filter(|row| row[1].is_some()).count();
    assert_eq!(whole(&world.rows().await), 1);
    world.balances().await;
    world.pass(TimeDelta::days(40));
    world.sweep().await;
    let rows = world.rows().await;
    assert_eq!(
        (rows.len(), rows[0][0].clone(), rows[0][1].clone()),
        (1, Some(number(7)), Some("what 7 reads".into()))
    );
    world.balances().await;
    world.release(&hold).await;
    assert_eq!(world.sweep().await.did.removed, 1);
    assert!(world.rows().await.is_empty());
    world.balances().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_comes_between_plan_and_commit_keeps_its_rows() {
    let mut world = World::new("remove");
    world.ingest(&texts(start(), 20)).await;
    world.pass(TimeDelta::days(40));
    let mut sweeper = world.sweeper().await;
    let (works, _) = sweeper.plan(world.clock.now()).await.unwrap();
    assert_eq!(works.len(), 1);
    world.hold(of(7)).await;
    // The next round reads the controls again; the plan that was made before is not used.
    sweeper.round(None, usize::MAX).await;
    assert_eq!(named(&world.rows().await), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_fails_waits_and_its_neighbours_are_swept() {
    let mut world = World::new("remove");
    let day = |n: i64| start() + TimeDelta::days(n);
    for n in 0..3 {
        world.ingest(&texts(day(n), 5)).await;
        world.pass(TimeDelta::days(1));
    }
    let table = world.root.table_folder(&super::testing::sms());
    let damaged = walkdir::WalkDir::new(table.join("bucket=2026-11-25"))
        .into_iter()
        .filter_map(Result::ok)
        .find(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "parquet")
        });
    let damaged = damaged.unwrap().into_path();
    let sound = std::fs::read(&damaged).unwrap();
    std::fs::write(&damaged, vec![0; sound.len()]).unwrap();
    world.pass(TimeDelta::days(9));
    let mut sweeper = world.sweeper().await;
    let round = sweeper.round(None, usize::MAX).await;
    assert_eq!((round.works, round.failed), (2, 1));
    // It is not retried immediately.
    assert_eq!(sweeper.round(None, usize::MAX).await.failed, 0);
    std::fs::write(&damaged, sound).unwrap();
    world.pass(TimeDelta::minutes(1));
    assert_eq!(sweeper.round(None, usize::MAX).await.works, 1);
    assert!(world.rows().await.iter().all(|row| row[1].is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_swept_after_a_clock_jump_until_the_clock_settles() {
    let mut world = World::new("remove");
    world.ingest(&texts(start(), 5)).await;
    let mut sweeper = world.sweeper().await;
    sweeper.look_at_clock();
    world.clock.set_wall(start() + TimeDelta::days(40));
    let round = sweeper.round(None, usize::MAX).await;
    assert_eq!(
        (round.works, round.clock, round.more),
        (0, Some("jumped"), true)
    );
    assert_eq!(
        (world.rows().await.len(), world.metrics.clock_trusted.get()),
        (5, 0)
    );
    world.clock.set_wall(start());
    assert_eq!(sweeper.round(None, usize::MAX).await.works, 0);
    world.pass(TimeDelta::days(40));
    assert_eq!(sweeper.round(None, usize::MAX).await.did.removed, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sweepers_of_one_table_do_the_work_once() {
    let mut world = World::new(ANONYMIZE);
    for n in 0..6 {
        world.ingest(&texts(start() + TimeDelta::days(n), 9)).await;
        world.pass(TimeDelta::days(1));
    }
    world.pass(TimeDelta::days(60));
    let (mut one, mut other) = (world.sweeper().await, world.sweeper().await);
    let (one, other) = tokio::join!(one.round(None, usize::MAX), other.round(None, usize::MAX));
    assert_eq!((one.failed, other.failed), (0, 0));
    assert_eq!(
        one.did.cell_records + other.did.cell_records,
        54,
        "{one:?} {other:?}"
    );
    world.sweep().await;
    world.balances().await;
    assert_eq!(named(&world.rows().await), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_another_instance_has_done_is_not_done_again() {
    let mut world = World::new("remove");
    for n in 0..2 {
        world.ingest(&texts(start() + TimeDelta::days(n), 9)).await;
        world.pass(TimeDelta::days(1));
    }
    world.pass(TimeDelta::days(8));
    let mut one = world.product().await;
    let mut other = world.product().await;
    let version = one.table.controls();
    let held = SweepHolds::at(
        one.controls(&world.controls()).await.unwrap(),
        world.clock.now(),
        version,
    );
    let plan = one.plan(world.clock.now(), &held, PlanBounds::default(), |_| false);
    assert_eq!(plan.works.len(), 2);
    let by = CommitContext {
        writer: uuid::Uuid::nil(),
        clock: std::sync::Arc::clone(&world.clock) as SharedClock,
        policy_version: world.policy.version.clone(),
        memory: 1 << 20,
    };
    other.carry_out(&plan.works[1], &held, &by).await.unwrap();
    one.carry_out(&plan.works[0], &held, &by).await.unwrap();
    let again = one.carry_out(&plan.works[1], &held, &by).await;
    assert!(again.is_err_and(|error| error.is_stale()));
    assert_eq!(world.rows().await.len(), 18);
    world.balances().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_comes_to_an_ended_bucket_is_not_stored() {
    let mut world = World::new(ANONYMIZE);
    world.ingest(&texts(start(), 9)).await;
    world.pass(TimeDelta::days(30));
    world.sweep().await;
    assert_eq!(world.ingest(&texts(start(), 4)).await, 4);
    assert_eq!(named(&world.rows().await), 0);
    world.balances().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unswept_data_is_counted_as_overdue_after_its_grace() {
    let mut world = World::new("remove");
    world.ingest(&texts(start(), 5)).await;
    let mut watch = world.watch(ReviewCache::default()).await;
    let overdue = |category: &str| {
        world
            .metrics
            .overdue_fields
            .with_label_values(&["sms", category])
            .get()
    };
    let due = |horizon: &str| {
        world
            .metrics
            .due_fields
            .with_label_values(&["sms", "content", horizon])
            .get()
    };
    watch.look().await;
    assert_eq!((overdue("content"), due("1h"), due("7d")), (0, 0, 5));
    // Due at the first instant of 1 December, with a grace of 6 hours.
    world.pass(TimeDelta::days(6) + TimeDelta::hours(18));
    watch.look().await;
    assert_eq!(
        (
            overdue("content"),
            due("1h"),
            world.metrics.oldest_overdue_seconds.get()
        ),
        (0, 5, 0)
    );
    world.pass(TimeDelta::seconds(90));
    watch.look().await;
    assert_eq!((overdue("content"), overdue("phone_number")), (5, 0));
    assert_eq!(world.metrics.oldest_overdue_seconds.get(), 90);
    world.sweep().await;
    watch.look().await;
    assert_eq!(
        (
            overdue("content"),
            world.metrics.oldest_overdue_seconds.get(),
            due("1h")
        ),
        (0, 0, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_held_past_their_deadline_are_counted_separately() {
    let mut world = World::new("remove");
    world.ingest(&texts(start(), 5)).await;
    world.hold(of(3)).await;
    let reviews = ReviewCache::default();
    let (mut sweeper, mut watch) = (
        world.sweeper_with(reviews.clone()).await,
        world.watch(reviews).await,
    );
    world.pass(TimeDelta::days(9));
    sweeper.round(None, usize::MAX).await;
    watch.look().await;
    let held = world
        .metrics
        .held_fields
        .with_label_values(&["sms", "content"])
        .get();
    let overdue = world
        .metrics
        .overdue_fields
        .with_label_values(&["sms", "content"])
        .get();
    assert_eq!((held, overdue), (1, 0));
}

#[test]
fn a_deadline_is_due_at_its_instant() {
    let at: DateTime<Utc> = start();
    assert!(Deadline(at).is_due(at) && !Deadline(at).is_due(at - TimeDelta::microseconds(1)));
    let _: Vec<SmsRecord> = texts(at, 1);
}
