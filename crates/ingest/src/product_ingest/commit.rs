//! Commits a product's batch to its table: writes files, delivers dead letters, makes one Delta
//! commit, then commits Kafka's own offsets.
//!
//! This order ensures that no crash between two steps loses a record or stores one twice, and that
//! a store that accepts no file causes no second dead letter. A commit that lost its offsets to
//! another owner is dropped completely.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use uuid::Uuid;

use super::ProductIngest;
use crate::batch_coverage::{BatchCoverage, CommitStamp, PartitionCoverage};
use crate::lane_io::{LaneIo, LaneRestart};
use crate::pending_commit::PendingCommit;
use ebbtide_base::failpoint;
use ebbtide_base::health::Component;
use ebbtide_base::ids::TopicPartition;
use ebbtide_controls::no_longer_active;
use ebbtide_table::{CommitError, SegmentWriter};

/// The number of refused commits of one product in a row before they are reported. One may be
/// refused when partitions move.
const REFUSED_IN_A_ROW: u32 = 3;

impl ProductIngest {
    /// Does the next step of the product, unless it is paused.
    ///
    /// Errors if the lane must join again.
    pub fn attend(&mut self, io: &mut LaneIo, now: Duration) -> Result<(), LaneRestart> {
        if self.pause.continues(now) {
            return Ok(());
        }
        if self.pending.is_some() {
            return self.advance(io);
        }
        if self.pause.stops_fetching {
            self.resume(io)?;
        }
        if self.is_due(now) {
            self.commit(io)
        } else {
            Ok(())
        }
    }

    /// Commits all gathered data, or continues the commit that is pending.
    pub fn finish(&mut self, io: &mut LaneIo) -> Result<(), LaneRestart> {
        if self.pending.is_some() {
            self.advance(io)
        } else if self.pipeline.batch.coverage.is_empty() {
            Ok(())
        } else {
            self.commit(io)
        }
    }

    /// Begins the commit of the gathered data.
    pub fn commit(&mut self, io: &mut LaneIo) -> Result<(), LaneRestart> {
        if !self.topics_unchanged(io)? {
            return Ok(());
        }
        self.trigger.jitter();
        let began = io.now();
        let batch = std::mem::take(&mut self.pipeline.batch);
        // From here on, the partitions of the batch count as being committed.
        self.pending = Some(PendingCommit {
            coverage: batch.coverage,
            segments: Vec::new(),
            controls: self.controls,
            stamp: self.stamp(io),
            letters: batch.letters,
            delivery: None,
            began,
            may_have_landed: false,
        });
        let encoded = batch.segments.into_values().map(SegmentWriter::finish);
        let written = io.tables.put_all(&self.product, encoded);
        let (segments, failure) = written.map_err(LaneRestart::because)?;
        if let Some(pending) = &mut self.pending {
            pending.segments = segments;
        }
        let Some(error) = failure else {
            return self.advance(io);
        };
        let product = &self.product;
        if io
            .deps
            .health
            .trouble(Component::Table(product.clone()), error.to_string())
        {
            tracing::error!(%error, %product, "a segment could not be written; its records are read again");
        }
        self.count(io, "failed");
        self.go_back(io)?;
        self.pause_after_failure(io)
    }

    fn stamp(&self, io: &LaneIo) -> CommitStamp {
        CommitStamp {
            commit: Uuid::new_v4(),
            writer: io.deps.instance,
            at: io.deps.clock.now(),
            policy: self.pipeline.version.clone(),
        }
    }

    /// Advances a written batch until a step must wait.
    pub fn advance(&mut self, io: &LaneIo) -> Result<(), LaneRestart> {
        if !self.deliver(io)? {
            return Ok(());
        }
        failpoint::reach("dead-letters-delivered");
        self.land(io)
    }

    /// Commits a batch whose dead letters are delivered. If the store does not answer, the batch is
    /// kept and tried again after a pause.
    fn land(&mut self, io: &LaneIo) -> Result<(), LaneRestart> {
        let Some(pending) = &mut self.pending else {
            return Ok(());
        };
        let before = io.tables.lost_races(&self.product);
        let mut attempt = pending.attempt();
        let done = io.tables.commit(&self.product, &mut attempt);
        // The version is newer if controls were added that do not change the work of ingest.
        pending.controls = attempt.controls;
        self.count_raced(io, io.tables.lost_races(&self.product) - before);
        match done {
            Ok(version) => {
                tracing::debug!(product = %self.product, table.version = version, "committed");
                io.deps.health.over(&Component::Table(self.product.clone()));
                self.landed(io)
            }
            Err(error @ (CommitError::Store(_) | CommitError::Unknown(_))) => {
                self.keep_for_retry(io, &error)
            }
            Err(CommitError::PolicyMoved { active }) => {
                self.count(io, "conflict");
                self.discard_unusable(io);
                Err(LaneRestart::for_good(no_longer_active(
                    self.pipeline.version.as_str(),
                    &active,
                )))
            }
            Err(error @ CommitError::OtherColumns { .. }) => {
                self.count(io, "conflict");
                self.discard_unusable(io);
                Err(LaneRestart::for_good(error))
            }
            Err(error) => self.drop_refused(io, &error),
        }
    }

    /// Keeps a batch that the store did not accept or may have accepted, and drops it once it is too
    /// old.
    fn keep_for_retry(&mut self, io: &LaneIo, error: &CommitError) -> Result<(), LaneRestart> {
        let product = &self.product;
        self.count(io, "failed");
        if io
            .deps
            .health
            .trouble(Component::Table(product.clone()), error.to_string())
        {
            tracing::error!(%error, %product, "waiting for the store");
        }
        let Some(pending) = &mut self.pending else {
            return Ok(());
        };
        pending.may_have_landed |= matches!(error, CommitError::Unknown(_));
        if io.now().saturating_sub(pending.began) > io.deps.pending_limit {
            // Its files are soon old enough for the janitor to treat them as orphans.
            tracing::warn!(%product, "a batch waited for too long; its records are read again");
            self.go_back(io)?;
        }
        self.pause_after_failure(io)
    }

    /// Deletes the files of a batch that no commit of this process can add any more.
    fn discard_unusable(&mut self, io: &LaneIo) {
        if let Some(pending) = self.pending.take() {
            io.tables.discard(&self.product, pending.segments);
        }
    }

    /// Drops a batch that the table refuses. Its records are read again after a pause.
    fn drop_refused(&mut self, io: &LaneIo, error: &CommitError) -> Result<(), LaneRestart> {
        let product = self.product.clone();
        self.count(io, "conflict");
        tracing::warn!(%error, %product, "commit refused; what it held is dropped and read again");
        if matches!(error, CommitError::SchemaMoved) {
            self.discard_pending(io);
            return Err(LaneRestart::because(format!("{product}: {error}")));
        }
        let moved = self.reload_offsets(io)?;
        self.go_back_with(io, moved)?;
        self.pause_after_failure(io)?;
        let failures = self.pause.failures();
        if failures >= REFUSED_IN_A_ROW {
            let why = format!("{failures} commits in a row failed or were refused: {error}");
            io.deps.health.trouble(Component::Table(product), why);
        }
        Ok(())
    }

    /// Loads the table's offsets of the product's partitions again, after another writer moved
    /// them. Returns the partitions whose offset was moved.
    fn reload_offsets(&mut self, io: &LaneIo) -> Result<BTreeSet<TopicPartition>, LaneRestart> {
        // The version is taken before the controls are read, so that the controls are never older
        // than the version.
        let acted_on = io.tables.controls(&self.product);
        let controls = io.tables.newest_controls().map_err(LaneRestart::because)?;
        self.act_on(acted_on, &controls);
        let mut moved = BTreeSet::new();
        for (partition, owned) in &mut self.partitions {
            if owned.reload(io.tables.next_offset(&self.product, partition)) {
                moved.insert(partition.clone());
            }
        }
        Ok(moved)
    }

    fn landed(&mut self, io: &LaneIo) -> Result<(), LaneRestart> {
        let Some(pending) = self.pending.take() else {
            return Ok(());
        };
        self.count_landed(io, &pending.coverage, pending.began);
        self.pause.reset();
        self.controls = pending.controls;
        let mut list = TopicPartitionList::new();
        for (partition, covered) in &pending.coverage.partitions {
            io.deps.dead_letters.settle(partition, covered.next);
            let Some(owned) = self.partitions.get_mut(partition) else {
                continue;
            };
            owned.committed = Some(covered.next);
            let (topic, number) = (partition.topic.as_str(), partition.partition.0);
            list.add_partition_offset(topic, number, KafkaOffset::Offset(covered.next.0))
                .map_err(LaneRestart::because)?;
        }
        failpoint::reach("before-kafka-offsets");
        if list.count() > 0
            && let Err(error) = io.consumer.commit(&list, CommitMode::Async)
        {
            tracing::debug!(%error, "kafka offset commit failed; only dashboards read it");
        }
        Ok(())
    }

    /// Commits the offsets at which reading of those of `partitions` begins that have no offset in
    /// the table, with the ids of their topics. So a topic that is recreated before its first
    /// records are committed is noticed.
    ///
    /// A failed commit is not repeated: the first commit of records has the same effect.
    pub fn record_starts(&mut self, io: &LaneIo, partitions: &[TopicPartition]) {
        let (mut starts, began) = (BatchCoverage::default(), io.now());
        for partition in partitions {
            if let Some(owned) = self.partitions.get(partition)
                && owned.committed.is_none()
            {
                let start = PartitionCoverage {
                    from: None,
                    next: owned.first,
                    topic: owned.topic,
                    records: 0,
                    oldest: None,
                };
                starts.extend(partition, start, began);
            }
        }
        if starts.is_empty() {
            return;
        }
        let mut commit = starts.commit(&self.stamp(io), Vec::new(), self.controls);
        if let Err(error) = io.tables.commit(&self.product, &mut commit) {
            tracing::warn!(%error, product = %self.product, "the start of new partitions is recorded with their first records");
            return;
        }
        self.count_landed(io, &starts, began);
        for (partition, covered) in &starts.partitions {
            if let Some(owned) = self.partitions.get_mut(partition) {
                owned.committed = Some(covered.next);
            }
        }
    }
}
