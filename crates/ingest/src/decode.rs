//! Turns the messages of one partition into Arrow batches: finds writer schemas, checks and decodes
//! bodies.
//!
//! A faulty message is rejected alone and does not affect other messages. If the registry cannot be
//! requested for a schema now, or may receive the schema in a moment, the record is not at fault:
//! nothing is consumed and the caller tries again.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::record_batch::RecordBatch;

use crate::partition_buffer::PartitionBuffer;
use crate::producer_schemas::{ProducerSchemas, SchemaLookup, SchemaRef};
use crate::schema_search::{LookupResults, SchemaSearch};
use ebbtide_base::ids::ProductKey;
use ebbtide_base::record::Fault;
use ebbtide_policy::OtherRecords;
use ebbtide_policy::schema::{Decoder, Schema, SchemaRefusal};

/// The wait before the outcomes of a search that still runs are looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Decodes one product's messages, one decoder for each schema that its producers write with.
pub struct Decoders {
    product: ProductKey,
    reader: Arc<Schema>,
    keep: BTreeSet<String>,
    others: OtherRecords,
    schemas: Arc<ProducerSchemas>,
    by_schema: HashMap<SchemaRef, usize>,
    slots: Vec<Slot>,
    /// The largest message that is decoded, in bytes.
    most: usize,
}

struct Slot {
    /// The decoder, or the reason why the writer's schema does not resolve to the product's.
    decoder: Result<Decoder, Arc<str>>,
    /// The rows of the buffer that were pushed to the decoder, in their order.
    rows: Vec<usize>,
}

/// The part of its schema that a product reads, and the treatment of records of other names.
#[derive(Clone)]
pub struct ReaderSpec {
    /// The product's schema.
    pub schema: Arc<Schema>,
    /// The columns that are built.
    pub keep: BTreeSet<String>,
    /// The treatment of records of other names.
    pub others: OtherRecords,
}

/// A row of a buffer that is sent to the dead letters.
#[derive(Debug, Clone)]
pub struct RejectedRow {
    /// The row.
    pub row: usize,
    /// The fault of the record.
    pub fault: Fault,
    /// Details of the fault that are not in the row's bytes, such as what is wrong with its schema.
    pub reason: Option<Arc<str>>,
}

impl RejectedRow {
    /// Creates a rejected row whose fault needs no details.
    #[must_use]
    pub fn new(row: usize, fault: Fault) -> Self {
        Self {
            row,
            fault,
            reason: None,
        }
    }
}

/// The result of decoding one buffer.
#[derive(Debug, Default)]
pub struct DecodedRows {
    /// Batches of the product's columns, each with the row of the buffer for each of its rows.
    pub batches: Vec<(RecordBatch, Vec<usize>)>,
    /// Rows of the buffer that are at fault.
    pub rejected: Vec<RejectedRow>,
    /// Records that are not the product's and that the policy skips.
    pub skipped: u64,
    /// Fields of records that the policy does not name, and that are therefore not stored.
    pub unclassified: u64,
}

impl Decoders {
    /// Creates an empty set of decoders for `product`.
    pub fn new(
        product: ProductKey,
        read_as: ReaderSpec,
        schemas: Arc<ProducerSchemas>,
        most: usize,
    ) -> Self {
        let ReaderSpec {
            schema: reader,
            keep,
            others,
        } = read_as;
        Self {
            product,
            reader,
            keep,
            others,
            schemas,
            by_schema: HashMap::new(),
            slots: Vec::new(),
            most,
        }
    }

    /// Finds the decoder of every schema that `buffer` names, or the reason why it has no decoder.
    /// Uses `search`, which belongs to the buffer. Waits at most `patience` for look-ups that it
    /// starts, and not for those that run already.
    ///
    /// Errors with the time after which to call again if look-ups still run, the registry cannot be
    /// asked now, or it may receive a schema in a moment. Decoders found so far are kept.
    pub async fn resolve(
        &mut self,
        buffer: &PartitionBuffer,
        search: &mut SchemaSearch,
        mut patience: Duration,
    ) -> Result<(), Duration> {
        if search.is_running() {
            patience = Duration::ZERO;
        } else {
            let missing = self.missing(buffer, search);
            if missing.is_empty() {
                return Ok(());
            }
            search.start(&self.schemas, &self.product, missing);
        }
        let found = search.finish(patience).await.ok_or(LOOK_AGAIN)?;
        self.settle_all(found, search)?;
        // Messages may have been added since the search began.
        if self.missing(buffer, search).is_empty() {
            Ok(())
        } else {
            Err(LOOK_AGAIN)
        }
    }

    /// Ends reports about schemas that no partition waits for any more.
    pub fn tend(&self) {
        self.schemas.tend();
    }

    /// Returns the schemas of `buffer`, each once, that have neither a decoder nor a reason for its
    /// absence, and for which the registry must be asked.
    fn missing(&mut self, buffer: &PartitionBuffer, search: &mut SchemaSearch) -> Vec<SchemaRef> {
        let (mut missing, mut seen) = (Vec::new(), HashSet::new());
        let mut last = None;
        for row in 0..buffer.len() {
            let Ok((schema, _)) = buffer.framed(row) else {
                continue;
            };
            if last.replace(schema) == Some(schema) || self.by_schema.contains_key(&schema) {
                continue;
            }
            if search.refusal(schema).is_some() || !seen.insert(schema) {
                continue;
            }
            match self.schemas.known(schema) {
                Some(known) => self.settle(schema, known, search),
                None => missing.push(schema),
            }
        }
        missing
    }

    /// Errors with the shortest wait of the look-ups that have no outcome.
    fn settle_all(
        &mut self,
        found: LookupResults,
        search: &mut SchemaSearch,
    ) -> Result<(), Duration> {
        let mut wait: Option<Duration> = None;
        for (schema, found) in found {
            match found {
                Ok(found) => self.settle(schema, found, search),
                Err(delay) => {
                    let retry_after = delay.retry_after();
                    wait = Some(wait.map_or(retry_after, |wait| wait.min(retry_after)));
                }
            }
        }
        wait.map_or(Ok(()), Err)
    }

    fn settle(&mut self, schema: SchemaRef, found: SchemaLookup, search: &mut SchemaSearch) {
        match found {
            // Another partition's search may have found it before.
            SchemaLookup::Schema(_) if self.by_schema.contains_key(&schema) => {}
            SchemaLookup::Schema(writer) => {
                let decoder = Decoder::new(&writer, &self.reader, &self.keep);
                self.add(schema, decoder.map_err(|error| error.brief().into()));
            }
            SchemaLookup::Unusable(reason) => {
                self.report_unusable(schema, &reason);
                search.refuse(schema, Fault::IncompatibleSchema, reason);
            }
            SchemaLookup::Unknown(reason) => search.refuse(schema, Fault::UnknownSchema, reason),
        }
    }

    fn add(&mut self, schema: SchemaRef, decoder: Result<Decoder, Arc<str>>) {
        self.announce(schema, &decoder);
        self.by_schema.insert(schema, self.slots.len());
        self.slots.push(Slot {
            decoder,
            rows: Vec::new(),
        });
    }

    /// Decodes all of `buffer`, after [`Decoders::resolve`] with the same `search`.
    pub fn decode(&mut self, buffer: &PartitionBuffer, search: &SchemaSearch) -> DecodedRows {
        let mut decoded = DecodedRows::default();
        let mut last: Option<(SchemaRef, usize)> = None;
        for row in 0..buffer.len() {
            if buffer.payload_len(row) > self.most {
                decoded
                    .rejected
                    .push(RejectedRow::new(row, Fault::TooLarge));
                continue;
            }
            let (schema, body) = match buffer.framed(row) {
                Ok(parts) => parts,
                Err(fault) => {
                    decoded.rejected.push(RejectedRow::new(row, fault));
                    continue;
                }
            };
            let slot = match last {
                Some((same, slot)) if same == schema => Some(slot),
                _ => self.by_schema.get(&schema).copied(),
            };
            let Some(slot) = slot else {
                decoded.rejected.push(without_schema(row, schema, search));
                continue;
            };
            last = Some((schema, slot));
            self.slots[slot].push(row, body, self.others, &mut decoded);
        }
        for slot in &mut self.slots {
            slot.flush(&mut decoded);
        }
        decoded
    }

    fn announce(&self, schema: SchemaRef, decoder: &Result<Decoder, Arc<str>>) {
        if !self.schemas.is_first_report(&self.product, schema) {
            return;
        }
        let decoder = match decoder {
            Ok(decoder) => decoder,
            Err(reason) => {
                tracing::error!(
                    product = %self.product,
                    %schema,
                    %reason,
                    "a producer's schema does not resolve to the product's; its records go to the dead letters"
                );
                return;
            }
        };
        tracing::info!(product = %self.product, %schema, "new writer schema");
        if !decoder.unclassified().is_empty() {
            tracing::warn!(
                product = %self.product,
                %schema,
                fields = decoder.unclassified().join(","),
                "a producer writes fields that the policy does not classify; they are not stored"
            );
        }
        let mut reported = BTreeSet::new();
        for refusal in decoder
            .refusals()
            .iter()
            .filter(|refusal| reported.insert(refusal.reason.as_str()))
        {
            let reason = &refusal.reason;
            if skips(self.others, refusal) {
                tracing::info!(product = %self.product, %schema, reason, "records of a schema are skipped");
            } else {
                tracing::warn!(
                    product = %self.product,
                    %schema,
                    reason,
                    "records of a schema go to the dead letters"
                );
            }
        }
    }

    fn report_unusable(&self, schema: SchemaRef, reason: &str) {
        if self.schemas.is_first_report(&self.product, schema) {
            tracing::error!(
                product = %self.product,
                %schema,
                reason,
                "a schema of the registry cannot be used; its records go to the dead letters"
            );
        }
    }
}

fn without_schema(row: usize, schema: SchemaRef, search: &SchemaSearch) -> RejectedRow {
    match search.refusal(schema) {
        Some((fault, reason)) => RejectedRow {
            row,
            fault: *fault,
            reason: Some(Arc::clone(reason)),
        },
        None => RejectedRow {
            row,
            fault: Fault::UnknownSchema,
            reason: Some(schema.to_string().into()),
        },
    }
}

/// Returns true if the policy skips records that are refused for this reason.
fn skips(others: OtherRecords, refusal: &SchemaRefusal) -> bool {
    refusal.is_other_record && others == OtherRecords::Skip
}

impl Slot {
    fn push(&mut self, row: usize, body: &[u8], others: OtherRecords, decoded: &mut DecodedRows) {
        let decoder = match &mut self.decoder {
            Ok(decoder) => decoder,
            Err(reason) => {
                let (fault, reason) = (Fault::IncompatibleSchema, Some(Arc::clone(reason)));
                decoded.rejected.push(RejectedRow { row, fault, reason });
                return;
            }
        };
        let Err(fault) = decoder.push(body) else {
            self.rows.push(row);
            return;
        };
        match decoder.refused() {
            Some(refusal) if skips(others, refusal) => decoded.skipped += 1,
            refusal => {
                let reason = refusal.map(|refusal| refusal.reason.as_str().into());
                decoded.rejected.push(RejectedRow { row, fault, reason });
            }
        }
    }

    fn flush(&mut self, decoded: &mut DecodedRows) {
        let Some(decoder) = self.decoder.as_mut().ok().filter(|_| !self.rows.is_empty()) else {
            return;
        };
        let flushed = decoder.flush();
        let mut rows = std::mem::take(&mut self.rows);
        if !flushed.faults.is_empty() {
            decoded.rejected.extend(
                flushed
                    .faults
                    .iter()
                    .map(|(index, fault)| RejectedRow::new(rows[*index], *fault)),
            );
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
