//! A process that was away for longer than the log's entries are kept: asleep, frozen, or
//! disconnected.

use chrono::TimeDelta;
use deltalake_core::kernel::{Action, MetadataExt};

use super::foreign;
use crate::reports::audit;
use crate::snapshot::{ForeignFiles, LogSnapshot};
use crate::testing::{batch, noon, rewrite, root, segment, spec};
use crate::{
    CommitError, MaintenanceSettings, Root, SegmentIndex, SegmentedTable, StoreError, Table,
};

/// Makes four more commits, then a clean-up that keeps only the entry of the last.
async fn go_on_without_them(root: &Root) -> Table {
    let mut table = Table::open(root, spec()).await.unwrap();
    for from in [100, 200, 300, 400] {
        let more = batch(&table, 0, Some(from), from + 100).await;
        table.commit(more).await.unwrap();
    }
    let upkeep = MaintenanceSettings {
        checkpoint_every: 1,
        ..MaintenanceSettings::default()
    };
    table
        .maintain(noon() + TimeDelta::days(36_500), &upkeep)
        .await
        .unwrap();
    table
}

fn entries(root: &Root) -> Vec<String> {
    let log = root
        .table_folder(&"sms".parse().unwrap())
        .join("_delta_log");
    let names = std::fs::read_dir(log)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut entries: Vec<String> = names
        .filter(|name| name.len() == 25 && name.ends_with(".json"))
        .collect();
    entries.sort();
    entries
}

#[tokio::test(flavor = "multi_thread")]
async fn writer_that_was_away_writes_no_entry_below_the_newest_version() {
    let (_folder, root) = root();
    let mut away = Table::open(&root, spec()).await.unwrap();
    let first = batch(&away, 0, None, 100).await;
    away.commit(first).await.unwrap();
    let index = SegmentIndex::load(&away).await.unwrap();
    let again = batch(&away, 0, Some(100), 150).await;
    let part = segment(&away, 0, 0, 100).await;
    let rewritten = rewrite(&index, index.iter().cloned().collect(), vec![part]);
    let table = go_on_without_them(&root).await;
    let before = entries(&root);
    assert_eq!(before.len(), 1, "{before:?}");
    assert!(matches!(
        away.commit(again).await,
        Err(CommitError::OffsetsMoved(_))
    ));
    assert!(matches!(
        away.commit_rewrite(rewritten).await,
        Err(CommitError::Unknown(_))
    ));
    assert_eq!((entries(&root), away.version()), (before, table.version()));
    assert_eq!(away.next_offsets(), table.next_offsets());
    let more = batch(&away, 0, Some(500), 510).await;
    assert_eq!(away.commit(more).await.unwrap(), table.version() + 1);
    assert!(audit(&root, &"sms".parse().unwrap()).await.unwrap().holds());
}

#[tokio::test(flavor = "multi_thread")]
async fn table_with_segments_that_was_away_is_loaded_at_one_version() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    let first = batch(&table, 0, None, 100).await;
    table.commit(first).await.unwrap();
    let mut away = SegmentedTable::load(table).await.unwrap();
    let table = go_on_without_them(&root).await;
    away.refresh().await.unwrap();
    let (version, segments) = (table.version(), away.segments());
    assert_eq!((away.version(), segments.version()), (version, version));
    let fresh = SegmentIndex::load(&table).await.unwrap();
    assert_eq!((segments.len(), fresh.version()), (5, version));
    assert!(segments.iter().eq(fresh.iter()));
    assert_eq!(away.next_offsets(), table.next_offsets());
}

#[tokio::test(flavor = "multi_thread")]
async fn reader_that_stopped_at_an_unsupported_version_goes_on_after_a_clean_up() {
    let (_folder, root) = root();
    let product = "sms".parse().unwrap();
    let mut table = Table::open(&root, spec()).await.unwrap();
    let first = batch(&table, 0, None, 100).await;
    table.commit(first).await.unwrap();
    let mut swept = SegmentedTable::load(table.clone()).await.unwrap();
    let read = LogSnapshot::load(&root, &product, ForeignFiles::All).await;
    let mut read = read.unwrap().unwrap();
    let usual = table.state.metadata.clone();
    let append_only = usual
        .clone()
        .add_config_key("delta.appendOnly".to_owned(), "true".to_owned());
    foreign(&table, vec![Action::Metadata(append_only.unwrap())]).await;
    assert!(matches!(
        swept.refresh().await,
        Err(StoreError::Unsupported(_))
    ));
    assert!(matches!(
        read.advance().await,
        Err(StoreError::Unsupported(_))
    ));
    foreign(&table, vec![Action::Metadata(usual)]).await;
    let table = go_on_without_them(&root).await;
    assert!(!read.advance().await.unwrap(), "it must be loaded again");
    swept.refresh().await.unwrap();
    assert_eq!(swept.version(), table.version());
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_log_is_reported_and_not_begun_again() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    let first = batch(&table, 0, None, 100).await;
    table.commit(first).await.unwrap();
    std::fs::remove_dir_all(
        root.table_folder(&"sms".parse().unwrap())
            .join("_delta_log"),
    )
    .unwrap();
    let message = table.refresh().await.unwrap_err().to_string();
    assert!(
        message.contains("it was read before and is missing"),
        "{message}"
    );
}
