//! The published cells as rows, in the order of their columns.
//!
//! Equal cells give equal rows, whatever the order in which they were found. `other` is the first
//! row.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, new_null_array};
use arrow::compute::concat;
use arrow::row::{RowConverter, SortField};

use super::error::BatchError;
use super::plan::CellPlan;

/// One published cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CellRow {
    /// The values of its columns; `None` for `other`.
    pub(super) key: Option<Box<[u8]>>,
    pub(super) records: u64,
    pub(super) sums: Vec<Option<i128>>,
}

/// Returns the converter from a cell's column values to bytes with the same sort order; `None` if
/// cells have no columns.
pub(super) fn converter(plan: &CellPlan) -> Result<Option<RowConverter>, BatchError> {
    let fields: Vec<SortField> = plan
        .cell
        .iter()
        .map(|(_, data_type)| SortField::new(data_type.clone()))
        .collect();
    Ok(if fields.is_empty() {
        None
    } else {
        Some(RowConverter::new(fields)?)
    })
}

/// Returns the rows as a batch of the plan's schema.
pub(super) fn batch(plan: &CellPlan, mut rows: Vec<CellRow>) -> Result<RecordBatch, BatchError> {
    rows.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(plan.cell.len() + plan.sum.len() + 1);
    if let Some(converter) = converter(plan)? {
        let parser = converter.parser();
        let keys = rows.iter().filter_map(|row| row.key.as_deref());
        let named = converter.convert_rows(keys.map(|key| parser.parse(key)))?;
        for ((_, data_type), named) in plan.cell.iter().zip(named) {
            let unnamed = new_null_array(data_type, rows.len() - named.len());
            columns.push(concat(&[unnamed.as_ref(), named.as_ref()])?);
        }
    }
    for (at, (_, number)) in plan.sum.iter().enumerate() {
        columns.push(number.column(rows.iter().map(|row| row.sums.get(at).copied().flatten()))?);
    }
    let records = rows
        .iter()
        .map(|row| i64::try_from(row.records).unwrap_or(i64::MAX));
    columns.push(Arc::new(Int64Array::from_iter_values(records)));
    Ok(RecordBatch::try_new(plan.schema(), columns)?)
}
