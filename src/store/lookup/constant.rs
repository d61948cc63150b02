//! Columns of which all is known before a row is read: the footer says that every row of a row group holds the same value, or
//! none; or rows are looked for by it.
//!
//! Most tags are such columns, and half of a table's columns are tags. Promises the values that the file holds, and to say
//! nothing of a column whose bounds are cut, of the old kind or not there. Pure.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray, UInt64Array, new_null_array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use arrow::error::ArrowError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;

use super::filter::Filter;
use super::prune::{Part, all_null};

/// A column with one value, or with none. The value may be personal.
pub(super) struct Constant {
    pub(super) field: FieldRef,
    /// Its value, once.
    value: ArrayRef,
}

impl Constant {
    /// Those of some columns that are constant in the rows of a part that match.
    pub(super) fn among(columns: &[&str], part: &Part) -> Vec<Constant> {
        let file = &part.footer.metadata;
        let Some(chunks) = file.metadata().row_groups().get(part.group) else { return Vec::new() };
        let of = |name: &&str| {
            let field = file.schema().fields().iter().find(|field| field.name() == name)?;
            let told = || value(chunks.column(part.footer.leaf(name)?), field.data_type());
            let value = sought(&part.filter, name).or_else(told)?;
            Some(Constant { field: Arc::clone(field), value })
        };
        columns.iter().filter_map(of).collect()
    }

    /// The column of so many rows.
    pub(super) fn of_rows(&self, rows: usize) -> Result<ArrayRef, ArrowError> {
        take(&self.value, &UInt64Array::from_value(0, rows), None)
    }
}

/// The text that a column must hold where rows match; `None` where there is none, or another column may hold it.
fn sought(filter: &Filter, column: &str) -> Option<ArrayRef> {
    let text = filter.texts.iter().find(|text| text.columns == [column] && text.subject.is_none())?;
    Some(Arc::new(StringArray::from_iter_values([&text.value])))
}

/// What all values of a chunk are, as one; `None` where its statistics do not tell.
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
        (Statistics::Int32(bounds), DataType::Int32) => {
            Some(Arc::new(Int32Array::from_value(both(bounds.min_opt(), bounds.max_opt())?, 1)))
        }
        (Statistics::Int32(bounds), DataType::Date32) => {
            Some(Arc::new(Date32Array::from_value(both(bounds.min_opt(), bounds.max_opt())?, 1)))
        }
        (Statistics::Int64(bounds), DataType::Int64) => {
            Some(Arc::new(Int64Array::from_value(both(bounds.min_opt(), bounds.max_opt())?, 1)))
        }
        (Statistics::Int64(bounds), DataType::Timestamp(TimeUnit::Microsecond, zone)) => {
            let instant = both(bounds.min_opt(), bounds.max_opt())?;
            Some(Arc::new(TimestampMicrosecondArray::from_value(instant, 1).with_timezone_opt(zone.clone())))
        }
        // A text's bounds may be cut, and say the same where the texts do not.
        (Statistics::ByteArray(bounds), DataType::Utf8) if bounds.min_is_exact() && bounds.max_is_exact() => {
            let text = both(bounds.min_opt(), bounds.max_opt())?;
            Some(Arc::new(StringArray::from_iter_values([std::str::from_utf8(text.data()).ok()?])))
        }
        _ => None,
    }
}

/// What both bounds are.
fn both<T: Clone + PartialEq>(least: Option<&T>, greatest: Option<&T>) -> Option<T> {
    least.filter(|least| Some(*least) == greatest).cloned()
}
