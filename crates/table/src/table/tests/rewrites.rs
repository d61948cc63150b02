//! The commit of a rewrite: races, controls, errors of unknown outcome, and refusals.

use deltalake_core::kernel::{Action, Remove, Transaction};

use super::super::open::info;
use super::faults::with_faults;
use super::foreign;
use crate::reports::audit;
use crate::testing::{batch, filled, noon, partition, rewrite, root, segment, spec};
use crate::{
    COMPACT, CommitError, ControlsVersion, MaintenanceSettings, Root, SegmentIndex, StoreError,
    StoredSegment, Table,
};

async fn index(table: &Table) -> (SegmentIndex, Vec<StoredSegment>) {
    let index = SegmentIndex::load(table).await.unwrap();
    let segments = index.iter().cloned().collect();
    (index, segments)
}

async fn records(root: &Root) -> u64 {
    let found = audit(root, &"sms".parse().unwrap()).await.unwrap();
    assert!(found.holds(), "{:?}", found.broken);
    found.records
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_are_replaced_in_one_step() {
    let (_folder, root) = root();
    let mut table = filled(&root, 3).await;
    let (mut index, old) = index(&table).await;
    let new = segment(&table, 0, 0, 200).await;
    let path = new.path().to_owned();
    assert_eq!(
        table
            .commit_rewrite(rewrite(&index, old[..2].to_vec(), vec![new]))
            .await
            .unwrap(),
        4
    );
    index = SegmentIndex::load(&table).await.unwrap();
    let mut left = vec![old[2].path.to_string(), path];
    left.sort();
    assert_eq!(
        index
            .iter()
            .map(|segment| segment.path.to_string())
            .collect::<Vec<_>>(),
        left
    );
    assert_eq!(records(&root).await, 300);
    assert_eq!(table.state.totals.unwrap().removed, 0);
    // The partitions continue at their offsets, and the evidence of the offsets is still found.
    assert_eq!(table.next_offset(&partition(0)).unwrap().0, 300);
    let more = batch(&table, 0, Some(300), 310).await;
    assert_eq!(table.commit(more).await.unwrap(), 5);
    assert_eq!(records(&root).await, 310);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_end_without_a_cell_are_accounted_for() {
    let (_folder, root) = root();
    let mut table = filled(&root, 2).await;
    let (index, old) = index(&table).await;
    table
        .commit_rewrite(rewrite(&index, old[..1].to_vec(), Vec::new()))
        .await
        .unwrap();
    assert_eq!(records(&root).await, 100);
    let totals = Table::open(&root, spec())
        .await
        .unwrap()
        .state
        .totals
        .unwrap();
    assert_eq!(
        (totals.stored, totals.removed, totals.kept(), totals.commits),
        (200, 100, 100, 3)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_rewrites_of_one_segment_one_wins_whole() {
    let (_folder, root) = root();
    let mut one = filled(&root, 2).await;
    let mut other = Table::open(&root, spec()).await.unwrap();
    let (index, old) = index(&one).await;
    let a = rewrite(&index, old.clone(), vec![segment(&one, 0, 0, 200).await]);
    let b = rewrite(
        &index,
        old[1..].to_vec(),
        vec![segment(&other, 0, 100, 200).await],
    );
    let (a, b) = tokio::join!(one.commit_rewrite(a), other.commit_rewrite(b));
    let (won, lost) = if a.is_ok() { (a, b) } else { (b, a) };
    assert_eq!(won.unwrap(), 3);
    assert!(matches!(lost, Err(CommitError::SegmentMoved(path)) if path == *old[1].path));
    assert_eq!(records(&root).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewrite_lands_beside_ingest_and_not_beside_a_foreign_removal_or_a_control() {
    let (_folder, root) = root();
    let mut table = filled(&root, 2).await;
    let (index, old) = index(&table).await;
    let work = rewrite(
        &index,
        old[..1].to_vec(),
        vec![segment(&table, 0, 0, 100).await],
    );
    let mut ingest = Table::open(&root, spec()).await.unwrap();
    let more = batch(&ingest, 0, Some(200), 300).await;
    ingest.commit(more).await.unwrap();
    assert_eq!(table.commit_rewrite(work).await.unwrap(), 4);

    let work = rewrite(
        &index,
        old[1..].to_vec(),
        vec![segment(&table, 0, 100, 200).await],
    );
    foreign(
        &table,
        vec![info("hold"), Action::Txn(Transaction::new("controls", 1))],
    )
    .await;
    assert!(matches!(
        table.commit_rewrite(work.clone()).await,
        Err(CommitError::ControlsMoved)
    ));
    let removed = Remove {
        path: old[1].path.to_string(),
        data_change: true,
        ..Remove::default()
    };
    foreign(&table, vec![info("DELETE"), Action::Remove(removed)]).await;
    let mut aware = work;
    aware.controls = ControlsVersion(1);
    assert!(matches!(
        table.commit_rewrite(aware).await,
        Err(CommitError::SegmentMoved(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewrite_that_landed_is_found_again_after_an_error() {
    for (mode, lands) in [(1, true), (2, false), (3, true)] {
        let (_folder, root) = root();
        let mut table = filled(&root, 2).await;
        let (index, old) = index(&table).await;
        let work = rewrite(&index, old.clone(), vec![segment(&table, 0, 0, 200).await]);
        let faults = with_faults(&mut table);
        faults.store(mode, std::sync::atomic::Ordering::SeqCst);
        let first = table.commit_rewrite(work.clone()).await;
        match mode {
            1 => assert_eq!(first.unwrap(), 3),
            2 => assert!(matches!(first, Err(CommitError::Store(_)))),
            _ => assert!(matches!(first, Err(CommitError::Unknown(_)))),
        }
        // Another process, after more commits, with the same rewrite.
        let mut other = Table::open(&root, spec()).await.unwrap();
        let more = batch(&other, 0, Some(200), 300).await;
        other.commit(more).await.unwrap();
        assert_eq!(
            other.commit_rewrite(work).await.unwrap(),
            if lands { 3 } else { 4 },
            "mode {mode}"
        );
        assert_eq!(records(&root).await, 300);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_right_is_refused() {
    let (_folder, root) = root();
    let mut table = filled(&root, 2).await;
    let (index, old) = index(&table).await;
    let good = rewrite(&index, old.clone(), vec![segment(&table, 0, 0, 200).await]);
    let mut nothing = good.clone();
    nothing.removes.clear();
    let mut twice = good.clone();
    twice.removes.push(old[0].clone());
    let mut lost = good.clone();
    lost.adds.clear();
    let mut miscounted = good.clone();
    miscounted.evidence.rewrite.as_mut().unwrap().records_out = 199;
    let mut ingest = good.clone();
    ingest.evidence.rewrite = None;
    for wrong in [nothing, twice, lost, miscounted, ingest] {
        let refused = table.commit_rewrite(wrong).await;
        assert!(
            matches!(refused, Err(CommitError::Store(StoreError::Refused(_)))),
            "{refused:?}"
        );
    }
    let mut discarded = good.clone();
    table.discard(discarded.adds.clone()).await;
    assert!(matches!(
        table.commit_rewrite(discarded.clone()).await,
        Err(CommitError::SegmentDeleted)
    ));
    discarded.adds[0] = segment(&table, 0, 0, 200).await;
    table.commit_rewrite(discarded).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_replaced_is_in_a_checkpoint_no_more() {
    let (_folder, root) = root();
    let mut table = filled(&root, 3).await;
    let (before, old) = index(&table).await;
    let work = rewrite(
        &before,
        old[..2].to_vec(),
        vec![segment(&table, 0, 0, 200).await],
    );
    table.commit_rewrite(work).await.unwrap();
    let upkeep = MaintenanceSettings {
        checkpoint_every: 1,
        ..MaintenanceSettings::default()
    };
    assert_eq!(
        table.maintain(noon(), &upkeep).await.unwrap().checkpoint,
        Some(4)
    );
    let (after, segments) = index(&table).await;
    assert_eq!((after.version(), segments.len()), (4, 2));
    assert_eq!(
        segments.iter().map(|segment| segment.rows).sum::<u64>(),
        300
    );
    assert_eq!(records(&root).await, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_says_that_no_data_changed_and_every_other_rewrite_that_it_did() {
    for (operation, changes) in [(COMPACT, false), ("drop", true)] {
        let (_folder, root) = root();
        let mut table = filled(&root, 2).await;
        let (index, old) = index(&table).await;
        let mut commit = rewrite(&index, old, vec![segment(&table, 0, 0, 200).await]);
        commit.evidence.operation = operation.to_owned();
        let version = table.commit_rewrite(commit).await.unwrap();
        let entry = root
            .table_folder(&"sms".parse().unwrap())
            .join(format!("_delta_log/{version:020}.json"));
        let entry = std::fs::read_to_string(entry).unwrap();
        let actions = entry
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let files = actions.filter(|action| action.get("add").or(action.get("remove")).is_some());
        let data_changes: Vec<bool> = files
            .map(|action| {
                action.get("add").or(action.get("remove")).unwrap()["dataChange"]
                    .as_bool()
                    .unwrap()
            })
            .collect();
        assert_eq!(data_changes, [changes; 3], "{operation}");
        // An audit counts its files nevertheless.
        assert_eq!(records(&root).await, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_that_would_change_a_row_is_refused() {
    let (_folder, root) = root();
    let mut table = filled(&root, 2).await;
    let (index, old) = index(&table).await;
    let mut commit = rewrite(&index, old, vec![segment(&table, 0, 0, 199).await]);
    commit.evidence.operation = COMPACT.to_owned();
    let refused = table.commit_rewrite(commit).await.unwrap_err();
    assert!(
        matches!(refused, CommitError::Store(StoreError::Refused(_))),
        "{refused}"
    );
    assert_eq!(records(&root).await, 200);
}
