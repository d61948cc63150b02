//! Reads the matching rows of a part with the requested columns.
//!
//! The predicate's columns are decoded first, only in the pages that may match. Of the other columns
//! only the pages with matching rows are decoded, and none of columns whose values are known. A few
//! thousand rows are sent at a time.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Schema, SchemaRef};
use chrono::NaiveDate;
use parquet::DecodeResult;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowPredicate, ArrowPredicateFn, RowFilter};
use parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder};
use parquet::errors::ParquetError;
use tokio::sync::mpsc::Sender;

use super::constant::ConstantColumn;
use super::files::TableFiles;
use super::prune::CandidateRows;
use super::{FoundBatch, SegmentScan};
use ebbtide_base::ids::Bucket;
use ebbtide_table::Predicate;
use ebbtide_table::rewrite::{BATCH_ROWS, RewriteError, of_table};
use ebbtide_table::segment::SegmentError;
use ebbtide_table::spec::PARTITION_COLUMNS;

/// The number of bytes of a predicate's columns that a decoder keeps instead of decoding them again.
const KEPT: usize = 8 << 20;

/// Reads a part and sends its rows until the receiver is dropped.
pub(super) async fn read(
    files: TableFiles,
    look: Arc<SegmentScan>,
    part: CandidateRows,
    columns: SchemaRef,
    to: Sender<Result<FoundBatch, RewriteError>>,
) {
    let read = async {
        let stored = |name: &&str| !PARTITION_COLUMNS.contains(name);
        let wanted: Vec<&str> = columns
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .filter(stored)
            .collect();
        let constants = ConstantColumn::among(&wanted, &part);
        let varying = wanted.into_iter().filter(|name| {
            constants
                .iter()
                .all(|constant| constant.field.name() != name)
        });
        let mut rest = Some(decoder(&look, &part, varying)?);
        while let Some(decoder) = rest {
            let path = Arc::clone(&look.segment.path);
            let decoded;
            (decoded, rest) = files
                .in_a_row(move |files| decode(files, path, decoder))
                .await?;
            for rows in decoded.iter().filter(|rows| rows.num_rows() > 0) {
                let rows = whole(rows, &look, &constants, &columns)?;
                if to
                    .send(Ok(FoundBatch {
                        segment: Arc::clone(&look.segment),
                        rows,
                    }))
                    .await
                    .is_err()
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    };
    if let Err(error) = read.await {
        // The receiver may have been dropped.
        let _ = to.send(Err(error)).await;
    }
}

/// Continues to read and decode. Returns the next rows, and the decoder unless these were the last.
async fn decode(
    files: TableFiles,
    path: Arc<str>,
    mut decoder: ParquetPushDecoder,
) -> Result<(Vec<RecordBatch>, Option<ParquetPushDecoder>), RewriteError> {
    let (mut decoded, mut count) = (Vec::new(), 0);
    while count < BATCH_ROWS {
        let of = Arc::clone(&path);
        let stepped = files.work(move || {
            let step = decoder
                .try_decode()
                .map_err(|error| RewriteError::damaged(&of, &error))?;
            Ok((decoder, step))
        });
        let step;
        (decoder, step) = stepped.await?;
        match step {
            DecodeResult::NeedsData(ranges) => {
                let bytes = files.ranges(&path, &ranges).await?;
                decoder
                    .push_ranges(ranges, bytes)
                    .map_err(|error| RewriteError::damaged(&path, &error))?;
            }
            DecodeResult::Data(rows) => {
                count += rows.num_rows();
                decoded.push(rows);
            }
            DecodeResult::Finished => return Ok((decoded, None)),
        }
    }
    Ok((decoded, Some(decoder)))
}

fn decoder<'c>(
    look: &SegmentScan,
    part: &CandidateRows,
    columns: impl Iterator<Item = &'c str>,
) -> Result<ParquetPushDecoder, RewriteError> {
    let file = part.footer.metadata.parquet_schema();
    let builder = ParquetPushDecoderBuilder::new_with_metadata(part.footer.metadata.clone())
        .with_batch_size(BATCH_ROWS)
        .with_row_groups(vec![part.group])
        .with_projection(ProjectionMask::columns(file, columns))
        .with_row_selection(part.rows.clone())
        .with_row_filter(RowFilter::new(stages(part)))
        .with_max_predicate_cache_size(KEPT);
    builder
        .build()
        .map_err(|error: ParquetError| RewriteError::damaged(&look.segment.path, &error))
}

/// Returns the conditions in order: each reads only the rows for which the previous ones are true.
fn stages(part: &CandidateRows) -> Vec<Box<dyn ArrowPredicate>> {
    let file = part.footer.metadata.parquet_schema();
    let stage = |condition: &Predicate| -> Box<dyn ArrowPredicate> {
        let condition = condition.clone();
        let mask = ProjectionMask::columns(file, condition.columns());
        let matches =
            move |rows: RecordBatch| Ok(BooleanArray::new(condition.evaluate(&rows)?, None));
        Box::new(ArrowPredicateFn::new(mask, matches))
    };
    part.predicate.conjuncts().iter().map(stage).collect()
}

/// Returns the rows with exactly the requested columns, in the table's types.
fn whole(
    rows: &RecordBatch,
    look: &SegmentScan,
    constants: &[ConstantColumn],
    columns: &SchemaRef,
) -> Result<RecordBatch, RewriteError> {
    let mut fields: Vec<Arc<Field>> = rows.schema().fields().iter().cloned().collect();
    let mut arrays: Vec<ArrayRef> = rows.columns().to_vec();
    for constant in constants {
        fields.push(Arc::clone(&constant.field));
        arrays.push(
            constant
                .of_rows(rows.num_rows())
                .map_err(SegmentError::from)?,
        );
    }
    let (bucket, profile) = partition(look, rows.num_rows());
    for (name, array) in PARTITION_COLUMNS.into_iter().zip([bucket, profile]) {
        fields.push(Arc::new(Field::new(name, array.data_type().clone(), true)));
        arrays.push(array);
    }
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays);
    of_table(&rows.map_err(SegmentError::from)?, columns)
}

/// Returns columns of a segment's bucket and profile, with `rows` rows each.
fn partition(look: &SegmentScan, rows: usize) -> (ArrayRef, ArrayRef) {
    let bucket: ArrayRef = match look.segment.bucket {
        Bucket::Day(day) => {
            let days = day.signed_duration_since(NaiveDate::default()).num_days();
            Arc::new(Date32Array::from(vec![
                i32::try_from(days)
                    .unwrap_or(i32::MAX);
                rows
            ]))
        }
        Bucket::Hour(at) => Arc::new(
            TimestampMicrosecondArray::from(vec![at.timestamp_micros(); rows]).with_timezone("UTC"),
        ),
    };
    (
        bucket,
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
            look.segment.profile.as_str(),
            rows,
        ))),
    )
}
