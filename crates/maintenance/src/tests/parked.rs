//! Notices that would make an unusual share of a table due immediately: they wait for a person, and
//! no data is deleted because of them meanwhile.

use chrono::TimeDelta;

use crate::ReviewCache;
use crate::testing::{SmsRecord, World, number, start, texts};
use ebbtide_base::clock::Clock;
use ebbtide_config::NoticeLimits;
use ebbtide_controls::{
    Controls, DecideError, Notice, NoticeError, NoticeOutcome, ParkedDecision, ParkedState,
    Preview, RecordCounts, ScreeningOutcome, confirm, forget, reject,
};
use ebbtide_table::ControlsVersion;

const CONTRACT: &str = "keep: 2 days, trigger: contract_end";
const LIMITS: fn() -> NoticeLimits = || NoticeLimits {
    max_share: 0.2,
    max_share_from: 0,
    ..NoticeLimits::default()
};

/// Returns ten records of each of these customers.
fn of_customers(customers: &[&str]) -> Vec<SmsRecord> {
    let all = texts(start(), customers.len() as u32 * 10);
    let named = all
        .into_iter()
        .zip(customers.iter().flat_map(|customer| [customer; 10]));
    named
        .map(|(sms, customer)| SmsRecord {
            customer: (*customer).to_owned(),
            ..sms
        })
        .collect()
}

fn ended(tenant: &str, days_ago: i64, world: &World) -> Notice {
    let ended_at = world.clock.now() - TimeDelta::days(days_ago);
    Notice::ContractEnd {
        tenant: tenant.to_owned(),
        ended_at,
        reason: None,
        products: vec![],
    }
}

fn parked(version: i64, known: bool) -> ScreeningOutcome {
    ScreeningOutcome::Parked {
        version: ControlsVersion(version),
        known,
    }
}

fn taken(version: i64, known: bool) -> ScreeningOutcome {
    ScreeningOutcome::Passed(NoticeOutcome::Taken {
        version: ControlsVersion(version),
        known,
    })
}

/// Returns the number of records that have content.
async fn contents(world: &World) -> usize {
    world
        .rows()
        .await
        .iter()
        .filter(|row| row[1].is_some())
        .count()
}

async fn states(world: &World) -> Vec<ParkedState> {
    let controls = Controls::load(&world.root, ControlsVersion(0))
        .await
        .unwrap();
    controls
        .parked(world.clock.now())
        .iter()
        .map(|known| known.state)
        .collect()
}

async fn counted(world: &World) -> i64 {
    world.watch(ReviewCache::default()).await.look().await;
    world.metrics.parked_notices.get()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_takes_too_much_waits_and_is_applied_once_confirmed() {
    let mut world = World::triggered("remove", CONTRACT);
    world.ingest(&of_customers(&["acme", "rare", "rare"])).await;
    world.pass(TimeDelta::days(5));
    let notice = ended("rare", 4, &world);
    assert_eq!(
        world.notify_by(vec![notice.clone()], LIMITS()).await,
        [parked(1, false)]
    );
    // A notice that is repeated, as after a crash before its offset was committed, is the same
    // notice.
    assert_eq!(
        world
            .notify_by(vec![notice.clone(), notice.clone()], LIMITS())
            .await,
        [parked(1, true), parked(1, true)]
    );
    assert_eq!(
        (world.sweep().await.commits, contents(&world).await),
        (0, 30)
    );
    assert_eq!(
        (states(&world).await, counted(&world).await),
        (vec![ParkedState::Waiting], 1)
    );
    let controls = Controls::load(&world.root, ControlsVersion(0))
        .await
        .unwrap();
    let control = controls.parked(world.clock.now())[0]
        .notice
        .notice
        .control();
    let mut preview = Preview::open(&world.root, &world.policy, RecordCounts::new())
        .await
        .unwrap();
    let effects = preview
        .effects(&[&control], world.clock.now())
        .await
        .unwrap();
    assert_eq!(
        (
            effects[0].records,
            effects[0].concerned,
            effects[0].due,
            effects[0].exact
        ),
        (30, 20, 20, true)
    );
    assert!(
        effects[0]
            .categories
            .iter()
            .map(|of| of.as_str())
            .eq(["content"])
    );

    let by = world.signature();
    assert_eq!(
        confirm(&world.root, &world.policy, ControlsVersion(1), &by)
            .await
            .unwrap(),
        ControlsVersion(2)
    );
    assert_eq!(
        confirm(&world.root, &world.policy, ControlsVersion(1), &by)
            .await
            .unwrap(),
        ControlsVersion(2)
    );
    world.sweep().await;
    assert_eq!(contents(&world).await, 10);
    assert_eq!(
        states(&world).await,
        [ParkedState::Decided(ParkedDecision::Confirmed)]
    );
    assert_eq!(counted(&world).await, 0);
    assert_eq!(
        world.notify_by(vec![notice], LIMITS()).await,
        [taken(2, true)]
    );
    let refused = reject(&world.root, ControlsVersion(1), None, &by).await;
    assert!(
        matches!(
            refused,
            Err(DecideError::Decided(_, ParkedDecision::Confirmed))
        ),
        "{refused:?}"
    );
    world.balances().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_notice_is_never_applied_however_often_it_comes() {
    let mut world = World::triggered("remove", CONTRACT);
    world.ingest(&of_customers(&["acme", "rare"])).await;
    world.pass(TimeDelta::days(5));
    let notice = ended("rare", 4, &world);
    assert_eq!(
        world.notify_by(vec![notice.clone()], LIMITS()).await,
        [parked(1, false)]
    );
    let by = world.signature();
    let reason = Some("an export of a test system".to_owned());
    reject(&world.root, ControlsVersion(1), reason.clone(), &by)
        .await
        .unwrap();
    reject(&world.root, ControlsVersion(1), reason, &by)
        .await
        .unwrap();
    let again = world.notify_by(vec![notice.clone()], LIMITS()).await;
    assert_eq!(
        again,
        [ScreeningOutcome::Passed(NoticeOutcome::Refused(
            NoticeError::Rejected(ControlsVersion(1))
        ))]
    );
    let refused = confirm(&world.root, &world.policy, ControlsVersion(1), &by).await;
    assert!(
        matches!(
            refused,
            Err(DecideError::Decided(_, ParkedDecision::Rejected))
        ),
        "{refused:?}"
    );
    assert!(matches!(
        confirm(&world.root, &world.policy, ControlsVersion(9), &by).await,
        Err(DecideError::Unknown(ControlsVersion(9)))
    ));
    world.sweep().await;
    assert_eq!((contents(&world).await, counted(&world).await), (20, 0));
    // A command that a person confirms still applies it.
    assert_eq!(
        ScreeningOutcome::Passed(world.notify(notice).await),
        taken(3, false)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn small_distant_and_harmless_notices_pass() {
    let mut world = World::triggered("remove", CONTRACT);
    world
        .ingest(&of_customers(&[
            "acme", "rare", "acme", "acme", "acme", "acme",
        ]))
        .await;
    world.pass(TimeDelta::days(5));
    // A sixth of the table; the rest of it, due only in a week; no record; and a few records in a
    // small table.
    let future = ended("acme", -7, &world);
    let notices = vec![ended("rare", 4, &world), future, ended("absent", 4, &world)];
    assert_eq!(
        world.notify_by(notices, LIMITS()).await,
        [taken(1, false), taken(2, false), taken(3, false)]
    );
    let few = NoticeLimits {
        max_share_from: 1_000,
        ..LIMITS()
    };
    assert_eq!(
        world.notify_by(vec![ended("acme", 4, &world)], few).await,
        [taken(4, false)]
    );
    world.sweep().await;
    assert_eq!(contents(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_that_come_together_are_counted_together() {
    let mut world = World::triggered("remove", CONTRACT);
    let customers: Vec<String> = (0..10).map(|number| format!("tenant-{number}")).collect();
    let names: Vec<&str> = customers.iter().map(String::as_str).collect();
    world.ingest(&of_customers(&names)).await;
    world.pass(TimeDelta::days(5));
    let notices: Vec<Notice> = names
        .iter()
        .map(|tenant| ended(tenant, 4, &world))
        .collect();
    let outcomes = world.notify_by(notices, LIMITS()).await;
    let (taken, parked): (Vec<&ScreeningOutcome>, Vec<&ScreeningOutcome>) = outcomes
        .iter()
        .partition(|of| matches!(of, ScreeningOutcome::Passed(NoticeOutcome::Taken { .. })));
    assert_eq!((taken.len(), parked.len()), (2, 8), "{outcomes:?}");
    world.sweep().await;
    assert_eq!((contents(&world).await, counted(&world).await), (80, 8));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_subject_of_a_parked_withdrawal_is_forgotten_once_it_is_decided() {
    let mut world = World::triggered("remove", "keep: 20 days, trigger: consent_withdrawn");
    let mut all = texts(start(), 5);
    all.iter_mut().for_each(|sms| sms.recipient = number(1));
    world.ingest(&all).await;
    world.pass(TimeDelta::days(3));
    let subject = format!("phone:+{}", number(1)).parse().unwrap();
    let withdrawn_at = world.clock.now();
    let notice = Notice::ConsentWithdrawal {
        subject,
        tenant: None,
        withdrawn_at,
        products: vec![],
    };
    assert_eq!(
        world.notify_by(vec![notice], LIMITS()).await,
        [parked(1, false)]
    );
    let named = || {
        let files = std::fs::read_dir(world.root.controls_folder()).unwrap();
        let texts = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
        texts.filter(|text| text.contains(&number(1))).count()
    };
    assert_eq!(
        (
            forget(&world.root, world.clock.now()).await.unwrap(),
            named()
        ),
        (0, 1)
    );
    reject(&world.root, ControlsVersion(1), None, &world.signature())
        .await
        .unwrap();
    assert_eq!(
        (
            forget(&world.root, world.clock.now()).await.unwrap(),
            named()
        ),
        (1, 0)
    );
    assert_eq!((states(&world).await.len(), contents(&world).await), (0, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn small_notices_of_one_day_do_not_add_up_to_the_table() {
    let mut world = World::triggered("remove", CONTRACT);
    let customers: Vec<String> = (0..20).map(|number| format!("tenant-{number}")).collect();
    let names: Vec<&str> = customers.iter().map(String::as_str).collect();
    world.ingest(&of_customers(&names)).await;
    world.pass(TimeDelta::days(5));
    let mut applied = 0;
    for tenant in &names {
        let outcomes = world
            .notify_by(vec![ended(tenant, 4, &world)], LIMITS())
            .await;
        applied += usize::from(matches!(
            outcomes[..],
            [ScreeningOutcome::Passed(NoticeOutcome::Taken { .. })]
        ));
        world.sweep().await;
        world.pass(TimeDelta::seconds(1));
    }
    // Each is a twentieth of the table; no more than a fifth is applied without a person.
    assert_eq!(
        (applied, contents(&world).await, counted(&world).await),
        (4, 160, 16)
    );

    // A notice that a person confirms does not count, and does not let others pass.
    let controls = Controls::load(&world.root, ControlsVersion(0))
        .await
        .unwrap();
    let waiting = controls.parked(world.clock.now());
    assert_eq!((waiting[0].notice.due, waiting[0].notice.before), (10, 40));
    confirm(
        &world.root,
        &world.policy,
        waiting[0].version,
        &world.signature(),
    )
    .await
    .unwrap();
    world.sweep().await;
    let more = ended("tenant-19", 3, &world);
    assert!(matches!(
        world.notify_by(vec![more.clone()], LIMITS()).await[..],
        [ScreeningOutcome::Parked { .. }]
    ));

    // A day later, others are applied again.
    world.pass(TimeDelta::hours(24));
    let later = ended("tenant-18", 3, &world);
    assert!(matches!(
        world.notify_by(vec![later], LIMITS()).await[..],
        [ScreeningOutcome::Passed(NoticeOutcome::Taken { .. })]
    ));
    world.sweep().await;
    assert_eq!(contents(&world).await, 140);
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_that_make_nothing_due_are_applied_however_much_was_due_before() {
    let mut world = World::triggered("remove", CONTRACT);
    world
        .ingest(&of_customers(&["acme", "rare", "acme", "acme", "acme"]))
        .await;
    world.pass(TimeDelta::days(5));
    assert_eq!(
        world
            .notify_by(vec![ended("rare", 4, &world)], LIMITS())
            .await,
        [taken(1, false)]
    );
    for (version, notice) in (2..).zip([ended("acme", -7, &world), ended("absent", 4, &world)]) {
        assert_eq!(
            world.notify_by(vec![notice], LIMITS()).await,
            [taken(version, false)]
        );
    }
    let controls = Controls::load(&world.root, ControlsVersion(0))
        .await
        .unwrap();
    let sums = controls.made_due_recently(world.clock.now());
    assert_eq!(sums.into_values().collect::<Vec<_>>(), [10]);
    world.pass(TimeDelta::hours(24));
    assert!(controls.made_due_recently(world.clock.now()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn tenant_that_is_meant_is_one_whose_records_wait() {
    let mut world = World::triggered("remove", CONTRACT);
    world
        .ingest(&of_customers(&["t-a", "t-b", "ACME-north", "nearby"]))
        .await;
    world.pass(TimeDelta::days(5));
    for (named, meant) in [
        ("t-b", None),
        ("t-c", Some("t-a")),
        ("acme-North", Some("ACME-north")),
        ("ACME-nort", Some("ACME-north")),
        ("unlike all others", None),
    ] {
        let preview = Preview::open(&world.root, &world.policy, RecordCounts::new())
            .await
            .unwrap();
        let found = preview
            .meant_tenant(&ended(named, 1, &world))
            .await
            .unwrap();
        assert_eq!(found.as_deref(), meant, "{named}");
    }
    // Records whose contract end is known do not wait.
    world.contract_end("t-a", world.clock.now()).await;
    world.contract_end("t-b", world.clock.now()).await;
    world.sweep().await;
    let preview = Preview::open(&world.root, &world.policy, RecordCounts::new())
        .await
        .unwrap();
    assert_eq!(
        preview
            .meant_tenant(&ended("t-c", 1, &world))
            .await
            .unwrap(),
        None
    );
}
