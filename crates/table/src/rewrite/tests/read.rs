//! Columns read back: whole, filtered, and from segments that lack them or are missing.

use futures::StreamExt;

use super::{all, categories, column, filled};
use crate::testing::{rewrite, root};
use crate::{Predicate, RewriteError, SegmentIndex, StoredSegment, Table};

async fn collected(
    table: &Table,
    sources: &[StoredSegment],
    columns: &[&str],
    predicate: Option<&Predicate>,
) -> Vec<(usize, Vec<Vec<String>>)> {
    let mut rows = table.read_columns(sources, columns, predicate).unwrap();
    let mut found = Vec::new();
    while let Some(some) = rows.next().await {
        let some = some.unwrap();
        let names: Vec<_> = some
            .rows
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        assert_eq!(names, columns);
        found.push((
            some.source,
            columns
                .iter()
                .map(|name| column(&some.rows, name))
                .collect(),
        ));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_read_segment_after_segment_and_null_where_one_lacks_them() {
    let (_folder, root) = root();
    let (mut table, index) = filled(&root, 2).await;
    let old = all(&index);
    let spliced = table
        .splice(&old[..1], &categories(&["content"]))
        .await
        .unwrap();
    table
        .commit_rewrite(rewrite(&index, old[..1].to_vec(), spliced.segments))
        .await
        .unwrap();
    let segments = all(&SegmentIndex::load(&table).await.unwrap());
    let lacking = segments
        .iter()
        .position(|segment| segment.deadlines.len() == 1)
        .unwrap();
    let found = collected(&table, &segments, &["media", "source_offset", "body"], None).await;
    assert_eq!(
        found.iter().map(|(source, _)| *source).collect::<Vec<_>>(),
        [0, 1]
    );
    for (source, columns) in &found {
        assert_eq!(
            columns[0].iter().all(|value| value == "-"),
            *source == lacking
        );
        assert_eq!(
            columns[2].iter().all(|value| value == "-"),
            *source == lacking
        );
        assert_eq!(columns[1].len(), 100);
    }
    let seven = Predicate::Is {
        column: "customer_id".to_owned(),
        value: "customer-6".to_owned(),
    };
    let found = collected(&table, &segments, &["source_offset"], Some(&seven)).await;
    let mut offsets: Vec<i64> = found
        .iter()
        .flat_map(|(_, columns)| columns[0].iter().map(|offset| offset.parse().unwrap()))
        .collect();
    offsets.sort_unstable();
    assert_eq!(
        offsets,
        (0..200)
            .filter(|offset| offset % 7 == 6)
            .collect::<Vec<_>>()
    );
    let no_row = Predicate::Any(Vec::new());
    assert_eq!(
        collected(&table, &segments, &["body"], Some(&no_row)).await,
        vec![]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_column_or_segment_is_an_error_and_reading_may_stop_early() {
    let (_folder, root) = root();
    let (table, index) = filled(&root, 2).await;
    let segments = all(&index);
    assert!(matches!(
        table.read_columns(&segments, &["no_such"], None),
        Err(RewriteError::Column { .. })
    ));
    std::fs::remove_file(
        root.table_folder(&"sms".parse().unwrap())
            .join(&*segments[1].path),
    )
    .unwrap();
    let mut rows = table.read_columns(&segments, &["body"], None).unwrap();
    assert!(rows.next().await.unwrap().is_ok());
    assert!(matches!(
        rows.next().await,
        Some(Err(RewriteError::SegmentDeleted { .. }))
    ));
    assert!(rows.next().await.is_none());
    drop(table.read_columns(&segments, &["body"], None).unwrap());
}
