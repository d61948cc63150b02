//! Records for the tests, as batches of plain columns or dictionaries.

use std::convert::Infallible;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int32Array, RecordBatch,
    StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int32Type, Int64Type};
use proptest::prelude::*;

use crate::Anonymize;
use crate::anonymize::{CellPlan, Cells, CellsError, cells};

/// One record.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TestRecord {
    pub tenant: Option<String>,
    pub status: Option<i32>,
    pub sandbox: Option<bool>,
    pub recipient: Option<String>,
    pub segments: Option<i32>,
    pub price: Option<i128>,
    pub score: Option<f64>,
}

/// The columns of a cell.
pub type CellKey = (Option<String>, Option<i32>, Option<bool>);

/// A published row.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedRow {
    pub key: CellKey,
    pub segments: Option<i32>,
    pub price: Option<i128>,
    pub score: Option<f64>,
    pub records: i64,
}

impl TestRecord {
    pub fn key(&self) -> CellKey {
        (self.tenant.clone(), self.status, self.sandbox)
    }
}

/// Returns the plan for cells of tenant, status and sandbox that count recipients and sum the other
/// columns.
pub fn plan(k: u32) -> CellPlan {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let anonymize = Anonymize {
        k,
        of: "recipient".to_owned(),
        cell: list(&["tenant", "status", "sandbox"]),
        sum: list(&["segments", "price", "score"]),
    };
    CellPlan::new(&anonymize, |name| {
        let one = batch(&[TestRecord::default()], false);
        Some(one.column_by_name(name)?.data_type().clone())
    })
    .unwrap()
}

/// Returns the records as one batch. If `coded` is true, its text and status columns are
/// dictionaries.
pub fn batch(records: &[TestRecord], coded: bool) -> RecordBatch {
    let dictionary = |column: ArrayRef| {
        let wanted = DataType::Dictionary(
            Box::new(DataType::Int32),
            Box::new(column.data_type().clone()),
        );
        if coded {
            cast(&column, &wanted).unwrap()
        } else {
            column
        }
    };
    let text = |of: fn(&TestRecord) -> Option<&str>| {
        Arc::new(records.iter().map(of).collect::<StringArray>()) as ArrayRef
    };
    let price: Decimal128Array = records.iter().map(|record| record.price).collect();
    RecordBatch::try_from_iter_with_nullable([
        (
            "source_offset",
            Arc::new(Int32Array::from_iter_values(0..records.len() as i32)) as ArrayRef,
            true,
        ),
        (
            "tenant",
            dictionary(text(|record| record.tenant.as_deref())),
            true,
        ),
        (
            "status",
            dictionary(Arc::new(
                records
                    .iter()
                    .map(|record| record.status)
                    .collect::<Int32Array>(),
            )),
            true,
        ),
        (
            "sandbox",
            Arc::new(
                records
                    .iter()
                    .map(|record| record.sandbox)
                    .collect::<BooleanArray>(),
            ),
            true,
        ),
        (
            "recipient",
            dictionary(text(|record| record.recipient.as_deref())),
            true,
        ),
        (
            "segments",
            Arc::new(
                records
                    .iter()
                    .map(|record| record.segments)
                    .collect::<Int32Array>(),
            ),
            true,
        ),
        (
            "price",
            Arc::new(price.with_precision_and_scale(9, 2).unwrap()),
            true,
        ),
        (
            "score",
            Arc::new(
                records
                    .iter()
                    .map(|record| record.score)
                    .collect::<Float64Array>(),
            ),
            true,
        ),
    ])
    .unwrap()
}

/// Returns batches of `size` records. Every second batch has dictionaries.
pub fn batches(records: &[TestRecord], size: usize) -> Vec<RecordBatch> {
    records
        .chunks(size.max(1))
        .enumerate()
        .map(|(at, some)| batch(some, at % 2 == 1))
        .collect()
}

/// Returns the cells of the batches.
pub fn made(plan: &CellPlan, budget: usize, batches: &[RecordBatch]) -> Cells {
    let result: Result<_, CellsError<Infallible>> =
        cells(plan, budget, || batches.iter().cloned().map(Ok));
    result.unwrap()
}

/// Returns the published rows.
pub fn rows(batch: &RecordBatch) -> Vec<PublishedRow> {
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let (tenant, sandbox) = (
        column("tenant").as_string::<i32>(),
        column("sandbox").as_boolean(),
    );
    let (status, segments) = (
        column("status").as_primitive::<Int32Type>(),
        column("segments").as_primitive::<Int32Type>(),
    );
    let (price, score) = (
        column("price").as_primitive::<Decimal128Type>(),
        column("score").as_primitive::<Float64Type>(),
    );
    let records = column("records").as_primitive::<Int64Type>();
    let row = |at: usize| PublishedRow {
        key: (
            tenant.is_valid(at).then(|| tenant.value(at).to_owned()),
            status.is_valid(at).then(|| status.value(at)),
            sandbox.is_valid(at).then(|| sandbox.value(at)),
        ),
        segments: segments.is_valid(at).then(|| segments.value(at)),
        price: price.is_valid(at).then(|| price.value(at)),
        score: score.is_valid(at).then(|| score.value(at)),
        records: records.value(at),
    };
    (0..batch.num_rows()).map(row).collect()
}

/// Generates records with few distinct values. Some subjects are far more frequent and heavier than
/// others.
pub fn records() -> impl Strategy<Value = Vec<TestRecord>> {
    let kinds = (1_u8..6, 1_i32..5, 1_u32..60, 0_u32..4);
    kinds.prop_flat_map(|(tenants, statuses, people, skew)| {
        let subject = (0..people, 0_u32..10, 0..25_u8).prop_map(move |(one, dice, none)| match none {
            0 => None,
            1 => Some(String::new()),
            _ => Some(format!("3161234{:04}", if dice < skew { one % 2 } else { one })),
        });
        let key = (
            proptest::option::weighted(0.9, (0..tenants).prop_map(|tenant| format!("tenant-{tenant}"))),
            proptest::option::weighted(0.8, 0..statuses),
            proptest::option::weighted(0.9, any::<bool>()),
        );
        let sums = (
            proptest::option::weighted(0.9, prop_oneof![8 => 0..4_i32, 1 => -50..50_i32, 1 => any::<i32>()]),
            proptest::option::weighted(0.9, prop_oneof![9 => 0..500_i128, 1 => 0..999_999_999_i128]),
            proptest::option::weighted(
                0.9,
                prop_oneof![30 => (-20..200_i32).prop_map(|n| f64::from(n) / 8.0), 1 => Just(f64::NAN)],
            ),
        );
        let record = (key, subject, sums).prop_map(|(key, recipient, sums)| TestRecord {
            tenant: key.0,
            status: key.1,
            sandbox: key.2,
            recipient,
            segments: sums.0,
            price: sums.1,
            score: sums.2,
        });
        proptest::collection::vec(record, 0..300)
    })
}
