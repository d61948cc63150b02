//! From a product's gathering to its table: dead letters delivered, files written, one Delta commit, then Kafka's own offsets.
//!
//! In that order, so that no crash between two steps loses a record or doubles one. A step that fails for a reason
//! outside is waited out; a commit that lost its offsets to another owner is dropped whole.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::{Lane, Rejoin};
use crate::failpoint;
use crate::health::Part;
use crate::ingest::backoff::Backoff;
use crate::ingest::evidence::evidence;
use crate::ingest::gathering::Gathering;
use crate::store::{Advance, CommitError, IngestCommit, SegmentWriter};

impl Lane {
    /// Commits every product whose gathering is large or old enough, and the largest while all together are too large.
    ///
    /// Errors if the lane must join anew.
    pub(super) fn commit_due(&mut self, now: Duration) -> Result<(), Rejoin> {
        for index in 0..self.works.len() {
            if self.works[index].is_due(now) {
                self.commit(index)?;
            }
        }
        // The rest is for the client's queue, a batch on its way through, and the segments that are being closed and written.
        let budget = self.shared.lane_memory / 4;
        loop {
            let sizes: Vec<usize> = self.works.iter().map(|work| work.gathering.memory()).collect();
            let largest = (0..sizes.len()).max_by_key(|index| sizes[*index]);
            match largest {
                Some(index) if sizes.iter().sum::<usize>() > budget => self.commit(index)?,
                _ => return Ok(()),
            }
        }
    }

    /// Commits what is left and leaves the group, within the time that a stop may take.
    pub(super) fn finish(&mut self) -> Result<(), Rejoin> {
        let until = self.shared.clock.monotonic() + self.shared.settings.shutdown_timeout / 2;
        self.process_waiting(true)?;
        for index in 0..self.works.len() {
            if !self.works[index].gathering.is_empty() && self.shared.clock.monotonic() < until {
                self.commit(index)?;
            }
        }
        self.consumer.unsubscribe();
        Ok(())
    }

    fn commit(&mut self, index: usize) -> Result<(), Rejoin> {
        let started = self.shared.clock.monotonic();
        if !self.deliver(index)? {
            return Ok(());
        }
        failpoint::reach("dead-letters-delivered");
        let work = &mut self.works[index];
        work.pace.jitter();
        let gathering = std::mem::take(&mut work.gathering);
        work.in_flight = gathering.reached.keys().cloned().collect();
        let (bytes, unparsed) = (gathering.counts.bytes, gathering.counts.unparsed);
        let Some(mut batch) = self.write(index, gathering)? else { return Ok(()) };
        if self.land(index, &mut batch)? {
            let took = self.shared.clock.monotonic().saturating_sub(started);
            self.count_landed(&self.works[index].product, &batch.evidence, bytes, took);
            self.count_unparsed(&self.works[index].product, unparsed);
            self.landed(index, &batch)?;
        }
        Ok(())
    }

    /// Delivers the dead letters of a gathering, waiting for brokers that do not take them. False if it was dropped meanwhile.
    fn deliver(&mut self, index: usize) -> Result<bool, Rejoin> {
        let epoch = self.works[index].epoch;
        let mut backoff = Backoff::default();
        while !self.works[index].gathering.letters.is_empty() {
            let letters = &mut self.works[index].gathering.letters;
            match self.shared.runtime.block_on(self.shared.dead_letters.deliver(letters)) {
                Ok(()) => {
                    self.shared.health.over(&Part::Broker);
                    return Ok(true);
                }
                Err(error) => {
                    if self.shared.health.trouble(Part::Broker, error.to_string()) {
                        tracing::warn!(%error, "waiting for the dead-letter topic");
                    }
                    if !self.outwait(index, epoch, &mut backoff)? {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    /// Encodes and writes the segments of a gathering. `None` if that failed: then it was dropped and is read again.
    fn write(&mut self, index: usize, gathering: Gathering) -> Result<Option<IngestCommit>, Rejoin> {
        let now = self.shared.clock.now();
        let evidence = evidence(&gathering, &self.works[index].version, self.shared.instance, now);
        let advances = gathering
            .reached
            .iter()
            .map(|(partition, reached)| Advance {
                partition: partition.clone(),
                from: reached.from,
                next: reached.next,
            })
            .collect();
        let encoded = gathering.segments.into_values().map(SegmentWriter::finish);
        let written = self.tables.put_all(&self.works[index].product, encoded);
        let (segments, failure) = written.map_err(Rejoin::because)?;
        let controls = self.works[index].controls;
        let batch = IngestCommit { segments, advances, controls, evidence };
        let Some(error) = failure else { return Ok(Some(batch)) };
        let product = self.works[index].product.clone();
        self.shared.health.trouble(Part::Table(product.clone()), error.to_string());
        tracing::error!(%error, %product, "a segment could not be written; its records are read again");
        self.count(&product, "failed");
        self.tables.discard(&product, batch.segments);
        let epoch = self.works[index].epoch;
        if self.outwait(index, epoch, &mut Backoff::default())? {
            self.go_back(index)?;
        }
        Ok(None)
    }

    /// Commits `batch`, waiting for a store that does not answer. False if it did not land here: dropped, and read again.
    fn land(&mut self, index: usize, batch: &mut IngestCommit) -> Result<bool, Rejoin> {
        let epoch = self.works[index].epoch;
        let product = self.works[index].product.clone();
        let mut backoff = Backoff::default();
        loop {
            let before = self.tables.lost_races(&product);
            let done = self.tables.commit(&product, batch);
            self.count_raced(&product, self.tables.lost_races(&product) - before);
            let error = match done {
                Ok(version) => {
                    tracing::debug!(%product, table.version = version, "committed");
                    self.shared.health.over(&Part::Table(product));
                    return Ok(true);
                }
                Err(error) => error,
            };
            match &error {
                CommitError::Store(_) | CommitError::Unknown(_) => {
                    self.count(&product, "failed");
                    if self.shared.health.trouble(Part::Table(product.clone()), error.to_string()) {
                        tracing::error!(%error, %product, "waiting for the store");
                    }
                    if !self.outwait(index, epoch, &mut backoff)? {
                        // Whether it landed may be unknown: its files are the janitor's to judge.
                        return Ok(false);
                    }
                }
                CommitError::PolicyMoved { active } => {
                    self.count(&product, "conflict");
                    self.tables.discard(&product, batch.segments.clone());
                    let (own, active) = (&self.works[index].version, active.as_str());
                    let why = format!("policy {own} is no longer active; {active} is: start with it");
                    return Err(Rejoin { why, for_good: true });
                }
                CommitError::OtherColumns { .. } => {
                    self.count(&product, "conflict");
                    self.tables.discard(&product, batch.segments.clone());
                    return Err(Rejoin { why: error.to_string(), for_good: true });
                }
                _ => {
                    self.count(&product, "conflict");
                    tracing::warn!(%error, %product, "commit refused; what it held is dropped and read again");
                    self.tables.discard(&product, batch.segments.clone());
                    self.stand_anew(index)?;
                    self.go_back(index)?;
                    return Ok(false);
                }
            }
        }
    }

    /// Takes the table's word for where the product's partitions stand, after somebody else moved them.
    fn stand_anew(&mut self, index: usize) -> Result<(), Rejoin> {
        let product = &self.works[index].product.clone();
        // Before they are read: what is read is then never older than what is said to be acted on.
        let acted_on = self.tables.controls(product);
        let controls = self.tables.newest_controls().map_err(Rejoin::because)?;
        self.works[index].act_on(acted_on, &controls);
        for owned in self.owned.iter_mut().filter(|owned| owned.work == index && owned.live) {
            owned.committed = self.tables.stands(product, &owned.partition);
        }
        Ok(())
    }

    /// Lets a backoff pass. False if the work was dropped meanwhile, or the instance is to stop.
    fn outwait(&mut self, index: usize, epoch: u64, backoff: &mut Backoff) -> Result<bool, Rejoin> {
        self.wait(backoff.next_delay())?;
        Ok(self.works[index].epoch == epoch && !self.shared.stop.load(Ordering::Relaxed))
    }

    fn landed(&mut self, index: usize, batch: &IngestCommit) -> Result<(), Rejoin> {
        self.works[index].in_flight.clear();
        // Newer where controls came that ingest does nothing otherwise under.
        self.works[index].controls = batch.controls;
        let mut list = TopicPartitionList::new();
        for Advance { partition, next, .. } in &batch.advances {
            let Some(owned) = self.slots.get(partition).map(|slot| &mut self.owned[*slot]).filter(|owned| owned.live)
            else {
                continue;
            };
            owned.committed = Some(*next);
            let (topic, number) = (partition.topic.as_str(), partition.partition.0);
            list.add_partition_offset(topic, number, KafkaOffset::Offset(next.0)).map_err(Rejoin::because)?;
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
