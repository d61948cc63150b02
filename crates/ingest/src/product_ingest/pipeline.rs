//! From the messages of a partition to the product's batch: finds their schemas, decodes and tags
//! them, and writes them to open segments. Faulty records become dead letters.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use crate::batch_coverage::PartitionCoverage;
use crate::dead_letters::DeadLetter;
use crate::decode::{Decoders, RejectedRow};
use crate::lane_io::LaneIo;
use crate::lane_partition::LanePartition;
use crate::pending_batch::PendingBatch;
use ebbtide_base::ids::{Offset, PolicyVersion, TopicPartition};
use ebbtide_base::record::Fault;
use ebbtide_policy::tag::{Arrivals, Tagger};
use ebbtide_table::TableSpec;

/// Turns a product's messages into the rows of its next commit.
pub struct ProductPipeline {
    /// The layout of the product's table.
    pub spec: Arc<TableSpec>,
    /// The policy by which records are tagged.
    pub version: PolicyVersion,
    /// Decodes bytes to batches.
    pub decoders: Decoders,
    /// Turns batches into tagged groups.
    pub tagger: Tagger,
    /// The data gathered since the last commit.
    pub batch: PendingBatch,
}

/// The reason why a whole batch could not be gathered: a bug, never the fault of one record.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// The tagger failed.
    #[error("tagging failed: {0}")]
    Tag(#[from] ebbtide_policy::tag::TagError),
    /// A segment could not be encoded.
    #[error("encoding failed: {0}")]
    Segment(#[from] ebbtide_table::SegmentError),
}

impl ProductPipeline {
    /// Finds the schemas of the messages that wait in a partition. Errors with the time after which
    /// to try again, if the registry does not answer yet or does not know a schema yet.
    pub fn resolve(
        &mut self,
        io: &LaneIo,
        owned: &mut LanePartition,
        patience: Duration,
    ) -> Result<(), Duration> {
        let resolving = self
            .decoders
            .resolve(&owned.buffer, &mut owned.search, patience);
        io.deps.runtime.block_on(resolving)
    }

    /// Gathers all messages that wait in a partition, of which there is at least one, after
    /// [`ProductPipeline::resolve`].
    pub fn gather(
        &mut self,
        io: &LaneIo,
        partition: &TopicPartition,
        owned: &LanePartition,
    ) -> Result<(), GatherError> {
        let (buffer, batch) = (&owned.buffer, &mut self.batch);
        let decoded = self.decoders.decode(buffer, &owned.search);
        let mut rejected = decoded.rejected;
        let at = io.deps.clock.now();
        let tolerance = tolerance(io.deps.settings.future_tolerance);
        for (columns, rows) in decoded.batches {
            let offsets: Vec<i64> = rows.iter().map(|row| buffer.offset(*row)).collect();
            let from = Arrivals {
                source: partition,
                offsets: &offsets,
                at,
            };
            let tagged = self.tagger.tag(&columns, &from, tolerance)?;
            rejected.extend(
                tagged
                    .faults
                    .iter()
                    .map(|(row, fault)| RejectedRow::new(rows[*row], *fault)),
            );
            batch.coverage.expired += tagged.expired;
            batch.coverage.unparsed += tagged.unparsed;
            for (category, fields) in tagged.late_fields {
                *batch.coverage.late_fields.entry(category).or_default() += fields;
            }
            for group in tagged.groups {
                batch.store(&self.spec, &self.version, group)?;
            }
        }
        batch.coverage.unclassified += decoded.unclassified;
        batch.coverage.bytes += buffer.bytes() as u64;
        batch.coverage.skipped += decoded.skipped;
        rejected.sort_unstable_by_key(|rejected| rejected.row);
        for rejected in rejected {
            let letter = DeadLetter::of(buffer, partition, &rejected);
            log_letter(partition, buffer.offset(rejected.row), rejected.fault);
            batch.refuse(letter, rejected.fault);
        }
        let last = buffer.len() - 1;
        let read = PartitionCoverage {
            from: owned.committed,
            next: Offset(buffer.offset(last)).next(),
            topic: owned.topic,
            records: buffer.len() as u64,
            oldest: buffer.timestamp(0),
        };
        batch.coverage.extend(partition, read, io.now());
        Ok(())
    }
}

fn tolerance(time: Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX)
}

fn log_letter(partition: &TopicPartition, offset: i64, fault: Fault) {
    tracing::debug!(source.partition = %partition, source.offset = offset, code = fault.code(), "dead letter");
}
