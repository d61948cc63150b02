//! Merges of segments: the same rows in another order, a look-up decodes few pages, and no other
//! files are left.

use futures::StreamExt;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};

use super::*;
use crate::testing::root;
use crate::{MergeSettings, RewriteError, Segment};

fn by(columns: &[&str]) -> MergeSettings {
    MergeSettings {
        sort_by: columns.iter().map(|name| (*name).to_owned()).collect(),
        memory: 64 << 20,
    }
}

/// A merge in pieces of one batch each, spilled and merged two in a step.
fn tight(columns: &[&str]) -> MergeSettings {
    MergeSettings {
        memory: 1,
        ..by(columns)
    }
}

fn merged(root: &Root, segment: &Segment) -> RecordBatch {
    read(bytes(root, segment.path()))
}

/// Returns every row of a batch as text, with the columns in the order of their names, in the order
/// of the rows.
fn lines(rows: &RecordBatch) -> Vec<String> {
    let schema = rows.schema();
    let mut names: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    names.sort_unstable();
    let columns: Vec<Vec<String>> = names.iter().map(|name| column(rows, name)).collect();
    let line = |row: usize| {
        columns
            .iter()
            .map(|column| column[row].as_str())
            .collect::<Vec<_>>()
            .join("|")
    };
    (0..rows.num_rows()).map(line).collect()
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn metadata(root: &Root, path: &str) -> ParquetMetaData {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let metadata = ArrowReaderMetadata::load(&bytes(root, path), options).unwrap();
    ParquetMetaData::clone(metadata.metadata())
}

/// Returns all files in the table's folder outside its log.
fn files(root: &Root) -> Vec<String> {
    let table = root.table_folder(&"sms".parse().unwrap());
    let all = walkdir::WalkDir::new(table)
        .into_iter()
        .map(|entry| entry.unwrap());
    let all = all
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().display().to_string());
    all.filter(|path| !path.contains("_delta_log")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_sorted_by_subject_those_without_last_and_none_is_changed() {
    let (_folder, root) = root();
    let table = Table::open(&root, spec()).await.unwrap();
    let parts = [varied(0, 700), varied(700, 900), varied(900, 2500)];
    let mut sources = Vec::new();
    for part in &parts {
        sources.push(stored(&table, part).await);
    }
    let all: Vec<String> = sources
        .iter()
        .flat_map(|source| lines(&read(bytes(&root, &source.path))))
        .collect();
    for how in [
        by(&["recipient", "customer_id"]),
        tight(&["recipient", "customer_id"]),
    ] {
        let segment = table.merge(&sources, &how).await.unwrap();
        let rows = merged(&root, &segment);
        assert_eq!((segment.rows(), segment.records()), (2500, 2500));
        assert_eq!(sorted(lines(&rows)), sorted(all.clone()));
        let recipients: Vec<String> = column(&rows, "recipient");
        let customers = column(&rows, "customer_id");
        let keys: Vec<_> = recipients
            .iter()
            .zip(&customers)
            .map(|(of, customer)| (of == "-", of, customer))
            .collect();
        assert!(keys.is_sorted());
        assert!(keys[2499].0 && !keys[0].0);
        table.discard(vec![segment]).await;
    }
    assert_eq!(files(&root).len(), 3, "{:?}", files(&root));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_spills_than_may_be_open_become_fewer_on_the_way() {
    let (_folder, root) = root();
    let table = Table::open(&root, spec()).await.unwrap();
    let sources = [
        stored(&table, &rows(0, 0, 10_000)).await,
        stored(&table, &rows(0, 10_000, 20_000)).await,
    ];
    let segment = table
        .merge(&sources, &tight(&["recipient", "source_offset"]))
        .await
        .unwrap();
    let rows = merged(&root, &segment);
    let offsets: Vec<usize> = column(&rows, "source_offset")
        .iter()
        .map(|offset| offset.parse().unwrap())
        .collect();
    let recipients = column(&rows, "recipient");
    let keys: Vec<_> = recipients.iter().zip(&offsets).collect();
    assert!(keys.is_sorted());
    let all: std::collections::BTreeSet<_> = offsets.into_iter().collect();
    assert!(all.into_iter().eq(0..20_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_column_to_sort_by_rows_stay_in_their_order() {
    let (_folder, root) = root();
    let (table, index) = filled(&root, 3).await;
    let sources = all(&index);
    for how in [by(&[]), tight(&["media", "no_such_column"])] {
        let segment = table.merge(&sources, &how).await.unwrap();
        let expected: Vec<String> = sources
            .iter()
            .flat_map(|source| column(&read(bytes(&root, &source.path)), "source_offset"))
            .collect();
        assert_eq!(column(&merged(&root, &segment), "source_offset"), expected);
        let groups = metadata(&root, segment.path());
        assert!(
            groups
                .row_groups()
                .iter()
                .all(|group| group.sorting_columns().is_none())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_subject_is_found_by_bloom_bounds_and_one_small_page() {
    let (_folder, root) = root();
    let table = Table::open(&root, spec()).await.unwrap();
    let mut sources = Vec::new();
    for from in 0..4 {
        sources.push(stored(&table, &rows(0, from * 10_000, from * 10_000 + 10_000)).await);
    }
    let segment = table.merge(&sources, &by(&["recipient"])).await.unwrap();
    let file = metadata(&root, segment.path());
    let group = file.row_group(0);
    let at = group
        .columns()
        .iter()
        .position(|chunk| chunk.column_path().string() == "recipient")
        .unwrap();
    assert!(group.column(at).bloom_filter_offset().is_some());
    let sorting = group.sorting_columns().unwrap();
    assert_eq!(
        (sorting.len(), sorting[0].column_idx, sorting[0].descending),
        (1, i32::try_from(at).unwrap(), false)
    );
    let index = &file.column_index().unwrap()[0][at];
    let pages = &file.offset_index().unwrap()[0][at].page_locations;
    // A page ends after a whole number of written batches.
    let bytes = usize::try_from(group.column(at).uncompressed_size()).unwrap();
    assert!(
        bytes > 500_000 && pages.len() >= bytes / (40 << 10),
        "{} pages of {bytes} bytes",
        pages.len()
    );
    // The pages' bounds ascend, so that a value is in one page or in neighbours.
    assert_eq!(
        index.get_boundary_order(),
        Some(parquet::basic::BoundaryOrder::ASCENDING)
    );
    for chunk in group.columns() {
        let name = chunk.column_path().string();
        assert_eq!(
            chunk.bloom_filter_offset().is_some(),
            ["recipient", "customer_id"].contains(&name.as_str())
        );
    }
    // A tag that all rows share costs next to nothing.
    let records = group
        .columns()
        .iter()
        .find(|chunk| chunk.column_path().string() == "records")
        .unwrap();
    assert!(
        records.compressed_size() < 100,
        "{}",
        records.compressed_size()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_column_stays_dropped_and_one_that_some_lack_is_null_there() {
    let (_folder, root) = root();
    let (mut table, _) = filled(&root, 2).await;
    let index = SegmentIndex::load(&table).await.unwrap();
    let spliced = table
        .splice(&all(&index), &categories(&["content"]))
        .await
        .unwrap();
    let commit = crate::testing::rewrite(&index, all(&index), spliced.segments);
    table.commit_rewrite(commit).await.unwrap();
    let index = SegmentIndex::load(&table).await.unwrap();
    let one = all(&index).remove(0);
    let segment = table
        .merge(&[one.clone(), one.clone()], &by(&["recipient"]))
        .await
        .unwrap();
    let names: Vec<String> = merged(&root, &segment)
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    assert!(
        !names
            .iter()
            .any(|name| ["body", "media", "expires_content"].contains(&name.as_str())),
        "{names:?}"
    );
    assert!(!holds(&bytes(&root, segment.path()), b"hello"));

    let whole = stored(&table, &rows(0, 0, 50)).await;
    let alike = StoredSegment {
        deadlines: whole.deadlines.clone(),
        policy_version: whole.policy_version.clone(),
        ..one
    };
    let rows = merged(
        &root,
        &table
            .merge(&[whole, alike], &by(&["recipient"]))
            .await
            .unwrap(),
    );
    assert_eq!(
        column(&rows, "body")
            .iter()
            .filter(|body| *body != "-")
            .count(),
        50
    );
    assert_eq!(
        column(&rows, "expires_content")
            .iter()
            .filter(|at| *at != "-")
            .count(),
        50
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_order_is_left_of_a_dropped_subject() {
    let (_folder, root) = root();
    let table = Table::open(&root, spec()).await.unwrap();
    let one = stored(&table, &varied(0, 1000)).await;
    let other = stored(&table, &varied(1000, 3000)).await;
    let sorted_one = as_indexed(
        &table
            .merge(&[one, other], &by(&["recipient"]))
            .await
            .unwrap(),
    );
    let before = column(&read(bytes(&root, &sorted_one.path)), "source_offset");
    let marked = |path: &str| holds(&bytes(&root, path), b"ebbtide.sorted_by");
    assert!(marked(&sorted_one.path));
    // While the subject is kept, its order is kept too, copied byte for byte, and so is the mark.
    let spliced = table
        .splice(std::slice::from_ref(&sorted_one), &categories(&["content"]))
        .await
        .unwrap();
    let path = spliced.segments[0].path();
    assert_eq!(column(&read(bytes(&root, path)), "source_offset"), before);
    assert!(marked(path));
    // The subject is dropped, and another personal column is kept.
    let left = StoredSegment {
        deadlines: Arc::new(
            sorted_one
                .deadlines
                .iter()
                .filter(|(of, _)| of.as_str() != "content")
                .map(|(of, at)| (of.clone(), *at))
                .collect(),
        ),
        ..as_indexed(&spliced.segments[0])
    };
    // A split keeps the order in each half, and the mark too.
    let is = crate::Predicate::Is {
        column: "customer_id".to_owned(),
        value: "customer-3".to_owned(),
    };
    let crate::SplitResult::Both { matching, rest } = table.split(&sorted_one, &is).await.unwrap()
    else {
        panic!("no split")
    };
    assert!(marked(matching.path()) && marked(rest.path()));
    let segments = table
        .splice(
            &[as_indexed(&matching), as_indexed(&rest)],
            &categories(&["phone_number"]),
        )
        .await
        .unwrap()
        .segments;
    let after = column(&read(bytes(&root, segments[0].path())), "customer_id");
    assert!(
        after.iter().take(1000).any(|of| of != "customer-3"),
        "the halves are shuffled into one another"
    );
    assert!(!marked(segments[0].path()));
    for source in [sorted_one, left] {
        let whole = source.deadlines.len() == 2;
        let spliced = table
            .splice(
                std::slice::from_ref(&source),
                &categories(&["phone_number"]),
            )
            .await
            .unwrap();
        let path = spliced.segments[0].path();
        let rows = read(bytes(&root, path));
        let after = column(&rows, "source_offset");
        assert_ne!(after, before);
        assert_eq!(sorted(after.clone()), sorted(before.clone()));
        // The order is random: of some 3,000 pairs of neighbours only a few remain.
        let pairs: std::collections::HashSet<_> = before.windows(2).collect();
        assert!(after.windows(2).filter(|pair| pairs.contains(pair)).count() < 20);
        assert!(!marked(path) && !holds(&bytes(&root, path), b"recipient"));
        assert_eq!(rows.column_by_name("body").is_some(), whole);
        assert!(
            metadata(&root, path)
                .row_groups()
                .iter()
                .all(|group| group.sorting_columns().is_none())
        );
        // All 3,000 have a time and all but every eleventh a recipient: the statistics have the
        // null counts.
        assert!(
            spliced.dropped.values().sum::<u64>() > 5000,
            "{:?}",
            spliced.dropped
        );
        assert_eq!((spliced.rows, spliced.bytes_copied), (3000, 0));
        assert!(spliced.bytes_dropped > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unlike_segments_cells_and_damaged_ones_are_refused_and_nothing_is_left() {
    let (_folder, root) = root();
    let (table, index) = filled(&root, 2).await;
    let [one, other] = <[StoredSegment; 2]>::try_from(all(&index)).unwrap();
    let before = files(&root).len();
    let with = |change: &dyn Fn(&mut StoredSegment)| {
        let mut changed = other.clone();
        change(&mut changed);
        [one.clone(), changed]
    };
    let unlike: [&dyn Fn(&mut StoredSegment); 5] = [
        &|of| of.cells = true,
        &|of| of.deadlines = Arc::default(),
        &|of| of.policy_version = None,
        &|of| of.profile = "ba9876543210".parse().unwrap(),
        &|of| of.rows += 1,
    ];
    for change in unlike {
        assert!(
            table
                .merge(&with(change), &by(&["recipient"]))
                .await
                .is_err()
        );
    }
    assert!(table.merge(&[], &by(&["recipient"])).await.is_err());
    let missing = table
        .merge(
            &with(&|of| of.path = "gone.parquet".into()),
            &by(&["recipient"]),
        )
        .await;
    assert!(
        matches!(missing, Err(RewriteError::SegmentDeleted { .. })),
        "{missing:?}"
    );
    // The damage is in the rows only, so that the footer can be read.
    let path = root
        .table_folder(&"sms".parse().unwrap())
        .join(&*other.path);
    let mut damaged = std::fs::read(&path).unwrap();
    damaged[100..400].fill(0xa5);
    std::fs::write(&path, damaged).unwrap();
    for how in [by(&["recipient"]), tight(&["recipient"]), by(&[])] {
        assert!(
            table
                .merge(&[one.clone(), other.clone()], &how)
                .await
                .is_err()
        );
    }
    assert_eq!(files(&root).len(), before, "{:?}", files(&root));
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_in_a_bucket_become_one_as_those_in_a_folder_do() {
    for (_folder, root) in crate::testing::buckets::roots() {
        let mut table = Table::open(&root, spec()).await.unwrap();
        for from in [None, Some(500)] {
            let more = batch(&table, 0, from, from.unwrap_or(0) + 500).await;
            table.commit(more).await.unwrap();
        }
        let index = SegmentIndex::load(&table).await.unwrap();
        let old = all(&index);
        let merged = table.merge(&old, &tight(&["recipient"])).await.unwrap();
        table
            .commit_rewrite(crate::testing::rewrite(&index, old, vec![merged]))
            .await
            .unwrap();
        let new = all(&SegmentIndex::load(&table).await.unwrap());
        let mut rows = table.read_columns(&new, &["recipient"], None).unwrap();
        let mut people = Vec::new();
        while let Some(some) = rows.next().await {
            people.extend(column(&some.unwrap().rows, "recipient"));
        }
        assert_eq!(
            (new.len(), people.len(), people.is_sorted()),
            (1, 1000, true),
            "{root}"
        );
    }
}
