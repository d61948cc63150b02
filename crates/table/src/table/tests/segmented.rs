//! A table with its segments: both are of one version after every commit, read and loss of a race.

use uuid::Uuid;

use crate::reports::audit;
use crate::testing::{batch, filled, noon, rewrite, root, segment, spec};
use crate::{
    CommitError, ControlsVersion, Evidence, Root, SegmentIndex, SegmentedTable, StoredSegment,
    Table, raise_controls,
};

async fn opened(root: &Root) -> SegmentedTable {
    let table = Table::existing(root, spec()).await.unwrap();
    SegmentedTable::load(table.unwrap()).await.unwrap()
}

/// Checks that the segments are those of the table's version, as a new reader finds them.
async fn assert_whole(root: &Root, table: &SegmentedTable) {
    let fresh = opened(root).await;
    let (segments, expected) = (table.segments(), fresh.segments());
    assert_eq!(
        (table.version(), segments.version()),
        (fresh.version(), fresh.version())
    );
    assert!(segments.iter().eq(expected.iter()));
    assert_eq!(table.next_offsets(), fresh.next_offsets());
}

fn all(segments: &SegmentIndex) -> Vec<StoredSegment> {
    segments.iter().cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn state_and_segments_are_of_one_version_after_each_commit() {
    let (_folder, root) = root();
    filled(&root, 4).await;
    let (mut one, mut other) = (opened(&root).await, opened(&root).await);
    assert_whole(&root, &one).await;

    let old = all(one.segments());
    let new = segment(&one, 0, 0, 200).await;
    let path = new.path().to_owned();
    let done = rewrite(one.segments(), old[..2].to_vec(), vec![new]);
    one.commit_rewrite(done).await.unwrap();
    assert!(one.segments().get(&path).is_some());
    assert_whole(&root, &one).await;

    // It was not refreshed since.
    let done = rewrite(other.segments(), old[2..3].to_vec(), Vec::new());
    other.commit_rewrite(done).await.unwrap();
    assert_eq!(other.lost_races(), 0, "the log is read before the commit");
    assert_whole(&root, &other).await;

    let late = rewrite(one.segments(), old[2..].to_vec(), Vec::new());
    let refused = one.commit_rewrite(late).await;
    assert!(matches!(refused, Err(CommitError::SegmentMoved(_))));
    assert_whole(&root, &one).await;
    other.refresh().await.unwrap();
    assert_whole(&root, &other).await;

    let evidence = Evidence::control(
        "notices",
        Uuid::nil(),
        noon(),
        "2026-09-01".parse().unwrap(),
    );
    let noted = one.record_notices(ControlsVersion(0), evidence).await;
    assert!(noted.unwrap());
    assert_whole(&root, &one).await;
    let found = audit(&root, &"sms".parse().unwrap()).await.unwrap();
    assert!(found.holds(), "{:?}", found.broken);
}

#[tokio::test(flavor = "multi_thread")]
async fn ingested_segment_has_the_controls_that_it_was_stored_under() {
    let (_folder, root) = root();
    let mut writer = filled(&root, 1).await;
    let mut reader = opened(&root).await;
    reader.follow_ingest();
    let early = batch(&writer, 0, Some(100), 200).await;
    writer.commit(early).await.unwrap();
    let evidence = Evidence::control("hold", Uuid::nil(), noon(), "2026-09-01".parse().unwrap());
    raise_controls(&root, &"sms".parse().unwrap(), ControlsVersion(3), evidence)
        .await
        .unwrap();
    let mut late = batch(&writer, 0, Some(200), 300).await;
    late.controls = ControlsVersion(3);
    writer.commit(late).await.unwrap();
    // A rewrite is not collected, and a commit of the reader reads the log too.
    let first = all(reader.segments()).remove(0);
    let done = rewrite(reader.segments(), vec![first], Vec::new());
    let refused = reader.commit_rewrite(done).await;
    assert!(matches!(refused, Err(CommitError::ControlsMoved)));
    reader.refresh().await.unwrap();
    let ingested: Vec<i64> = reader
        .take_ingested()
        .iter()
        .map(|segment| segment.controls)
        .collect();
    assert_eq!(ingested, [0, 3]);
    assert!(reader.take_ingested().is_empty());
    assert_whole(&root, &reader).await;
}
