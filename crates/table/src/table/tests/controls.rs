//! The commit that puts a control in force in a table, and the controls of a new table.

use serde_json::json;
use uuid::Uuid;

use crate::reports::audit;
use crate::testing::{batch, noon, root, spec};
use crate::{
    CommitError, ControlLog, ControlsVersion, Evidence, OpenError, Root, StoreError, Table,
    controls_of, raise_controls,
};
use ebbtide_base::ids::ProductKey;

fn sms() -> ProductKey {
    "sms".parse().unwrap()
}

fn evidence(operation: &str) -> Evidence {
    Evidence::control(
        operation,
        Uuid::nil(),
        noon(),
        "2026-09-01".parse().unwrap(),
    )
}

async fn append(root: &Root, version: i64) {
    ControlLog::open(root)
        .append(ControlsVersion(version), &json!({}))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_takes_force_in_one_commit_that_the_audit_accepts_and_is_never_lowered() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    let work = batch(&table, 0, None, 100).await;
    table.commit(work).await.unwrap();
    assert_eq!(
        table
            .commit_controls(ControlsVersion(3), evidence("hold"))
            .await
            .unwrap(),
        2
    );
    assert_eq!(
        table
            .commit_controls(ControlsVersion(2), evidence("release"))
            .await
            .unwrap(),
        2
    );
    assert_eq!(
        table
            .commit_controls(ControlsVersion(3), evidence("hold"))
            .await
            .unwrap(),
        2
    );
    assert_eq!(table.controls(), ControlsVersion(3));
    assert_eq!(
        raise_controls(&root, &sms(), ControlsVersion(4), evidence("release"))
            .await
            .unwrap(),
        Some(3)
    );
    assert_eq!(
        controls_of(&root, &sms()).await.unwrap(),
        Some(ControlsVersion(4))
    );
    let found = audit(&root, &sms()).await.unwrap();
    assert_eq!(
        (
            found.broken,
            found.records,
            found.commits,
            found.foreign_commits
        ),
        (vec![], 100, 3, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_with_old_state_cannot_commit_past_a_control() {
    let (_folder, root) = root();
    let mut writer = Table::open(&root, spec()).await.unwrap();
    let unaware = batch(&writer, 0, None, 100).await;
    let mut officer = Table::open(&root, spec()).await.unwrap();
    officer
        .commit_controls(ControlsVersion(1), evidence("hold"))
        .await
        .unwrap();
    assert!(matches!(
        writer.commit(unaware).await,
        Err(CommitError::ControlsMoved)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_raises_leave_the_highest_controls_and_a_sound_table() {
    let (_folder, root) = root();
    Table::open(&root, spec()).await.unwrap();
    let raised = (1..=8).map(|version| {
        let root = root.clone();
        tokio::spawn(async move {
            raise_controls(&root, &sms(), ControlsVersion(version), evidence("hold"))
                .await
                .unwrap()
        })
    });
    futures::future::try_join_all(raised).await.unwrap();
    assert_eq!(
        controls_of(&root, &sms()).await.unwrap(),
        Some(ControlsVersion(8))
    );
    assert!(audit(&root, &sms()).await.unwrap().holds());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_table_begins_with_every_control_and_an_old_one_is_brought_up_when_it_is_opened() {
    let (_folder, root) = root();
    append(&root, 1).await;
    let table = Table::open(&root, spec()).await.unwrap();
    assert_eq!((table.version(), table.controls()), (0, ControlsVersion(1)));
    append(&root, 2).await;
    let table = Table::open(&root, spec()).await.unwrap();
    assert_eq!((table.version(), table.controls()), (1, ControlsVersion(2)));
    assert_eq!(Table::open(&root, spec()).await.unwrap().version(), 1);
    assert!(audit(&root, &sms()).await.unwrap().holds());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_knows_of_more_controls_than_the_log_has_is_not_opened() {
    let (_folder, root) = root();
    append(&root, 1).await;
    Table::open(&root, spec()).await.unwrap();
    std::fs::remove_dir_all(root.controls_folder()).unwrap();
    let refused = Table::open(&root, spec()).await.err().unwrap();
    assert!(
        matches!(
            refused,
            OpenError::Store(StoreError::ControlsUnreadable { version: 1, .. })
        ),
        "{refused}"
    );
}
