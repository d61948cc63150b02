//! Encodes rows to a Parquet file: columns that need an encoder first, followed by columns of few
//! values as runs.
//!
//! Few rows need little memory: the encoders are created once enough rows are pending, or at the
//! end, one column after the other. Finished row groups are written to the sink immediately.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, MutableArrayData, RecordBatch, make_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema, SchemaRef};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use twox_hash::XxHash64;

use super::encode::{ExpectedRows, ROW_GROUP_BYTES, ROW_GROUP_ROWS, properties};
use super::runs::{self, ColumnRuns, RunValue};
use super::{FileContents, SegmentError, stats};
use crate::spec::TableSpec;
use ebbtide_base::failpoint;

/// The number of pending Arrow bytes at which the encoders are created.
const START_BYTES: usize = 2 << 20;

/// The number of pending rows at which they are passed to the encoders, so that these never encode
/// a few rows at a time.
const FEED_ROWS: usize = 4096;

/// The number of rows from which on a batch is encoded as it is: smaller ones are concatenated with
/// others first.
const WHOLE_ROWS: usize = 512;

/// The destination of a file's bytes: memory, or the store.
pub trait ByteSink: Write + Send + Default {
    /// Returns the XXH64 of all bytes so far.
    fn xxh64(&self) -> u64;
}

impl ByteSink for Vec<u8> {
    fn xxh64(&self) -> u64 {
        XxHash64::oneshot(0, self)
    }
}

/// Encodes one file.
pub struct RowWriter<S: ByteSink> {
    spec: Arc<TableSpec>,
    /// The columns of the input that are encoded, in the order of the file.
    schema: SchemaRef,
    /// The columns of the input that are runs, after those in the file.
    run_columns: Vec<Field>,
    /// The runs of `pending`, in the order of `run_columns`.
    pending_runs: Vec<ColumnRuns>,
    /// The columns with the same value on every row, last in the file.
    constants: Vec<(Field, RunValue)>,
    expected: ExpectedRows,
    pending: Vec<RecordBatch>,
    pending_rows: usize,
    pending_bytes: usize,
    rows: u64,
    /// The destination of the file, until the encoder has it.
    sink: Option<S>,
    encoder: Option<Encoder<S>>,
}

/// The open file and the writers of the current row group.
struct Encoder<S: ByteSink> {
    file: SerializedFileWriter<S>,
    factory: ArrowRowGroupWriterFactory,
    columns: Vec<ArrowColumnWriter>,
    /// The runs of the row group's rows, in the order of the writer's `run_columns`.
    runs: Vec<ColumnRuns>,
    group_rows: usize,
}

impl<S: ByteSink> RowWriter<S> {
    /// Creates a writer of a file with the columns `brought`, of which those selected by `is_run`
    /// are runs, and with `constants`.
    pub fn new(
        spec: Arc<TableSpec>,
        brought: Vec<Field>,
        is_run: impl Fn(&str) -> bool,
        constants: Vec<(Field, RunValue)>,
        sink: S,
    ) -> Self {
        let (run_columns, brought): (Vec<Field>, Vec<Field>) =
            brought.into_iter().partition(|field| is_run(field.name()));
        Self {
            spec,
            schema: Arc::new(Schema::new(brought)),
            pending_runs: vec![ColumnRuns::default(); run_columns.len()],
            run_columns,
            constants,
            expected: ExpectedRows::default(),
            pending: Vec::new(),
            pending_rows: 0,
            pending_bytes: 0,
            rows: 0,
            sink: Some(sink),
            encoder: None,
        }
    }

    /// Sets the known properties of the rows.
    pub fn expecting(self, expected: ExpectedRows) -> Self {
        Self { expected, ..self }
    }

    /// Adds rows that have exactly the columns of the segment, in any order. Errors if a column is
    /// missing, unknown or of another type, and then adds none of them.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), SegmentError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let started = self.encoder.is_some();
        // Rows that are encoded immediately need not be copied first.
        let encodes_now = started && self.pending.is_empty() && rows.num_rows() >= WHOLE_ROWS;
        let (rows, runs) = self.ordered(rows, !encodes_now)?;
        self.pending_runs
            .iter_mut()
            .zip(runs)
            .for_each(|(pending, runs)| pending.append(runs));
        self.rows += rows.num_rows() as u64;
        if encodes_now {
            return self.encode(&rows);
        }
        self.pending_rows += rows.num_rows();
        self.pending_bytes += rows.get_array_memory_size();
        self.pending.push(rows);
        if (started && self.pending_rows >= FEED_ROWS)
            || (!started && self.pending_bytes >= START_BYTES)
        {
            self.feed(None)?;
        }
        Ok(())
    }

    /// Returns the bytes of memory in use, without the sink: rows not yet encoded, and encoders.
    pub fn memory(&self) -> usize {
        let encoder = self.encoder.as_ref().map_or(0, |encoder| {
            encoder
                .columns
                .iter()
                .map(ArrowColumnWriter::memory_size)
                .sum::<usize>()
                + encoder.runs.iter().map(ColumnRuns::memory).sum::<usize>()
        });
        self.pending_bytes
            + self
                .pending_runs
                .iter()
                .map(ColumnRuns::memory)
                .sum::<usize>()
            + encoder
    }

    /// Returns the sink, once it has the first bytes.
    pub fn sink(&self) -> Option<&S> {
        self.encoder.as_ref().map(|encoder| encoder.file.inner())
    }

    /// Returns the number of rows added so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Encodes the pending rows and closes the file. Errors if no row was added.
    pub fn finish(mut self) -> Result<(FileContents, S), SegmentError> {
        if self.rows == 0 {
            return Err(SegmentError::Empty);
        }
        let all = self.encoder.is_none().then_some(self.pending_rows);
        self.feed(all)?;
        self.close_group()?;
        let Some(mut encoder) = self.encoder.take() else {
            return Err(SegmentError::Empty);
        };
        let metadata = encoder.file.finish()?;
        let sink = std::mem::take(encoder.file.inner_mut());
        let columns: BTreeSet<String> = (self
            .schema
            .fields()
            .iter()
            .map(|field| field.name().clone()))
        .chain(self.tail().map(|field| field.name().clone()))
        .collect();
        let stats = stats::stats(&self.spec, &metadata);
        failpoint::reach("segment-encoded");
        Ok((
            FileContents {
                columns,
                rows: self.rows,
                stats,
                xxh64: sink.xxh64(),
            },
            sink,
        ))
    }

    /// Returns the columns that need no encoder, in the order of the file: after all others.
    fn tail(&self) -> impl Iterator<Item = &Field> {
        self.run_columns
            .iter()
            .chain(self.constants.iter().map(|(field, _)| field))
    }

    /// Returns the rows' columns in the order of the file, and separately those that are runs. If
    /// `kept`, small slices are copied, so that a few rows do not keep a large batch in memory.
    fn ordered(
        &self,
        rows: &RecordBatch,
        kept: bool,
    ) -> Result<(RecordBatch, Vec<ColumnRuns>), SegmentError> {
        let wrong = |column: &str, why: String| SegmentError::Column {
            column: column.to_owned(),
            why,
        };
        let is_run = |name: &String| self.run_columns.iter().any(|field| field.name() == name);
        let unknown = |name: &String| self.schema.column_with_name(name).is_none() && !is_run(name);
        if let Some(field) = rows
            .schema()
            .fields()
            .iter()
            .find(|field| unknown(field.name()))
        {
            return Err(wrong(
                field.name(),
                "the segment does not have it".to_owned(),
            ));
        }
        let found = |field: &Field| {
            let missing = || wrong(field.name(), "it is missing".to_owned());
            let column = rows.column_by_name(field.name()).ok_or_else(missing)?;
            if column.data_type() != field.data_type() {
                let why = format!(
                    "it is {} and should be {}",
                    column.data_type(),
                    field.data_type()
                );
                return Err(wrong(field.name(), why));
            }
            Ok(column)
        };
        let column = |field: &Field| {
            if kept {
                own(found(field)?)
            } else {
                found(field).cloned()
            }
        };
        let columns = self
            .schema
            .fields()
            .iter()
            .map(|field| column(field))
            .collect::<Result<_, _>>()?;
        let runs = self.run_columns.iter().map(|field| {
            ColumnRuns::of(found(field)?.as_ref())
                .ok_or_else(|| wrong(field.name(), "it has nulls".to_owned()))
        });
        let runs = runs.collect::<Result<_, _>>()?;
        Ok((RecordBatch::try_new(self.schema.clone(), columns)?, runs))
    }

    /// Passes the pending rows to the encoders, which it creates first if necessary. `all` is the
    /// number of rows of the segment, if known.
    pub fn feed(&mut self, all: Option<usize>) -> Result<(), SegmentError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.pending);
        if self.pending_rows < pending.len() * WHOLE_ROWS {
            pending = vec![concat_batches(&self.schema, &pending)?];
        }
        (self.pending_rows, self.pending_bytes) = (0, 0);
        // The largest batch is the best sample of the columns.
        if let Some(sample) = pending.iter().max_by_key(|batch| batch.num_rows())
            && let Some(sink) = self.sink.take()
        {
            let tail: Vec<Field> = self.tail().cloned().collect();
            let expected = ExpectedRows {
                rows: self.expected.rows.or(all),
                ..self.expected.clone()
            };
            let of = properties(&self.spec, sample, &expected);
            self.encoder = Some(Encoder::start(
                sink,
                of,
                sample.schema(),
                &tail,
                &expected.sorted_by,
            )?);
        }
        pending.iter().try_for_each(|batch| self.encode(batch))
    }

    /// Passes the rows to the encoders, and closes row groups that are full.
    fn encode(&mut self, batch: &RecordBatch) -> Result<(), SegmentError> {
        let mut at = 0;
        while at < batch.num_rows() {
            let Some(encoder) = &mut self.encoder else {
                break;
            };
            let take = (batch.num_rows() - at).min(ROW_GROUP_ROWS - encoder.group_rows);
            let runs = self
                .pending_runs
                .iter_mut()
                .map(|pending| pending.split(u32::try_from(take).unwrap_or(u32::MAX)));
            encoder.write(&batch.slice(at, take), runs.collect())?;
            at += take;
            if encoder.is_full(self.expected.group_bytes.unwrap_or(ROW_GROUP_BYTES)) {
                self.close_group()?;
            }
        }
        Ok(())
    }

    fn close_group(&mut self) -> Result<(), SegmentError> {
        match &mut self.encoder {
            Some(encoder) if encoder.group_rows > 0 => encoder.close_group(&self.constants),
            _ => Ok(()),
        }
    }
}

impl<S: ByteSink> Encoder<S> {
    fn start(
        sink: S,
        of: WriterProperties,
        brought: SchemaRef,
        tail: &[Field],
        sorted_by: &[String],
    ) -> Result<Self, SegmentError> {
        let fields = brought
            .fields()
            .iter()
            .cloned()
            .chain(tail.iter().cloned().map(Arc::new));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        let parquet = ArrowSchemaConverter::new()
            .with_coerce_types(true)
            .schema_root("segment")
            .convert(&schema)?;
        let leaf = |name: &String| {
            parquet
                .columns()
                .iter()
                .position(|leaf| leaf.path().parts() == [name.as_str()])
        };
        let sorted = sorted_by
            .iter()
            .map_while(leaf)
            .map_while(|leaf| i32::try_from(leaf).ok());
        let sorted: Vec<SortingColumn> = sorted
            .map(|column_idx| SortingColumn {
                column_idx,
                descending: false,
                nulls_first: false,
            })
            .collect();
        let of = of
            .into_builder()
            .set_sorting_columns((!sorted.is_empty()).then_some(sorted))
            .build();
        let file = SerializedFileWriter::new(sink, parquet.root_schema_ptr(), Arc::new(of))?;
        // The tail needs no encoders.
        let factory = ArrowRowGroupWriterFactory::new(&file, brought);
        let columns = factory.create_column_writers(0)?;
        Ok(Encoder {
            file,
            factory,
            columns,
            runs: Vec::new(),
            group_rows: 0,
        })
    }

    fn write(&mut self, rows: &RecordBatch, runs: Vec<ColumnRuns>) -> Result<(), SegmentError> {
        self.runs.resize(runs.len(), ColumnRuns::default());
        self.runs
            .iter_mut()
            .zip(runs)
            .for_each(|(group, runs)| group.append(runs));
        if self.columns.is_empty() {
            self.columns = self
                .factory
                .create_column_writers(self.file.flushed_row_groups().len())?;
        }
        let mut writers = self.columns.iter_mut();
        for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
            for leaf in compute_leaves(field, column)? {
                if let Some(writer) = writers.next() {
                    writer.write(&leaf)?;
                }
            }
        }
        self.group_rows += rows.num_rows();
        Ok(())
    }

    fn is_full(&self, bytes: usize) -> bool {
        self.group_rows >= ROW_GROUP_ROWS
            || self
                .columns
                .iter()
                .map(ArrowColumnWriter::get_estimated_total_bytes)
                .sum::<usize>()
                >= bytes
    }

    fn close_group(&mut self, constants: &[(Field, RunValue)]) -> Result<(), SegmentError> {
        let rows = u32::try_from(std::mem::take(&mut self.group_rows)).unwrap_or(u32::MAX);
        let leaves = self.file.schema_descr().columns().to_vec();
        let mut group = self.file.next_row_group()?;
        for writer in self.columns.drain(..) {
            writer.close()?.append_to_row_group(&mut group)?;
        }
        let constants = constants
            .iter()
            .map(|(_, value)| ColumnRuns::one(value.clone(), rows));
        let tail: Vec<ColumnRuns> = self.runs.drain(..).chain(constants).collect();
        for (runs, leaf) in tail
            .iter()
            .zip(leaves.iter().skip(leaves.len() - tail.len()))
        {
            let (bytes, close) = runs::chunk(leaf.clone(), runs)?;
            group.append_column(&bytes, close)?;
        }
        group.close()?;
        Ok(())
    }
}

/// Returns the column itself, or a copy of its rows if they are less than half of what it keeps in
/// memory. Nested columns are always copied: the part of the nested arrays that their rows use is
/// expensive to compute.
fn own(column: &ArrayRef) -> Result<ArrayRef, SegmentError> {
    let data = column.to_data();
    let small = data
        .get_slice_memory_size()
        .is_ok_and(|slice| slice * 2 < data.get_array_memory_size());
    if !small && !column.data_type().is_nested() {
        return Ok(column.clone());
    }
    let mut copy = MutableArrayData::new(vec![&data], false, data.len());
    copy.try_extend(0, 0, data.len())?;
    Ok(make_array(copy.freeze()))
}
