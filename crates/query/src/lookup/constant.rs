//! Columns whose values are known before a row is read: the footer says that all rows of a row
//! group have the same value, or null; or the predicate requires the value.
//!
//! Most tags are such columns, and half of a table's columns are tags. The values are those in the
//! file. A column is not used if its bounds are truncated, deprecated or missing. Pure.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
    UInt64Array, new_null_array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use arrow::error::ArrowError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;

use super::prune::CandidateRows;
use ebbtide_table::Predicate;
use ebbtide_table::scan::all_null;

/// A column with one value, or only nulls. The value may be personal.
pub(super) struct ConstantColumn {
    pub(super) field: FieldRef,
    /// The value, as an array of one row.
    value: ArrayRef,
}

impl ConstantColumn {
    /// Returns those of some columns that are constant in the matching rows of a part.
    pub(super) fn among(columns: &[&str], part: &CandidateRows) -> Vec<ConstantColumn> {
        let file = &part.footer.metadata;
        let Some(chunks) = file.metadata().row_groups().get(part.group) else {
            return Vec::new();
        };
        let of = |name: &&str| {
            let field = file
                .schema()
                .fields()
                .iter()
                .find(|field| field.name() == name)?;
            let shown = || value(chunks.column(part.footer.leaf(name)?), field.data_type());
            let value = sought(&part.predicate, name).or_else(shown)?;
            Some(ConstantColumn {
                field: Arc::clone(field),
                value,
            })
        };
        columns.iter().filter_map(of).collect()
    }

    /// Returns the column with `rows` rows.
    pub(super) fn of_rows(&self, rows: usize) -> Result<ArrayRef, ArrowError> {
        take(&self.value, &UInt64Array::from_value(0, rows), None)
    }
}

/// Returns the text that a column must contain in matching rows; `None` if they need no text, or
/// if another column may contain it.
fn sought(predicate: &Predicate, name: &str) -> Option<ArrayRef> {
    let text = predicate.conjuncts().iter().find_map(|part| match part {
        Predicate::Is { column, value } if column == name => Some(value),
        _ => None,
    })?;
    Some(Arc::new(StringArray::from_iter_values([text])))
}

/// Returns the value that all rows of a chunk have, as an array of one row; `None` if its
/// statistics do not show one.
fn value(chunk: &ColumnChunkMetaData, of: &DataType) -> Option<ArrayRef> {
    let is_plain = matches!(
        of,
        DataType::Utf8
            | DataType::Int32
            | DataType::Date32
            | DataType::Int64
            | DataType::Timestamp(TimeUnit::Microsecond, _)
    );
    let bounds = chunk.statistics().filter(|_| is_plain)?;
    if all_null(chunk) {
        return Some(new_null_array(of, 1));
    }
    if bounds.null_count_opt() != Some(0) || bounds.is_min_max_deprecated() {
        return None;
    }
    match (bounds, of) {
        (Statistics::Int32(bounds), DataType::Int32) => Some(Arc::new(Int32Array::from_value(
            both(bounds.min_opt(), bounds.max_opt())?,
            1,
        ))),
        (Statistics::Int32(bounds), DataType::Date32) => Some(Arc::new(Date32Array::from_value(
            both(bounds.min_opt(), bounds.max_opt())?,
            1,
        ))),
        (Statistics::Int64(bounds), DataType::Int64) => Some(Arc::new(Int64Array::from_value(
            both(bounds.min_opt(), bounds.max_opt())?,
            1,
        ))),
        (Statistics::Int64(bounds), DataType::Timestamp(TimeUnit::Microsecond, zone)) => {
            let instant = both(bounds.min_opt(), bounds.max_opt())?;
            Some(Arc::new(
                TimestampMicrosecondArray::from_value(instant, 1).with_timezone_opt(zone.clone()),
            ))
        }
        // The bounds of text may be truncated, and then be equal although the texts differ.
        (Statistics::ByteArray(bounds), DataType::Utf8)
            if bounds.min_is_exact() && bounds.max_is_exact() =>
        {
            let text = both(bounds.min_opt(), bounds.max_opt())?;
            Some(Arc::new(StringArray::from_iter_values([
                std::str::from_utf8(text.data()).ok()?,
            ])))
        }
        _ => None,
    }
}

/// Returns the value of both bounds if they are equal.
fn both<T: Clone + PartialEq>(least: Option<&T>, greatest: Option<&T>) -> Option<T> {
    least.filter(|least| Some(*least) == greatest).cloned()
}
