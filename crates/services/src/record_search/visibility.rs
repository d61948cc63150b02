//! Decides which parts of found rows may be shown: everything that a sweep at that moment would
//! leave.
//!
//! The code has no side effects. A field past its deadline is withheld even if it is still in the
//! file, and so is a record that has ended. A row that a hold in force covers is shown completely,
//! with the names of the holds, because it is kept completely.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringBuilder};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{filter_record_batch, nullif};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use chrono::{DateTime, Utc};

use ebbtide_base::ids::Category;
use ebbtide_policy::expires_column;
use ebbtide_table::{ColumnRole, Predicate, TableSpec};

/// The column with the names of the holds that cover a record; null if none does.
pub const HELD_BY: &str = "held_by";

/// The parts of some rows that are shown.
#[derive(Debug, Clone, PartialEq)]
pub struct VisibleRows {
    /// The rows, with all columns of the table and [`HELD_BY`].
    pub rows: RecordBatch,
    /// The number of these rows that a hold covers.
    pub held: u64,
    /// The number of these rows from which a category is withheld, by category.
    pub withheld: BTreeMap<Category, u64>,
}

/// Returns the columns that are shown of a table.
pub fn columns(spec: &TableSpec) -> SchemaRef {
    let mut fields: Vec<Field> = spec.columns.iter().map(|column| column.field()).collect();
    let doc =
        "The holds that cover the record: it is shown whole, although a part of it may be due.";
    let metadata = [("comment".to_owned(), doc.to_owned())].into();
    fields.push(Field::new(HELD_BY, DataType::Utf8, true).with_metadata(metadata));
    Arc::new(Schema::new(fields))
}

/// The input for the decisions about the rows of one segment.
pub struct Visibility<'a> {
    pub spec: &'a TableSpec,
    pub now: DateTime<Utc>,
    /// Each hold that may cover rows of the segment, with the rows that it covers.
    pub holds: Vec<(String, BooleanBuffer)>,
    /// True if the profile has a category whose deadline is not known yet.
    pub open: bool,
    /// The condition that a row must meet in the form in which it is shown.
    pub exact: &'a Predicate,
}

impl Visibility<'_> {
    /// Returns the parts of `rows` that are shown. `rows` must have the table's columns.
    pub fn shown(&self, rows: &RecordBatch) -> Result<VisibleRows, ArrowError> {
        let count = rows.num_rows();
        let mut held = BooleanBuffer::new_unset(count);
        for (_, covered) in &self.holds {
            held = &held | covered;
        }
        let free = !&held;
        let due = self.due(rows);
        let mut arrays: Vec<ArrayRef> = rows.columns().to_vec();
        let mut masks: BTreeMap<&Category, BooleanBuffer> = BTreeMap::new();
        for (category, due) in &due {
            let mask = due & &free;
            if mask.count_set_bits() > 0 {
                masks.insert(*category, mask);
            }
        }
        for (at, field) in rows.schema().fields().iter().enumerate() {
            let Some(ColumnRole::Personal(category)) =
                self.spec.column(field.name()).map(|column| &column.role)
            else {
                continue;
            };
            if let Some(mask) = masks.get(category) {
                arrays[at] = nullif(&arrays[at], &BooleanArray::new(mask.clone(), None))?;
            }
        }
        let left = RecordBatch::try_new(rows.schema(), arrays.clone())?;
        let kept = &self.exact.evaluate(&left)? & &!&(&self.ended(rows, &due) & &free);
        arrays.push(self.names(count));
        let all = RecordBatch::try_new(columns(self.spec), arrays)?;
        let withheld = masks
            .into_iter()
            .map(|(category, mask)| (category.clone(), bits(&(&mask & &kept))));
        Ok(VisibleRows {
            withheld: withheld.filter(|(_, count)| *count > 0).collect(),
            held: bits(&(&held & &kept)),
            rows: filter_record_batch(&all, &BooleanArray::new(kept, None))?,
        })
    }

    /// Returns for each category the rows whose deadline for it has come.
    fn due(&self, rows: &RecordBatch) -> Vec<(&Category, BooleanBuffer)> {
        let now = self.now.timestamp_micros();
        let mut due: Vec<(&Category, BooleanBuffer)> = Vec::new();
        for column in &self.spec.columns {
            let ColumnRole::Personal(category) = &column.role else {
                continue;
            };
            if due.iter().any(|(known, _)| *known == category) {
                continue;
            }
            if let Some(deadlines) = deadlines(rows, category) {
                let passed = |row| deadlines.is_valid(row) && deadlines.value(row) <= now;
                due.push((
                    category,
                    BooleanBuffer::collect_bool(rows.num_rows(), passed),
                ));
            }
        }
        due
    }

    /// Returns the rows whose deadlines have all come: a sweep would end them.
    fn ended(&self, rows: &RecordBatch, due: &[(&Category, BooleanBuffer)]) -> BooleanBuffer {
        let count = rows.num_rows();
        if self.open {
            return BooleanBuffer::new_unset(count);
        }
        let (mut some, mut all) = (
            BooleanBuffer::new_unset(count),
            BooleanBuffer::new_set(count),
        );
        for (category, due) in due {
            let Some(deadlines) = deadlines(rows, category) else {
                continue;
            };
            let none = BooleanBuffer::collect_bool(count, |row| deadlines.is_null(row));
            some = &some | due;
            all = &all & &(due | &none);
        }
        &some & &all
    }

    /// Returns the names of the holds that cover each row.
    fn names(&self, count: usize) -> ArrayRef {
        let mut names = StringBuilder::new();
        for row in 0..count {
            let holds = self.holds.iter().filter(|(_, covered)| covered.value(row));
            let of_row: Vec<&str> = holds.map(|(name, _)| name.as_str()).collect();
            names.append_option((!of_row.is_empty()).then(|| of_row.join(", ")));
        }
        Arc::new(names.finish())
    }
}

fn deadlines<'r>(
    rows: &'r RecordBatch,
    category: &Category,
) -> Option<&'r arrow::array::PrimitiveArray<TimestampMicrosecondType>> {
    rows.column_by_name(&expires_column(category))?
        .as_primitive_opt()
}

fn bits(of: &BooleanBuffer) -> u64 {
    of.count_set_bits() as u64
}
