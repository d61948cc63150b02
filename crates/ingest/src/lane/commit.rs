//! Commits a product's gathering to its table: writes files, delivers dead letters, makes one Delta
//! commit, then commits Kafka's own offsets.
//!
//! This order ensures that no crash between two steps loses a record or stores one twice, and that
//! a store that accepts no file causes no second dead letter. A product whose step fails waits
//! alone; the lane continues with the others. A commit that lost its offsets to another owner is
//! dropped completely.

use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::{Lane, LaneRestart};
use crate::dead_letters::DeliveryOutcome;
use crate::evidence::evidence;
use crate::pending::PendingCommit;
use crate::pending_batch::{PartitionProgress, PendingBatch};
use ebbtide_base::failpoint;
use ebbtide_base::health::Component;
use ebbtide_base::ids::TopicPartition;
use ebbtide_controls::no_longer_active;
use ebbtide_table::{CommitError, IngestCommit, OffsetAdvance, SegmentWriter};

/// The time that a lane waits for the delivery of dead letters before it continues with other
/// products.
const PROMPT: Duration = Duration::from_millis(200);
/// The time that a delivery may take before it is reported.
const SLOW: Duration = Duration::from_secs(10);
/// The number of refused commits of one product in a row before they are reported. One may be
/// refused when partitions move.
const REFUSED_IN_A_ROW: u32 = 3;

impl Lane {
    /// Commits every product whose gathering is large or old enough, and the largest while all
    /// together are too large. Continues the products whose wait has ended.
    ///
    /// Errors if the lane must join again.
    pub(super) fn commit_due(&mut self, now: Duration) -> Result<(), LaneRestart> {
        if std::mem::take(&mut self.fresh) {
            self.pause_held()?;
        }
        for index in 0..self.works.len() {
            self.attend(index, now)?;
        }
        // The rest of the memory is for the client's queue, the batch that is being processed, and
        // the segments that are being closed and written.
        let budget = self.shared.lane_memory / 4;
        loop {
            let sizes: Vec<usize> = self
                .works
                .iter()
                .map(|work| work.gathering.memory())
                .collect();
            let largest = (0..sizes.len())
                .filter(|index| !self.works[*index].is_held())
                .max_by_key(|index| sizes[*index]);
            match largest {
                Some(index) if sizes.iter().sum::<usize>() > budget && sizes[index] > 0 => {
                    self.commit(index)?
                }
                _ => return Ok(()),
            }
        }
    }

    /// Commits the remaining data and leaves the group, within the time that a stop may take.
    pub(super) fn finish(&mut self) -> Result<(), LaneRestart> {
        let until = self.shared.clock.monotonic() + self.shared.settings.shutdown_timeout / 2;
        self.process_waiting(true)?;
        self.pass_gaps();
        for index in 0..self.works.len() {
            if self.shared.clock.monotonic() >= until {
                break;
            }
            if self.works[index].pending.is_some() {
                self.advance(index)?;
            } else if !self.works[index].gathering.is_empty() {
                self.commit(index)?;
            }
        }
        while self.works.iter().any(|work| work.is_delivering())
            && self.shared.clock.monotonic() < until
        {
            std::thread::sleep(Duration::from_millis(20));
            for index in 0..self.works.len() {
                if self.works[index].is_delivering() {
                    self.advance(index)?;
                }
            }
        }
        self.consumer.unsubscribe();
        Ok(())
    }

    /// Does the next step of one product, unless it waits.
    fn attend(&mut self, index: usize, now: Duration) -> Result<(), LaneRestart> {
        let work = &mut self.works[index];
        if work.hold.waits(now) {
            return Ok(());
        }
        if work.pending.is_some() {
            return self.advance(index);
        }
        if work.hold.paused {
            self.resume_product(index)?;
        }
        if self.works[index].is_due(now) {
            self.commit(index)
        } else {
            Ok(())
        }
    }

    fn commit(&mut self, index: usize) -> Result<(), LaneRestart> {
        if !self.topics_unchanged(index)? {
            return Ok(());
        }
        let work = &mut self.works[index];
        work.pace.jitter();
        let mut gathering = std::mem::take(&mut work.gathering);
        work.in_flight = gathering.reached.keys().cloned().collect();
        let letters = std::mem::take(&mut gathering.letters);
        let unparsed = std::mem::take(&mut gathering.counts.unparsed);
        let (bytes, since) = (gathering.counts.bytes, self.shared.clock.monotonic());
        let Some(batch) = self.write(index, gathering)? else {
            return Ok(());
        };
        let pending = PendingCommit {
            batch,
            letters,
            delivery: None,
            bytes,
            unparsed,
            since,
            may_have_landed: false,
        };
        self.works[index].pending = Some(pending);
        self.advance(index)
    }

    /// Advances a written batch by as many steps as possible.
    fn advance(&mut self, index: usize) -> Result<(), LaneRestart> {
        if !self.deliver(index)? {
            return Ok(());
        }
        failpoint::reach("dead-letters-delivered");
        self.land(index)
    }

    /// Encodes and writes the segments of a gathering. Returns `None` if that failed: the gathering
    /// was dropped and is read again after a wait.
    fn write(
        &mut self,
        index: usize,
        gathering: PendingBatch,
    ) -> Result<Option<IngestCommit>, LaneRestart> {
        let now = self.shared.clock.now();
        let evidence = evidence(
            &gathering,
            &self.works[index].version,
            self.shared.instance,
            now,
        );
        let advances = advances(&gathering);
        let encoded = gathering.segments.into_values().map(SegmentWriter::finish);
        let written = self.tables.put_all(&self.works[index].product, encoded);
        let (segments, failure) = written.map_err(LaneRestart::because)?;
        let controls = self.works[index].controls;
        let batch = IngestCommit {
            segments,
            advances,
            controls,
            evidence,
        };
        let Some(error) = failure else {
            return Ok(Some(batch));
        };
        let product = self.works[index].product.clone();
        if self
            .shared
            .health
            .trouble(Component::Table(product.clone()), error.to_string())
        {
            tracing::error!(%error, %product, "a segment could not be written; its records are read again");
        }
        self.count(&product, "failed");
        self.tables.discard(&product, batch.segments);
        self.go_back(index)?;
        self.hold_product(index)?;
        Ok(None)
    }

    /// Delivers the dead letters of a batch, as far as the brokers accept them now. Returns true if
    /// no letter is left.
    fn deliver(&mut self, index: usize) -> Result<bool, LaneRestart> {
        let now = self.shared.clock.monotonic();
        let product = self.works[index].product.clone();
        let Some(pending) = self.works[index].pending.as_mut() else {
            return Ok(false);
        };
        let mut delivery = match pending.delivery.take() {
            Some(delivery) if !delivery.is_finished() => {
                pending.delivery = Some(delivery);
                self.report_slow(index, now);
                return Ok(false);
            }
            Some(delivery) => delivery,
            None if pending.letters.is_empty() => return Ok(true),
            None => {
                let (runtime, letters) =
                    (&self.shared.runtime, std::mem::take(&mut pending.letters));
                self.shared
                    .dead_letters
                    .start(runtime, Some(&product), letters)
            }
        };
        let done = self
            .shared
            .runtime
            .block_on(async { tokio::time::timeout(PROMPT, &mut delivery).await });
        let Ok(done) = done else {
            pending.delivery = Some(delivery);
            self.pause_product(index)?;
            return Ok(false);
        };
        let DeliveryOutcome {
            undelivered,
            waiting,
        } = done.map_err(|error| LaneRestart::because(format!("dead letters: {error}")))?;
        let Some(wait) = waiting else {
            self.shared.health.over(&Component::Letters(product));
            return Ok(true);
        };
        pending.letters = undelivered;
        if self
            .shared
            .health
            .trouble(Component::Letters(product.clone()), wait.to_string())
        {
            tracing::error!(%product, letters = pending.letters.len(), "waiting: {wait}");
        }
        self.hold_product(index)?;
        Ok(false)
    }

    /// Reports a delivery that the brokers do not acknowledge.
    fn report_slow(&self, index: usize, now: Duration) {
        let work = &self.works[index];
        let Some(since) = work.pending.as_ref().map(|pending| pending.since) else {
            return;
        };
        // After a failure, the reason of the failure is more specific.
        if work.hold.failures == 0 && now.saturating_sub(since) > SLOW {
            let topic = self.shared.dead_letters.topic();
            let why = format!(
                "topic {topic} has not acknowledged dead letters; the client goes on trying"
            );
            if self
                .shared
                .health
                .trouble(Component::Letters(work.product.clone()), why.clone())
            {
                tracing::warn!(product = %work.product, "waiting: {why}");
            }
        }
    }

    /// Commits a batch whose dead letters are delivered. If the store does not answer, the batch is
    /// kept and tried again after a wait.
    fn land(&mut self, index: usize) -> Result<(), LaneRestart> {
        let Some(mut pending) = self.works[index].pending.take() else {
            return Ok(());
        };
        let product = self.works[index].product.clone();
        let before = self.tables.lost_races(&product);
        let done = self.tables.commit(&product, &mut pending.batch);
        self.count_raced(&product, self.tables.lost_races(&product) - before);
        let error = match done {
            Ok(version) => {
                tracing::debug!(%product, table.version = version, "committed");
                self.shared.health.over(&Component::Table(product.clone()));
                let took = self.shared.clock.monotonic().saturating_sub(pending.since);
                self.count_landed(&product, &pending.batch.evidence, pending.bytes, took);
                self.count_unparsed(&product, pending.unparsed);
                return self.landed(index, &pending.batch);
            }
            Err(error) => error,
        };
        match &error {
            CommitError::Store(_) | CommitError::Unknown(_) => {
                self.count(&product, "failed");
                if self
                    .shared
                    .health
                    .trouble(Component::Table(product.clone()), error.to_string())
                {
                    tracing::error!(%error, %product, "waiting for the store");
                }
                pending.may_have_landed |= matches!(error, CommitError::Unknown(_));
                let age = self.shared.clock.monotonic().saturating_sub(pending.since);
                self.works[index].pending = Some(pending);
                if age > self.shared.pending_limit {
                    // Its files are soon old enough for the janitor to treat them as orphans.
                    tracing::warn!(%product, "a batch waited for too long; its records are read again");
                    self.go_back(index)?;
                }
                self.hold_product(index)
            }
            CommitError::PolicyMoved { active } => {
                self.count(&product, "conflict");
                self.tables.discard(&product, pending.batch.segments);
                let own = &self.works[index].version;
                Err(LaneRestart::for_good(no_longer_active(
                    own.as_str(),
                    active,
                )))
            }
            CommitError::OtherColumns { .. } => {
                self.count(&product, "conflict");
                self.tables.discard(&product, pending.batch.segments);
                Err(LaneRestart::for_good(error))
            }
            _ => {
                self.works[index].pending = Some(pending);
                self.drop_refused(index, &error)
            }
        }
    }

    /// Drops a batch that the table refuses. Its records are read again after a wait.
    fn drop_refused(&mut self, index: usize, error: &CommitError) -> Result<(), LaneRestart> {
        let product = self.works[index].product.clone();
        self.count(&product, "conflict");
        tracing::warn!(%error, %product, "commit refused; what it held is dropped and read again");
        if matches!(error, CommitError::SchemaMoved) {
            self.discard_pending(index);
            return Err(LaneRestart::because(format!("{product}: {error}")));
        }
        self.stand_anew(index)?;
        self.go_back(index)?;
        self.hold_product(index)?;
        let failures = self.works[index].hold.failures;
        if failures >= REFUSED_IN_A_ROW {
            let why = format!("{failures} commits in a row failed or were refused: {error}");
            self.shared.health.trouble(Component::Table(product), why);
        }
        Ok(())
    }

    /// Commits the offsets at which reading of partitions without an offset in the table begins,
    /// with the ids of their topics. So a topic that is recreated before its first records are
    /// committed is noticed.
    ///
    /// A failed commit is not repeated: the first commit of records has the same effect.
    pub(super) fn record_starts(&mut self, partitions: &[TopicPartition]) {
        for index in 0..self.works.len() {
            let mut gathering = PendingBatch::default();
            for owned in partitions
                .iter()
                .filter_map(|partition| self.slots.get(partition))
                .map(|slot| &self.owned[*slot])
            {
                if owned.live && owned.work == index && owned.committed.is_none() {
                    let start = PartitionProgress {
                        from: None,
                        next: owned.first,
                        topic: owned.topic,
                        records: 0,
                        oldest: None,
                    };
                    gathering.reach(&owned.partition, start);
                }
            }
            if !gathering.is_empty() {
                self.commit_starts(index, &gathering);
            }
        }
    }

    fn commit_starts(&mut self, index: usize, gathering: &PendingBatch) {
        let work = &self.works[index];
        let (product, began) = (work.product.clone(), self.shared.clock.monotonic());
        let evidence = evidence(
            gathering,
            &work.version,
            self.shared.instance,
            self.shared.clock.now(),
        );
        let advances = advances(gathering);
        let mut batch = IngestCommit {
            segments: Vec::new(),
            advances,
            controls: work.controls,
            evidence,
        };
        if let Err(error) = self.tables.commit(&product, &mut batch) {
            tracing::warn!(%error, %product, "the start of new partitions is recorded with their first records");
            return;
        }
        self.count_landed(
            &product,
            &batch.evidence,
            0,
            self.shared.clock.monotonic().saturating_sub(began),
        );
        for advance in batch.advances {
            if let Some(slot) = self.slots.get(&advance.partition) {
                self.owned[*slot].committed = Some(advance.next);
            }
        }
    }

    /// Loads the table's offsets of the product's partitions again, after another writer moved
    /// them.
    fn stand_anew(&mut self, index: usize) -> Result<(), LaneRestart> {
        let product = &self.works[index].product.clone();
        // The version is taken before the controls are read, so that the controls are never older
        // than the version.
        let acted_on = self.tables.controls(product);
        let controls = self
            .tables
            .newest_controls()
            .map_err(LaneRestart::because)?;
        self.works[index].act_on(acted_on, &controls);
        for owned in self
            .owned
            .iter_mut()
            .filter(|owned| owned.work == index && owned.live)
        {
            owned.committed = self.tables.stands(product, &owned.partition);
        }
        Ok(())
    }

    fn landed(&mut self, index: usize, batch: &IngestCommit) -> Result<(), LaneRestart> {
        self.works[index].in_flight.clear();
        self.works[index].hold.land();
        // The version is newer if controls were added that do not change the work of ingest.
        self.works[index].controls = batch.controls;
        let mut list = TopicPartitionList::new();
        for OffsetAdvance {
            partition, next, ..
        } in &batch.advances
        {
            self.shared.dead_letters.settle(partition, *next);
            let Some(owned) = self
                .slots
                .get(partition)
                .map(|slot| &mut self.owned[*slot])
                .filter(|owned| owned.live)
            else {
                continue;
            };
            owned.committed = Some(*next);
            let (topic, number) = (partition.topic.as_str(), partition.partition.0);
            list.add_partition_offset(topic, number, KafkaOffset::Offset(next.0))
                .map_err(LaneRestart::because)?;
        }
        failpoint::reach("before-kafka-offsets");
        if list.count() > 0
            && let Err(error) = self.consumer.commit(&list, CommitMode::Async)
        {
            tracing::debug!(%error, "kafka offset commit failed; only dashboards read it");
        }
        Ok(())
    }
}

fn advances(gathering: &PendingBatch) -> Vec<OffsetAdvance> {
    let advance = |(partition, reached): (&TopicPartition, &PartitionProgress)| OffsetAdvance {
        partition: partition.clone(),
        from: reached.from,
        next: reached.next,
        topic: reached.topic,
    };
    gathering.reached.iter().map(advance).collect()
}
