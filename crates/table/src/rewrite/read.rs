//! Reads columns of segments back in batches.
//!
//! Memory is bounded: a few batches at a time are decoded on a separate thread, which stops when
//! the receiver is dropped. Each batch has exactly the requested columns, null where a segment
//! lacks one. Text is a dictionary only on request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::Stream;
use object_store::ObjectStore;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::matching::OpenedSegment;
use super::{RewriteError, blocking};
use crate::index::StoredSegment;
use crate::scan::Predicate;
use crate::segment::SegmentError;
use crate::spec::TableSpec;
use crate::table::Table;

/// Some rows of one of the requested segments.
#[derive(Debug, Clone)]
pub struct SegmentRows {
    /// The index of the segment among the requested ones.
    pub source: usize,
    /// The rows.
    pub rows: RecordBatch,
}

/// The rows, batch by batch, one segment after the other. No batch is empty.
pub struct RowStream(Receiver<Result<SegmentRows, RewriteError>>);

impl Stream for RowStream {
    type Item = Result<SegmentRows, RewriteError>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(task)
    }
}

/// Reads a table's segments without the table, on any thread.
#[derive(Clone)]
pub struct SegmentReader {
    store: Arc<dyn ObjectStore>,
    spec: Arc<TableSpec>,
}

impl Table {
    /// Returns a reader of this table's segments.
    #[must_use]
    pub fn reader(&self) -> SegmentReader {
        SegmentReader {
            store: self.log.object_store(None),
            spec: Arc::clone(self.spec()),
        }
    }

    /// Reads columns of segments, as [`SegmentReader::read_columns`] does.
    pub fn read_columns(
        &self,
        sources: &[StoredSegment],
        columns: &[&str],
        predicate: Option<&Predicate>,
    ) -> Result<RowStream, RewriteError> {
        self.reader().read_columns(sources, columns, predicate)
    }
}

impl SegmentReader {
    /// Reads columns of segments: all rows, or those that match. Errors on a column that the table
    /// does not have. A later error is returned as the last batch.
    pub fn read_columns(
        &self,
        sources: &[StoredSegment],
        columns: &[&str],
        predicate: Option<&Predicate>,
    ) -> Result<RowStream, RewriteError> {
        self.read(sources, columns, predicate.cloned(), false)
    }

    /// Reads columns of all rows like [`SegmentReader::read_columns`], but returns text as a
    /// dictionary where the file has one: a caller that counts by value need not look at each row.
    pub fn read_coded(
        &self,
        sources: &[StoredSegment],
        columns: &[&str],
    ) -> Result<RowStream, RewriteError> {
        self.read(sources, columns, None, true)
    }

    fn read(
        &self,
        sources: &[StoredSegment],
        columns: &[&str],
        predicate: Option<Predicate>,
        coded: bool,
    ) -> Result<RowStream, RewriteError> {
        let wanted = wanted(&self.spec, columns)?;
        let (sender, receiver) = channel(2);
        let (store, sources) = (Arc::clone(&self.store), sources.to_vec());
        tokio::spawn(async move {
            for (source, segment) in sources.iter().enumerate() {
                let read = async {
                    let opened = OpenedSegment::open(&store, &segment.path).await?;
                    let reading = Reading {
                        source,
                        opened,
                        wanted: wanted.clone(),
                        coded,
                        sender: sender.clone(),
                    };
                    let predicate = predicate.clone();
                    blocking(move || reading.all(predicate.as_ref())).await
                };
                match read.await {
                    Ok(true) => {}
                    // The receiver was dropped.
                    Ok(false) => return,
                    Err(error) => {
                        let _ = sender.send(Err(error)).await;
                        return;
                    }
                }
            }
        });
        Ok(RowStream(receiver))
    }
}

/// One segment being read.
struct Reading {
    source: usize,
    opened: OpenedSegment,
    wanted: SchemaRef,
    /// True if text is a dictionary where the file has one.
    coded: bool,
    sender: Sender<Result<SegmentRows, RewriteError>>,
}

impl Reading {
    /// Sends all rows that match. Returns `Ok(false)` once the receiver was dropped.
    fn all(&self, predicate: Option<&Predicate>) -> Result<bool, RewriteError> {
        let selected = predicate
            .map(|predicate| self.opened.select(predicate))
            .transpose()?;
        let columns: Vec<&str> = self
            .wanted
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        for number in 0..self.opened.metadata.metadata().num_row_groups() {
            let bits = match &selected {
                None => None,
                Some(selected) => match selected.groups.get(number).and_then(Option::as_ref) {
                    None => continue,
                    bits => bits,
                },
            };
            let opened = if self.coded {
                &self.opened.coded(number, &columns)?
            } else {
                &self.opened
            };
            let mut at = 0;
            for rows in opened.batches(vec![number], Some(&columns))? {
                let rows = rows?;
                let chosen =
                    bits.map(|bits| BooleanArray::new(bits.slice(at, rows.num_rows()), None));
                at += rows.num_rows();
                let mut rows = of_table(&rows, &self.wanted)?;
                if let Some(chosen) = chosen {
                    rows = filter_record_batch(&rows, &chosen).map_err(SegmentError::from)?;
                }
                let some = SegmentRows {
                    source: self.source,
                    rows,
                };
                if some.rows.num_rows() > 0 && self.sender.blocking_send(Ok(some)).is_err() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Returns the schema of columns of a table, all nullable. Errors on a column that the table does
/// not have.
pub(super) fn wanted(spec: &TableSpec, columns: &[&str]) -> Result<SchemaRef, RewriteError> {
    let wanted = columns.iter().map(|name| match spec.column(name) {
        Some(column) => Ok(Field::new(*name, column.data_type.clone(), true)),
        None => {
            let why = "the table does not have it".to_owned();
            Err(RewriteError::Column {
                column: (*name).to_owned(),
                why,
            })
        }
    });
    Ok(Arc::new(Schema::new(
        wanted.collect::<Result<Vec<_>, _>>()?,
    )))
}

/// Returns the batch with exactly the `wanted` columns, of the table's types or dictionaries of
/// them: null where it lacks one.
pub fn of_table(rows: &RecordBatch, wanted: &SchemaRef) -> Result<RecordBatch, RewriteError> {
    let column = |field: &Arc<Field>| -> Result<ArrayRef, RewriteError> {
        match rows.column_by_name(field.name()) {
            None => Ok(new_null_array(field.data_type(), rows.num_rows())),
            Some(found) if plain(found.data_type()) == field.data_type() => Ok(found.clone()),
            // Nested fields of lists and maps have other names in files than in the table.
            Some(found) => Ok(cast(found, field.data_type()).map_err(SegmentError::from)?),
        }
    };
    let columns: Vec<ArrayRef> = wanted
        .fields()
        .iter()
        .map(column)
        .collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let rows = RecordBatch::try_new_with_options(as_read(wanted, &columns), columns, &options);
    Ok(rows.map_err(SegmentError::from)?)
}

/// Returns the schema of the wanted columns with the types that were read.
fn as_read(wanted: &SchemaRef, columns: &[ArrayRef]) -> SchemaRef {
    let fields = || wanted.fields().iter().zip(columns);
    if fields().all(|(field, column)| field.data_type() == column.data_type()) {
        return Arc::clone(wanted);
    }
    let fields =
        fields().map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Returns the type itself, or the type of a dictionary's values.
fn plain(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    }
}
