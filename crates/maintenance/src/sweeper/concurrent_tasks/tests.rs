use std::cell::Cell;
use std::sync::Arc;

use chrono::TimeDelta;

use super::*;
use crate::action::SweepAction;
use crate::expire::drop::DropColumns;
use crate::expire::end::EndRecords;
use crate::task::PlanBounds;
use crate::testing::{World, sms, start, texts};
use crate::triggers::apply::ApplyTriggers;
use ebbtide_base::clock::{Clock, SharedClock};
use ebbtide_base::ids::{Bucket, Deadline, ProfileId};

fn work(action: SweepAction) -> Task {
    let due = Deadline(DateTime::UNIX_EPOCH);
    let bucket = Bucket::Day(due.0.date_naive());
    Task {
        bucket,
        profile: ProfileId::new("0123456789ab").unwrap(),
        action,
        due,
        segments: Vec::new(),
    }
}

#[test]
fn longest_overdue_task_of_a_free_table_begins_and_one_ending_at_a_time() {
    let nothing = DropColumns {
        categories: BTreeSet::new(),
    };
    let drop = |table| (table, work(SweepAction::Drop(nothing.clone())));
    let end = |table| (table, work(SweepAction::End(EndRecords)));
    let retag = |table| (table, work(SweepAction::ApplyTriggers(ApplyTriggers)));
    for (waiting, under_way, first) in [
        (vec![drop(0), drop(1)], vec![], Some(0)),
        (vec![drop(0), drop(0), retag(1)], vec![(0, false)], Some(2)),
        (vec![drop(0), retag(0)], vec![(0, false)], None),
        (vec![end(1), end(2), drop(3)], vec![(0, true)], Some(2)),
        (vec![end(1), drop(1), drop(2)], vec![(0, true)], Some(2)),
        (vec![end(1), drop(1)], vec![(0, true)], None),
        (vec![end(1)], vec![(0, false)], Some(0)),
        (vec![drop(1)], vec![(0, true)], Some(0)),
        (
            vec![drop(9)],
            vec![(0, false), (1, false), (2, false), (3, false)],
            None,
        ),
        (vec![], vec![], None),
    ] {
        assert_eq!(
            next(&waiting, &under_way),
            first,
            "{waiting:?} beside {under_way:?}"
        );
    }
}

/// Creates worlds of one table each, in which the content of two buckets is due, and nothing else.
async fn worlds() -> Vec<World> {
    let mut worlds = vec![World::new("remove"), World::new("remove")];
    for world in &mut worlds {
        for n in 0..2 {
            world.ingest(&texts(start() + TimeDelta::days(n), 9)).await;
            world.pass(TimeDelta::days(1));
        }
        world.pass(TimeDelta::days(8));
    }
    worlds
}

/// Carries out what is due in all of the worlds, with a clock whose verdicts are `said` in turn.
/// Returns its last verdict, and the number of pieces that were done and that failed.
async fn carry_out(worlds: &[World], said: &[ClockStatus]) -> (ClockStatus, usize, usize) {
    let (mut products, mut held, mut todo) = (Vec::new(), BTreeMap::new(), Vec::new());
    for (index, world) in worlds.iter().enumerate() {
        let mut product = world.product().await;
        let version = product.table.controls();
        let holds = SweepHolds::at(
            product.controls(&world.controls()).await.unwrap(),
            world.clock.now(),
            version,
        );
        let plan = product.plan(world.clock.now(), &holds, PlanBounds::default(), |_| false);
        todo.extend(plan.works.into_iter().map(|work| (index, work)));
        held.insert(index, holds);
        products.push(product);
    }
    assert_eq!(todo.len(), 4);
    let by = CommitContext {
        writer: uuid::Uuid::nil(),
        clock: Arc::clone(&worlds[0].clock) as SharedClock,
        policy_version: worlds[0].policy.version.clone(),
        memory: 1 << 20,
    };
    let looks = Cell::new(0);
    let look = |_| said[looks.replace(looks.get() + 1).min(said.len() - 1)];
    let (mut done, mut failed) = (0, 0);
    let over = |finished: &FinishedTask| {
        if finished.done.is_ok() {
            done += 1
        } else {
            failed += 1
        }
    };
    let context = TaskContext {
        held: &held,
        by: &by,
    };
    let verdict = carry_out_all(todo, &mut products, context, look, over).await;
    (verdict, done, failed)
}

/// Returns the number of pieces that are still to be done.
async fn left(worlds: &[World]) -> usize {
    let mut left = 0;
    for world in worlds {
        left += world
            .sweeper()
            .await
            .plan(world.clock.now())
            .await
            .unwrap()
            .0
            .len();
    }
    left
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_due_of_several_tables_is_done_once() {
    let worlds = worlds().await;
    assert_eq!(
        carry_out(&worlds, &[ClockStatus::Trusted]).await,
        (ClockStatus::Trusted, 4, 0)
    );
    assert_eq!(left(&worlds).await, 0);
    for world in &worlds {
        world.balances().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_finish_and_none_begins_after_the_clock_jumps() {
    let worlds = worlds().await;
    let said = [
        ClockStatus::Trusted,
        ClockStatus::Trusted,
        ClockStatus::Jumped,
        ClockStatus::Trusted,
    ];
    assert_eq!(carry_out(&worlds, &said).await, (ClockStatus::Jumped, 2, 0));
    assert_eq!(left(&worlds).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_fails_keeps_no_other_from_its_work() {
    let worlds = worlds().await;
    let table = worlds[0].root.table_folder(&sms());
    for file in walkdir::WalkDir::new(table)
        .into_iter()
        .filter_map(Result::ok)
    {
        if file
            .path()
            .extension()
            .is_some_and(|extension| extension == "parquet")
        {
            std::fs::write(file.path(), b"no rows").unwrap();
        }
    }
    assert_eq!(
        carry_out(&worlds, &[ClockStatus::Trusted]).await,
        (ClockStatus::Trusted, 2, 2)
    );
    assert_eq!(left(&worlds[1..]).await, 0);
}
