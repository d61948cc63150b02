//! The columns of several segments together, and the conversion of one segment's rows to them.
//!
//! No value is changed: columns of one name are refused if their types differ in more than the
//! names of nested fields. To shuffle rows, each gets a random number in an extra column, which is
//! never written to a file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::file::statistics::Statistics;

use super::super::RewriteError;
use super::super::matching::OpenedSegment;
use super::{OpenSegment, RewriteSource};
use crate::segment::{SegmentError, recorded_order};
use crate::spec::{ColumnRole, TableSpec};
use ebbtide_policy::is_expires_column;

/// The column of random numbers. No column of a table has that name.
pub const LOT: &str = "";

/// The columns of several segments together.
pub struct MergedColumns {
    /// The columns of the new file.
    schema: SchemaRef,
    /// The same, followed by the column of random numbers if there is one.
    rows_schema: SchemaRef,
    /// The tags that are encoded as runs: those that all rows of a group share, without nulls.
    runs: Vec<String>,
    rows: u64,
    /// The columns by which the rows of some segment are sorted.
    ordered_by: BTreeSet<String>,
}

/// One column of the segments checked so far.
struct MergedColumn {
    field: Field,
    /// The number of segments in which the column has no null.
    whole: usize,
}

impl MergedColumns {
    /// Reads the segments' footers, and ignores the columns in `without`. Errors if a segment's
    /// number of rows differs from the log's, or if a column has another type than in an earlier
    /// segment.
    pub fn of(
        spec: &TableSpec,
        sources: &[RewriteSource],
        without: &BTreeSet<String>,
        open: OpenSegment<'_>,
    ) -> Result<MergedColumns, RewriteError> {
        let (mut seen, mut order, mut rows) =
            (BTreeMap::<String, MergedColumn>::new(), Vec::new(), 0);
        let mut ordered_by = BTreeSet::new();
        for RewriteSource {
            path,
            rows: expected,
        } in sources
        {
            let opened = open(path)?;
            let groups = opened.metadata.metadata().row_groups();
            let found: u64 = groups
                .iter()
                .map(|group| u64::try_from(group.num_rows()).unwrap_or(0))
                .sum();
            if found != *expected {
                let why = format!("it has {found} rows and the log says {expected}");
                return Err(RewriteError::Damaged {
                    path: path.to_string(),
                    why,
                });
            }
            rows += found;
            ordered_by.extend(recorded_order(opened.metadata.metadata()));
            let fields = opened.metadata.schema().fields().iter();
            for field in fields.filter(|field| !without.contains(field.name())) {
                let (name, whole) = (
                    field.name(),
                    usize::from(has_no_null(&opened, field.name())),
                );
                match seen.get_mut(name) {
                    Some(before) if before.field.data_type().equals_datatype(field.data_type()) => {
                        before.whole += whole
                    }
                    Some(_) => {
                        let why = "it has several types in the segments to merge".to_owned();
                        return Err(RewriteError::Column {
                            column: name.clone(),
                            why,
                        });
                    }
                    None => {
                        order.push(name.clone());
                        let field = Field::new(name, field.data_type().clone(), true);
                        seen.insert(name.clone(), MergedColumn { field, whole });
                    }
                }
            }
        }
        // In the table's order, followed by columns that no policy names any more.
        let place = |name: &String| {
            spec.columns
                .iter()
                .position(|column| column.name == *name)
                .unwrap_or(usize::MAX)
        };
        order.sort_by_key(place);
        let runs = seen
            .values()
            .filter(|seen| seen.whole == sources.len() && shared(spec, &seen.field));
        let mut runs: Vec<String> = runs.map(|seen| seen.field.name().clone()).collect();
        if runs.len() == order.len() {
            // The encoders need at least one column, even if all are tags.
            runs.clear();
        }
        let fields: Vec<Field> = order
            .iter()
            .filter_map(|name| Some(seen.get(name)?.field.clone()))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        Ok(MergedColumns {
            rows_schema: schema.clone(),
            schema,
            runs,
            rows,
            ordered_by,
        })
    }

    /// Adds the column of random numbers, for rows that are to be shuffled.
    pub fn with_lots(self) -> MergedColumns {
        let lot = Arc::new(Field::new(LOT, DataType::UInt64, true));
        let fields: Vec<Arc<Field>> = self.schema.fields().iter().cloned().chain([lot]).collect();
        MergedColumns {
            rows_schema: Arc::new(Schema::new(fields)),
            ..self
        }
    }

    /// Returns the columns, in the order of the new file.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Returns the columns of rows in memory: those of the new file, and the random numbers if
    /// there are any.
    pub fn rows_schema(&self) -> &SchemaRef {
        &self.rows_schema
    }

    /// Returns rows without the random numbers, as in the new file.
    pub fn without_lots(&self, rows: &RecordBatch) -> Result<RecordBatch, RewriteError> {
        let columns: Vec<usize> = (0..self.schema.fields().len()).collect();
        Ok(rows.project(&columns).map_err(SegmentError::from)?)
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns the columns by which the rows of some segment are sorted.
    pub fn ordered_by(&self) -> &BTreeSet<String> {
        &self.ordered_by
    }

    /// Returns true if a column is encoded as runs.
    pub fn is_run(&self, name: &str) -> bool {
        self.runs.iter().any(|run| run == name)
    }

    /// Returns rows of one segment with all columns, null in those that it lacks.
    pub fn conform(&self, rows: &RecordBatch) -> Result<RecordBatch, RewriteError> {
        let column = |field: &Arc<Field>| -> Result<ArrayRef, RewriteError> {
            if field.name() == LOT {
                let lots = (0..rows.num_rows()).map(|_| rand::random::<u64>());
                return Ok(Arc::new(UInt64Array::from_iter_values(lots)));
            }
            match rows.column_by_name(field.name()) {
                None => Ok(new_null_array(field.data_type(), rows.num_rows())),
                Some(found) if found.data_type() == field.data_type() => Ok(found.clone()),
                // The types were compared: only the names of nested fields differ.
                Some(found) => Ok(cast(found, field.data_type()).map_err(SegmentError::from)?),
            }
        };
        let columns = self
            .rows_schema
            .fields()
            .iter()
            .map(column)
            .collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let rows = RecordBatch::try_new_with_options(self.rows_schema.clone(), columns, &options);
        Ok(rows.map_err(SegmentError::from)?)
    }
}

/// Returns true if a tag is the same, or nearly so, on all rows of a bucket, profile and policy, in
/// any order.
fn shared(spec: &TableSpec, field: &Field) -> bool {
    let name = field.name().as_str();
    let is_tag = spec
        .column(name)
        .is_some_and(|column| column.role == ColumnRole::Tag);
    let alike = is_expires_column(name) || matches!(name, "policy_version" | "records");
    is_tag
        && alike
        && matches!(
            field.data_type(),
            DataType::Int64 | DataType::Utf8 | DataType::Timestamp(..)
        )
}

fn has_no_null(opened: &OpenedSegment, name: &str) -> bool {
    opened.metadata.metadata().row_groups().iter().all(|group| {
        let chunk = group
            .columns()
            .iter()
            .find(|chunk| chunk.column_path().parts() == [name]);
        chunk
            .and_then(|chunk| chunk.statistics())
            .and_then(Statistics::null_count_opt)
            == Some(0)
    })
}
