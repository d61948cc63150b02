//! Moves records from a partition's intake to its product's gathering: decodes and tags them and
//! writes them to open segments. Faulty records become dead letters.

use chrono::TimeDelta;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;

use super::{BATCH, Lane, LaneRestart};
use crate::dead_letters::DeadLetter;
use crate::decode::RejectedRow;
use crate::partition_buffer::PartitionBuffer;
use crate::pending_batch::PartitionProgress;
use crate::schema_search::SchemaSearch;
use ebbtide_base::ids::{Offset, TopicPartition};
use ebbtide_base::record::Fault;
use ebbtide_policy::tag::Arrivals;

/// The longest time that the lane waits for look-ups of schemas in one pass over its partitions.
const PATIENCE: Duration = Duration::from_millis(500);

impl Lane {
    /// Processes every intake that is at least half a batch, or with `all` every intake that is not
    /// empty. Intakes of partitions that wait for a schema are skipped until it is time to request
    /// the schema again.
    ///
    /// Errors if the lane must join again.
    pub(super) fn process_waiting(&mut self, all: bool) -> Result<(), LaneRestart> {
        let half = (BATCH / 2, self.batch_bytes() / 2);
        let now = self.shared.clock.monotonic();
        for slot in 0..self.owned.len() {
            let owned = &self.owned[slot];
            let enough = all || owned.intake.len() >= half.0 || owned.intake.bytes() >= half.1;
            let held =
                owned.held.is_some_and(|until| now < until) || self.works[owned.work].is_held();
            if enough && !held && !owned.intake.is_empty() {
                let taken = self.shared.clock.monotonic().saturating_sub(now);
                self.process(slot, PATIENCE.saturating_sub(taken))?;
            }
        }
        // After `all`, the intakes that still wait are held: they are checked again after another
        // linger time.
        if all || self.waiting == 0 {
            self.waiting_since = None;
        }
        Ok(())
    }

    fn process(&mut self, slot: usize, patience: Duration) -> Result<(), LaneRestart> {
        if !self.resolve(slot, patience)? {
            return Ok(());
        }
        let usual = self.batch_bytes();
        let owned = &mut self.owned[slot];
        let mut intake = std::mem::take(&mut owned.intake);
        let search = std::mem::take(&mut owned.search);
        self.waiting -= intake.len();
        self.gather(slot, &intake, &search)
            .map_err(LaneRestart::because)?;
        intake.clear(usual);
        self.owned[slot].intake = intake;
        Ok(())
    }

    /// Finds the writer schemas of an intake. Returns false if the partition was revoked meanwhile,
    /// or is held because the registry does not answer yet or does not know a schema yet.
    /// Partitions of known schemas continue.
    fn resolve(&mut self, slot: usize, patience: Duration) -> Result<bool, LaneRestart> {
        let owned = &mut self.owned[slot];
        if !owned.live || owned.intake.is_empty() {
            return Ok(false);
        }
        let decoders = &mut self.works[owned.work].decoders;
        let resolving = decoders.resolve(&owned.intake, &mut owned.search, patience);
        match self.shared.runtime.block_on(resolving) {
            Ok(()) => self.release(slot).map(|()| true),
            Err(retry_after) => self.hold(slot, retry_after).map(|()| false),
        }
    }

    /// Ends reports about schemas that no partition waits for any more.
    pub(super) fn tend_schemas(&self) {
        // All products share one source of schemas.
        if let Some(work) = self.works.first() {
            work.decoders.tend();
        }
    }

    /// Fetches nothing more from a partition until `time` has passed; the others continue.
    fn hold(&mut self, slot: usize, time: Duration) -> Result<(), LaneRestart> {
        let until = self.shared.clock.monotonic() + time;
        let owned = &mut self.owned[slot];
        if owned.held.replace(until).is_none() {
            self.consumer
                .pause(&only(&owned.partition))
                .map_err(LaneRestart::because)?;
        }
        Ok(())
    }

    /// Ends the hold of a partition.
    pub(super) fn release(&mut self, slot: usize) -> Result<(), LaneRestart> {
        let owned = &mut self.owned[slot];
        // A product that waits is resumed as a whole.
        if owned.held.take().is_some() && !self.works[owned.work].hold.paused {
            self.consumer
                .resume(&only(&owned.partition))
                .map_err(LaneRestart::because)?;
        }
        Ok(())
    }

    fn gather(
        &mut self,
        slot: usize,
        intake: &PartitionBuffer,
        search: &SchemaSearch,
    ) -> Result<(), GatherError> {
        let owned = &self.owned[slot];
        let work = &mut self.works[owned.work];
        let decoded = work.decoders.decode(intake, search);
        let mut rejected = decoded.rejected;
        let at = self.shared.clock.now();
        let tolerance = tolerance(self.shared.settings.future_tolerance);
        for (batch, rows) in decoded.batches {
            let offsets: Vec<i64> = rows.iter().map(|row| intake.offset(*row)).collect();
            let from = Arrivals {
                source: &owned.partition,
                offsets: &offsets,
                at,
            };
            let tagged = work.tagger.tag(&batch, &from, tolerance)?;
            rejected.extend(
                tagged
                    .faults
                    .iter()
                    .map(|(row, fault)| RejectedRow::new(rows[*row], *fault)),
            );
            work.gathering.counts.expired += tagged.expired;
            work.gathering.counts.unparsed += tagged.unparsed;
            for (category, fields) in tagged.late_fields {
                *work
                    .gathering
                    .counts
                    .late_fields
                    .entry(category)
                    .or_default() += fields;
            }
            for group in tagged.groups {
                work.gathering.store(&work.spec, &work.version, group)?;
            }
        }
        work.gathering.counts.unclassified += decoded.unclassified;
        work.gathering.counts.bytes += intake.bytes() as u64;
        work.gathering.counts.skipped += decoded.skipped;
        rejected.sort_unstable_by_key(|rejected| rejected.row);
        for rejected in rejected {
            let letter = DeadLetter::of(intake, &owned.partition, &rejected);
            note(
                &owned.partition,
                intake.offset(rejected.row),
                rejected.fault,
            );
            work.gathering.refuse(letter, rejected.fault);
        }
        let last = intake.len() - 1;
        let reached = PartitionProgress {
            from: owned.committed,
            next: Offset(intake.offset(last)).next(),
            topic: owned.topic,
            records: intake.len() as u64,
            oldest: intake.timestamp(0),
        };
        work.gathering.reach(&owned.partition, reached);
        work.gathering
            .since
            .get_or_insert_with(|| self.shared.clock.monotonic());
        Ok(())
    }
}

/// The reason why a whole batch could not be gathered: a bug, never the fault of one record.
#[derive(Debug, thiserror::Error)]
enum GatherError {
    #[error("tagging failed: {0}")]
    Tag(#[from] ebbtide_policy::tag::TagError),
    #[error("encoding failed: {0}")]
    Segment(#[from] ebbtide_table::SegmentError),
}

fn only(partition: &TopicPartition) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition(partition.topic.as_str(), partition.partition.0);
    list
}

fn tolerance(time: Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX)
}

fn note(partition: &TopicPartition, offset: i64, fault: Fault) {
    tracing::debug!(source.partition = %partition, source.offset = offset, code = fault.code(), "dead letter");
}
