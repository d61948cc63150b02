//! Tests of the types and encodings of columns, and of what is refused.

use std::cell::Cell;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Decimal128Array, Float32Array, Int64Array,
    LargeStringArray, RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Date32Type, Float32Type, Int64Type, TimeUnit};

use super::world::{TestRecord, batch, batches, made, plan, rows};
use crate::Anonymize;
use crate::anonymize::{CellPlan, CellPlanError, CellsError, cells};

type Never = std::convert::Infallible;

fn anonymize(cell: &[&str], sum: &[&str]) -> Anonymize {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Anonymize {
        k: 2,
        of: "recipient".to_owned(),
        cell: list(cell),
        sum: list(sum),
    }
}

#[test]
fn days_instants_and_numbers_make_cells_in_their_order() {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let rows = RecordBatch::try_from_iter_with_nullable([
        (
            "day",
            Arc::new(Date32Array::from(vec![5, -3, 5, -3, 5, -3])) as ArrayRef,
            true,
        ),
        (
            "at",
            Arc::new(TimestampMicrosecondArray::from(vec![1; 6]).with_timezone("UTC")),
            true,
        ),
        ("size", Arc::new(Int64Array::from(vec![9; 6])), true),
        (
            "recipient",
            Arc::new(StringArray::from(vec!["a", "a", "b", "b", "c", "c"])),
            true,
        ),
        (
            "bytes",
            Arc::new(Int64Array::from(vec![
                i64::MAX / 3,
                1,
                i64::MAX / 3,
                2,
                i64::MAX / 3,
                2,
            ])),
            true,
        ),
        (
            "rate",
            Arc::new(Float32Array::from(vec![0.5, 0.25, 0.5, 0.25, 0.5, 1e30])),
            true,
        ),
    ])
    .unwrap();
    let plan = CellPlan::new(
        &anonymize(&["day", "at", "size"], &["bytes", "rate"]),
        |name| Some(rows.column_by_name(name)?.data_type().clone()),
    )
    .unwrap();
    let found = made(&plan, usize::MAX, std::slice::from_ref(&rows));
    assert_eq!(
        found.rows.column(0).as_primitive::<Date32Type>().values(),
        &[-3, 5]
    );
    assert_eq!(*found.rows.column(1).data_type(), instant);
    let bytes: Vec<Option<i64>> = found
        .rows
        .column(3)
        .as_primitive::<Int64Type>()
        .iter()
        .collect();
    assert_eq!(bytes, [Some(5), Some(i64::MAX - 1)]);
    let rate: Vec<Option<f32>> = found
        .rows
        .column(4)
        .as_primitive::<Float32Type>()
        .iter()
        .collect();
    assert_eq!(rate, [None, Some(1.5)]);
    assert_eq!((found.counts.dominated, found.counts.unfit), (0, 1));
}

#[test]
fn a_sum_that_does_not_fit_its_column_is_null_and_never_wraps() {
    let large = |person: i32| TestRecord {
        recipient: Some(person.to_string()),
        status: Some(1),
        segments: Some(i32::MAX),
        ..TestRecord::default()
    };
    let found = made(
        &plan(2),
        usize::MAX,
        &batches(&[large(1), large(2), large(3)], 2),
    );
    assert_eq!(
        (rows(&found.rows)[0].segments, found.counts.unfit),
        (None, 1)
    );
}

#[test]
fn a_sum_beyond_all_decimals_is_null_in_whatever_order_it_grows() {
    let large = 9 * 10_i128.pow(37);
    for values in [
        [large, large, large],
        [large, large, -large],
        [-large, large, large],
    ] {
        let price = Decimal128Array::from(values.to_vec())
            .with_precision_and_scale(38, 0)
            .unwrap();
        let rows = RecordBatch::try_from_iter([
            (
                "recipient",
                Arc::new(StringArray::from(vec!["a", "b", "c"])) as ArrayRef,
            ),
            ("price", Arc::new(price)),
        ])
        .unwrap();
        let type_of = |name: &str| Some(rows.column_by_name(name)?.data_type().clone());
        let plan = CellPlan::new(&anonymize(&[], &["price"]), type_of).unwrap();
        let found = made(&plan, usize::MAX, std::slice::from_ref(&rows));
        assert_eq!(
            (
                found.counts.cells,
                found.counts.unfit,
                found.rows.column(0).null_count()
            ),
            (1, 1, 1)
        );
    }
}

#[test]
fn a_column_that_a_batch_lacks_is_null() {
    let people = ["a", "b", "c"].map(|name| TestRecord {
        recipient: Some(name.to_owned()),
        tenant: Some("acme".to_owned()),
        ..TestRecord::default()
    });
    let mut whole = batch(&people, true);
    whole.remove_column(whole.schema().index_of("segments").unwrap());
    whole.remove_column(whole.schema().index_of("status").unwrap());
    let found = made(
        &plan(2),
        usize::MAX,
        &[whole.clone(), batch(&people, false)],
    );
    assert_eq!((found.counts.cells, found.counts.records), (1, 6));
    whole.remove_column(whole.schema().index_of("recipient").unwrap());
    assert_eq!(made(&plan(2), usize::MAX, &[whole]).counts.suppressed, 3);
}

#[test]
fn text_counts_alike_in_whatever_form_it_comes() {
    let texts = ["a", "b", "c"];
    let forms: [ArrayRef; 3] = [
        Arc::new(StringArray::from_iter_values(texts)),
        Arc::new(LargeStringArray::from_iter_values(texts)),
        Arc::new(StringViewArray::from_iter_values(texts)),
    ];
    let batches =
        forms.map(|recipient| RecordBatch::try_from_iter([("recipient", recipient)]).unwrap());
    let count = |k: u32| {
        let anonymize = Anonymize {
            k,
            ..anonymize(&[], &[])
        };
        made(
            &CellPlan::new(&anonymize, |_| Some(DataType::Utf8)).unwrap(),
            usize::MAX,
            &batches,
        )
        .counts
    };
    assert_eq!(
        (count(3).cells, count(3).records, count(4).suppressed),
        (1, 9, 9)
    );
}

#[test]
fn a_plan_that_does_not_fit_its_table_is_refused() {
    let type_of = |name: &str| match name {
        "recipient" => Some(DataType::Utf8),
        "blob" => Some(DataType::Binary),
        _ => None,
    };
    let plan =
        |cell: &[&str], sum: &[&str]| CellPlan::new(&anonymize(cell, sum), type_of).map(|_| ());
    assert!(matches!(
        plan(&["nothing"], &[]),
        Err(CellPlanError::Missing { .. })
    ));
    assert!(matches!(
        plan(&["blob"], &[]),
        Err(CellPlanError::Type { .. })
    ));
    assert!(matches!(
        plan(&[], &["recipient"]),
        Err(CellPlanError::Type { .. })
    ));
    assert!(plan(&["recipient"], &[]).is_ok());
}

#[test]
fn rows_of_another_type_and_rows_that_change_between_passes_are_refused() {
    let wrong =
        RecordBatch::try_from_iter([("tenant", Arc::new(Int64Array::from(vec![1])) as ArrayRef)])
            .unwrap();
    let found: Result<_, CellsError<Never>> =
        cells(&plan(2), 0, || [Ok(wrong.clone())].into_iter());
    assert_eq!(
        found.unwrap_err().to_string(),
        "column tenant of the rows is Int64 and should be Utf8"
    );

    let records: Vec<TestRecord> = (0..9)
        .map(|at| TestRecord {
            status: Some(at),
            ..TestRecord::default()
        })
        .collect();
    let read = Cell::new(0);
    let fewer = || {
        read.set(read.get() + 1);
        batches(&records[read.get()..], 4)
            .into_iter()
            .map(Ok::<_, Never>)
    };
    assert!(matches!(
        cells(&plan(2), 0, fewer),
        Err(CellsError::Changed { first: 8, then: 7 })
    ));
}
