//! Compaction over a real table: closed buckets become few segments, and a sweep never waits or
//! loses a race because of it.

use std::time::Duration;

use chrono::TimeDelta;
use futures::StreamExt;

use super::super::testing::{ANONYMIZE, World, number, sms, start, texts};
use super::super::{
    CommitContext, Compaction, CompactionReport, CompactionRule, CompactionSettings, SweepHolds,
};
use super::of;
use ebbtide_base::clock::{Clock, SharedClock};
use ebbtide_table::{SegmentIndex, StoredSegment};

fn how() -> CompactionSettings {
    CompactionSettings {
        rule: CompactionRule {
            target: 1 << 30,
            segments: 100,
            works: 10,
        },
        memory: 64 << 20,
        late: TimeDelta::hours(1),
        every: Duration::from_secs(600),
    }
}

fn compaction(world: &World) -> Compaction {
    Compaction::new(how(), world.clock.monotonic())
}

async fn compact(world: &World) -> CompactionReport {
    let mut sweeper = world.sweeper().await;
    let did = sweeper.compact(&mut compaction(world), usize::MAX).await;
    assert_eq!((did.failed, did.clock), (0, None), "{did:?}");
    world.balances().await;
    did
}

async fn segments(world: &World) -> Vec<StoredSegment> {
    SegmentIndex::load(&world.table().await)
        .await
        .unwrap()
        .iter()
        .cloned()
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_becomes_one_segment_once_it_is_closed_and_is_then_let_be() {
    let mut world = World::new(ANONYMIZE);
    for from in [7, 3, 5] {
        world.ingest(&texts(start(), from)).await;
    }
    let rows = world.rows().await;
    // Its day is over, but the hour for late records is not.
    world.pass(TimeDelta::hours(12) + TimeDelta::minutes(59));
    assert_eq!(compact(&world).await, CompactionReport::default());
    assert_eq!(
        world
            .metrics
            .bucket_segments
            .with_label_values(&["sms"])
            .get(),
        0
    );
    world.pass(TimeDelta::minutes(1));
    let did = compact(&world).await;
    assert_eq!(
        (did.merges, did.segments_in, did.segments_out, did.records),
        (1, 3, 1, 15),
        "{did:?}"
    );
    assert_eq!(world.rows().await, rows);
    assert_eq!(segments(&world).await.len(), 1);
    assert_eq!(compact(&world).await, CompactionReport::default());
    let counted = |outcome| {
        world
            .metrics
            .compacted_segments
            .with_label_values(&["sms", outcome])
            .get()
    };
    assert_eq!((counted("replaced"), counted("added")), (3, 1));
    assert_eq!(
        world
            .metrics
            .bucket_segments
            .with_label_values(&["sms"])
            .get(),
        1
    );
    // Its rows are sorted by their subject.
    let table = world.table().await;
    let mut found = table
        .read_columns(&segments(&world).await, &["recipient"], None)
        .unwrap();
    let rows = found.next().await.unwrap().unwrap().rows;
    let column: Vec<String> = (0..rows.num_rows())
        .map(|row| arrow::util::display::array_value_to_string(rows.column(0), row).unwrap())
        .collect();
    assert!(
        column.is_sorted() && column.len() == 15 && column[0] == number(0),
        "{column:?}"
    );
    // The new segment is swept like any other.
    world.pass(TimeDelta::days(7));
    assert_eq!(world.sweep().await.did.dropped.values().sum::<u64>(), 15);
    world.pass(TimeDelta::days(30));
    assert_eq!(world.sweep().await.did.records_in, 15);
    world.balances().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_segments_are_merged_once_they_are_as_large_as_the_others() {
    let mut world = World::new("remove");
    for _ in 0..2 {
        world.ingest(&texts(start(), 20_000)).await;
    }
    world.pass(TimeDelta::hours(30));
    assert_eq!(compact(&world).await.merges, 1);
    let large = segments(&world).await.remove(0);
    for _ in 0..2 {
        world.ingest(&texts(start(), 2)).await;
        world.ingest(&texts(start(), 2)).await;
        compact(&world).await;
        assert!(
            segments(&world).await.contains(&large),
            "a large one was written again for a few records"
        );
    }
    let left = segments(&world).await;
    assert_eq!(
        (
            left.len(),
            left.iter().map(|segment| segment.records).sum::<u64>()
        ),
        (2, 40_008)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_due_within_the_hour_are_left_to_the_sweep() {
    let mut world = World::new("remove");
    for _ in 0..3 {
        world.ingest(&texts(start(), 5)).await;
    }
    // Content is due at the first instant of 1 December.
    world.pass(TimeDelta::days(6) + TimeDelta::hours(11));
    assert_eq!(compact(&world).await.merges, 0);
    // Overdue data is left to the sweep too.
    world.pass(TimeDelta::hours(2));
    assert_eq!(compact(&world).await.merges, 0);
    assert_eq!(world.sweep().await.works, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn held_segments_are_not_merged_with_others() {
    let mut world = World::new("remove");
    for _ in 0..3 {
        world.ingest(&texts(start(), 20)).await;
    }
    let hold = world.hold(of(7)).await;
    world.pass(TimeDelta::days(8));
    world.sweep().await;
    let held = |segments: Vec<StoredSegment>| {
        segments
            .into_iter()
            .filter(|of| of.deadlines.len() == 2)
            .collect()
    };
    let before: Vec<StoredSegment> = held(segments(&world).await);
    assert_eq!(before.iter().map(|segment| segment.records).sum::<u64>(), 3);
    compact(&world).await;
    assert_eq!(held(segments(&world).await), before);
    world.release(&hold).await;
    world.sweep().await;
    assert!(world.rows().await.iter().all(|row| row[1].is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_compactions_wins_and_the_other_stops() {
    let mut world = World::new(ANONYMIZE);
    for _ in 0..3 {
        world.ingest(&texts(start(), 9)).await;
    }
    world.pass(TimeDelta::hours(20));
    let mut one = world.product().await;
    let version = one.table.controls();
    let held = SweepHolds::at(
        one.controls(&world.controls()).await.unwrap(),
        world.clock.now(),
        version,
    );
    let merges = one.merges(world.clock.now(), &how(), &held, |_| false);
    assert_eq!(merges.works.len(), 1);
    assert_eq!(compact(&world).await.merges, 1);
    let files = || {
        walkdir::WalkDir::new(world.root.table_folder(&sms()))
            .into_iter()
            .count()
    };
    let before = files();
    let by = CommitContext {
        writer: uuid::Uuid::nil(),
        clock: std::sync::Arc::clone(&world.clock) as SharedClock,
        policy_version: world.policy.version.clone(),
        memory: 1,
    };
    let lost = one.merge(&merges.works[0], &held, &by).await;
    assert!(lost.is_err_and(|error| error.is_stale()));
    assert_eq!((world.rows().await.len(), files()), (27, before));
    world.balances().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_comes_meanwhile_makes_a_merge_let_go() {
    let mut world = World::new("remove");
    for _ in 0..2 {
        world.ingest(&texts(start(), 9)).await;
    }
    world.pass(TimeDelta::hours(20));
    let mut one = world.product().await;
    let version = one.table.controls();
    let held = SweepHolds::at(
        one.controls(&world.controls()).await.unwrap(),
        world.clock.now(),
        version,
    );
    let merges = one.merges(world.clock.now(), &how(), &held, |_| false);
    world.hold(of(7)).await;
    let by = CommitContext {
        writer: uuid::Uuid::nil(),
        clock: std::sync::Arc::clone(&world.clock) as SharedClock,
        policy_version: world.policy.version.clone(),
        memory: 64 << 20,
    };
    assert!(
        one.merge(&merges.works[0], &held, &by)
            .await
            .is_err_and(|error| error.is_stale())
    );
    assert_eq!(segments(&world).await.len(), 2);
    assert_eq!(compact(&world).await.merges, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_cannot_be_merged_waits_and_the_others_become_one() {
    let mut world = World::new("remove");
    for _ in 0..3 {
        world.ingest(&texts(start(), 9)).await;
    }
    let damaged = world
        .root
        .table_folder(&sms())
        .join(&*segments(&world).await[1].path);
    let sound = std::fs::read(&damaged).unwrap();
    std::fs::write(&damaged, vec![0; sound.len()]).unwrap();
    world.pass(TimeDelta::hours(20));
    let (mut sweeper, mut compaction) = (world.sweeper().await, compaction(&world));
    let did = sweeper.compact(&mut compaction, usize::MAX).await;
    assert_eq!((did.merges, did.failed), (0, 1), "{did:?}");
    let did = sweeper.compact(&mut compaction, usize::MAX).await;
    assert_eq!(
        (did.merges, did.segments_in, did.failed),
        (1, 2, 0),
        "{did:?}"
    );
    // A sweep of the segment does not wait because its merge failed.
    std::fs::write(&damaged, sound).unwrap();
    world.pass(TimeDelta::days(8));
    let round = sweeper.round(None, usize::MAX).await;
    assert_eq!((round.works, round.failed), (1, 0), "{round:?}");
    assert_eq!(world.rows().await.len(), 27);
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_does_one_merge_per_turn_and_none_by_an_untrusted_clock() {
    let mut world = World::new("remove");
    for day in 0..3 {
        for _ in 0..2 {
            world
                .ingest(&texts(start() + TimeDelta::days(day), 9))
                .await;
        }
        world.pass(TimeDelta::days(1));
    }
    let mut sweeper = world.sweeper().await;
    let first = world.clock.monotonic() + Duration::from_secs(600);
    let mut compaction = Compaction::new(how(), first);
    assert!(
        !sweeper.compact_in_turn(&mut compaction).await,
        "it is not time yet"
    );
    assert_eq!(segments(&world).await.len(), 6);
    world.pass(TimeDelta::hours(12));
    assert!(sweeper.compact_in_turn(&mut compaction).await);
    assert_eq!(segments(&world).await.len(), 5);
    let now = world.clock.now();
    world.clock.set_wall(now + TimeDelta::days(400));
    assert!(!sweeper.compact_in_turn(&mut compaction).await);
    assert_eq!(segments(&world).await.len(), 5);
}
