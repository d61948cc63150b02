//! Split on real tables, and compared with a filter row by row.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::{all, as_indexed, bytes, categories, column, filled, read, stored, varied};
use crate::reports::audit;
use crate::testing::{MARKER, noon, rewrite, root, spec};
use crate::{Predicate, RewriteError, Root, SegmentIndex, SplitResult, StoredSegment, Table};

fn is(column: &str, value: &str) -> Predicate {
    Predicate::Is {
        column: column.to_owned(),
        value: value.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_match_go_to_a_segment_of_their_own_with_every_value() {
    let (_folder, root) = root();
    let (mut table, mut index) = filled(&root, 1).await;
    let old = all(&index);
    let before = read(bytes(&root, &old[0].path));
    let customer = is("customer_id", "customer-3");
    assert_eq!(table.matches(&old[0], &customer).await.unwrap(), 14);
    let SplitResult::Both { matching, rest } = table.split(&old[0], &customer).await.unwrap()
    else {
        panic!()
    };
    assert_eq!((matching.rows(), rest.rows()), (14, 86));
    let (held, free) = (
        read(bytes(&root, matching.path())),
        read(bytes(&root, rest.path())),
    );
    for field in before.schema().fields() {
        let (name, chosen) = (field.name(), |row: &usize| row % 7 == 3);
        let values = column(&before, name);
        let of = |keep: bool| -> Vec<String> {
            (0..100)
                .filter(|row| chosen(row) == keep)
                .map(|row| values[row].clone())
                .collect()
        };
        assert_eq!(column(&held, name), of(true), "{name}");
        assert_eq!(column(&free, name), of(false), "{name}");
    }
    let (deadlines, path) = (old[0].deadlines.clone(), matching.path().to_owned());
    table
        .commit_rewrite(rewrite(&index, old, vec![matching, rest]))
        .await
        .unwrap();
    index = SegmentIndex::load(&table).await.unwrap();
    assert!(index.iter().all(|segment| segment.deadlines == deadlines));
    // The split-off segment is found by its own bloom filters, and can be spliced.
    let held = index.get(&path).unwrap().clone();
    assert!(matches!(
        table.split(&held, &customer).await.unwrap(),
        SplitResult::All
    ));
    assert!(matches!(
        table
            .split(&held, &is("customer_id", "customer-4"))
            .await
            .unwrap(),
        SplitResult::None
    ));
    assert_eq!(
        table
            .splice(&[held], &categories(&["content"]))
            .await
            .unwrap()
            .rows,
        14
    );
    assert!(audit(&root, &"sms".parse().unwrap()).await.unwrap().holds());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_if_the_bloom_filters_exclude_the_value() {
    let (_folder, root) = root();
    let (table, index) = filled(&root, 1).await;
    let segment = &all(&index)[0];
    // The rows are damaged, so reading a page fails. The footer and the bloom filters are intact.
    let path = root
        .table_folder(&"sms".parse().unwrap())
        .join(&*segment.path);
    let mut file = std::fs::read(&path).unwrap();
    let metadata = parquet::file::metadata::ParquetMetaDataReader::new()
        .parse_and_finish(&bytes(&root, &segment.path));
    for chunk in metadata.unwrap().row_group(0).columns() {
        let (start, length) = chunk.byte_range();
        file[usize::try_from(start).unwrap()..usize::try_from(start + length).unwrap()].fill(0xff);
    }
    std::fs::write(&path, file).unwrap();
    let absent = is("recipient", "absent everywhere");
    let never = Predicate::Between {
        column: "sent_at".to_owned(),
        from: None,
        to: Some(noon()),
    };
    let some = is("recipient", &format!("{MARKER}-3"));
    for no in [
        absent.clone(),
        never.clone(),
        Predicate::Any(vec![absent.clone(), never.clone()]),
        Predicate::All(vec![some.clone(), absent]),
        Predicate::All(vec![some.clone(), never]),
        is("no_such_column", "x"),
    ] {
        assert_eq!(table.matches(segment, &no).await.unwrap(), 0, "{no:?}");
        assert!(matches!(
            table.split(segment, &no).await.unwrap(),
            SplitResult::None
        ));
    }
    assert!(matches!(
        table.matches(segment, &some).await,
        Err(RewriteError::Damaged { .. })
    ));
    assert!(!format!("{some:?}").contains(MARKER));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_on_another_kind_of_column_and_a_split_of_cells_are_refused() {
    let (_folder, root) = root();
    let (table, index) = filled(&root, 1).await;
    let mut segment = all(&index)[0].clone();
    for wrong in [
        is("segments", "1"),
        is("media", "1"),
        Predicate::Between {
            column: "body".to_owned(),
            from: None,
            to: None,
        },
    ] {
        assert!(
            matches!(
                table.split(&segment, &wrong).await,
                Err(RewriteError::Column { .. })
            ),
            "{wrong:?}"
        );
    }
    segment.cells = true;
    assert!(matches!(
        table.split(&segment, &is("body", "x")).await,
        Err(RewriteError::Store(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_of_several_row_groups_and_of_nulls_is_parted_like_any() {
    let (_folder, root) = root();
    let (mut table, index) = filled(&root, 2).await;
    let old = all(&index);
    let first = table
        .splice(&old[..1], &categories(&["content"]))
        .await
        .unwrap();
    table
        .commit_rewrite(rewrite(&index, old[..1].to_vec(), first.segments))
        .await
        .unwrap();
    let index = SegmentIndex::load(&table).await.unwrap();
    let merged = table.splice(&all(&index), &categories(&[])).await.unwrap();
    let merged = as_indexed(&merged.segments[0]);
    let before = read(bytes(&root, &merged.path));
    let SplitResult::Both { matching, rest } = table
        .split(&merged, &is("jurisdiction", "NL"))
        .await
        .unwrap()
    else {
        panic!()
    };
    let (held, free) = (
        read(bytes(&root, matching.path())),
        read(bytes(&root, rest.path())),
    );
    for field in before.schema().fields() {
        let name = field.name();
        let sorted = |mut values: Vec<String>| {
            values.sort();
            values
        };
        let after = column(&held, name)
            .into_iter()
            .chain(column(&free, name))
            .collect();
        assert_eq!(sorted(after), sorted(column(&before, name)), "{name}");
    }
    let nulls = |rows: &RecordBatch, name: &str| rows.column_by_name(name).unwrap().null_count();
    assert_eq!(
        (
            nulls(&held, "expires_content"),
            nulls(&free, "expires_content")
        ),
        (50, 50)
    );
}

/// Evaluates a predicate on one row.
fn matches(predicate: &Predicate, rows: &RecordBatch, row: usize) -> bool {
    match predicate {
        Predicate::Is { column, value } => {
            let texts = rows.column_by_name(column).unwrap().as_string::<i32>();
            texts.is_valid(row) && texts.value(row) == value
        }
        Predicate::Names { column, subject } => {
            let texts = rows.column_by_name(column).unwrap().as_string::<i32>();
            texts.is_valid(row) && subject.is_named_by(texts.value(row), &mut Vec::new())
        }
        Predicate::Between { column, from, to } => {
            let instants = rows
                .column_by_name(column)
                .unwrap()
                .as_primitive::<TimestampMicrosecondType>();
            let at = instants
                .is_valid(row)
                .then(|| DateTime::from_timestamp_micros(instants.value(row)).unwrap());
            at.is_some_and(|at| from.is_none_or(|from| at >= from) && to.is_none_or(|to| at < to))
        }
        Predicate::Shows { column, value } => {
            let column = rows.column_by_name(column).unwrap();
            column.is_valid(row)
                && arrow::util::display::array_value_to_string(column, row).unwrap() == *value
        }
        Predicate::Null { column } => rows.column_by_name(column).unwrap().is_null(row),
        Predicate::All(all) => all.iter().all(|one| matches(one, rows, row)),
        Predicate::Any(any) => any.iter().any(|one| matches(one, rows, row)),
    }
}

fn instants() -> impl Strategy<Value = Option<DateTime<Utc>>> {
    prop::option::of((-10i64..330, 0i64..3).prop_map(|(minutes, nanos)| {
        noon() + TimeDelta::minutes(minutes) + TimeDelta::nanoseconds(nanos - 1)
    }))
}

fn predicates() -> impl Strategy<Value = Predicate> {
    let leaf = prop_oneof![
        (0..55).prop_map(|n| is("recipient", &format!("31{n:03}"))),
        (0..8).prop_map(|n| is("customer_id", &format!("customer-{n}"))),
        prop_oneof![Just("NL"), Just("IN"), Just("")]
            .prop_map(|country| is("jurisdiction", country)),
        (0_i64..330).prop_map(|number| Predicate::Shows {
            column: "source_offset".to_owned(),
            value: number.to_string()
        }),
        prop_oneof![Just("recipient"), Just("sent_at")].prop_map(|column| Predicate::Null {
            column: column.to_owned()
        }),
        (instants(), instants()).prop_map(|(from, to)| Predicate::Between {
            column: "sent_at".to_owned(),
            from,
            to
        }),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let parts = prop::collection::vec(inner, 0..4);
        prop_oneof![
            parts.clone().prop_map(Predicate::All),
            parts.prop_map(Predicate::Any)
        ]
    })
}

#[test]
fn a_split_equals_a_filter_row_by_row_for_any_predicate() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (_folder, root) = root();
    let (table, segment, before) = runtime.block_on(async {
        let table = Table::open(&root, spec()).await.unwrap();
        let parts = [
            stored(&table, &varied(0, 150)).await,
            stored(&table, &varied(150, 320)).await,
        ];
        let merged = table.splice(&parts, &categories(&[])).await.unwrap();
        let segment = as_indexed(&merged.segments[0]);
        let before = read(bytes(&root, &segment.path));
        (Arc::new(table), segment, before)
    });
    proptest!(ProptestConfig::with_cases(96), |(predicate in predicates())| {
        runtime.block_on(check(&root, &table, &segment, &before, &predicate))?;
    });
}

#[allow(clippy::too_many_arguments, reason = "a test's")]
async fn check(
    root: &Root,
    table: &Table,
    segment: &StoredSegment,
    before: &RecordBatch,
    predicate: &Predicate,
) -> Result<(), TestCaseError> {
    let chosen: Vec<bool> = (0..before.num_rows())
        .map(|row| matches(predicate, before, row))
        .collect();
    let count = chosen.iter().filter(|chosen| **chosen).count() as u64;
    prop_assert_eq!(table.matches(segment, predicate).await.unwrap(), count);
    let parts = match table.split(segment, predicate).await.unwrap() {
        SplitResult::None => {
            prop_assert_eq!(count, 0);
            return Ok(());
        }
        SplitResult::All => {
            prop_assert_eq!(count, segment.rows);
            return Ok(());
        }
        SplitResult::Both { matching, rest } => [(true, matching), (false, rest)],
    };
    for (keep, part) in parts {
        let found = read(bytes(root, part.path()));
        for field in before.schema().fields() {
            let values = column(before, field.name()).into_iter().zip(&chosen);
            let expected: Vec<String> = values
                .filter(|(_, chosen)| **chosen == keep)
                .map(|(value, _)| value)
                .collect();
            prop_assert_eq!(column(&found, field.name()), expected, "{}", field.name());
        }
        table.discard(vec![part]).await;
    }
    Ok(())
}
