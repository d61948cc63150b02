//! Divides the rows of a segment among several targets: they are decoded, tagged, and encoded to
//! one segment for each target.
//!
//! Memory is bounded: a few targets at a time, and the rows are read once for each few. If a
//! category's deadline is null on some rows and set on others, the rows with null have lost the
//! category and get no deadline for it.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions,
    TimestampMicrosecondArray,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema, TimestampMicrosecondType};

use super::super::matching::OpenedSegment;
use super::super::read::{of_table, wanted};
use super::super::split::{brought, runs};
use super::super::tagged::TagCoverage;
use super::super::upload::{self, PartWriter, SegmentUpload};
use super::super::{RewriteError, blocking};
use super::{NewTags, Retagging, counted, whole};
use crate::error::StoreError;
use crate::index::StoredSegment;
use crate::segment::{FileContents, RowWriter, RunValue, Segment, SegmentError, SegmentLocation};
use crate::spec::TableSpec;
use crate::table::Table;

/// The number of targets written in one pass: each has a row group in memory.
const TARGETS_PER_PASS: usize = 4;

/// The rows that get the same tags.
#[derive(Clone)]
struct RetagTarget {
    /// The new tags; `None` for rows that do not change.
    tags: Option<NewTags>,
    /// The numbers by which [`Retagging::assign`] names the target.
    numbers: Vec<u64>,
}

impl Table {
    /// Divides the rows of a segment by their targets. After an error nothing of the new segments
    /// is left.
    pub(super) async fn retag_parted(
        &self,
        opened: &OpenedSegment,
        source: &StoredSegment,
        by: &Arc<dyn Retagging>,
    ) -> Result<Vec<(Option<NewTags>, Segment)>, RewriteError> {
        let (of, with, spec) = (opened.clone(), Arc::clone(by), Arc::clone(self.spec()));
        let counts = blocking(move || counted(&of, &spec, with.as_ref())).await?;
        let mut targets: Vec<RetagTarget> = Vec::new();
        for number in counts.into_keys() {
            let tags = by.target(number);
            match targets.iter_mut().find(|target| target.tags == tags) {
                Some(target) => target.numbers.push(number),
                None => targets.push(RetagTarget {
                    tags,
                    numbers: vec![number],
                }),
            }
        }
        let mut parts = Vec::with_capacity(targets.len());
        for few in targets.chunks(TARGETS_PER_PASS) {
            match self.retag_few(opened, source, by, few).await {
                Ok(segments) => {
                    parts.extend(few.iter().map(|target| target.tags.clone()).zip(segments))
                }
                Err(error) => {
                    self.discard(parts.into_iter().map(|(_, segment)| segment).collect())
                        .await;
                    return Err(error);
                }
            }
        }
        let written: u64 = parts.iter().map(|(_, segment)| segment.rows()).sum();
        if written != source.rows {
            self.discard(parts.into_iter().map(|(_, segment)| segment).collect())
                .await;
            let why = format!("of {} rows {written} were written", source.rows);
            return Err(RewriteError::Damaged {
                path: source.path.to_string(),
                why,
            });
        }
        Ok(parts)
    }

    /// Reads all rows once and writes those of a few targets.
    async fn retag_few(
        &self,
        opened: &OpenedSegment,
        source: &StoredSegment,
        by: &Arc<dyn Retagging>,
        few: &[RetagTarget],
    ) -> Result<Vec<Segment>, RewriteError> {
        let store = self.log.object_store(None);
        let homes: Vec<SegmentLocation> = few
            .iter()
            .map(|target| match &target.tags {
                Some(tags) => tags.home(source),
                None => SegmentLocation::of(source),
            })
            .collect();
        let paths: Vec<String> = homes.iter().map(SegmentLocation::path).collect();
        let (mut sinks, mut uploads): (Vec<PartWriter>, Vec<(&str, SegmentUpload)>) =
            (Vec::new(), Vec::new());
        for path in &paths {
            let (parts, upload) = upload::begin(store.clone(), path).await?;
            sinks.push(parts);
            uploads.push((path, upload));
        }
        let (of, with, spec, targets) = (
            opened.clone(),
            Arc::clone(by),
            Arc::clone(self.spec()),
            few.to_vec(),
        );
        let worked =
            blocking(move || part(&spec, &of, with.as_ref(), targets.into_iter().zip(sinks))).await;
        let written = upload::all_finished(&store, uploads, worked).await?;
        let whole = paths.iter().zip(homes).zip(written);
        Ok(whole
            .map(|((path, home), (contents, size))| Segment {
                path: path.clone(),
                home,
                contents,
                size,
            })
            .collect())
    }
}

/// The output of one target.
struct TargetOutput {
    numbers: Vec<u64>,
    /// The old file's columns that are dropped.
    dropped: Vec<String>,
    /// The deadlines, in microseconds, of columns that are null on some rows only: those rows stay
    /// null.
    masked: Vec<(String, i64)>,
    writer: RowWriter<PartWriter>,
}

fn part(
    spec: &Arc<TableSpec>,
    opened: &OpenedSegment,
    by: &dyn Retagging,
    targets: impl Iterator<Item = (RetagTarget, PartWriter)>,
) -> Result<Vec<(FileContents, u64)>, RewriteError> {
    let mut parts = Vec::new();
    for (target, sink) in targets {
        parts.push(begin(spec, opened, target, sink)?);
    }
    let columns = by.columns();
    let decides = wanted(spec, &columns)?;
    for number in 0..opened.metadata.metadata().num_row_groups() {
        for rows in opened.batches(vec![number], None)? {
            let rows = rows?;
            let assigned = by.assign(&of_table(&rows, &decides)?)?;
            let rows = by.edit(&rows)?;
            for part in &mut parts {
                part.take(&rows, &assigned)?;
            }
        }
    }
    let finish = |part: TargetOutput| {
        let (contents, sink) = part.writer.finish()?;
        Ok((contents, sink.finish().map_err(StoreError::from)?))
    };
    parts.into_iter().map(finish).collect()
}

fn begin(
    spec: &Arc<TableSpec>,
    opened: &OpenedSegment,
    target: RetagTarget,
    sink: PartWriter,
) -> Result<TargetOutput, RewriteError> {
    let tags = target.tags.as_ref();
    let file = opened.metadata.metadata();
    let dropped: Vec<String> = tags
        .map(|tags| tags.columns().into_iter().collect())
        .unwrap_or_default();
    let fields = opened
        .metadata
        .schema()
        .fields()
        .iter()
        .map(|field| brought(field));
    let mut fields: Vec<Field> = fields
        .filter(|field| !dropped.contains(field.name()))
        .collect();
    let runs = runs(spec, file, &fields);
    let mut masked: Vec<(String, i64)> = Vec::new();
    let mut constants: Vec<(Field, RunValue)> = Vec::new();
    let written = tags.map(|tags| whole::written(tags, &whole::has(opened, spec, tags)));
    for (field, written) in written.unwrap_or_default() {
        match written.value {
            RunValue::Int64(at) if some_are_null(opened, &written.column) => {
                masked.push((written.column, at));
                fields.push(field);
            }
            value => constants.push((field, value)),
        }
    }
    let is_run = |name: &str| runs.iter().any(|run| run == name);
    let writer = RowWriter::new(spec.clone(), fields, is_run, constants, sink);
    Ok(TargetOutput {
        numbers: target.numbers,
        dropped,
        masked,
        writer,
    })
}

/// Returns true if a column is null on some rows of the file and not on others.
fn some_are_null(opened: &OpenedSegment, column: &str) -> bool {
    let groups = opened.metadata.metadata().row_groups();
    let mut tagged = groups.iter().map(|group| TagCoverage::of(group, column));
    let Some(first) = tagged.next() else {
        return false;
    };
    first.differs() || tagged.any(|other| other != first)
}

impl TargetOutput {
    fn take(&mut self, rows: &RecordBatch, assigned: &[u64]) -> Result<(), RewriteError> {
        let ours = BooleanArray::from_iter(
            assigned
                .iter()
                .map(|number| Some(self.numbers.contains(number))),
        );
        if ours.true_count() == 0 {
            return Ok(());
        }
        let rows = if ours.true_count() == rows.num_rows() {
            rows.clone()
        } else {
            filter_record_batch(rows, &ours).map_err(SegmentError::from)?
        };
        let (mut fields, mut columns): (Vec<Field>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
        for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
            if !self.dropped.contains(field.name()) {
                fields.push(brought(field));
                columns.push(Arc::clone(column));
            }
        }
        for (name, at) in &self.masked {
            let Some(old) = rows.column_by_name(name) else {
                continue;
            };
            let wrong = || RewriteError::Column {
                column: name.clone(),
                why: "it holds no instants".to_owned(),
            };
            let old = old
                .as_primitive_opt::<TimestampMicrosecondType>()
                .ok_or_else(wrong)?;
            let new = (0..old.len()).map(|row| old.is_valid(row).then_some(*at));
            let new: ArrayRef =
                Arc::new(TimestampMicrosecondArray::from_iter(new).with_timezone("UTC"));
            fields.push(Field::new(name, new.data_type().clone(), true));
            columns.push(new);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let rows =
            RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options);
        Ok(self.writer.write(&rows.map_err(SegmentError::from)?)?)
    }
}
