//! The columns of a batch as cells need them: each value of a cell or subject column as bytes, each number as a number.
//!
//! Plain columns, dictionaries, and columns that the batch lacks (all null) are read in the same way.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::downcast_primitive_array;

use super::error::Refused;
use super::plan::CellPlan;

/// The number of rows that are processed together: enough rows to share the values that are looked up once for each
/// cell.
const ROWS: usize = 1 << 14;

/// Splits a batch into parts of at most `ROWS` rows.
pub(super) fn few(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> + '_ {
    (0..batch.num_rows()).step_by(ROWS).map(|from| batch.slice(from, ROWS.min(batch.num_rows() - from)))
}

/// The columns of a batch of which cells are made, each of the plan's type or a dictionary of it; `None` if it is
/// absent.
pub(super) struct Columns {
    pub(super) rows: usize,
    pub(super) cell: Vec<Option<ArrayRef>>,
    pub(super) subject: Option<ArrayRef>,
    pub(super) sum: Vec<Option<ArrayRef>>,
}

impl Columns {
    /// Finds the columns. Errors if a column does not have the plan's type.
    pub(super) fn of(plan: &CellPlan, batch: &RecordBatch) -> Result<Self, Refused> {
        let coded = |name: &str, wanted: &DataType| {
            let found = batch.column_by_name(name);
            found.map_or(Ok(None), |found| fit(name, found, wanted))
        };
        let cell = plan.cell.iter().map(|(name, wanted)| coded(name, wanted)).collect::<Result<_, _>>()?;
        let subject = coded(&plan.of, &DataType::Utf8)?;
        let sum = plan.sum.iter().map(|(name, number)| {
            let wanted = number.data_type();
            let fitted = coded(name, &wanted)?;
            Ok(fitted
                .map(|found| if *found.data_type() == wanted { Ok(found) } else { cast(&found, &wanted) })
                .transpose()?)
        });
        let sum = sum.collect::<Result<_, Refused>>()?;
        Ok(Self { rows: batch.num_rows(), cell, subject, sum })
    }
}

fn fit(name: &str, found: &ArrayRef, wanted: &DataType) -> Result<Option<ArrayRef>, Refused> {
    match found.data_type() {
        DataType::Null => Ok(None),
        same if same == wanted => Ok(Some(found.clone())),
        DataType::Dictionary(_, values) if **values == *wanted => Ok(Some(found.clone())),
        other if text_within(other) && *wanted == DataType::Utf8 => Ok(Some(cast(found, wanted)?)),
        other => Err(Refused::Column { column: name.to_owned(), wanted: wanted.clone(), found: other.clone() }),
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
pub(super) enum View<'a> {
    /// The batch does not have the column.
    Absent,
    /// Text.
    Text(&'a StringArray),
    /// True or false.
    Truth(&'a BooleanArray),
    /// Values of a fixed width in bytes.
    Fixed { bytes: &'a [u8], width: usize, nulls: Option<&'a NullBuffer> },
    /// A dictionary: `keys` are the positions in `values` of each row's value.
    Coded { keys: Vec<usize>, nulls: Option<&'a NullBuffer>, values: Box<View<'a>>, count: usize },
}

impl<'a> View<'a> {
    /// Returns the view of a column that [`Columns::of`] found.
    pub(super) fn of(column: Option<&'a ArrayRef>) -> Self {
        let Some(column) = column else { return View::Absent };
        if let Some(dictionary) = column.as_any_dictionary_opt() {
            let values = dictionary.values();
            if values.is_empty() {
                return View::Absent;
            }
            return View::Coded {
                keys: dictionary.normalized_keys(),
                nulls: dictionary.keys().nulls(),
                count: values.len(),
                values: Box::new(View::of(Some(values))),
            };
        }
        if let Some(texts) = column.as_string_opt::<i32>() {
            return View::Text(texts);
        }
        if let Some(truths) = column.as_boolean_opt() {
            return View::Truth(truths);
        }
        let array: &'a dyn Array = column.as_ref();
        downcast_primitive_array!(
            array => {
                let bytes = array.values().inner().as_slice();
                View::Fixed { bytes, width: bytes.len() / array.len().max(1), nulls: array.nulls() }
            }
            // Not a type of a plan.
            _ => View::Absent
        )
    }

    /// Returns the value of a row; `None` for null.
    #[inline]
    pub(super) fn bytes(&self, row: usize) -> Option<&[u8]> {
        match self {
            View::Absent => None,
            View::Text(texts) => texts.is_valid(row).then(|| texts.value(row).as_bytes()),
            View::Truth(truths) => truths.is_valid(row).then(|| if truths.value(row) { &[1][..] } else { &[0][..] }),
            View::Fixed { bytes, width, nulls } => {
                is_there(*nulls, row).then(|| &bytes[row * width..(row + 1) * width])
            }
            View::Coded { keys, nulls, values, .. } => is_there(*nulls, row).then(|| values.bytes(keys[row])).flatten(),
        }
    }

    /// Returns the number of possible values, including null, of a column of few values; `None` if its rows must be
    /// read.
    pub(super) fn codes(&self) -> Option<usize> {
        match self {
            View::Absent => Some(1),
            View::Truth(_) => Some(3),
            View::Coded { count, .. } => Some(count + 1),
            View::Text(_) | View::Fixed { .. } => None,
        }
    }

    /// Returns the code of a row's value, below [`View::codes`]. Two codes may mean the same value.
    #[inline]
    pub(super) fn code(&self, row: usize) -> usize {
        match self {
            View::Truth(truths) if truths.is_valid(row) => usize::from(truths.value(row)),
            View::Truth(_) => 2,
            View::Coded { keys, nulls, count, .. } => {
                if is_there(*nulls, row) {
                    keys[row]
                } else {
                    *count
                }
            }
            View::Absent | View::Text(_) | View::Fixed { .. } => 0,
        }
    }
}

#[inline]
fn is_there(nulls: Option<&NullBuffer>, row: usize) -> bool {
    nulls.is_none_or(|nulls| nulls.is_valid(row))
}
