//! Writes rows of one bucket and profile to one Parquet file in memory, for ingest.
//!
//! The shared tags are on every row. No column is written that the table does not have.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Field;
use bytes::Bytes;

use super::rows::RowWriter;
use super::runs::RunValue;
use super::{EncodedSegment, SegmentError, SegmentTags};
use crate::spec::{ColumnRole, TableSpec, expires_column};
use ebbtide_base::ids::{Deadline, PolicyVersion};
use ebbtide_policy::is_expires_column;
use ebbtide_policy::tag::{FormsMark, TaggedGroup};

/// The tags that are equal, or nearly so, on all rows of a batch: they are written as runs and need
/// no encoder.
const RUN_COLUMNS: [&str; 3] = ["ingested_at", "source_topic", "source_partition"];

/// Encodes one segment.
pub struct SegmentWriter {
    tags: SegmentTags,
    forms: Option<FormsMark>,
    rows: RowWriter<Vec<u8>>,
}

impl SegmentWriter {
    /// Creates a writer of a segment with those tags. `absent` lists the columns that its rows lack
    /// because they were already due.
    pub fn new(
        spec: Arc<TableSpec>,
        tags: SegmentTags,
        absent: &[String],
    ) -> Result<Self, SegmentError> {
        let constants = constants(&spec, &tags);
        let is_constant =
            |name: &str| is_expires_column(name) || name == "policy_version" || name == "records";
        let brought = spec
            .stored()
            .filter(|column| !(column.role == ColumnRole::Tag && is_constant(&column.name)))
            .filter(|column| !absent.contains(&column.name))
            .map(|column| Field::new(&column.name, column.data_type.clone(), true));
        let (brought, forms) = (brought.collect(), spec.forms);
        let rows = RowWriter::new(
            spec,
            brought,
            |name| RUN_COLUMNS.contains(&name),
            constants,
            Vec::new(),
        );
        Ok(Self { tags, forms, rows })
    }

    /// Creates a writer for a tagged group: with the group's tags, and without the columns that
    /// were already due in its rows. The rows are still to be written.
    pub fn of_group(
        spec: &Arc<TableSpec>,
        group: &TaggedGroup,
        version: &PolicyVersion,
    ) -> Result<Self, SegmentError> {
        let TaggedGroup {
            bucket,
            profile,
            deadlines,
            absent,
            rows,
        } = group;
        let deadline = |(index, deadline): (usize, &Option<Deadline>)| {
            deadline.filter(|_| !absent.contains(&index))
        };
        let categories = profile.terms.iter().map(|term| term.category.clone());
        let tags = SegmentTags {
            bucket: *bucket,
            profile: profile.id.clone(),
            profile_text: profile.text.clone(),
            deadlines: categories
                .zip(deadlines.iter().enumerate().map(deadline))
                .collect(),
            policy_version: version.clone(),
        };
        let personal = spec
            .columns
            .iter()
            .filter(|column| matches!(column.role, ColumnRole::Personal(_)));
        let lacking = personal.filter(|column| rows.schema_ref().index_of(&column.name).is_err());
        let lacking: Vec<String> = lacking.map(|column| column.name.clone()).collect();
        Self::new(Arc::clone(spec), tags, &lacking)
    }

    /// Adds rows that have exactly the columns of the segment, in any order. Errors if a column is
    /// missing, unknown or of another type, and then adds none of them.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), SegmentError> {
        self.rows.write(rows)
    }

    /// Returns the bytes of memory in use, including rows not yet encoded and encoders.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.rows.memory() + self.rows.sink().map_or(0, Vec::capacity)
    }

    /// Returns the number of rows added so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows.rows()
    }

    /// Encodes the pending rows and closes the file. Errors if no row was added.
    pub fn finish(self) -> Result<EncodedSegment, SegmentError> {
        let (contents, bytes) = self.rows.finish()?;
        Ok(EncodedSegment {
            tags: self.tags,
            forms: self.forms,
            contents,
            bytes: Bytes::from(bytes),
        })
    }

    /// Passes the pending rows to the encoders. `all` is the number of rows of the segment, if
    /// known.
    #[cfg(test)]
    pub(super) fn feed(&mut self, all: Option<usize>) -> Result<(), SegmentError> {
        self.rows.feed(all)
    }
}

/// Returns the tags that are the same on every row. An open deadline has no column: it reads as
/// null.
fn constants(spec: &TableSpec, tags: &SegmentTags) -> Vec<(Field, RunValue)> {
    let deadline = |column: &str| {
        let found = tags
            .deadlines
            .iter()
            .find(|(category, _)| expires_column(category) == column);
        found.and_then(|(_, deadline)| *deadline)
    };
    let value = |column: &str| match column {
        "policy_version" => Some(RunValue::Text(tags.policy_version.as_str().to_owned())),
        "records" => Some(RunValue::Int64(1)),
        _ => deadline(column).map(|deadline| RunValue::Int64(deadline.micros())),
    };
    spec.stored()
        .filter(|column| column.role == ColumnRole::Tag)
        .filter_map(|column| {
            Some((
                Field::new(&column.name, column.data_type.clone(), true),
                value(&column.name)?,
            ))
        })
        .collect()
}
