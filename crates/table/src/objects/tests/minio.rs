//! Tables in a real object store, also one that throttles, loses requests and loses answers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::TimeDelta;
use ebbtide_testkit::fault_proxy::RequestOutcome;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;

use crate::reports::audit;
use crate::reports::residue::{ResidueOutcome, SearchValues, search};
use crate::testing::buckets::{
    bucket_root, fault_proxy, from_above, suspended, through, unfinished, versioned,
};
use crate::testing::{MARKER, batch, filled, noon, rewrite, spec};
use crate::{
    CommitError, MaintenanceSettings, ProbeError, RewriteError, Root, SegmentIndex, SegmentRows,
    StoredSegment, Table,
};

async fn index(table: &Table) -> (SegmentIndex, Vec<StoredSegment>) {
    let index = SegmentIndex::load(table).await.unwrap();
    let segments = index.iter().cloned().collect();
    (index, segments)
}

/// Returns the number of records of the one table. Panics if its audit fails.
async fn records(root: &Root) -> u64 {
    let found = audit(root, &"sms".parse().unwrap()).await.unwrap();
    assert!(found.holds(), "{:?}", found.broken);
    found.records
}

async fn objects(root: &Root) -> BTreeSet<String> {
    let listed: Vec<_> = root
        .store()
        .list(Some(root.at()))
        .try_collect()
        .await
        .unwrap();
    listed
        .into_iter()
        .map(|object| object.location.to_string())
        .collect()
}

/// Searches all bytes under the root for a value.
async fn residue_outcome(root: &Root, value: &str) -> ResidueOutcome {
    let (root, values) = (
        root.clone(),
        Arc::new(SearchValues::of_texts(&[value], false).unwrap()),
    );
    tokio::task::spawn_blocking(move || {
        search(&from_above(&root), &values, &|_| {})
            .unwrap()
            .verdict()
    })
    .await
    .unwrap()
}

/// Returns an upkeep that keeps nothing.
fn keeping_nothing() -> MaintenanceSettings {
    MaintenanceSettings {
        checkpoint_every: 1,
        keep_log: TimeDelta::zero(),
        keep_orphans: TimeDelta::zero(),
        readers_grace: TimeDelta::zero(),
        ..MaintenanceSettings::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn due_data_is_in_no_byte_of_the_bucket_and_the_rest_is_readable() {
    let root = bucket_root();
    root.check().await.unwrap();
    assert_eq!(
        objects(&root).await,
        BTreeSet::new(),
        "the trial left something"
    );
    let mut table = filled(&root, 3).await;
    assert_eq!(
        ebbtide_query::products(&from_above(&root)).await.unwrap(),
        vec!["sms".parse().unwrap()]
    );
    let body = format!("{MARKER} hello 250");
    assert_eq!(residue_outcome(&root, &body).await, ResidueOutcome::Found);

    let (index_before, old) = index(&table).await;
    let content = "content".parse().unwrap();
    let spliced = table.splice(&old, &[content].into()).await.unwrap();
    table
        .commit_rewrite(rewrite(&index_before, old, spliced.segments))
        .await
        .unwrap();
    assert_eq!(records(&root).await, 300);
    let later = noon() + TimeDelta::days(36_500);
    let done = table.maintain(later, &keeping_nothing()).await.unwrap();
    // By the store's clock they were removed so long ago that the checkpoint no longer names them.
    assert_eq!(
        (
            done.checkpoint,
            done.deleted.replaced.len() + done.deleted.orphans.len()
        ),
        (Some(4), 3)
    );
    table.maintain(later, &keeping_nothing()).await.unwrap();
    assert_eq!(residue_outcome(&root, &body).await, ResidueOutcome::Clean);
    assert_eq!(unfinished(&root), 0);

    // A new reader sees the table from the checkpoint alone.
    let mut reopened = Table::open(&root, spec()).await.unwrap();
    let (_, left) = index(&reopened).await;
    let mut rows = reopened
        .read_columns(&left, &["recipient", "source_offset", "body"], None)
        .unwrap();
    let mut read = 0;
    while let Some(batch) = rows.next().await {
        let SegmentRows { rows, .. } = batch.unwrap();
        read += rows.num_rows();
        assert_eq!(
            rows.column_by_name("body").unwrap().null_count(),
            rows.num_rows()
        );
        assert_eq!(rows.column_by_name("recipient").unwrap().null_count(), 0);
    }
    assert_eq!(read, 300);
    let more = batch(&reopened, 0, Some(300), 310).await;
    reopened.commit(more).await.unwrap();
    assert_eq!(records(&root).await, 310);
}

#[tokio::test(flavor = "multi_thread")]
async fn bucket_that_keeps_old_versions_is_refused_with_a_fix() {
    let root = versioned();
    let error = root.check().await.unwrap_err();
    assert!(matches!(error, ProbeError::Versioned { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("switch the bucket's versioning off"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_with_old_versions_is_refused_although_versioning_is_suspended() {
    let error = suspended().check().await.unwrap_err();
    assert!(matches!(error, ProbeError::Versioned { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_refused_by_a_throttled_store_is_repeated_and_lands_once() {
    let (root, door) = (bucket_root(), fault_proxy());
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    door.judge(move |_, _| {
        if counted.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) {
            RequestOutcome::Throttled
        } else {
            RequestOutcome::Answered
        }
    });
    let table = filled(&through(&root, &door), 3).await;
    assert_eq!((table.version(), records(&root).await), (3, 300));
    assert!(seen.load(Ordering::Relaxed) > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_whose_answer_is_lost_lands_once() {
    let (root, door) = (bucket_root(), fault_proxy());
    let lost = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&lost);
    // Every completed write: of segments, of entries, of parts and of the end of an upload.
    door.judge(move |method, _| {
        let done = matches!(method, "PUT" | "POST");
        if done && counted.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            RequestOutcome::AnswerLost
        } else {
            RequestOutcome::Answered
        }
    });
    let mut table = filled(&through(&root, &door), 3).await;
    assert_eq!((table.version(), records(&root).await), (3, 300));
    let (index, old) = index(&table).await;
    // An upload that cannot be started or completed is an error, and may be repeated.
    let content: ebbtide_base::ids::Category = "content".parse().unwrap();
    let mut tries = 0;
    let spliced = loop {
        match table.splice(&old, &[content.clone()].into()).await {
            Ok(spliced) => break spliced,
            Err(error) => {
                tries += 1;
                assert!(
                    matches!(error, RewriteError::Store(_)) && tries < 5,
                    "{error}"
                );
            }
        }
    };
    table
        .commit_rewrite(rewrite(&index, old, spliced.segments))
        .await
        .unwrap();
    assert_eq!((table.version(), records(&root).await), (4, 300));
    assert!(lost.load(Ordering::Relaxed) > 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_may_still_land_keeps_its_files_for_the_same_batch() {
    let (root, door) = (bucket_root(), fault_proxy());
    let mut table = filled(&through(&root, &door), 1).await;
    let work = batch(&table, 0, Some(100), 200).await;
    let path = work.segments[0].path().to_owned();
    door.judge(|method, path| {
        if method == "PUT" && path.contains("_delta_log") {
            RequestOutcome::Lost
        } else {
            RequestOutcome::Answered
        }
    });
    let error = table.commit(work.clone()).await.unwrap_err();
    assert!(matches!(error, CommitError::Unknown(_)), "{error}");
    assert!(
        objects(&root)
            .await
            .iter()
            .any(|object| object.ends_with(&path))
    );
    door.judge(|_, _| RequestOutcome::Answered);
    assert_eq!(table.commit(work.clone()).await.unwrap(), 2);
    assert_eq!(table.commit(work).await.unwrap(), 2);
    assert_eq!(records(&root).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_fails_half_way_leaves_nothing_in_the_bucket() {
    let (root, door) = (bucket_root(), fault_proxy());
    let table = filled(&through(&root, &door), 2).await;
    let before = objects(&root).await;
    door.judge(|_, path| {
        if path.contains("partNumber=") {
            RequestOutcome::Lost
        } else {
            RequestOutcome::Answered
        }
    });
    let (_, old) = index(&table).await;
    let error = table
        .splice(&old, &["content".parse().unwrap()].into())
        .await
        .unwrap_err();
    assert!(matches!(error, RewriteError::Store(_)), "{error}");
    assert_eq!(objects(&root).await, before);
    assert_eq!(unfinished(&root), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_within_a_segment_does_not_make_it_a_damaged_one() {
    let (root, door) = (bucket_root(), fault_proxy());
    let table = filled(&through(&root, &door), 1).await;
    let (_, old) = index(&table).await;
    door.judge(|method, path| {
        if method == "GET" && path.contains(".parquet") {
            RequestOutcome::Lost
        } else {
            RequestOutcome::Answered
        }
    });
    let error = table
        .splice(&old, &["content".parse().unwrap()].into())
        .await
        .unwrap_err();
    assert!(matches!(error, RewriteError::Store(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bucket_says_its_own_time() {
    let root = bucket_root();
    let first = root.store_time().await.unwrap().unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let second = root.store_time().await.unwrap().unwrap();
    assert!(
        second > first && second - first < TimeDelta::minutes(1),
        "{first} {second}"
    );
}
