//! Columns of segments are adapted to the table: renamed or dropped, and the rest copied byte for
//! byte.

use futures::StreamExt;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ByCustomer, all, bytes, filled, read, tags};
use crate::testing::{batch, rewrite, root, spec};
use crate::{
    MergeSettings, Predicate, ReformResult, Root, SegmentIndex, StoredSegment, Table, TableColumn,
    TableSpec,
};

async fn rows(table: &Table, segments: &[StoredSegment], column: &str) -> Vec<String> {
    let mut rows = table.read_columns(segments, &[column], None).unwrap();
    let mut all = Vec::new();
    while let Some(batch) = rows.next().await {
        let batch = batch.unwrap().rows;
        let text = |row| arrow::util::display::array_value_to_string(batch.column(0), row).unwrap();
        all.extend((0..batch.num_rows()).map(text));
    }
    all
}

/// Opens the same table under a policy with other columns.
async fn with_columns(root: &Root, other: impl Fn(&TableColumn) -> Option<TableColumn>) -> Table {
    let columns = spec().columns.iter().filter_map(other).collect();
    Table::open(
        root,
        Arc::new(TableSpec {
            columns,
            ..TableSpec::clone(&spec())
        }),
    )
    .await
    .unwrap()
}

/// Commits under the policy version of the segments: a version of a policy has one list of columns.
async fn commit(table: &mut Table, index: &mut SegmentIndex, done: ReformResult) {
    let mut work = rewrite(index, done.replaced, done.segments);
    work.evidence.policy_version = "2026-10-01".parse().unwrap();
    work.controls = table.controls();
    table.commit_rewrite(work).await.unwrap();
    *index = SegmentIndex::load(table).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_and_nested_columns_are_renamed_and_unnamed_ones_are_dropped() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    let work = batch(&table, 0, None, 500).await;
    table.commit(work).await.unwrap();
    let mut index = SegmentIndex::load(&table).await.unwrap();
    let old = all(&index);
    let (media, people) = (
        rows(&table, &old, "media").await,
        rows(&table, &old, "recipient").await,
    );
    assert!(media.iter().any(|text| !text.is_empty()));

    let renamed = |column: &TableColumn| match column.name.as_str() {
        "segments" => None,
        "media" => Some(TableColumn {
            name: "files".to_owned(),
            ..column.clone()
        }),
        "recipient" => Some(TableColumn {
            name: "person".to_owned(),
            ..column.clone()
        }),
        _ => Some(column.clone()),
    };
    let mut table = with_columns(&root, renamed).await;
    let former: BTreeMap<String, String> = [
        ("media", "files"),
        ("recipient", "person"),
        ("unheard_of", "body"),
    ]
    .map(|(a, b)| (a.into(), b.into()))
    .into();
    let done = table.reform(&old, &former).await.unwrap().unwrap();
    assert_eq!(
        (done.unclassified, done.replaced.len(), done.segments.len()),
        (500, old.len(), old.len())
    );
    commit(&mut table, &mut index, done).await;
    let new = all(&index);
    assert_eq!(
        new.iter()
            .map(|segment| &segment.deadlines)
            .collect::<Vec<_>>(),
        old.iter()
            .map(|segment| &segment.deadlines)
            .collect::<Vec<_>>()
    );
    assert_eq!(
        (
            rows(&table, &new, "files").await,
            rows(&table, &new, "person").await
        ),
        (media, people.clone())
    );
    // The bloom filter was kept: it finds the person.
    let is = Predicate::Is {
        column: "person".to_owned(),
        value: people[0].clone(),
    };
    assert!(table.matches(&new[0], &is).await.unwrap() > 0);
    let folder = root.table_folder(&table.spec().product);
    for segment in &new {
        let bytes = std::fs::read(folder.join(&*segment.path)).unwrap();
        let has = |name: &str| bytes.windows(name.len()).any(|at| at == name.as_bytes());
        assert!(
            has("files") && !has("media") && !has("recipient") && !has("segments"),
            "{}",
            segment.path
        );
    }
    assert!(
        table.reform(&new, &former).await.unwrap().is_none(),
        "once is enough"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_sorted_by_a_dropped_column_are_shuffled_and_others_renamed() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    let work = batch(&table, 0, None, 500).await;
    table.commit(work).await.unwrap();
    let mut index = SegmentIndex::load(&table).await.unwrap();
    let old = all(&index);
    let how = MergeSettings {
        sort_by: vec!["recipient".to_owned()],
        memory: 64 << 20,
    };
    let merged = table.merge(&old, &how).await.unwrap();
    table
        .commit_rewrite(rewrite(&index, old, vec![merged]))
        .await
        .unwrap();
    index = SegmentIndex::load(&table).await.unwrap();
    let sorted = all(&index);
    let (people, media) = (
        rows(&table, &sorted, "recipient").await,
        rows(&table, &sorted, "media").await,
    );
    assert!(people.is_sorted());

    let renamed = |column: &TableColumn| match column.name.as_str() {
        "recipient" => None,
        "media" => Some(TableColumn {
            name: "files".to_owned(),
            ..column.clone()
        }),
        _ => Some(column.clone()),
    };
    let mut table = with_columns(&root, renamed).await;
    let former: BTreeMap<String, String> = [("media".to_owned(), "files".to_owned())].into();
    let done = table.reform(&sorted, &former).await.unwrap().unwrap();
    commit(&mut table, &mut index, done).await;
    let new = all(&index);
    let files = rows(&table, &new, "files").await;
    assert_ne!(files, media, "the order tells who is who");
    let sorted = |mut texts: Vec<String>| {
        texts.sort();
        texts
    };
    assert_eq!(sorted(files), sorted(media));
    let folder = root.table_folder(&table.spec().product);
    let bytes = std::fs::read(folder.join(&*new[0].path)).unwrap();
    assert!(!bytes.windows(9).any(|at| at == b"recipient"));
    // The intermediate step leaves no file: only the segment that was read, the merged one and the
    // result are left.
    let files = walkdir::WalkDir::new(folder)
        .into_iter()
        .filter_map(Result::ok);
    assert_eq!(
        files
            .filter(|file| file.path().extension().is_some_and(|of| of == "parquet"))
            .count(),
        3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn new_tags_have_no_deadline_of_a_category_without_columns() {
    let (_folder, root) = root();
    let (_, mut index) = filled(&root, 2).await;
    // The table still has a column of the category that the files do not have: it is another one.
    let other = |column: &TableColumn| match column.name.as_str() {
        "media" => None,
        "body" => Some(TableColumn {
            name: "text".to_owned(),
            ..column.clone()
        }),
        _ => Some(column.clone()),
    };
    let mut table = with_columns(&root, other).await;
    let done = table
        .reform(&all(&index), &BTreeMap::new())
        .await
        .unwrap()
        .unwrap();
    commit(&mut table, &mut index, done).await;
    let new = tags(
        7,
        &[("content", Some(3)), ("phone_number", Some(4))],
        Some("2027"),
    );
    let by = ByCustomer {
        of: vec![1; 7],
        targets: vec![new],
    };
    let done = table
        .retag(&all(&index), Arc::new(by))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(done.retagged, 200);
    for segment in &done.segments {
        let found = read(bytes(&root, segment.path()));
        let rows = found.num_rows();
        assert_eq!(
            found
                .column_by_name("expires_content")
                .map_or(rows, |column| column.null_count()),
            rows
        );
        assert_eq!(
            found
                .column_by_name("expires_phone_number")
                .unwrap()
                .null_count(),
            0
        );
    }
}
