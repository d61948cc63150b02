//! Writes cells as a segment: rows that stand for many records and contain nothing else of them.
//!
//! Only columns that are not personal, and the number of records of each row, can be written. The
//! file's name contains the sum of these numbers, and an audit can count them again.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{Field, Int64Type};
use bytes::Bytes;
use object_store::ObjectStore;

use super::matching::OpenedSegment;
use super::{RewriteError, blocking};
use crate::segment::{RowWriter, Segment, SegmentLocation};
use crate::spec::ColumnRole;
use crate::table::Table;
use ebbtide_base::ids::{Bucket, ProfileId};

/// The column with the number of records that a row stands for.
const RECORDS: &str = "records";

impl Table {
    /// Writes cells as a segment of that bucket and profile. Commits nothing. Errors if a column is
    /// personal, a tag, or not in the table, or if `records` is missing, null or less than one.
    pub async fn put_cells(
        &self,
        bucket: Bucket,
        profile: &ProfileId,
        cells: RecordBatch,
    ) -> Result<Segment, RewriteError> {
        let records = self.check_cells(&cells)?;
        let home = SegmentLocation {
            bucket,
            profile: profile.clone(),
            profile_text: None,
            cells: Some(records),
            forms: None,
        };
        let spec = self.spec().clone();
        let (contents, bytes) = blocking(move || {
            let fields = cells
                .schema()
                .fields()
                .iter()
                .map(|field| Field::clone(field).with_nullable(true))
                .collect();
            let mut rows = RowWriter::new(spec, fields, |_| false, Vec::new(), Vec::new());
            rows.write(&cells)?;
            Ok(rows.finish()?)
        })
        .await?;
        Ok(self
            .segment_store()
            .put_file(home, contents, Bytes::from(bytes))
            .await?)
    }

    /// Checks the columns of cells and returns the number of records that the cells stand for.
    fn check_cells(&self, cells: &RecordBatch) -> Result<u64, RewriteError> {
        let wrong = |column: &str, why: &str| RewriteError::Column {
            column: column.to_owned(),
            why: why.to_owned(),
        };
        for field in cells.schema().fields() {
            let name = field.name().as_str();
            match self.spec().column(name) {
                None => return Err(wrong(name, "the table does not have it")),
                Some(column) if column.data_type != *field.data_type() => {
                    return Err(wrong(name, "it has another type"));
                }
                Some(column) if column.role == ColumnRole::Plain || name == RECORDS => {}
                Some(_) => return Err(wrong(name, "a cell may not have it")),
            }
        }
        let records = cells
            .column_by_name(RECORDS)
            .and_then(|column| column.as_primitive_opt::<Int64Type>());
        let records = records.ok_or_else(|| wrong(RECORDS, "a cell must have it"))?;
        sum(records).ok_or_else(|| wrong(RECORDS, "a cell stands for one record at least"))
    }
}

/// Counts the records that the cells of the file at `path` stand for, by reading it.
pub async fn count(store: &Arc<dyn ObjectStore>, path: &str) -> Result<u64, RewriteError> {
    let opened = OpenedSegment::open(store, path).await?;
    blocking(move || {
        let groups = (0..opened.metadata.metadata().num_row_groups()).collect();
        let damaged = |why: &str| RewriteError::Damaged {
            path: opened.path.to_string(),
            why: why.to_owned(),
        };
        let mut records = 0;
        for rows in opened.batches(groups, Some(&[RECORDS]))? {
            let rows = rows?;
            let column = rows
                .column_by_name(RECORDS)
                .and_then(|column| column.as_primitive_opt::<Int64Type>());
            let found = column
                .and_then(sum)
                .ok_or_else(|| damaged("the number of records in its cells is unknown"))?;
            records += found;
        }
        Ok(records)
    })
    .await
}

/// Returns the sum of counts; `None` if one is null or less than one, or the sum is too large.
fn sum(records: &Int64Array) -> Option<u64> {
    if records.null_count() > 0 {
        return None;
    }
    records.values().iter().try_fold(0u64, |sum, count| {
        sum.checked_add(u64::try_from(*count).ok().filter(|n| *n > 0)?)
    })
}
