//! A new policy and notices over one table: known triggers stay known after the policy under which
//! they came.

use chrono::TimeDelta;

use super::apply::{column, some, swept, take};
use crate::testing::{World, policy_text_of, read, start, texts};
use crate::{MigratePolicy, ReviewCache, SweepAction};
use ebbtide_base::clock::Clock;
use ebbtide_policy::CheckedPolicy;

fn kept(version: &str, days: u32) -> CheckedPolicy {
    let text = policy_text_of(
        "remove",
        &format!("keep: {days} days, trigger: contract_end"),
    );
    read(&text.replace("test-1", version))
}

async fn world() -> World {
    let mut world = World::triggered("remove", "keep: 2 days, trigger: contract_end");
    world.ingest(&texts(start(), 20)).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_that_ended_stays_ended_under_a_new_policy() {
    let mut world = world().await;
    world.contract_end("acme", start()).await;
    assert_eq!(swept(&world).await.did.retagged, 20);
    take(&mut world, (&kept("test-1", 2), &kept("test-2", 5))).await;
    assert_eq!(swept(&world).await.did.retagged, 20);
    assert_eq!(some(&column(&world, "expires_content").await), 20);
    world.pass(TimeDelta::days(4));
    assert_eq!(swept(&world).await.works, 0);
    world.pass(TimeDelta::days(1));
    assert_eq!(swept(&world).await.did.dropped.values().sum::<u64>(), 20);
    assert_eq!(
        column(&world, "policy_version").await,
        vec![Some("test-2".to_owned()); 20]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_and_a_notice_between_two_sweeps_are_both_applied_once() {
    let mut world = world().await;
    world.contract_end("acme", start()).await;
    take(&mut world, (&kept("test-1", 2), &kept("test-2", 5))).await;
    let mut watch = world.watch(ReviewCache::default()).await;
    let stale = || {
        world
            .metrics
            .stale_tag_records
            .with_label_values(&["sms"])
            .get()
    };
    watch.look().await;
    assert_eq!(stale(), 20);
    let (works, more) = world.sweeper().await.plan(world.clock.now()).await.unwrap();
    let actions: Vec<_> = works
        .iter()
        .map(|planned| planned.work.action.clone())
        .collect();
    assert_eq!(
        (actions, more),
        (vec![SweepAction::Migrate(MigratePolicy)], false)
    );
    // First by the policy, then by the notice.
    assert_eq!(swept(&world).await.did.retagged, 40);
    watch.look().await;
    assert_eq!(stale(), 0);
    assert_eq!(some(&column(&world, "expires_content").await), 20);
    world.pass(TimeDelta::days(5));
    assert_eq!(swept(&world).await.did.dropped.values().sum::<u64>(), 20);
    world.balances().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_of_two_policies_stay_apart_when_a_notice_retags_both() {
    let mut world = world().await;
    // The new policy changes nothing of these rows: they keep the version that they were tagged
    // under.
    take(&mut world, (&kept("test-1", 2), &kept("test-2", 2))).await;
    world.ingest(&texts(start(), 20)).await;
    world.contract_end("acme", start()).await;
    assert_eq!(swept(&world).await.did.retagged, 40);
    let versions = column(&world, "policy_version").await;
    let of = |version: &str| {
        versions
            .iter()
            .flatten()
            .filter(|of| *of == version)
            .count()
    };
    assert_eq!((of("test-1"), of("test-2")), (20, 20));
    let index = ebbtide_table::SegmentIndex::load(&world.table().await)
        .await
        .unwrap();
    assert_eq!(index.iter().count(), 2);
    world.pass(TimeDelta::days(2));
    assert_eq!(swept(&world).await.did.dropped.values().sum::<u64>(), 40);
}
