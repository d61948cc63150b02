//! The columns of a batch as cells need them: each value of a cell or subject column as bytes, each
//! number as a number.
//!
//! Plain columns, dictionaries, and columns that the batch lacks (all null) are read in the same
//! way.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::downcast_primitive_array;

use super::error::BatchError;
use super::plan::CellPlan;

/// The number of rows that are processed together: enough rows to share the values that are looked
/// up once for each cell.
const ROWS: usize = 1 << 14;

/// Splits a batch into parts of at most `ROWS` rows.
pub(super) fn few(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> + '_ {
    (0..batch.num_rows())
        .step_by(ROWS)
        .map(|from| batch.slice(from, ROWS.min(batch.num_rows() - from)))
}

/// The columns of a batch of which cells are made, each of the plan's type or a dictionary of it;
/// `None` if it is absent.
pub(super) struct CellColumns {
    pub(super) rows: usize,
    pub(super) cell: Vec<Option<ArrayRef>>,
    pub(super) subject: Option<ArrayRef>,
    pub(super) sum: Vec<Option<ArrayRef>>,
}

impl CellColumns {
    /// Finds the columns. Errors if a column does not have the plan's type.
    pub(super) fn try_new(plan: &CellPlan, batch: &RecordBatch) -> Result<Self, BatchError> {
        let coded = |name: &str, wanted: &DataType| {
            let found = batch.column_by_name(name);
            found.map_or(Ok(None), |found| fit(name, found, wanted))
        };
        let cell = plan
            .cell
            .iter()
            .map(|(name, wanted)| coded(name, wanted))
            .collect::<Result<_, _>>()?;
        let subject = coded(&plan.of, &DataType::Utf8)?;
        let sum = plan.sum.iter().map(|(name, number)| {
            let wanted = number.data_type();
            let fitted = coded(name, &wanted)?;
            Ok(fitted
                .map(|found| {
                    if *found.data_type() == wanted {
                        Ok(found)
                    } else {
                        cast(&found, &wanted)
                    }
                })
                .transpose()?)
        });
        let sum = sum.collect::<Result<_, BatchError>>()?;
        Ok(Self {
            rows: batch.num_rows(),
            cell,
            subject,
            sum,
        })
    }
}

fn fit(name: &str, found: &ArrayRef, wanted: &DataType) -> Result<Option<ArrayRef>, BatchError> {
    match found.data_type() {
        DataType::Null => Ok(None),
        same if same == wanted => Ok(Some(found.clone())),
        DataType::Dictionary(_, values) if **values == *wanted => Ok(Some(found.clone())),
        other if text_within(other) && *wanted == DataType::Utf8 => Ok(Some(cast(found, wanted)?)),
        other => Err(BatchError::Column {
            column: name.to_owned(),
            wanted: wanted.clone(),
            found: other.clone(),
        }),
    }
}

/// Returns true if the type is text in a form that must be converted before it is read.
fn text_within(data_type: &DataType) -> bool {
    match data_type {
        DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => text_within(values),
        _ => false,
    }
}

/// One cell or subject column.
pub(super) enum ColumnView<'a> {
    /// The batch does not have the column.
    Absent,
    /// Text.
    Text(&'a StringArray),
    /// True or false.
    Truth(&'a BooleanArray),
    /// Values of a fixed width in bytes.
    Fixed {
        bytes: &'a [u8],
        width: usize,
        nulls: Option<&'a NullBuffer>,
    },
    /// A dictionary: `keys` are the positions in `values` of each row's value.
    Coded {
        keys: Vec<usize>,
        nulls: Option<&'a NullBuffer>,
        values: Box<ColumnView<'a>>,
        count: usize,
    },
}

impl<'a> ColumnView<'a> {
    /// Returns the view of a column that [`CellColumns::of`] found.
    pub(super) fn new(column: Option<&'a ArrayRef>) -> Self {
        let Some(column) = column else {
            return ColumnView::Absent;
        };
        if let Some(dictionary) = column.as_any_dictionary_opt() {
            let values = dictionary.values();
            if values.is_empty() {
                return ColumnView::Absent;
            }
            return ColumnView::Coded {
                keys: dictionary.normalized_keys(),
                nulls: dictionary.keys().nulls(),
                count: values.len(),
                values: Box::new(ColumnView::new(Some(values))),
            };
        }
        if let Some(texts) = column.as_string_opt::<i32>() {
            return ColumnView::Text(texts);
        }
        if let Some(truths) = column.as_boolean_opt() {
            return ColumnView::Truth(truths);
        }
        let array: &'a dyn Array = column.as_ref();
        downcast_primitive_array!(
            array => {
                let bytes = array.values().inner().as_slice();
                ColumnView::Fixed { bytes, width: bytes.len() / array.len().max(1), nulls: array.nulls() }
            }
            // Not a type of a plan.
            _ => ColumnView::Absent
        )
    }

    /// Returns the value of a row; `None` for null.
    #[inline]
    pub(super) fn bytes(&self, row: usize) -> Option<&[u8]> {
        match self {
            ColumnView::Absent => None,
            ColumnView::Text(texts) => texts.is_valid(row).then(|| texts.value(row).as_bytes()),
            ColumnView::Truth(truths) => truths.is_valid(row).then(|| {
                if truths.value(row) {
                    &[1][..]
                } else {
                    &[0][..]
                }
            }),
            ColumnView::Fixed {
                bytes,
                width,
                nulls,
            } => is_there(*nulls, row).then(|| &bytes[row * width..(row + 1) * width]),
            ColumnView::Coded {
                keys,
                nulls,
                values,
                ..
            } => is_there(*nulls, row)
                .then(|| values.bytes(keys[row]))
                .flatten(),
        }
    }

    /// Returns the number of possible values, including null, of a column of few values; `None` if
    /// its rows must be read.
    pub(super) fn codes(&self) -> Option<usize> {
        match self {
            ColumnView::Absent => Some(1),
            ColumnView::Truth(_) => Some(3),
            ColumnView::Coded { count, .. } => Some(count + 1),
            ColumnView::Text(_) | ColumnView::Fixed { .. } => None,
        }
    }

    /// Returns the code of a row's value, below [`ColumnView::codes`]. Two codes may mean the same
    /// value.
    #[inline]
    pub(super) fn code(&self, row: usize) -> usize {
        match self {
            ColumnView::Truth(truths) if truths.is_valid(row) => usize::from(truths.value(row)),
            ColumnView::Truth(_) => 2,
            ColumnView::Coded {
                keys, nulls, count, ..
            } => {
                if is_there(*nulls, row) {
                    keys[row]
                } else {
                    *count
                }
            }
            ColumnView::Absent | ColumnView::Text(_) | ColumnView::Fixed { .. } => 0,
        }
    }
}

#[inline]
fn is_there(nulls: Option<&NullBuffer>, row: usize) -> bool {
    nulls.is_none_or(|nulls| nulls.is_valid(row))
}
