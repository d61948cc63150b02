//! Makes rows of one bucket and profile one Parquet file, in memory, as ingest does.
//!
//! Promises that the tags that its rows share stand on every row. Must never write a column that the table does not have.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Field;
use bytes::Bytes;

use super::rows::RowWriter;
use super::runs::Constant;
use super::{EncodedSegment, SegmentError, SegmentTags};
use crate::ids::{Deadline, PolicyVersion};
use crate::store::spec::{Role, TableSpec, expires_column};
use crate::tag::{FormsMark, Group};

/// The tags that a batch's rows share or nearly so: they come as runs and need no encoder.
const RUN_COLUMNS: [&str; 3] = ["ingested_at", "source_topic", "source_partition"];

/// Encodes one segment.
pub struct SegmentWriter {
    tags: SegmentTags,
    forms: Option<FormsMark>,
    rows: RowWriter<Vec<u8>>,
}

impl SegmentWriter {
    /// A segment with those tags. `absent` names the columns that its rows do not have, since they were already due.
    pub fn new(spec: Arc<TableSpec>, tags: SegmentTags, absent: &[String]) -> Result<Self, SegmentError> {
        let constants = constants(&spec, &tags);
        let is_constant = |name: &str| name.starts_with("expires_") || name == "policy_version" || name == "records";
        let brought = spec
            .stored()
            .filter(|column| !(column.role == Role::Tag && is_constant(&column.name)))
            .filter(|column| !absent.contains(&column.name))
            .map(|column| Field::new(&column.name, column.data_type.clone(), true));
        let (brought, forms) = (brought.collect(), spec.forms);
        let rows = RowWriter::new(spec, brought, |name| RUN_COLUMNS.contains(&name), constants, Vec::new());
        Ok(Self { tags, forms, rows })
    }

    /// The segment that a tagged group begins: with the group's tags, and without the columns that its rows came too late
    /// for. The rows are still to be written.
    pub fn of_group(spec: &Arc<TableSpec>, group: &Group, version: &PolicyVersion) -> Result<Self, SegmentError> {
        let Group { bucket, profile, deadlines, absent, rows } = group;
        let deadline = |(index, deadline): (usize, &Option<Deadline>)| deadline.filter(|_| !absent.contains(&index));
        let categories = profile.terms.iter().map(|term| term.category.clone());
        let tags = SegmentTags {
            bucket: *bucket,
            profile: profile.id.clone(),
            profile_text: profile.text.clone(),
            deadlines: categories.zip(deadlines.iter().enumerate().map(deadline)).collect(),
            policy_version: version.clone(),
        };
        let personal = spec.columns.iter().filter(|column| matches!(column.role, Role::Personal(_)));
        let lacking = personal.filter(|column| rows.schema_ref().index_of(&column.name).is_err());
        let lacking: Vec<String> = lacking.map(|column| column.name.clone()).collect();
        Self::new(Arc::clone(spec), tags, &lacking)
    }

    /// Takes rows that have exactly the columns of the segment, in any order. Errors on a column too few, too many or of
    /// another type, and then takes none of them.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), SegmentError> {
        self.rows.write(rows)
    }

    /// The bytes that it holds, rows not yet encoded and encoders included.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.rows.memory() + self.rows.sink().map_or(0, Vec::capacity)
    }

    /// How many rows it was given.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows.rows()
    }

    /// Encodes what is left and closes the file. Errors if no row was given.
    pub fn finish(self) -> Result<EncodedSegment, SegmentError> {
        let (contents, bytes) = self.rows.finish()?;
        Ok(EncodedSegment { tags: self.tags, forms: self.forms, contents, bytes: Bytes::from(bytes) })
    }

    /// Gives what is pending to the encoders. `all`: the rows of the segment, if known.
    #[cfg(test)]
    pub(super) fn feed(&mut self, all: Option<usize>) -> Result<(), SegmentError> {
        self.rows.feed(all)
    }
}

/// The tags that are the same on every row. A deadline that is open has no column: it reads as null.
fn constants(spec: &TableSpec, tags: &SegmentTags) -> Vec<(Field, Constant)> {
    let deadline = |column: &str| {
        let found = tags.deadlines.iter().find(|(category, _)| expires_column(category) == column);
        found.and_then(|(_, deadline)| *deadline)
    };
    let value = |column: &str| match column {
        "policy_version" => Some(Constant::Text(tags.policy_version.as_str().to_owned())),
        "records" => Some(Constant::Int64(1)),
        _ => deadline(column).map(|deadline| Constant::Int64(deadline.micros())),
    };
    spec.stored()
        .filter(|column| column.role == Role::Tag)
        .filter_map(|column| Some((Field::new(&column.name, column.data_type.clone(), true), value(&column.name)?)))
        .collect()
}
