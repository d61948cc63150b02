//! Split: the rows of a segment that match a predicate go to one new segment, the rest to another.
//!
//! A segment is not rewritten if all of its rows match, or none. The two new segments have the
//! columns and tags of the old one. Rows are decoded and encoded batch by batch; finished row
//! groups are in the store, not in memory.

use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;

use super::matching::{OpenedSegment, SelectedRows};
use super::upload::{self, PartWriter};
use super::{RewriteError, blocking};
use crate::error::StoreError;
use crate::index::StoredSegment;
use crate::scan::Predicate;
use crate::segment::{
    ExpectedRows, FileContents, RowWriter, Segment, SegmentError, SegmentLocation, recorded_order,
};
use crate::spec::{ColumnRole, TableSpec};
use crate::table::Table;

/// The result of splitting a segment.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "there is one of it at a time")]
pub enum SplitResult {
    /// No row matches: the segment does not change.
    None,
    /// All of its rows match: the segment does not change.
    All,
    /// The segment was split. Neither of the two new ones is committed.
    Both {
        /// The rows that match.
        matching: Segment,
        /// The rows that do not.
        rest: Segment,
    },
}

impl Table {
    /// Splits a segment by a predicate. Commits nothing. Errors if the segment is missing or
    /// damaged, or if a column is not of the kind that the predicate needs; then nothing of the new
    /// segments is left.
    pub async fn split(
        &self,
        source: &StoredSegment,
        predicate: &Predicate,
    ) -> Result<SplitResult, RewriteError> {
        if source.cells {
            return Err(StoreError::Refused(
                "cells are not rows of a subject: they are not split".to_owned(),
            )
            .into());
        }
        let store = self.log.object_store(None);
        let opened = OpenedSegment::open(&store, &source.path).await?;
        let (of, chosen) = (opened.clone(), predicate.clone());
        let selected = blocking(move || of.select(&chosen)).await?;
        if selected.rows != source.rows {
            let why = format!(
                "it has {} rows and the log says {}",
                selected.rows, source.rows
            );
            return Err(RewriteError::Damaged {
                path: source.path.to_string(),
                why,
            });
        }
        if selected.matched == 0 {
            return Ok(SplitResult::None);
        }
        if selected.matched == selected.rows {
            return Ok(SplitResult::All);
        }
        let home = SegmentLocation::of(source);
        let paths = [home.path(), home.path()];
        let (matching_parts, matching_upload) = upload::begin(store.clone(), &paths[0]).await?;
        let (rest_parts, rest_upload) = upload::begin(store.clone(), &paths[1]).await?;
        let spec = self.spec().clone();
        let worked =
            blocking(move || part(&spec, &opened, &selected, [matching_parts, rest_parts])).await;
        let uploads = [
            (paths[0].as_str(), matching_upload),
            (paths[1].as_str(), rest_upload),
        ];
        let [matching, rest] = upload::finished(&store, uploads, worked).await?;
        let segment = |path: &String, (contents, size): (FileContents, u64)| Segment {
            path: path.clone(),
            home: home.clone(),
            contents,
            size,
        };
        let (matching, rest) = (segment(&paths[0], matching), segment(&paths[1], rest));
        let halves = [&matching.contents, &rest.contents];
        if let Err(error) =
            super::check_deadlines_kept(&source.path, source.deadlines.iter(), &halves)
        {
            self.discard(vec![matching, rest]).await;
            return Err(error);
        }
        Ok(SplitResult::Both { matching, rest })
    }
}

/// Reads all rows once and writes each to its half.
fn part(
    spec: &Arc<TableSpec>,
    opened: &OpenedSegment,
    selected: &SelectedRows,
    parts: [PartWriter; 2],
) -> Result<[(FileContents, u64); 2], RewriteError> {
    let fields: Vec<Field> = opened
        .metadata
        .schema()
        .fields()
        .iter()
        .map(|field| brought(field))
        .collect();
    let runs = runs(spec, opened.metadata.metadata(), &fields);
    let is_run = |name: &str| runs.iter().any(|run| run == name);
    let expected = ExpectedRows {
        ordered_by: recorded_order(opened.metadata.metadata()),
        ..ExpectedRows::default()
    };
    let half = |parts| RowWriter::new(spec.clone(), fields.clone(), is_run, Vec::new(), parts);
    let mut halves = parts.map(|parts| half(parts).expecting(expected.clone()));
    for (number, matching) in selected.groups.iter().enumerate() {
        let mut at = 0;
        for rows in opened.batches(vec![number], None)? {
            let rows = rows?;
            let [match_half, rest_half] = &mut halves;
            match matching
                .as_ref()
                .map(|bits| bits.slice(at, rows.num_rows()))
            {
                None => rest_half.write(&rows)?,
                Some(bits) => {
                    let rest = BooleanArray::new(!&bits, None);
                    let taken = filter_record_batch(&rows, &BooleanArray::new(bits, None))
                        .map_err(SegmentError::from)?;
                    match_half.write(&taken)?;
                    rest_half
                        .write(&filter_record_batch(&rows, &rest).map_err(SegmentError::from)?)?;
                }
            }
            at += rows.num_rows();
        }
    }
    let [matching, rest] = halves;
    let finish = |half: RowWriter<PartWriter>| {
        let (contents, parts) = half.finish()?;
        Ok::<_, RewriteError>((contents, parts.finish().map_err(StoreError::from)?))
    };
    let (matching, rest) = (finish(matching)?, finish(rest)?);
    if matching.0.rows + rest.0.rows != selected.rows || matching.0.rows != selected.matched {
        let why = format!(
            "of {} rows {} were written",
            selected.rows,
            matching.0.rows + rest.0.rows
        );
        return Err(RewriteError::Damaged {
            path: opened.path.to_string(),
            why,
        });
    }
    Ok([matching, rest])
}

/// Returns a column of the old segment as it is in the new ones.
pub(super) fn brought(field: &Field) -> Field {
    Field::new(field.name(), field.data_type().clone(), true)
}

/// Returns the tags that are encoded as runs: those without a null in the segment.
pub(super) fn runs(spec: &TableSpec, file: &ParquetMetaData, fields: &[Field]) -> Vec<String> {
    let varies = |name: &str| matches!(name, "jurisdiction" | "source_offset");
    let is_tag = |name: &str| {
        spec.column(name)
            .is_some_and(|column| column.role == ColumnRole::Tag)
            && !varies(name)
    };
    let can_run = |data_type: &DataType| {
        matches!(
            data_type,
            DataType::Int32 | DataType::Int64 | DataType::Utf8 | DataType::Timestamp(..)
        )
    };
    let no_nulls = |name: &str| {
        file.row_groups().iter().all(|group| {
            let chunk = group
                .columns()
                .iter()
                .find(|chunk| chunk.column_path().parts() == [name]);
            chunk
                .and_then(|chunk| chunk.statistics())
                .and_then(Statistics::null_count_opt)
                == Some(0)
        })
    };
    let tags = fields.iter().filter(|field| {
        is_tag(field.name()) && can_run(field.data_type()) && no_nulls(field.name())
    });
    tags.map(|field| field.name().clone()).collect()
}
