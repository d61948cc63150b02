//! The number of bytes that a look-up reads must not grow with data that it does not need.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use futures::StreamExt;

use super::{every, files, filled, found, looks};
use crate::lookup::RecordFinder;
use ebbtide_table::testing::{root, rows, segment_tags, spec};
use ebbtide_table::{Predicate, SegmentWriter, StoredSegment, Table};

/// The number of rows of a segment.
const ROWS: i64 = 60_000;

/// Returns segments of many people; each person's rows are adjacent if `sorted`.
async fn segments(table: &Table, count: i64, sorted: bool) -> Vec<StoredSegment> {
    let mut stored = Vec::new();
    for number in 0..count {
        let start = number * ROWS;
        let made = rows(0, start, start + ROWS);
        let person = |row: i64| {
            if sorted {
                row / 3
            } else {
                (row * 7919) % (ROWS / 3)
            }
        };
        let people = StringArray::from_iter_values(
            (0..ROWS).map(|row| format!("{number}-{:09}", person(row))),
        );
        let mut columns: Vec<ArrayRef> = made.columns().to_vec();
        columns[0] = Arc::new(people);
        let made = RecordBatch::try_new(made.schema(), columns).unwrap();
        let mut writer = SegmentWriter::new(spec(), segment_tags(), &[]).unwrap();
        writer.write(&made).unwrap();
        let segment = table.put(writer.finish().unwrap()).await.unwrap();
        let tags = segment_tags();
        stored.push(StoredSegment {
            path: segment.path().into(),
            bucket: tags.bucket,
            profile: tags.profile,
            rows: segment.rows(),
            records: segment.rows(),
            size: segment.size(),
            deadlines: Arc::default(),
            policy_version: None,
            cells: false,
        });
    }
    stored
}

fn of(value: &str) -> Predicate {
    Predicate::Is {
        column: "recipient".to_owned(),
        value: value.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn absent_subject_costs_one_block_of_each_bloom_filter() {
    let (_folder, root) = root();
    let table = Table::open(&root, spec()).await.unwrap();
    let segments = segments(&table, 4, false).await;
    let size: u64 = segments.iter().map(|segment| segment.size).sum();
    // Within the bounds of all segments, and in no bloom filter: the filters answer maybe for one
    // in a hundred.
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for number in 0..20 {
        let (files, counting) = files(&root, 64 << 20);
        let absent = of(&format!("2-00000{number:04}x"));
        let columns = table.spec().arrow();
        assert!(
            found(&root, &files, looks(&segments, &absent), columns.clone())
                .await
                .unwrap()
                .is_empty()
        );
        cold.push(counting.take());
        assert!(
            found(&root, &files, looks(&segments, &absent), columns)
                .await
                .unwrap()
                .is_empty()
        );
        warm.push(counting.take());
    }
    cold.sort_unstable();
    warm.sort_unstable();
    // The bounds leave one segment. Read are the tail of each file, one header of a bloom filter
    // and one block of it.
    assert!(cold[10] <= 4 * (32 << 10) + 64, "{cold:?} of {size}");
    assert_eq!(warm[10], 32, "{warm:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_pages_with_the_subject_are_read_of_a_sorted_segment() {
    let (_folder, root) = root();
    let table = Table::open(&root, spec()).await.unwrap();
    let segments = segments(&table, 1, true).await;
    let (files, counting) = files(&root, 64 << 20);
    let person = of("0-000010000");
    let columns = table.spec().arrow();
    let rows = found(&root, &files, looks(&segments, &person), columns.clone())
        .await
        .unwrap();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
    counting.take();
    let again = found(&root, &files, looks(&segments, &person), columns)
        .await
        .unwrap();
    assert_eq!(rows, again);
    let read = counting.take();
    // About one page in three of each column; the rows differ in size.
    assert!(
        read < segments[0].size * 2 / 3,
        "{read} of {}",
        segments[0].size
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_that_the_footer_shows_are_not_read() {
    let (_folder, root) = root();
    let (table, segments) = filled(&root, 3).await;
    let all = table.spec().arrow();
    let tags = ["policy_version", "expires_content", "records"];
    let columns = Arc::new(
        all.project(&tags.map(|name| all.index_of(name).unwrap()))
            .unwrap(),
    );
    let (files, counting) = files(&root, 64 << 20);
    found(&root, &files, looks(&segments, &every()), all)
        .await
        .unwrap();
    counting.take();
    let rows = found(&root, &files, looks(&segments, &every()), columns.clone())
        .await
        .unwrap();
    assert_eq!(counting.take(), 0, "something is read");
    let mut read = table.read_columns(&segments, &tags, None).unwrap();
    let mut stored = Vec::new();
    while let Some(rows) = read.next().await {
        stored.push(rows.unwrap().rows);
    }
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 300);
    assert_eq!(
        concat_batches(&columns, &rows).unwrap(),
        concat_batches(&columns, &stored).unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn footers_stay_within_their_memory() {
    let (_folder, root) = root();
    let (table, segments) = filled(&root, 20).await;
    let one = {
        let (files, _) = files(&root, usize::MAX);
        found(
            &root,
            &files,
            looks(&segments[..1], &every()),
            table.spec().arrow(),
        )
        .await
        .unwrap();
        files.footers.bytes()
    };
    for limit in [0, one / 2, one * 3, one * 100] {
        let (files, counting) = files(&root, limit);
        for _ in 0..2 {
            let rows = found(
                &root,
                &files,
                looks(&segments, &every()),
                table.spec().arrow(),
            )
            .await
            .unwrap();
            assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 2000);
            assert!(
                files.footers.bytes() <= limit,
                "{} of {limit}",
                files.footers.bytes()
            );
        }
        assert!(
            limit < one * 100 || files.footers.bytes() > one * 10,
            "nothing is kept"
        );
        counting.take();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_far_ahead_of_the_consumer() {
    let (_folder, root) = root();
    let (table, segments) = filled(&root, 60).await;
    let size: u64 = segments.iter().map(|segment| segment.size).sum();
    let (files, counting) = files(&root, 64 << 20);
    let finder = RecordFinder::new(root.clone(), 0);
    let looked = Arc::new(AtomicU64::new(0));
    let mut rows = finder.find_in(
        files,
        looks(&segments, &every()),
        table.spec().arrow(),
        looked,
    );
    assert!(rows.next().await.unwrap().is_ok());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let ahead = counting.take();
    assert!(
        ahead < size * 3 / 4,
        "{ahead} of {size} bytes are read for one of 60 segments"
    );
    let mut count = 1;
    while let Some(found) = rows.next().await {
        assert_eq!(found.unwrap().rows.num_rows(), 100);
        count += 1;
    }
    assert_eq!(count, 60);
}
