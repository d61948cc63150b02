//! Contract ends and withdrawals over a real table: records whose trigger came expire on time, the
//! others stay.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::testing::{ANONYMIZE, SmsRecord, World, number, policy_text_of, read, start, texts};
use crate::{ApplyTriggers, ReviewCache, SweepAction};
use ebbtide_base::clock::Clock;
use ebbtide_controls::{CommitIdentity, Notice, NoticeError, NoticeOutcome, Scope, activate};
use ebbtide_table::{ControlsVersion, SegmentIndex};

const CONTRACT: &str = "keep: 2 days, trigger: contract_end";
const CONSENT: &str = "keep: 20 days, trigger: consent_withdrawn";

/// Returns records of two customers: `count` persons of acme, and as many others of rare.
fn of_two(at: DateTime<Utc>, count: u32) -> Vec<SmsRecord> {
    let mut all = texts(at, count * 2);
    all.iter_mut()
        .skip(count as usize)
        .for_each(|sms| sms.customer = "rare".to_owned());
    all
}

/// Returns the number of a customer's records that have content.
async fn contents(world: &World, customer: &str) -> usize {
    let rows = world.rows().await;
    rows.iter()
        .filter(|row| row[2].as_deref() == Some(customer) && row[1].is_some())
        .count()
}

async fn profiles(world: &World) -> Vec<String> {
    let table = world.table().await;
    let index = SegmentIndex::load(&table).await.unwrap();
    let mut texts: Vec<String> = index
        .iter()
        .map(|segment| table.profile_text(&segment.profile).unwrap().to_owned())
        .collect();
    texts.sort();
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_rows_expire_after_its_contracts_end_and_others_stay() {
    let mut world = World::triggered("remove", CONTRACT);
    world.ingest(&of_two(start(), 10)).await;
    world.ingest(&of_two(start(), 5)).await;
    world.pass(TimeDelta::days(5));
    assert_eq!(world.sweep().await.works, 0);
    world.contract_end("rare", world.clock.now()).await;
    let round = world.sweep().await;
    assert_eq!(
        (round.did.retagged, round.commits, round.failed),
        (15, 1, 0),
        "{round:?}"
    );
    let open = "content=2 days at_most contract_end;phone_number=30 days at_most event";
    let ended = "content=2 days at_most contract_end 2026-11-29;phone_number=30 days at_most event";
    assert_eq!(profiles(&world).await, [ended, ended, open, open]);
    // Content is kept for two days from the beginning of the day on which the contract ended.
    world.pass(TimeDelta::hours(35));
    assert_eq!(world.sweep().await.commits, 0);
    world.pass(TimeDelta::hours(1));
    assert_eq!(world.sweep().await.did.dropped.values().sum::<u64>(), 15);
    assert_eq!(
        (
            contents(&world, "acme").await,
            contents(&world, "rare").await
        ),
        (15, 0)
    );
    world.balances().await;
    // The ended tenant's records are removed with their last category; the open ones do not end.
    world.pass(TimeDelta::days(30));
    world.sweep().await;
    let rows = world.rows().await;
    assert!(
        rows.len() == 15 && rows.iter().all(|row| row[0].is_none() && row[1].is_some()),
        "{rows:?}"
    );
    world.balances().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_after_a_notice_are_tagged_by_it_and_late_ones_lack_content() {
    let mut world = World::triggered("remove", CONTRACT);
    world.contract_end("rare", start()).await;
    world.ingest(&of_two(start(), 3)).await;
    let ended = "content=2 days at_most contract_end 2026-11-24;phone_number=30 days at_most event";
    assert!(profiles(&world).await.contains(&ended.to_owned()));
    assert_eq!(world.sweep().await.did.retagged, 0);
    world.pass(TimeDelta::days(3));
    world.ingest(&of_two(world.clock.now(), 3)).await;
    assert_eq!(
        (
            contents(&world, "acme").await,
            contents(&world, "rare").await
        ),
        (6, 3)
    );
    world.sweep().await;
    assert_eq!(
        (
            contents(&world, "acme").await,
            contents(&world, "rare").await
        ),
        (6, 0)
    );
    world.balances().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_notice_changes_nothing_and_a_later_end_needs_a_reason() {
    let mut world = World::triggered("remove", CONTRACT);
    world.ingest(&of_two(start(), 3)).await;
    let day = |days| start() + TimeDelta::days(days);
    let taken = |version, known| NoticeOutcome::Taken {
        version: ControlsVersion(version),
        known,
    };
    assert_eq!(world.contract_end("rare", day(9)).await, taken(1, false));
    world.sweep().await;
    let version = world.table().await.version();
    assert_eq!(world.contract_end("rare", day(9)).await, taken(1, true));
    world.sweep().await;
    assert_eq!(world.table().await.version(), version);
    // An earlier end replaces the previous one; the previous one, repeated, is known and does not
    // come back.
    assert_eq!(world.contract_end("rare", day(4)).await, taken(2, false));
    assert_eq!(world.contract_end("rare", day(9)).await, taken(1, true));
    assert_eq!(world.sweep().await.did.retagged, 3);
    assert!(profiles(&world).await[0].contains("contract_end 2026-11-28"));
    assert_eq!(
        world.contract_end("rare", day(5)).await,
        NoticeOutcome::Refused(NoticeError::Lengthens { known: day(4) })
    );
    let reason = Some("renewed".to_owned());
    let later = Notice::ContractEnd {
        tenant: "rare".to_owned(),
        ended_at: day(20),
        reason,
        products: vec![],
    };
    assert_eq!(world.notify(later.clone()).await, taken(3, false));
    // Data that is due by the old tag is not dropped before the tag is brought up to date.
    world.pass(TimeDelta::days(7));
    let round = world.sweep().await;
    assert_eq!(
        (round.did.retagged, round.did.dropped.len()),
        (3, 0),
        "{round:?}"
    );
    assert_eq!(contents(&world, "rare").await, 3);
    assert_eq!(world.notify(later).await, taken(3, true));
    world.balances().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_deletes_earlier_events_and_not_later_ones() {
    let mut world = World::triggered("remove", CONSENT);
    world.ingest(&texts(start(), 6)).await;
    world.pass(TimeDelta::days(3));
    world.withdraw(2, world.clock.now()).await;
    let round = world.sweep().await;
    assert_eq!(
        (round.did.retagged, round.did.dropped.values().sum::<u64>()),
        (1, 1),
        "{round:?}"
    );
    let with_content = |rows: Vec<Vec<Option<String>>>| {
        rows.into_iter()
            .filter(|row| row[1].is_some())
            .filter_map(|row| row[0].clone())
            .collect::<Vec<_>>()
    };
    let others: Vec<String> = [0, 1, 3, 4, 5].map(number).into();
    assert_eq!(with_content(world.rows().await), others);
    // An event before the withdrawal that arrives only now is stored without content; an event on
    // another day belongs to another consent.
    world.ingest(&texts(start(), 3)).await;
    assert_eq!(
        with_content(world.rows().await)
            .iter()
            .filter(|who| **who == number(2))
            .count(),
        0
    );
    world.pass(TimeDelta::days(1));
    world.ingest(&texts(world.clock.now(), 3)).await;
    world.sweep().await;
    assert_eq!(
        with_content(world.rows().await)
            .iter()
            .filter(|who| **who == number(2))
            .count(),
        1
    );
    world.balances().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_withdrawal_deletes_events_since_the_first() {
    let mut world = World::triggered("remove", CONSENT);
    world.withdraw(2, start()).await;
    world.pass(TimeDelta::days(2));
    world.ingest(&texts(world.clock.now(), 3)).await;
    world.sweep().await;
    let contents =
        |rows: Vec<Vec<Option<String>>>| rows.into_iter().filter(|row| row[1].is_some()).count();
    assert_eq!(
        contents(world.rows().await),
        3,
        "what happens after a withdrawal is another consent's"
    );
    world.pass(TimeDelta::days(2));
    world.withdraw(2, world.clock.now()).await;
    let late = start() + TimeDelta::days(3);
    world.ingest(&texts(late, 3)).await;
    let round = world.sweep().await;
    assert_eq!(
        (round.did.retagged, contents(world.rows().await)),
        (1, 4),
        "{round:?}"
    );
    world.balances().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_counted_with_those_that_a_notice_adds() {
    let text = policy_text_of(ANONYMIZE, CONTRACT).replace(
        "keep: 30 days, trigger: event",
        "keep: 30 days, trigger: contract_end",
    );
    let mut world = World::new(ANONYMIZE);
    world.adopt(read(&text).policy.unwrap());
    world.contract_end("acme", start()).await;
    world.ingest(&of_two(start(), 2)).await;
    world.pass(TimeDelta::days(40));
    world.contract_end("rare", start()).await;
    world.sweep().await;
    // Two people of each customer are too few for a cell of their own; all four together are enough
    // for one.
    let rows = world.rows().await;
    assert!(
        rows.len() == 1 && rows[0][5].as_deref() == Some("4"),
        "{rows:?}"
    );
    world.balances().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_row_keeps_its_data_while_its_tags_change() {
    let mut world = World::triggered("remove", CONTRACT);
    world.ingest(&of_two(start(), 5)).await;
    let of = Scope {
        subject: Some(format!("phone:+{}", number(7)).parse().unwrap()),
        ..Scope::default()
    };
    let hold = world.hold(of).await;
    world.contract_end("rare", start()).await;
    world.pass(TimeDelta::days(3));
    let round = world.sweep().await;
    assert_eq!((round.did.retagged, round.failed), (5, 0), "{round:?}");
    assert_eq!(
        (
            contents(&world, "acme").await,
            contents(&world, "rare").await
        ),
        (5, 1)
    );
    world.release(&hold).await;
    world.sweep().await;
    assert_eq!(contents(&world, "rare").await, 0);
    world.balances().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watch_counts_stale_tags_and_what_is_overdue_by_them() {
    let mut world = World::triggered("remove", CONTRACT);
    world.ingest(&of_two(start(), 4)).await;
    let mut watch = world.watch(ReviewCache::default()).await;
    let stale = || {
        world
            .metrics
            .stale_tag_records
            .with_label_values(&["sms"])
            .get()
    };
    let overdue = || {
        world
            .metrics
            .overdue_fields
            .with_label_values(&["sms", "content"])
            .get()
    };
    // A notice of an end long ago: data is late if it is not deleted within the grace after the
    // notice.
    world
        .contract_end("rare", start() - TimeDelta::days(30))
        .await;
    watch.look().await;
    assert_eq!((stale(), overdue()), (4, 0));
    world.pass(TimeDelta::hours(6) + TimeDelta::seconds(1));
    watch.look().await;
    assert_eq!((stale(), overdue()), (4, 4));
    assert_eq!(world.metrics.oldest_overdue_seconds.get(), 1);
    world.sweep().await;
    watch.look().await;
    assert_eq!((stale(), overdue()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_stale_records_and_a_segment_is_checked_once() {
    let mut world = World::triggered("remove", CONTRACT);
    world.ingest(&of_two(start(), 4)).await;
    world.ingest(&texts(start(), 3)).await;
    world
        .contract_end("rare", start() + TimeDelta::days(1))
        .await;
    let mut sweeper = world.sweeper().await;
    let (works, more) = sweeper.plan(world.clock.now()).await.unwrap();
    assert!(works.len() == 1 && !more);
    assert_eq!(
        (works[0].work.action.clone(), works[0].work.records()),
        (SweepAction::ApplyTriggers(ApplyTriggers), 4)
    );
    let mut product = world.product().await;
    product.controls(&world.controls()).await.unwrap();
    assert_eq!(product.suspected().len(), 2);
    world.sweep().await;
    assert_eq!(sweeper.round(None, usize::MAX).await.commits, 0);
    assert_eq!(sweeper.round(None, usize::MAX).await.works, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_starts_checks_no_segment_again_before_a_new_control() {
    let mut world = World::triggered("remove", CONTRACT);
    world.ingest(&texts(start(), 20)).await;
    world.contract_end("rare", start()).await;
    let suspects = async |world: &World| {
        let mut product = world.product().await;
        product.refresh().await.unwrap();
        product.controls(&world.controls()).await.unwrap();
        product.suspected().len()
    };
    assert!(suspects(&world).await > 0, "no review was made yet");
    world.sweep().await;
    assert_eq!(suspects(&world).await, 0);
    // Records that are stored from here on are tagged with the notice, and a rewrite changes no
    // tag.
    world.ingest(&texts(start(), 20)).await;
    assert_eq!(suspects(&world).await, 0);

    world.contract_end("acme", start()).await;
    assert!(suspects(&world).await > 0, "another notice");
    assert_eq!(world.sweep().await.did.retagged, 40);
    assert_eq!(suspects(&world).await, 0);

    let text = policy_text_of("remove", CONTRACT);
    let (old, new) = (read(&text), read(&text.replace("test-1", "test-2")));
    let policy = new.policy.clone().unwrap();
    let by = CommitIdentity {
        writer: Uuid::nil(),
        at: world.clock.now(),
        policy_version: policy.version.clone(),
    };
    activate(&world.root, &old, &new, &by).await.unwrap();
    world.adopt(policy);
    let version = world.table().await.recorded_notice();
    assert_eq!(
        version,
        ControlsVersion(0),
        "by another policy a notice may concern what it did not"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_check_is_not_recorded_by_a_clock_that_jumped() {
    let mut world = World::triggered("remove", CONTRACT);
    world.contract_end("acme", start()).await;
    world.ingest(&texts(start(), 20)).await;
    let mut sweeper = world.sweeper().await;
    sweeper.look_at_clock();
    let before = world.table().await.version();
    for off in [TimeDelta::hours(2), TimeDelta::hours(-2)] {
        world.clock.set_wall(start() + off);
        let round = sweeper.round(None, usize::MAX).await;
        assert_eq!(
            (round.works, round.failed),
            (0, 0),
            "there is nothing to do"
        );
        let table = world.table().await;
        assert_eq!(
            (table.version(), table.recorded_notice()),
            (before, ControlsVersion(0)),
            "a commit by a wrong clock"
        );
    }
    world.clock.set_wall(start());
    sweeper.look_at_clock();
    world.clock.advance(std::time::Duration::from_secs(700));
    sweeper.round(None, usize::MAX).await;
    assert_eq!(world.table().await.recorded_notice(), ControlsVersion(1));
}
