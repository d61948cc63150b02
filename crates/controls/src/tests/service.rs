//! Placing, releasing, settling and forgetting over real tables.

use chrono::TimeDelta;

use crate::testing::{naming, of_subject, order, signature, spec_of, two_tables, versions};
use crate::{
    CommitIdentity, Controls, ControlsApplier, FORGET_AFTER, HoldId, HoldState, PlaceHoldError,
    ReleaseHoldError, Scope, SharedControls, forget, place, release, settle,
};
use ebbtide_base::ids::ProductKey;
use ebbtide_query::audit;
use ebbtide_table::testing::{batch, noon, root, spec};
use ebbtide_table::{CommitError, ControlLog, ControlsVersion, Table};

fn products(names: &[&str]) -> Vec<ProductKey> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn placed_hold_is_in_force_everywhere_and_stops_unaware_writers() {
    let (_folder, root) = two_tables().await;
    let mut writer = Table::open(&root, spec()).await.unwrap();
    let unaware = batch(&writer, 0, None, 10).await;
    let placed = place(&root, order(of_subject()), &signature())
        .await
        .unwrap();
    assert_eq!(
        (placed.version, placed.tables),
        (ControlsVersion(1), products(&["sms", "voice"]))
    );
    assert!(matches!(
        writer.commit(unaware).await,
        Err(CommitError::ControlsMoved)
    ));
    let only = Scope {
        products: products(&["voice"]),
        ..of_subject()
    };
    assert_eq!(
        place(&root, order(only), &signature())
            .await
            .unwrap()
            .tables,
        products(&["voice"])
    );
    assert_eq!(versions(&root).await, [1, 2]);
    for product in ["sms", "voice"] {
        assert!(
            audit(&root, &product.parse().unwrap())
                .await
                .unwrap()
                .holds()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_made_after_a_hold_begins_under_it() {
    let (_folder, root) = root();
    assert_eq!(
        place(&root, order(of_subject()), &signature())
            .await
            .unwrap()
            .tables,
        vec![]
    );
    assert_eq!(
        Table::open(&root, spec()).await.unwrap().controls(),
        ControlsVersion(1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_made_while_holds_are_placed_have_every_hold() {
    for _ in 0..10 {
        let (_folder, root) = root();
        let placing = (0..4).map(|_| {
            let root = root.clone();
            tokio::spawn(async move {
                place(&root, order(of_subject()), &signature())
                    .await
                    .unwrap()
                    .version
            })
        });
        let placing: Vec<_> = placing.collect();
        let opening = (0..4).map(|number| {
            let root = root.clone();
            tokio::spawn(async move {
                Table::open(&root, spec_of(&format!("p{number}")))
                    .await
                    .unwrap()
            })
        });
        let opening: Vec<_> = opening.collect();
        let mut placed: Vec<ControlsVersion> =
            futures::future::try_join_all(placing).await.unwrap();
        futures::future::try_join_all(opening).await.unwrap();
        placed.sort();
        assert_eq!(placed, [1, 2, 3, 4].map(ControlsVersion));
        assert_eq!(versions(&root).await, [4; 4]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_hold_leaves_no_trace() {
    let (_folder, root) = two_tables().await;
    let refused = place(&root, order(Scope::default()), &signature()).await;
    assert!(matches!(refused, Err(PlaceHoldError::Scope(_))));
    let mut past = order(of_subject());
    past.until = noon();
    assert!(matches!(
        place(&root, past, &signature()).await,
        Err(PlaceHoldError::Over(_))
    ));
    assert!(!root.controls_folder().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_takes_the_subject_out_of_every_file_under_the_root() {
    let (_folder, root) = two_tables().await;
    let kept = place(
        &root,
        order(Scope {
            tenant: Some("t".to_owned()),
            ..Scope::default()
        }),
        &signature(),
    )
    .await
    .unwrap();
    let placed = place(&root, order(of_subject()), &signature())
        .await
        .unwrap();
    assert_eq!(naming(&root).len(), 1);
    let released = release(&root, &placed.id, &signature()).await.unwrap();
    assert_eq!(
        (released.version, released.tables),
        (ControlsVersion(3), products(&["sms", "voice"]))
    );
    assert_eq!(naming(&root), Vec::<std::path::PathBuf>::new());
    assert_eq!(versions(&root).await, [3, 3]);
    let controls = Controls::load(&root, ControlsVersion(3)).await.unwrap();
    assert_eq!(
        controls
            .in_force(noon())
            .iter()
            .map(|hold| &hold.id)
            .collect::<Vec<_>>(),
        [&kept.id]
    );
    let states: Vec<_> = controls
        .holds(noon())
        .into_iter()
        .map(|known| known.state)
        .collect();
    assert_eq!(
        states,
        [
            HoldState::InForce,
            HoldState::Released {
                at: noon(),
                by: ControlsVersion(3)
            }
        ]
    );
    // A repeated release is recorded once, and a hold that never existed cannot be released.
    assert_eq!(
        release(&root, &placed.id, &signature())
            .await
            .unwrap()
            .version,
        ControlsVersion(3)
    );
    assert!(matches!(
        release(&root, &HoldId::of(0), &signature()).await,
        Err(ReleaseHoldError::Unknown(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_ended_is_forgotten_a_day_later_and_not_before() {
    let (_folder, root) = two_tables().await;
    let placed = place(&root, order(of_subject()), &signature())
        .await
        .unwrap();
    let end = order(of_subject()).until;
    assert_eq!(
        forget(&root, end + FORGET_AFTER - TimeDelta::seconds(1))
            .await
            .unwrap(),
        0
    );
    assert_eq!(naming(&root).len(), 1);
    let late = CommitIdentity {
        at: end,
        ..signature()
    };
    assert!(matches!(
        release(&root, &placed.id, &late).await,
        Err(ReleaseHoldError::Ended(_))
    ));
    assert_eq!(forget(&root, end + FORGET_AFTER).await.unwrap(), 1);
    assert_eq!(naming(&root).len(), 0);
    let controls = Controls::load(&root, ControlsVersion(1)).await.unwrap();
    assert_eq!(controls.holds(end)[0].state, HoldState::Ended);
    assert!(controls.in_force(noon()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_forgetting_forgets_each_hold_once_and_newer_holds_too() {
    let (_folder, root) = two_tables().await;
    let mut settler = ControlsApplier::new(root.clone());
    let over = order(of_subject()).until + FORGET_AFTER;
    for n in 1..=2 {
        place(&root, order(of_subject()), &signature())
            .await
            .unwrap();
        settler.settle(&signature()).await.unwrap();
        assert_eq!(settler.forget(noon()).await.unwrap(), 0, "{n}");
        assert_eq!(naming(&root).len(), 1, "{n}");
        assert_eq!(settler.forget(over).await.unwrap(), 1, "{n}");
        assert_eq!(settler.forget(over).await.unwrap(), 0, "{n}");
        assert_eq!(naming(&root).len(), 0, "{n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_that_lost_controls_is_an_error_once_and_then_read_whole() {
    let (_folder, root) = root();
    let (shared, mut settler) = (
        SharedControls::new(root.clone()),
        ControlsApplier::new(root.clone()),
    );
    let versions = async |shared: &SharedControls, settler: &mut ControlsApplier| {
        let newest = shared
            .newest(ControlsVersion(0))
            .await
            .map(|controls| controls.version());
        (newest.ok(), settler.settle(&signature()).await.is_ok())
    };
    place(&root, order(of_subject()), &signature())
        .await
        .unwrap();
    assert_eq!(
        versions(&shared, &mut settler).await,
        (Some(ControlsVersion(1)), true)
    );
    // The folder is restored to its earlier state.
    std::fs::remove_file(root.controls_folder().join("00000000000000000001.json")).unwrap();
    assert_eq!(versions(&shared, &mut settler).await, (None, false));
    assert_eq!(
        versions(&shared, &mut settler).await,
        (Some(ControlsVersion(0)), true)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn control_forgotten_by_another_process_is_not_counted_again() {
    let (_folder, root) = two_tables().await;
    let mut settlers = [
        ControlsApplier::new(root.clone()),
        ControlsApplier::new(root.clone()),
    ];
    place(&root, order(of_subject()), &signature())
        .await
        .unwrap();
    for settler in &mut settlers {
        settler.settle(&signature()).await.unwrap();
    }
    let over = order(of_subject()).until + FORGET_AFTER;
    let [one, other] = &mut settlers;
    assert_eq!(
        (
            one.forget(over).await.unwrap(),
            other.forget(over).await.unwrap()
        ),
        (1, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn remains_of_a_crashed_append_are_deleted_when_holds_are_forgotten() {
    let (_folder, root) = two_tables().await;
    place(&root, order(of_subject()), &signature())
        .await
        .unwrap();
    let file = root.controls_folder().join("00000000000000000001.json");
    // The temporary name that a crash between the two steps of an append leaves: a second name of
    // the same file.
    std::fs::hard_link(&file, root.controls_folder().join(".6e1d.tmp")).unwrap();
    let end = order(of_subject()).until;
    forget(&root, end + TimeDelta::days(36_500)).await.unwrap();
    assert_eq!(naming(&root).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_hold_that_is_nowhere_in_force_is_settled_once() {
    let (_folder, root) = two_tables().await;
    let placed = place(
        &root,
        order(Scope {
            products: products(&["sms"]),
            ..of_subject()
        }),
        &signature(),
    )
    .await
    .unwrap();
    let log = ControlLog::open(&root);
    let (_, mut control) = log.load_from(placed.version).await.unwrap().remove(0);
    control["id"] = "hold-00000000".into();
    control["scope"]["products"] = serde_json::json!(["voice"]);
    log.append(ControlsVersion(2), &control).await.unwrap();
    assert_eq!(versions(&root).await, [1, 0]);
    let settled = settle(&root, &signature()).await.unwrap();
    assert_eq!(settled, [("voice".parse().unwrap(), ControlsVersion(2))]);
    assert_eq!(versions(&root).await, [1, 2]);
    assert_eq!(settle(&root, &signature()).await.unwrap(), vec![]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_takes_no_commit_is_named_and_the_others_hold() {
    let (_folder, root) = two_tables().await;
    let log = root
        .table_folder(&"sms".parse().unwrap())
        .join("_delta_log");
    // A half-written entry of another engine, which no reader can read past.
    std::fs::write(log.join("00000000000000000001.json"), b"{").unwrap();
    let failed = place(&root, order(of_subject()), &signature())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        failed.starts_with("control 1 is recorded, but not in force in sms ("),
        "{failed}"
    );
    std::fs::remove_file(log.join("00000000000000000001.json")).unwrap();
    assert_eq!(versions(&root).await, [0, 1]);
    settle(&root, &signature()).await.unwrap();
    assert_eq!(versions(&root).await, [1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_that_cannot_be_replaced_is_reported_and_delays_no_other() {
    let (_folder, root) = two_tables().await;
    for _ in 0..3 {
        place(&root, order(of_subject()), &signature())
            .await
            .unwrap();
    }
    let first = root.controls_folder().join(format!("{:020}.json", 1));
    let set = |sign: &str| {
        std::process::Command::new("chattr")
            .arg(sign)
            .arg(&first)
            .output()
    };
    if !set("+i").is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: this file system or user cannot make a file immutable (chattr +i)");
        return;
    }
    let over = order(of_subject()).until + FORGET_AFTER;
    let mut settler = ControlsApplier::new(root.clone());
    let reports = [
        settler.forget_each(over).await.unwrap(),
        settler.forget_each(over).await.unwrap(),
    ];
    let refused = forget(&root, over).await;
    set("-i").unwrap();
    assert_eq!(
        reports.map(|report| (report.forgotten, report.failures.count)),
        [(2, 1), (0, 1)]
    );
    assert!(refused.unwrap_err().to_string().contains("control 1: "));
    assert_eq!(
        naming(&root).len(),
        1,
        "two of three subjects are forgotten"
    );
    assert_eq!(settler.forget_each(over).await.unwrap().forgotten, 1);
    assert_eq!(naming(&root).len(), 0);
}
