//! From the bytes of one partition to Arrow batches: frames read, writer schemas found, bodies checked and decoded.
//!
//! A message that is at fault is named and leaves its neighbours alone. A schema that nobody can be asked for now is
//! no record's fault: nothing is consumed and the caller tries again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use crate::ids::ProductKey;
use crate::ingest::intake::Intake;
use crate::ingest::writers::{RegistryUnavailable, SchemaRef, WriterSchemas};
use crate::record::Fault;
use crate::schema::{Decoder, Frame, Schema, frame};

/// Decodes one product's messages, one decoder for each schema that its producers write with.
pub struct Decoders {
    product: ProductKey,
    reader: Arc<Schema>,
    keep: BTreeSet<String>,
    writers: Arc<WriterSchemas>,
    by_schema: HashMap<SchemaRef, usize>,
    slots: Vec<Slot>,
    /// The largest message that is decoded, in bytes.
    most: usize,
}

struct Slot {
    /// `None`: the writer's schema does not resolve to the product's.
    decoder: Option<Decoder>,
    /// The rows of the intake that the decoder holds, in the order in which they were pushed.
    rows: Vec<usize>,
}

/// What one intake became.
#[derive(Debug, Default)]
pub struct Decoded {
    /// Batches of the product's columns, each with the intake's row behind each of its own.
    pub batches: Vec<(RecordBatch, Vec<usize>)>,
    /// Rows of the intake that are at fault.
    pub faults: Vec<(usize, Fault)>,
    /// Fields of records that the policy does not name, and that are therefore stored nowhere.
    pub unclassified: u64,
}

impl Decoders {
    /// Decoders for `product`, none yet. `keep` names the columns that are built.
    pub fn new(
        product: ProductKey,
        reader: Arc<Schema>,
        keep: BTreeSet<String>,
        writers: Arc<WriterSchemas>,
        most: usize,
    ) -> Self {
        Self { product, reader, keep, writers, by_schema: HashMap::new(), slots: Vec::new(), most }
    }

    /// Finds the decoder of every schema that `intake` names and that is not known yet.
    ///
    /// Errors if the registry cannot be asked now; what was found so far stays known.
    pub async fn resolve(&mut self, intake: &Intake) -> Result<(), RegistryUnavailable> {
        let mut last = None;
        for row in 0..intake.len() {
            let Ok((schema, _)) = split(intake.payload(row)) else { continue };
            if last == Some(schema) || self.by_schema.contains_key(&schema) {
                last = Some(schema);
                continue;
            }
            last = Some(schema);
            if let Some(writer) = self.writers.get(&self.product, schema).await? {
                let decoder = Decoder::new(&writer, &self.reader, &self.keep);
                self.announce(schema, &decoder);
                self.by_schema.insert(schema, self.slots.len());
                self.slots.push(Slot { decoder: decoder.ok(), rows: Vec::new() });
            }
        }
        Ok(())
    }

    /// Decodes all of `intake`. A schema that [`Decoders::resolve`] did not find is unknown to everybody.
    pub fn decode(&mut self, intake: &Intake) -> Decoded {
        let mut decoded = Decoded::default();
        let mut last: Option<(SchemaRef, usize)> = None;
        for row in 0..intake.len() {
            let payload = intake.payload(row);
            if payload.is_some_and(|bytes| bytes.len() > self.most) {
                decoded.faults.push((row, Fault::TooLarge));
                continue;
            }
            let (schema, body) = match split(payload) {
                Ok(parts) => parts,
                Err(fault) => {
                    decoded.faults.push((row, fault));
                    continue;
                }
            };
            let slot = match last {
                Some((same, slot)) if same == schema => Some(slot),
                _ => self.by_schema.get(&schema).copied(),
            };
            let Some(slot) = slot else {
                decoded.faults.push((row, Fault::UnknownSchema));
                continue;
            };
            last = Some((schema, slot));
            let Slot { decoder, rows } = &mut self.slots[slot];
            let pushed = decoder.as_mut().map_or(Err(Fault::IncompatibleSchema), |decoder| decoder.push(body));
            match pushed {
                Ok(()) => rows.push(row),
                Err(fault) => decoded.faults.push((row, fault)),
            }
        }
        for slot in &mut self.slots {
            slot.flush(&mut decoded);
        }
        decoded
    }

    fn announce(&self, schema: SchemaRef, decoder: &Result<Decoder, crate::schema::SchemaError>) {
        match decoder {
            Ok(decoder) if decoder.unclassified().is_empty() => {
                tracing::info!(product = %self.product, schema = ?schema, "new writer schema");
            }
            Ok(decoder) => tracing::warn!(
                product = %self.product,
                schema = ?schema,
                fields = decoder.unclassified().join(","),
                "a producer writes fields that the policy does not classify; they are not stored"
            ),
            Err(error) => tracing::error!(
                product = %self.product,
                schema = ?schema,
                %error,
                "a producer's schema does not resolve to the product's; its records go to the dead letters"
            ),
        }
    }
}

impl Slot {
    fn flush(&mut self, decoded: &mut Decoded) {
        let Some(decoder) = self.decoder.as_mut().filter(|_| !self.rows.is_empty()) else { return };
        let flushed = decoder.flush();
        let mut rows = std::mem::take(&mut self.rows);
        if !flushed.faults.is_empty() {
            decoded.faults.extend(flushed.faults.iter().map(|(index, fault)| (rows[*index], *fault)));
            let bad: BTreeSet<usize> = flushed.faults.iter().map(|(index, _)| *index).collect();
            let mut index = 0;
            rows.retain(|_| {
                index += 1;
                !bad.contains(&(index - 1))
            });
        }
        decoded.unclassified += decoder.unclassified().len() as u64 * rows.len() as u64;
        if !rows.is_empty() {
            decoded.batches.push((flushed.batch, rows));
        }
    }
}

fn split(payload: Option<&[u8]>) -> Result<(SchemaRef, &[u8]), Fault> {
    Ok(match frame(payload)? {
        Frame::Confluent { id, body } => (SchemaRef::Id(id), body),
        Frame::SingleObject { fingerprint, body } => (SchemaRef::Fingerprint(fingerprint), body),
    })
}
