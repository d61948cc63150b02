use std::path::PathBuf;

use chrono::TimeDelta;
use futures::StreamExt;
use object_store::ObjectStore;
use serde_json::json;

use super::{AppendError, ControlLog};
use crate::testing::buckets::roots;
use crate::testing::{noon, root};
use crate::{ControlsVersion, Root, StoreError};

fn file(root: &Root, version: i64) -> PathBuf {
    root.folder().join(format!("_controls/{version:020}.json"))
}

async fn filled(root: &Root, controls: i64) -> ControlLog {
    let log = ControlLog::open(root);
    for version in 1..=controls {
        log.append(ControlsVersion(version), &json!({ "number": version }))
            .await
            .unwrap();
    }
    log
}

#[tokio::test(flavor = "multi_thread")]
async fn controls_are_read_back_in_order_from_where_one_asks() {
    let (_folder, root) = root();
    assert_eq!(
        ControlLog::open(&root).newest().await.unwrap(),
        ControlsVersion(0)
    );
    assert_eq!(
        ControlLog::open(&root)
            .load_from(ControlsVersion(1))
            .await
            .unwrap(),
        vec![]
    );
    let log = filled(&root, 3).await;
    assert_eq!(log.newest().await.unwrap(), ControlsVersion(3));
    let read = log.load_from(ControlsVersion(2)).await.unwrap();
    assert_eq!(
        read,
        [
            (ControlsVersion(2), json!({"number": 2})),
            (ControlsVersion(3), json!({"number": 3}))
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_race_is_reported_and_leaves_no_gap() {
    let (_folder, root) = root();
    let log = filled(&root, 1).await;
    assert!(matches!(
        log.append(ControlsVersion(1), &json!({})).await,
        Err(AppendError::Lost)
    ));
    assert!(matches!(
        log.append(ControlsVersion(3), &json!({})).await,
        Err(AppendError::Store(StoreError::Refused(_)))
    ));
    assert_eq!(log.newest().await.unwrap(), ControlsVersion(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_version_has_one_winner_and_every_control_lands_once() {
    let [(_folder, folder), (_, bucket)] = roots();
    let (one, other) = (
        tokio::spawn(many_appenders(folder)),
        tokio::spawn(many_appenders(bucket)),
    );
    one.await.unwrap();
    other.await.unwrap();
}

async fn many_appenders(root: Root) {
    let appenders = (0..8).map(|writer| {
        let root = root.clone();
        tokio::spawn(async move {
            let log = ControlLog::open(&root);
            for number in 0..5 {
                let control = json!({ "by": writer, "number": number });
                loop {
                    let next = log.newest().await.unwrap().next();
                    match log.append(next, &control).await {
                        Ok(_) => break,
                        Err(AppendError::Lost) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        })
    });
    futures::future::try_join_all(appenders).await.unwrap();
    let read = ControlLog::open(&root)
        .load_from(ControlsVersion(1))
        .await
        .unwrap();
    assert_eq!(read.len(), 40);
    let mut seen: Vec<String> = read
        .into_iter()
        .map(|(_, control)| control.to_string())
        .collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 40);
    let left: Vec<_> = root.store().list(Some(&root.controls())).collect().await;
    assert_eq!(left.len(), 40, "a passing name was left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_or_damaged_file_makes_controls_unreadable_and_is_not_quoted() {
    let (_folder, root) = root();
    let log = filled(&root, 3).await;
    std::fs::write(file(&root, 3), b"{\"subject\": \"31612345678\"").unwrap();
    let message = log
        .load_from(ControlsVersion(1))
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(
        message,
        "control 3 is unreadable: it is no JSON; nothing is deleted or committed until `_controls` is restored from a backup"
    );
    std::fs::remove_file(file(&root, 2)).unwrap();
    let error = log.load_from(ControlsVersion(3)).await.unwrap_err();
    assert!(
        matches!(error, StoreError::ControlsUnreadable { version: 2, .. }),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_control_keeps_no_old_byte_and_crash_leftovers_are_deleted() {
    let (_folder, root) = root();
    let log = filled(&root, 2).await;
    log.replace(ControlsVersion(1), &json!({ "over": true }))
        .await
        .unwrap();
    assert_eq!(std::fs::read(file(&root, 1)).unwrap(), b"{\"over\":true}\n");
    assert!(log.replace(ControlsVersion(3), &json!({})).await.is_err());
    let staged = root.folder().join("_controls/.5d1b.tmp");
    std::fs::write(&staged, b"31612345678").unwrap();
    assert_eq!(log.newest().await.unwrap(), ControlsVersion(2));
    assert_eq!(
        log.sweep_staged(noon() - TimeDelta::days(36_500))
            .await
            .unwrap()
            .deleted
            .len(),
        0
    );
    assert_eq!(
        log.sweep_staged(noon() + TimeDelta::days(36_500))
            .await
            .unwrap()
            .deleted
            .len(),
        1
    );
    assert!(!staged.exists());
}
