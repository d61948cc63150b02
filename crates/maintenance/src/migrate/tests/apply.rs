//! A new policy over a real table: tags are brought up to date, and it decides what is deleted and
//! what stays.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use chrono::{DateTime, TimeDelta};
use futures::StreamExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use super::{messages, policy};
use crate::testing::{World, policy_text, read, sms, start, texts};
use crate::{ReviewCache, SweepReport, survey};
use ebbtide_base::clock::{Clock, SharedClock};
use ebbtide_base::health::{Component, Health};
use ebbtide_base::ids::Country;
use ebbtide_controls::{CommitIdentity, activate};
use ebbtide_policy::{Calendar, CheckedPolicy, Policy, Resolver};
use ebbtide_table::SegmentIndex;

/// Returns the text of the first policy with another version and some words replaced.
pub(super) fn edited(words: &[(&str, &str)]) -> String {
    words.iter().fold(
        policy_text("remove").replace("test-1", "test-2"),
        |text, (from, to)| {
            assert!(text.contains(from), "nothing to replace: {from}");
            text.replace(from, to)
        },
    )
}

pub(super) fn first() -> CheckedPolicy {
    read(&policy_text("remove"))
}

/// Activates a policy and continues under it.
pub(super) async fn take(world: &mut World, (old, new): (&CheckedPolicy, &CheckedPolicy)) {
    let policy = new.policy.clone().unwrap();
    let by = CommitIdentity {
        writer: Uuid::nil(),
        at: world.clock.now(),
        policy_version: policy.version.clone(),
    };
    activate(&world.root, old, new, &by).await.unwrap();
    world.adopt(policy);
}

/// Returns all values of a column, sorted; `None` for a row that lacks it.
pub(super) async fn column(world: &World, name: &str) -> Vec<Option<String>> {
    let table = world.table().await;
    let index = SegmentIndex::load(&table).await.unwrap();
    let segments: Vec<_> = index.iter().cloned().collect();
    let mut rows = table.read_columns(&segments, &[name], None).unwrap();
    let mut all = Vec::new();
    while let Some(batch) = rows.next().await {
        let batch = batch.unwrap().rows;
        let column = batch.column(0);
        let text = |row| arrow::util::display::array_value_to_string(column, row).unwrap();
        all.extend((0..batch.num_rows()).map(|row| column.is_valid(row).then(|| text(row))));
    }
    all.sort();
    all
}

/// Returns true if a listed file of the table contains that text; small values are not compressed.
pub(super) async fn names(world: &World, column: &str) -> bool {
    let table = world.table().await;
    let index = SegmentIndex::load(&table).await.unwrap();
    let folder = world.root.table_folder(&sms());
    let has = |path: &str| {
        std::fs::read(folder.join(path))
            .unwrap()
            .windows(column.len())
            .any(|at| at == column.as_bytes())
    };
    index.iter().any(|segment| has(&segment.path))
}

pub(super) fn some(of: &[Option<String>]) -> usize {
    of.iter().flatten().count()
}

pub(super) async fn world() -> World {
    let mut world = World::new("remove");
    world.ingest(&texts(start(), 20)).await;
    world
}

pub(super) async fn swept(world: &World) -> SweepReport {
    let round = world.sweep().await;
    assert_eq!(round.failed, 0, "{round:?}");
    world.balances().await;
    round
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_a_period_that_shrinks_to_the_past_expires_at_the_next_sweep() {
    let mut world = world().await;
    world.pass(TimeDelta::days(3));
    take(
        &mut world,
        (
            &first(),
            &read(&edited(&[("keep: 7 days", "keep: 1 days")])),
        ),
    )
    .await;
    let round = swept(&world).await;
    assert_eq!(
        (round.did.retagged, round.did.dropped.values().sum::<u64>()),
        (20, 20)
    );
    assert_eq!(
        (
            some(&column(&world, "body").await),
            some(&column(&world, "recipient").await)
        ),
        (0, 20)
    );
    assert_eq!(
        column(&world, "policy_version").await,
        vec![Some("test-2".to_owned()); 20]
    );
    assert_eq!(world.sweep().await.works, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_expires_by_its_old_tag_once_it_is_kept_longer() {
    let mut world = world().await;
    world.pass(TimeDelta::days(6));
    take(
        &mut world,
        (
            &first(),
            &read(&edited(&[("keep: 7 days", "keep: 20 days")])),
        ),
    )
    .await;
    // No sweep has run since: the old tags say that it is due.
    world.pass(TimeDelta::days(3));
    let round = swept(&world).await;
    assert_eq!((round.did.retagged, round.did.dropped.len()), (20, 0));
    assert_eq!(some(&column(&world, "body").await), 20);
    world.pass(TimeDelta::days(12));
    swept(&world).await;
    assert_eq!(some(&column(&world, "body").await), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_whose_rules_part_are_parted_and_their_neighbours_stay() {
    let mut world = World::new("remove");
    let mut sent = texts(start(), 20);
    sent.iter_mut()
        .step_by(4)
        .for_each(|sms| sms.recipient = sms.recipient.replace("316", "4915"));
    world.ingest(&sent).await;
    world.pass(TimeDelta::days(3));
    let german = "  - { id: de, categories: [content], jurisdictions: [DE], keep: 2 days, bases: [eu-gdpr:A6-1-b] }\n";
    take(&mut world, (&first(), &read(&(edited(&[]) + german)))).await;
    let round = swept(&world).await;
    assert_eq!(
        (round.did.retagged, round.did.dropped.values().sum::<u64>()),
        (5, 5)
    );
    assert_eq!(some(&column(&world, "body").await), 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_whose_rules_are_unchanged_are_not_rewritten() {
    let mut world = world().await;
    let other = "  - { id: fr, jurisdictions: [FR], keep: 5 days, bases: [eu-gdpr:A6-1-b] }\n";
    take(&mut world, (&first(), &read(&(edited(&[]) + other)))).await;
    let round = swept(&world).await;
    // The segment was checked, since the old profile does not contain the country; no row is
    // French.
    assert_eq!((round.commits, round.did.retagged), (0, 0));
    assert_eq!(world.sweep().await.commits, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_of_the_old_policy_does_nothing_and_says_why() {
    let mut world = world().await;
    let mut old = world.sweeper().await;
    take(
        &mut world,
        (
            &first(),
            &read(&edited(&[("keep: 7 days", "keep: 20 days")])),
        ),
    )
    .await;
    world.pass(TimeDelta::days(10));
    let round = old.round(None, usize::MAX).await;
    assert_eq!((round.works, round.failed), (0, 1));
    let refused = old.plan(world.clock.now()).await.unwrap_err().to_string();
    assert!(
        refused.starts_with(
            "policy test-1 is no longer active; test-2 is: restart the instance with it"
        ),
        "{refused}"
    );
    assert_eq!(some(&column(&world, "body").await), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn instance_with_an_inactive_policy_is_not_ready_without_overdue_series() {
    let mut world = world().await;
    let health = Arc::new(Health::starting(Arc::clone(&world.clock) as SharedClock));
    health.over(&Component::Process);
    let mut watch = world
        .watch(ReviewCache::default())
        .await
        .with_health(Arc::clone(&health));
    watch.look().await;
    let has_series = |world: &World| {
        world
            .metrics
            .exposition()
            .unwrap()
            .contains("ebbtide_overdue_fields{")
    };
    assert!(health.readiness().ready && has_series(&world));
    take(
        &mut world,
        (
            &first(),
            &read(&edited(&[("keep: 7 days", "keep: 20 days")])),
        ),
    )
    .await;
    watch.look().await;
    let readiness = health.readiness();
    assert!(
        !readiness.ready
            && readiness.troubles[0]
                .reason
                .contains("test-1 is no longer active"),
        "{readiness:?}"
    );
    assert!(!has_series(&world));
}

#[tokio::test(flavor = "multi_thread")]
async fn overdue_data_is_counted_by_the_active_policy_before_tags_are_updated() {
    let mut world = world().await;
    world.pass(TimeDelta::days(5));
    take(
        &mut world,
        (
            &first(),
            &read(&edited(&[("keep: 7 days", "keep: 1 days")])),
        ),
    )
    .await;
    let reviews = ReviewCache::default();
    let mut watch = world.watch(reviews.clone()).await;
    watch.look().await;
    let overdue = |world: &World| {
        world
            .metrics
            .overdue_fields
            .with_label_values(&["sms", "content"])
            .get()
    };
    let stale = |world: &World| {
        world
            .metrics
            .stale_tag_records
            .with_label_values(&["sms"])
            .get()
    };
    assert_eq!((overdue(&world), stale(&world)), (20, 20));
    world
        .sweeper_with(reviews)
        .await
        .round(None, usize::MAX)
        .await;
    watch.look().await;
    assert_eq!(stale(&world), 0);
    swept(&world).await;
    watch.look().await;
    assert_eq!((overdue(&world), stale(&world)), (0, 0));
}

/// Checks that every row has the tags that ingest would give it under `policy`, by resolving each
/// row.
async fn tagged_by_hand(world: &World, policy: &Policy) {
    let calendar = Calendar::new(policy.zone, policy.bucket);
    let resolver = Resolver::new(policy, &sms()).unwrap();
    let table = world.table().await;
    let index = SegmentIndex::load(&table).await.unwrap();
    let columns = [
        "jurisdiction",
        "customer_id",
        "ingested_at",
        "sent_at",
        "expires_content",
        "expires_phone_number",
        "body",
        "recipient",
    ];
    for segment in index.iter() {
        let mut rows = table
            .read_columns(std::slice::from_ref(segment), &columns, None)
            .unwrap();
        while let Some(batch) = rows.next().await {
            let batch = batch.unwrap().rows;
            for row in 0..batch.num_rows() {
                let text = |column: usize| {
                    batch
                        .column(column)
                        .as_string::<i32>()
                        .value(row)
                        .to_owned()
                };
                let at = |column: usize| {
                    let column = batch
                        .column(column)
                        .as_primitive::<TimestampMicrosecondType>();
                    column
                        .is_valid(row)
                        .then(|| DateTime::from_timestamp_micros(column.value(row)).unwrap())
                };
                let country: Country = text(0).parse().unwrap();
                let came = at(2).max(at(3)).unwrap();
                let late = calendar.distance(segment.bucket, calendar.bucket_of(came).unwrap());
                let profile = resolver
                    .profile(country, resolver.tenant_class(Some(&text(1))))
                    .with_late(late);
                assert_eq!(
                    segment.profile,
                    profile.id,
                    "{} of {country} {}",
                    segment.bucket,
                    text(1)
                );
                let deadlines = profile.deadlines(&calendar, segment.bucket);
                let phone = batch
                    .column(7)
                    .is_valid(row)
                    .then(|| deadlines[1].unwrap().0);
                assert_eq!(at(5), phone);
                let content = batch
                    .column(6)
                    .is_valid(row)
                    .then(|| deadlines[0].unwrap().0);
                assert_eq!(
                    at(4),
                    content,
                    "a tag and what it is about come and go together"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_any_change_of_policy_every_row_is_tagged_as_ingest_would_tag_it() {
    for seed in 100..130 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut world = World::new("remove");
        let mut old = policy("1", &mut random);
        world.adopt(old.policy.clone().unwrap());
        for _ in 0..3 {
            let sent = messages(&mut random, world.clock.now(), 30);
            world.ingest(&sent).await;
            world.pass(TimeDelta::days(2));
        }
        for version in ["2", "3"] {
            world.pass(TimeDelta::days(random.random_range(0..6)));
            if random.random_bool(0.7) {
                swept(&world).await;
            }
            let new = policy(version, &mut random);
            take(&mut world, (&old, &new)).await;
            old = new;
        }
        swept(&world).await;
        tagged_by_hand(&world, old.policy.as_ref().unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_retagged_records_is_the_number_that_the_survey_predicts() {
    for seed in 200..220 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut world = World::new("remove");
        let (old, new) = (policy("1", &mut random), policy("2", &mut random));
        world.adopt(old.policy.clone().unwrap());
        let sent = messages(&mut random, world.clock.now(), 60);
        world.ingest(&sent).await;
        let (before, after) = (old.policy.as_ref().unwrap(), new.policy.as_ref().unwrap());
        let effects = survey(&world.root, before, after, world.clock.now(), |_| {})
            .await
            .unwrap();
        take(&mut world, (&old, &new)).await;
        assert_eq!(
            swept(&world).await.did.retagged,
            effects.products[0].stale,
            "seed {seed}"
        );
    }
}
