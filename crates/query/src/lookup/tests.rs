mod bytes;
mod counting;
mod random;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use tokio::sync::Semaphore;

use super::files::TableFiles;
use super::footers::FooterCache;
use super::{RecordFinder, SegmentScan};
use counting::CountingStore;
use ebbtide_table::durable::DurableFs;
use ebbtide_table::rewrite::RewriteError;
use ebbtide_table::testing::hook::HookedStore;
use ebbtide_table::testing::root;
use ebbtide_table::{Predicate, Root, SegmentIndex, StoredSegment, Table};

/// Returns the files of the only table, read through a store that counts.
fn files(root: &Root, memory: usize) -> (TableFiles, CountingStore) {
    let folder = Path::from_absolute_path(root.table_folder(&"sms".parse().unwrap())).unwrap();
    let counting = CountingStore::new(Arc::new(PrefixStore::new(DurableFs::default(), folder)));
    let store: Arc<dyn ObjectStore> = Arc::new(HookedStore(counting.clone()));
    let footers = Arc::new(FooterCache::new(memory));
    (
        TableFiles {
            table: 0,
            store,
            folder: None,
            footers,
            permits: Arc::new(Semaphore::new(3)),
            here: false,
        },
        counting,
    )
}

/// Returns the same files, read as files of a table in the local file system.
fn near(root: &Root, memory: usize) -> TableFiles {
    let folder = Some(Arc::new(root.table_folder(&"sms".parse().unwrap())));
    TableFiles {
        folder,
        ..files(root, memory).0
    }
}

/// Returns a table of `count` segments of a hundred rows each, and the segments.
async fn filled(root: &Root, count: i64) -> (Table, Vec<StoredSegment>) {
    let table = ebbtide_table::testing::filled(root, count).await;
    let index = SegmentIndex::load(&table).await.unwrap();
    let segments = index.iter().cloned().collect();
    (table, segments)
}

fn every() -> Predicate {
    Predicate::All(Vec::new())
}

fn looks(segments: &[StoredSegment], predicate: &Predicate) -> Vec<SegmentScan> {
    let look = |segment: &StoredSegment| SegmentScan {
        segment: Arc::new(segment.clone()),
        predicate: predicate.clone(),
    };
    segments.iter().map(look).collect()
}

/// Returns all rows that are found, batch by batch.
async fn found(
    root: &Root,
    files: &TableFiles,
    looks: Vec<SegmentScan>,
    columns: SchemaRef,
) -> Result<Vec<RecordBatch>, RewriteError> {
    let finder = RecordFinder::new(root.clone(), 0);
    let (looked, count) = (Arc::new(AtomicU64::new(0)), looks.len() as u64);
    let mut rows = finder.find_in(files.clone(), looks, columns, Arc::clone(&looked));
    let mut all = Vec::new();
    while let Some(found) = rows.next().await {
        let found = found?.rows;
        assert!(found.num_rows() > 0, "an empty batch is given");
        all.push(found);
    }
    assert_eq!(looked.load(std::sync::atomic::Ordering::Relaxed), count);
    Ok(all)
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_or_truncated_segment_ends_the_answer_with_an_error() {
    let (_folder, root) = root();
    let (table, segments) = filled(&root, 3).await;
    let (files, _) = files(&root, 1 << 20);
    let columns = table.spec().arrow();
    let every = every();
    let all = found(&root, &files, looks(&segments, &every), columns.clone())
        .await
        .unwrap();
    assert_eq!(all.iter().map(RecordBatch::num_rows).sum::<usize>(), 300);

    let file = root
        .table_folder(&"sms".parse().unwrap())
        .join(&*segments[1].path);
    let whole = std::fs::read(&file).unwrap();
    let known = near(&root, 1 << 20);
    found(&root, &known, looks(&segments, &every), columns.clone())
        .await
        .unwrap();
    // If the footer is known, only the pages are read, which are at the file's beginning.
    for (files, left) in [
        (self::files(&root, 1 << 20).0, 2),
        (near(&root, 1 << 20), 2),
        (known.clone(), 100),
    ] {
        std::fs::write(&file, &whole[..whole.len() / left]).unwrap();
        let cut = found(&root, &files, looks(&segments, &every), columns.clone()).await;
        assert!(
            matches!(cut, Err(RewriteError::Damaged { .. })),
            "a part of a file is not read as a whole one: {cut:?}"
        );
    }
    std::fs::remove_file(&file).unwrap();
    for files in [files, self::files(&root, 0).0, known, near(&root, 0)] {
        let answer = found(&root, &files, looks(&segments, &every), columns.clone()).await;
        let Err(RewriteError::SegmentDeleted { path }) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(*path, *segments[1].path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_of_another_kind_is_refused_and_not_guessed_at() {
    let (_folder, root) = root();
    let (table, segments) = filled(&root, 1).await;
    let (files, _) = files(&root, 1 << 20);
    for column in ["segments", "media", "sent_at"] {
        let filter = Predicate::Is {
            column: column.to_owned(),
            value: "secret".to_owned(),
        };
        let refused = found(
            &root,
            &files,
            looks(&segments, &filter),
            table.spec().arrow(),
        )
        .await;
        assert!(
            matches!(&refused, Err(RewriteError::Column { column: named, .. }) if named == column),
            "{refused:?}"
        );
        assert!(!format!("{refused:?}{filter:?}").contains("secret"));
    }
    let filter = Predicate::Between {
        column: "segments".to_owned(),
        from: None,
        to: None,
    };
    let refused = found(
        &root,
        &files,
        looks(&segments, &filter),
        table.spec().arrow(),
    )
    .await;
    assert!(matches!(refused, Err(RewriteError::Column { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_finder_knows_the_newest_version_after_log_cleanup() {
    let (_folder, root) = root();
    let product = "sms".parse().unwrap();
    let finder = RecordFinder::new(root.clone(), 1 << 20);
    assert!(finder.table(&product).await.unwrap().is_none());
    let mut table = ebbtide_table::testing::filled(&root, 3).await;
    assert_eq!(
        finder
            .table(&product)
            .await
            .unwrap()
            .unwrap()
            .segments()
            .len(),
        3
    );
    for from in [300, 400] {
        let work = ebbtide_table::testing::batch(&table, 0, Some(from), from + 100).await;
        table.commit(work).await.unwrap();
    }
    let upkeep = ebbtide_table::MaintenanceSettings {
        checkpoint_every: 1,
        keep_log: chrono::TimeDelta::zero(),
        ..Default::default()
    };
    let later = ebbtide_table::testing::noon() + chrono::TimeDelta::days(3650);
    let done = table.maintain(later, &upkeep).await.unwrap();
    assert!(done.deleted.log.len() > 3, "{done:?}");
    for _ in 0..2 {
        let known = finder.table(&product).await.unwrap().unwrap();
        assert_eq!(
            (known.version(), known.segments().len()),
            (table.version(), 5)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cached_table_costs_two_requests_and_one_for_each_new_commit() {
    let (_folder, root) = root();
    let product = "sms".parse().unwrap();
    let mut table = ebbtide_table::testing::filled(&root, 3).await;
    let counting = CountingStore::new(Arc::clone(root.store()));
    let hooked = Arc::new(HookedStore(counting.clone()));
    let elsewhere = Root::parse(root.folder().to_str().unwrap()).unwrap();
    let finder = RecordFinder::new(elsewhere.with_store(hooked), 1 << 20);
    finder.table(&product).await.unwrap();
    // The kernel lists the log too.
    assert_eq!(counting.take_requests().1, 2);
    finder.table(&product).await.unwrap();
    assert_eq!(counting.take_requests(), (2, 0));
    for from in [300, 400] {
        let work = ebbtide_table::testing::batch(&table, 0, Some(from), from + 100).await;
        table.commit(work).await.unwrap();
    }
    let newest = finder.table(&product).await.unwrap().unwrap();
    assert_eq!(counting.take_requests(), (4, 0));
    assert_eq!(
        (newest.version(), newest.segments().len()),
        (table.version(), 5)
    );
}
