//! Merges of random files, in any amount of memory.

use std::collections::BTreeSet;

use arrow::array::{Array, RecordBatch};
use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, take};
use proptest::prelude::*;

use super::super::{read, texts};
use super::{Case, cases, name, spec, written};
use crate::testing::{put, root};
use crate::{MergeSettings, StoredSegment, Table};

/// Writes the case's files and merges them by some of their columns: the same rows, as plain texts,
/// in the order of arrow's own sort of their keys.
fn check_merge((columns, files): &Case, memory: usize, by: &[usize]) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (_folder, root) = root();
    let table = runtime.block_on(Table::open(&root, spec(columns))).unwrap();
    let written: Vec<_> = files.iter().map(|file| written(columns, file)).collect();
    let sources: Vec<StoredSegment> = written
        .iter()
        .enumerate()
        .map(|(number, (rows, file))| put(&root, number, rows, file))
        .collect();
    let sort_by: Vec<String> = by
        .iter()
        .map(|number| name(number % columns.len()))
        .collect();
    let how = MergeSettings {
        sort_by: sort_by.clone(),
        memory,
    };
    let segment = runtime.block_on(table.merge(&sources, &how)).unwrap();
    let found = read(
        std::fs::read(
            root.table_folder(&"sms".parse().unwrap())
                .join(segment.path()),
        )
        .unwrap()
        .into(),
    );

    let schema = found.schema();
    let names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
    let known: BTreeSet<String> = written
        .iter()
        .flat_map(|(rows, _)| {
            rows.schema()
                .fields()
                .iter()
                .map(|f| f.name().clone())
                .collect::<Vec<_>>()
        })
        .collect();
    prop_assert_eq!(
        names
            .iter()
            .map(|name| (*name).clone())
            .collect::<BTreeSet<_>>(),
        known
    );
    let lines = |rows: &RecordBatch| {
        let column = |name: &&String| match rows.column_by_name(name) {
            Some(column) => texts(column),
            None => vec!["-".to_owned(); rows.num_rows()],
        };
        let columns: Vec<Vec<String>> = names.iter().map(column).collect();
        (0..rows.num_rows())
            .map(|row| {
                columns
                    .iter()
                    .map(|column| column[row].clone())
                    .collect::<Vec<_>>()
            })
            .collect::<Vec<_>>()
    };
    let mut before: Vec<Vec<String>> = written.iter().flat_map(|(rows, _)| lines(rows)).collect();
    let mut after = lines(&found);
    before.sort();
    after.sort();
    prop_assert_eq!(before, after);

    let options = Some(SortOptions {
        descending: false,
        nulls_first: false,
    });
    let mut seen = BTreeSet::new();
    let keys: Vec<SortColumn> = sort_by
        .iter()
        .filter(|name| seen.insert(*name))
        .filter_map(|name| found.column_by_name(name))
        .filter(|column| !column.data_type().is_nested())
        .map(|column| SortColumn {
            values: column.clone(),
            options,
        })
        .collect();
    if !keys.is_empty() {
        let order = lexsort_to_indices(&keys, None).unwrap();
        for key in keys {
            prop_assert_eq!(
                texts(&take(&key.values, &order, None).unwrap()),
                texts(&key.values)
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_merge_has_the_same_rows_sorted_whatever_fits_into_memory(
        case in cases(),
        memory in prop_oneof![Just(1usize), 10_000usize..200_000, Just(64 << 20)],
        by in prop::collection::vec(0usize..7, 0..3),
    ) {
        check_merge(&case, memory, &by)?;
    }
}
