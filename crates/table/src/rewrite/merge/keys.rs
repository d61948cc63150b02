//! The sort keys of rows, and the sorting of a piece that fits into memory.
//!
//! Rows are in the order of the columns' own bytes, like the bounds of pages and in other engines,
//! nulls last. Rows of equal keys keep their order.

use arrow::array::RecordBatch;
use arrow::compute::{SortOptions, interleave_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};

use super::super::RewriteError;
use super::super::matching::BATCH_ROWS;
use super::spill::BATCH_BYTES;
use crate::segment::SegmentError;

/// The columns by which rows are sorted.
pub struct SortKeys {
    names: Vec<String>,
    at: Vec<usize>,
    converter: RowConverter,
}

impl SortKeys {
    /// Selects those of `names` that the rows have and that have an order. Returns `None` if there
    /// are none.
    pub fn of(schema: &SchemaRef, names: &[String]) -> Result<Option<SortKeys>, RewriteError> {
        let options = SortOptions {
            descending: false,
            nulls_first: false,
        };
        let (mut kept, mut at, mut fields) = (Vec::new(), Vec::new(), Vec::new());
        for name in names {
            let Ok(index) = schema.index_of(name) else {
                continue;
            };
            let data_type = schema.field(index).data_type();
            if data_type.is_nested() || kept.contains(name) {
                continue;
            }
            kept.push(name.clone());
            at.push(index);
            fields.push(SortField::new_with_options(data_type.clone(), options));
        }
        if fields.is_empty() {
            return Ok(None);
        }
        let converter = RowConverter::new(fields).map_err(SegmentError::from)?;
        Ok(Some(SortKeys {
            names: kept,
            at,
            converter,
        }))
    }

    /// Returns the columns, the most significant first.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the keys of the rows, which compare as bytes.
    pub fn rows(&self, batch: &RecordBatch) -> Result<Rows, RewriteError> {
        let columns: Vec<_> = self
            .at
            .iter()
            .map(|index| batch.column(*index).clone())
            .collect();
        Ok(self
            .converter
            .convert_columns(&columns)
            .map_err(SegmentError::from)?)
    }

    /// Passes the rows of all batches to `take`, sorted, in batches.
    pub fn sorted(
        &self,
        batches: &[RecordBatch],
        take: &mut dyn FnMut(&RecordBatch) -> Result<(), RewriteError>,
    ) -> Result<(), RewriteError> {
        let keys = batches
            .iter()
            .map(|batch| self.rows(batch))
            .collect::<Result<Vec<_>, _>>()?;
        let all = batches.iter().enumerate();
        let mut order: Vec<(usize, usize)> = all
            .flat_map(|(number, batch)| (0..batch.num_rows()).map(move |row| (number, row)))
            .collect();
        let key = |(batch, row): (usize, usize)| keys.get(batch).map(|keys| keys.row(row));
        order.sort_by(|one, other| key(*one).cmp(&key(*other)));
        let bytes: usize = batches.iter().map(RecordBatch::get_array_memory_size).sum();
        let each = (BATCH_BYTES * order.len() / bytes.max(1)).clamp(1, BATCH_ROWS);
        let batches: Vec<&RecordBatch> = batches.iter().collect();
        for some in order.chunks(each) {
            take(&interleave_record_batch(&batches, some).map_err(SegmentError::from)?)?;
        }
        Ok(())
    }
}
