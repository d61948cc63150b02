//! Changes of a lane's partitions: it takes over assigned partitions, drops uncommitted records of
//! revoked ones, and returns to the table's offsets.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::{Offset as Start, TopicPartitionList};

use super::{Lane, LanePartition, LaneRestart};
use crate::partition_buffer::PartitionBuffer;
use crate::position::KafkaPosition;
use crate::schema_search::SchemaSearch;
use crate::source::OwnershipEvent;
use ebbtide_base::ids::{Offset, TopicPartition};

/// The time that the client may take to seek to an offset.
const SEEK: Duration = Duration::from_secs(10);

impl Lane {
    /// Processes the consumer's events since the last call.
    ///
    /// Errors if the lane must join again.
    pub(super) fn ownership(&mut self) -> Result<(), LaneRestart> {
        let events = self.consumer.context().take_events();
        if events.is_empty() {
            return Ok(());
        }
        let (mut broken, mut new) = (BTreeSet::new(), Vec::new());
        let metrics = self.shared.metrics.clone();
        for event in events {
            match event {
                OwnershipEvent::Assigned {
                    partition,
                    next,
                    kafka,
                } => {
                    metrics.rebalances.with_label_values(&["assigned"]).inc();
                    tracing::info!(source.partition = %partition, next = next.map(|offset| offset.0), "partition assigned");
                    self.forget_refusal(&partition);
                    new.extend(next.is_none().then(|| partition.clone()));
                    self.take_up(partition, next, kafka);
                }
                OwnershipEvent::Revoked(partition) => {
                    metrics.rebalances.with_label_values(&["revoked"]).inc();
                    self.forget_refusal(&partition);
                    if let Some(work) = self.let_go(&partition) {
                        broken.insert(work);
                    }
                    tracing::info!(source.partition = %partition, "partition revoked");
                }
                OwnershipEvent::Refused(refusal) => self.refuse(refusal),
                OwnershipEvent::Unavailable { partition, why } => self.set_aside(partition, &why),
                OwnershipEvent::Joined => self.watch.join(),
                OwnershipEvent::Failed(why) => return Err(LaneRestart::because(why)),
            }
        }
        self.anchor();
        for work in broken {
            self.go_back(work)?;
        }
        self.forget_lost_products();
        self.record_starts(&new);
        self.publish();
        Ok(())
    }

    fn take_up(
        &mut self,
        partition: TopicPartition,
        committed: Option<Offset>,
        kafka: KafkaPosition,
    ) {
        self.fresh = true;
        (self.shared.owning)(&partition, true);
        let Some(work) = self.work_of.get(&partition.topic).copied() else {
            return;
        };
        let owned = LanePartition {
            partition: partition.clone(),
            work,
            intake: PartitionBuffer::default(),
            search: SchemaSearch::default(),
            committed,
            wanted: committed,
            first: kafka.first,
            topic: kafka.topic,
            anchored: false,
            read_to: None,
            held: None,
            live: true,
        };
        match self.slots.get(&partition).copied() {
            Some(slot) => {
                // The client may still have the partition paused; if not, this does nothing.
                let _ = self.release(slot);
                self.owned[slot] = owned;
            }
            None => {
                self.slots.insert(partition, self.owned.len());
                self.owned.push(owned);
            }
        }
    }

    /// Drops the uncommitted records of `partition`. Returns the index of the work that has
    /// gathered some of them: its whole gathering must be dropped.
    pub(super) fn let_go(&mut self, partition: &TopicPartition) -> Option<usize> {
        let owned = &mut self.owned[*self.slots.get(partition)?];
        owned.live = false;
        (self.shared.owning)(partition, false);
        self.waiting -= owned.intake.len();
        (owned.intake, owned.search) = (PartitionBuffer::default(), SchemaSearch::default());
        let work = owned.work;
        self.works[work].touches(partition).then_some(work)
    }

    /// Drops all gathered data of one product, and reads the partitions that the lane still owns
    /// from their table's next offset.
    ///
    /// Errors if the client could not seek.
    pub(super) fn go_back(&mut self, work: usize) -> Result<(), LaneRestart> {
        self.discard_pending(work);
        let dropped = self.works[work].drop_gathering();
        for partition in &dropped {
            if let Some(slot) = self
                .slots
                .get(partition)
                .copied()
                .filter(|slot| self.owned[*slot].live)
            {
                self.release(slot)?;
            }
        }
        let mut list = TopicPartitionList::new();
        for partition in dropped {
            let Some(owned) = self
                .slots
                .get(&partition)
                .map(|slot| &mut self.owned[*slot])
                .filter(|owned| owned.live)
            else {
                continue;
            };
            self.waiting -= owned.intake.len();
            (owned.intake, owned.search) = (PartitionBuffer::default(), SchemaSearch::default());
            owned.wanted = owned.committed;
            owned.anchored = false;
            owned.read_to = None;
            let start = owned
                .committed
                .map_or(Start::Beginning, |offset| Start::Offset(offset.0));
            let (topic, number) = (partition.topic.as_str(), partition.partition.0);
            list.add_partition_offset(topic, number, start)
                .map_err(LaneRestart::because)?;
        }
        if list.count() == 0 {
            return Ok(());
        }
        tracing::info!(partitions = list.count(), product = %self.works[work].product, "going back to the table");
        let sought = self
            .consumer
            .seek_partitions(list, SEEK)
            .map_err(LaneRestart::because)?;
        for element in sought.elements() {
            element.error().map_err(LaneRestart::because)?;
        }
        self.anchor();
        Ok(())
    }
}
