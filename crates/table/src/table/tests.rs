mod away;
mod columns;
mod controls;
mod controls_cache;
mod crashes;
mod faults;
mod rewrite_crashes;
mod rewrites;
mod segmented;
mod unclear;

use std::sync::Arc;

use deltalake_core::kernel::Action;
use deltalake_core::kernel::{Add, MetadataExt, Transaction};
use futures::StreamExt;
use object_store::PutOptions;
use object_store::path::Path;

use super::open::{entry_bytes, info, write_entry};
use crate::reports::audit;
use crate::spec::TableSpec;
use crate::testing::buckets::roots;
use crate::testing::{MARKER, batch, encoded, log_bytes, noon, partition, root, rows, spec};
use crate::{
    CleanupPlan, CommitError, ControlsVersion, MaintenanceSettings, Root, StoreError, Table,
};
use ebbtide_base::ids::Offset;

/// A store that fails on log entries, by mode: 0 never fails, 1 writes and then reports a failure,
async fn foreign(table: &Table, actions: Vec<Action>) {
    let mut version = table.version() + 1;
    while table
        .log
        .read_commit_entry(version)
        .await
        .unwrap()
        .is_some()
    {
        version += 1;
    }
    let entry = entry_bytes(&actions).unwrap();
    write_entry(&table.log, version, entry).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_is_there_after_opening_again() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    assert_eq!(
        (table.version(), table.next_offset(&partition(0))),
        (0, None)
    );
    let first = batch(&table, 0, None, 100).await;
    assert_eq!(table.commit(first).await.unwrap(), 1);
    let second = batch(&table, 0, Some(100), 250).await;
    assert_eq!(table.commit(second).await.unwrap(), 2);
    let again = Table::open(&root, spec()).await.unwrap();
    assert_eq!(again.version(), 2);
    assert_eq!(again.next_offsets(), vec![(partition(0), Offset(250))]);
    keep(&root, "days");
    assert_eq!(again.state.totals, table.state.totals);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_of_the_same_offsets_one_wins_whole() {
    let (_folder, root) = root();
    let mut one = Table::open(&root, spec()).await.unwrap();
    let mut other = Table::open(&root, spec()).await.unwrap();
    let (a, b) = (
        batch(&one, 0, None, 100).await,
        batch(&other, 0, None, 70).await,
    );
    let (a, b) = tokio::join!(one.commit(a), other.commit(b));
    let (won, lost) = if a.is_ok() { (a, b) } else { (b, a) };
    assert_eq!(won.unwrap(), 1);
    assert!(matches!(lost, Err(CommitError::OffsetsMoved(moved)) if moved == partition(0)));
    let found = audit(&root, &"sms".parse().unwrap()).await.unwrap();
    assert!(found.holds(), "{:?}", found.broken);
    assert_eq!(found.segments, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_that_wakes_after_its_partition_went_on_elsewhere_cannot_commit() {
    let (_folder, root) = root();
    let mut zombie = Table::open(&root, spec()).await.unwrap();
    let stale = batch(&zombie, 0, None, 100).await;
    let mut heir = Table::open(&root, spec()).await.unwrap();
    for from in [None, Some(10), Some(20)] {
        let next = batch(&heir, 0, from, from.unwrap_or(0) + 10).await;
        heir.commit(next).await.unwrap();
    }
    let segments = stale.segments.clone();
    assert!(matches!(
        zombie.commit(stale).await,
        Err(CommitError::OffsetsMoved(_))
    ));
    zombie.discard(segments).await;
    let found = audit(&root, &"sms".parse().unwrap()).await.unwrap();
    assert_eq!((found.records, found.broken), (30, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_right_is_refused_before_anything_is_tried() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    let first = batch(&table, 0, None, 100).await;
    table.commit(first).await.unwrap();
    let good = batch(&table, 0, Some(100), 110).await;
    let mut backwards = good.clone();
    backwards.advances[0].next = Offset(90);
    backwards.evidence.partitions[0].next = Offset(90);
    let mut lossy = good.clone();
    lossy.evidence.read += 1;
    let mut unlisted = good.clone();
    unlisted.evidence.partitions.clear();
    let mut twice = good.clone();
    twice.advances.push(twice.advances[0].clone());
    let mut unbound = good.clone();
    unbound.advances.clear();
    unbound.evidence.partitions.clear();
    let mut more = good.clone();
    more.segments.extend(more.segments.clone());
    for wrong in [backwards, lossy, unlisted, twice, unbound, more] {
        assert!(matches!(
            table.commit(wrong).await,
            Err(CommitError::Store(StoreError::Refused(_)))
        ));
    }
    assert_eq!(table.commit(good).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn writer_that_has_not_seen_a_control_cannot_commit_after_it() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    let unaware = batch(&table, 0, None, 100).await;
    let control_log = crate::ControlLog::open(&root);
    control_log
        .append(ControlsVersion(1), &serde_json::json!({}))
        .await
        .unwrap();
    foreign(
        &table,
        vec![info("hold"), Action::Txn(Transaction::new("controls", 1))],
    )
    .await;
    assert!(matches!(
        table.commit(unaware.clone()).await,
        Err(CommitError::ControlsMoved)
    ));
    assert_eq!(table.controls(), ControlsVersion(1));
    let mut aware = unaware;
    aware.controls = ControlsVersion(1);
    assert_eq!(table.commit(aware).await.unwrap(), 2);
    assert_eq!(
        Table::open(&root, spec()).await.unwrap().controls(),
        ControlsVersion(1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_writers_of_their_own_partitions_all_land_exactly_once() {
    let [(_folder, folder), (_, bucket)] = roots();
    let (one, other) = (
        tokio::spawn(eight_writers(folder)),
        tokio::spawn(eight_writers(bucket)),
    );
    one.await.unwrap();
    other.await.unwrap();
}

async fn eight_writers(root: Root) {
    let writers = (0..8).map(|number| {
        let root = root.clone();
        tokio::spawn(async move {
            let mut table = Table::open(&root, spec()).await.unwrap();
            let mut from = None;
            for _ in 0..6 {
                let next = from.unwrap_or(0) + 5;
                let work = batch(&table, number, from, next).await;
                table.commit(work).await.unwrap();
                from = Some(next);
            }
        })
    });
    futures::future::try_join_all(writers).await.unwrap();
    let found = audit(&root, &"sms".parse().unwrap()).await.unwrap();
    assert_eq!(
        (found.version, found.records, found.segments),
        (48, 8 * 30, 48)
    );
    assert_eq!(found.broken, vec![]);
    let table = Table::open(&root, spec()).await.unwrap();
    assert!(
        table
            .next_offsets()
            .iter()
            .all(|(_, next)| *next == Offset(30))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_in_the_log_of_a_table_of_hours_reads_as_a_scheme() {
    let (_folder, root) = root();
    let hourly = Arc::new(TableSpec {
        unit: ebbtide_base::ids::BucketUnit::Hour,
        ..(*spec()).clone()
    });
    let table = Table::open(&root, hourly).await.unwrap();
    let add = Add {
        path: "bucket=2026-11-24T14:00:00Z/a.parquet".to_owned(),
        data_change: true,
        ..Add::default()
    };
    foreign(&table, vec![Action::Add(add)]).await;
    let log = String::from_utf8_lossy(&log_bytes(&root)).into_owned();
    assert!(
        log.contains("bucket=2026-11-24T14%3A00%3A00Z/a.parquet") && !log.contains("T14:00"),
        "{log}"
    );
    let index = crate::SegmentIndex::load(&table).await.unwrap();
    let known: Vec<_> = index.unknown().map(ToString::to_string).collect();
    assert_eq!(known, ["bucket=2026-11-24T14:00:00Z/a.parquet"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_opens_at_any_time_beside_busy_writers() {
    let (_folder, root) = root();
    let writing = tokio::spawn(eight_writers(root.clone()));
    while !writing.is_finished() {
        // A listing of the log that runs in parallel with its writers may miss an entry and show a
        // later one.
        Table::open(&root, spec()).await.unwrap();
    }
    writing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_engines_commits_in_between_are_read_past() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    let ours = batch(&table, 0, None, 100).await;
    let added = Add {
        path: "foreign.parquet".to_owned(),
        data_change: true,
        ..Add::default()
    };
    foreign(&table, vec![Action::Add(added)]).await;
    let widened = table
        .state
        .metadata
        .clone()
        .add_config_key("owner".to_owned(), "ops".to_owned())
        .unwrap();
    foreign(
        &table,
        vec![info("SET TBLPROPERTIES"), Action::Metadata(widened)],
    )
    .await;
    let log = table.log.object_store(None);
    let strange =
        b"{\"commitInfo\":{\"ebbtide\":7}}\n{\"domainMetadata\":{\"domain\":\"x\"}}\n{\"mystery\":{}}\n".to_vec();
    let path = Path::from("_delta_log/00000000000000000003.json");
    log.put_opts(&path, strange.into(), PutOptions::default())
        .await
        .unwrap();
    assert_eq!(table.commit(ours).await.unwrap(), 4);
    assert!(table.state.metadata.configuration().contains_key("owner"));
    assert_eq!(table.state.totals.unwrap().stored, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_personal_value_stands_in_the_log_nor_in_a_checkpoint() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    for from in 0..5 {
        let work = batch(&table, 0, (from > 0).then_some(from * 40), from * 40 + 40).await;
        table.commit(work).await.unwrap();
    }
    let upkeep = crate::MaintenanceSettings {
        checkpoint_every: 2,
        ..Default::default()
    };
    assert_eq!(
        table
            .maintain(crate::testing::noon(), &upkeep)
            .await
            .unwrap()
            .checkpoint,
        Some(5)
    );
    let log = log_bytes(&root);
    let found = |needle: &str| {
        log.windows(needle.len())
            .any(|window| window == needle.as_bytes())
    };
    assert!(found("numRecords") && found("expires_content") && found("jurisdiction"));
    // Values of personal columns, of text that is not personal, and of columns that link to the
    // message.
    for absent in [
        MARKER,
        "hello 1",
        "customer-",
        "\"source_offset\\\":",
        "sent_at\\\":",
    ] {
        assert!(!found(absent), "{absent} stands in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_explained_in_the_table_once() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    for from in [None, Some(10)] {
        let work = batch(&table, 0, from, from.unwrap_or(0) + 10).await;
        table.commit(work).await.unwrap();
    }
    let text = table.state.metadata.configuration()["ebbtide.profile.0123456789ab"].clone();
    assert_eq!(text, crate::testing::segment_tags().profile_text);
    assert_eq!(
        String::from_utf8_lossy(&log_bytes(&root))
            .matches("\"metaData\"")
            .count(),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_vanished_before_the_commit_are_not_listed() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    let work = batch(&table, 0, None, 10).await;
    table.discard(work.segments.clone()).await;
    assert!(matches!(
        table.commit(work).await,
        Err(CommitError::SegmentDeleted)
    ));
    assert_eq!(table.version(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_written_is_said_and_nothing_of_it_stays() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    std::fs::write(
        root.table_folder(&"sms".parse().unwrap())
            .join("bucket=2026-09-21"),
        b"in the way",
    )
    .unwrap();
    assert!(table.put(encoded(&rows(0, 0, 10))).await.is_err());
    assert_eq!(
        table
            .plan(
                noon() + chrono::TimeDelta::days(9999),
                &MaintenanceSettings::default()
            )
            .await
            .unwrap(),
        CleanupPlan::default()
    );
}

#[test]
fn every_call_may_be_made_from_a_task_that_moves_between_threads() {
    fn sends<T: Send>(_: impl Fn(&'static Root, &'static mut Table) -> T) {}
    sends(|root, _| Table::open(root, spec()));
    sends(|_, table| table.maintain(noon(), Box::leak(Box::new(MaintenanceSettings::default()))));
    sends(|_, table| async move {
        let index = crate::SegmentIndex::load(table).await.unwrap();
        let old: Vec<_> = index.iter().cloned().collect();
        let no_row = crate::Predicate::Any(Vec::new());
        table.matches(&old[0], &no_row).await.unwrap();
        table.split(&old[0], &no_row).await.unwrap();
        table
            .read_columns(&old, &["body"], Some(&no_row))
            .unwrap()
            .next()
            .await;
        table
            .put_cells(old[0].bucket, &old[0].profile, rows(0, 0, 1))
            .await
            .unwrap();
        let spliced = table.splice(&old, &Default::default()).await.unwrap();
        table
            .commit_rewrite(crate::testing::rewrite(&index, old, spliced.segments))
            .await
            .unwrap();
    });
}

/// Keeps a copy of the tables for inspection with other engines, if the environment variable names
/// a folder.
#[allow(clippy::disallowed_methods, reason = "for a look by hand")]
fn keep(root: &Root, name: &str) {
    if let Ok(folder) = std::env::var("EBBTIDE_TEST_KEEP") {
        let to = std::path::Path::new(&folder).join(name);
        std::process::Command::new("cp")
            .arg("-r")
            .arg(root.folder())
            .arg(to)
            .status()
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_processes_may_create_one_table_concurrently() {
    let (_folder, root) = root();
    let opened = (0..8).map(|_| {
        let root = root.clone();
        tokio::spawn(async move { Table::open(&root, spec()).await.unwrap().version() })
    });
    assert_eq!(
        futures::future::try_join_all(opened).await.unwrap(),
        vec![0; 8]
    );
}
