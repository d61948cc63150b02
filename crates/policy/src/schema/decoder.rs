//! Decodes the bodies of one writer schema's messages to one flat batch of the product's kept
//! columns.
//!
//! A message is in the batch completely or not at all, in the order of the pushes, and a bad
//! message does not affect the others. Columns that are not kept are never built.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef};

use super::compile::{CompiledSchema, compile};
use super::error::{SchemaError, SchemaRefusal};
use super::product::Schema;
use super::program::{BodyRefusal, Program};
use super::sinks::Sinks;
use super::target::{self, ValueTarget};
use super::writer::WriterSchema;
use ebbtide_base::record::Fault;

/// Reads the messages of one writer schema as one product's schema.
#[derive(Debug)]
pub struct Decoder {
    program: Program,
    target: ValueTarget,
    sinks: Sinks,
    rows: usize,
    schema: SchemaRef,
    unclassified: Vec<String>,
    refused: Option<usize>,
}

/// The result of a flush.
#[derive(Debug)]
pub struct FlushedBatch {
    /// One row for each accepted message, in order: the kept columns in the order of the schema,
    /// each nullable.
    pub batch: RecordBatch,
    /// Accepted messages that are not in the batch, by their index in the order of the pushes. A
    /// message is checked completely when it is pushed, so there are none, unless Arrow refuses the
    /// finished columns. Then all messages are here, so that none is lost silently.
    pub faults: Vec<(usize, Fault)>,
}

impl Decoder {
    /// Creates a decoder of messages that `writer` describes, read as `reader`. Only the flattened
    /// columns in `keep` are built; all other fields are checked. Errors if the writer's schema
    /// does not resolve to the reader's, or if `keep` names an unknown column. A writer's record of
    /// another name than the reader's is not an error: all its messages are refused.
    pub fn new(
        writer: &WriterSchema,
        reader: &Schema,
        keep: &BTreeSet<String>,
    ) -> Result<Decoder, SchemaError> {
        if let Some(unknown) = keep.iter().find(|name| reader.column(name).is_none()) {
            return Err(SchemaError::one(
                unknown,
                "the schema has no such column",
                "keep columns of the schema alone",
            ));
        }
        let mut sinks = Sinks::default();
        let target = target::of_schema(reader.model(), keep, &mut sinks);
        let CompiledSchema { program, dropped } = compile(writer.model(), reader.model(), &target)?;
        let kept = reader
            .columns
            .iter()
            .filter(|column| keep.contains(&column.name));
        let fields = kept
            .map(|column| Field::new(&column.name, column.data_type.clone(), true))
            .collect::<Vec<_>>();
        let schema = Arc::new(ArrowSchema::new(fields));
        Ok(Decoder {
            program,
            target,
            sinks,
            rows: 0,
            schema,
            unclassified: dropped,
            refused: None,
        })
    }

    /// Returns the flattened names of the writer's fields that no kept column uses; the reader's
    /// names if it has the fields. They are never built.
    #[must_use]
    pub fn unclassified(&self) -> &[String] {
        &self.unclassified
    }

    /// Reads one message's body. After an error, nothing of it is in the batch.
    pub fn push(&mut self, body: &[u8]) -> Result<(), Fault> {
        let read = self.program.run(body, &mut self.sinks);
        match read {
            Ok(()) => {
                self.rows += 1;
                Ok(())
            }
            Err(BodyRefusal { fault, refusal }) => {
                self.target.truncate(&mut self.sinks, self.rows);
                self.refused = refusal;
                Err(fault)
            }
        }
    }

    /// Returns the reason why the schemas refuse the message of the last push that failed; `None`
    /// if its bytes were at fault.
    #[must_use]
    pub fn refused(&self) -> Option<&SchemaRefusal> {
        self.program.refusals.get(self.refused?)
    }

    /// Returns every reason for which the schemas refuse messages: all messages, or those of a
    /// branch.
    #[must_use]
    pub fn refusals(&self) -> &[SchemaRefusal] {
        &self.program.refusals
    }

    /// Returns the number of messages accepted since the last flush.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Returns true if no message was accepted since the last flush.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Returns the accepted messages and starts an empty batch.
    pub fn flush(&mut self) -> FlushedBatch {
        let rows = std::mem::take(&mut self.rows);
        let mut arrays = Vec::with_capacity(self.schema.fields().len());
        let mut types = self.schema.fields().iter().map(|field| field.data_type());
        self.target
            .columns(&mut self.sinks, &mut types, &mut arrays);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = arrays
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
            .and_then(|arrays| {
                RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
            });
        match batch {
            Ok(batch) => FlushedBatch {
                batch,
                faults: Vec::new(),
            },
            Err(_) => FlushedBatch {
                batch: RecordBatch::new_empty(self.schema.clone()),
                faults: (0..rows).map(|row| (row, Fault::BadBody)).collect(),
            },
        }
    }
}
