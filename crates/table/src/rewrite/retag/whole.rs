//! Gives all rows of segments the same tags and copies everything else byte for byte.
//!
//! Nothing is decoded. A row group that lost a category gets no deadline for it.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use parquet::arrow::ArrowSchemaConverter;
use parquet::schema::types::TypePtr;

use super::super::RewriteError;
use super::super::matching::OpenedSegment;
use super::super::splice::{DueColumns, RewrittenTag, layouts};
use super::super::tagged::TagCoverage;
use super::{NewTags, RetagGroup};
use crate::index::StoredSegment;
use crate::segment::{RunValue, Segment, SegmentError, SegmentLocation};
use crate::spec::{ColumnRole, TableColumn, TableSpec, expires_column, instant};
use crate::table::Table;
use ebbtide_base::ids::Category;

/// The new segments, each with the indexes of the old ones that it was made of.
pub struct RetagCopy {
    pub segments: Vec<(Segment, Vec<usize>)>,
    pub bytes_copied: u64,
}

/// Returns true if a row group has rows with and rows without a deadline that is to be replaced:
/// the rows without it lost the category, so one value for all of them would be wrong.
pub fn is_mixed(opened: &OpenedSegment, tags: &NewTags) -> bool {
    let groups = opened.metadata.metadata().row_groups();
    let columns: Vec<String> = tags
        .deadlines
        .iter()
        .map(|(category, _)| expires_column(category))
        .collect();
    groups.iter().any(|group| {
        columns
            .iter()
            .any(|column| TagCoverage::of(group, column).differs())
    })
}

/// Returns, for each category with a new tag, true if the file has a column of it, even if it is
/// all null. The tag of an open deadline does not show whether the category was dropped, but the
/// file does.
pub fn has(opened: &OpenedSegment, spec: &TableSpec, tags: &NewTags) -> Vec<bool> {
    let there = |column: &&TableColumn| {
        opened
            .metadata
            .schema()
            .column_with_name(&column.name)
            .is_some()
    };
    let has = |category: &Category| {
        let role = ColumnRole::Personal(category.clone());
        spec.columns
            .iter()
            .filter(there)
            .any(|column| column.role == role)
    };
    tags.deadlines
        .iter()
        .map(|(category, _)| has(category))
        .collect()
}

/// Returns the new tags, with their types, for a file that has columns of the categories marked in
/// `has`. A file without a column of a category has no data of it, whatever the old tag says: its
/// columns were dropped earlier.
pub fn written(tags: &NewTags, has: &[bool]) -> Vec<(Field, RewrittenTag)> {
    let there = tags.deadlines.iter().zip(has).filter(|(_, has)| **has);
    let deadlines = there.filter_map(|((category, at), _)| {
        let (column, value) = (expires_column(category), RunValue::Int64((*at)?.micros()));
        Some((
            Field::new(&column, instant(), true),
            RewrittenTag { column, value },
        ))
    });
    let mut written: Vec<(Field, RewrittenTag)> = deadlines.collect();
    if let Some(version) = &tags.policy_version {
        let column = "policy_version".to_owned();
        let field = Field::new(&column, arrow::datatypes::DataType::Utf8, true);
        let value = RunValue::Text(version.as_str().to_owned());
        written.push((field, RewrittenTag { column, value }));
    }
    written
}

impl Table {
    /// Copies segments that get the same tags to as few files as possible.
    pub(super) async fn retag_whole(&self, alike: &RetagGroup) -> Result<RetagCopy, RewriteError> {
        let RetagGroup { tags, has, members } = alike;
        let due = Arc::new(DueColumns::tags(tags.columns()));
        let mut footers = Vec::with_capacity(members.len());
        for member in members {
            footers.push(self.footer(member, &due).await?);
        }
        let written = written(tags, has);
        let mut copied = RetagCopy {
            segments: Vec::new(),
            bytes_copied: 0,
        };
        for mut layout in layouts(footers) {
            let numbers = layout.members.clone();
            let from: Vec<&StoredSegment> = numbers
                .iter()
                .filter_map(|number| members.get(*number))
                .collect();
            let Some(first) = from.first() else { continue };
            for (field, written) in &written {
                layout.write(in_file(field)?, written.clone());
            }
            let is_one = from.iter().all(|member| member.forms() == first.forms());
            let home = tags.home(first);
            let home = SegmentLocation {
                forms: home.forms.filter(|_| is_one || tags.forms.is_some()),
                ..home
            };
            match self.copy_whole(&from, home, layout, &due).await {
                Ok((segment, did)) => {
                    copied.bytes_copied += did.bytes_copied;
                    copied.segments.push((segment, numbers));
                }
                Err(error) => {
                    self.discard(
                        copied
                            .segments
                            .into_iter()
                            .map(|(segment, _)| segment)
                            .collect(),
                    )
                    .await;
                    return Err(error);
                }
            }
        }
        Ok(copied)
    }
}

/// Returns the Parquet type of a column in a segment's file.
fn in_file(field: &Field) -> Result<TypePtr, RewriteError> {
    let schema = Schema::new(vec![field.clone()]);
    let parquet = ArrowSchemaConverter::new()
        .with_coerce_types(true)
        .convert(&schema)
        .map_err(SegmentError::from)?;
    let fields = parquet.root_schema().get_fields();
    fields.first().cloned().ok_or_else(|| RewriteError::Column {
        column: field.name().clone(),
        why: "it has no type in a file".to_owned(),
    })
}
