//! Changes of a product's partitions: it drops uncommitted records of those that are revoked, and
//! returns to the table's offsets.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::{Offset as Start, TopicPartitionList};

use super::ProductIngest;
use crate::batch_coverage::BatchCoverage;
use crate::lane_io::{LaneIo, LaneRestart};
use ebbtide_base::health::Component;
use ebbtide_base::ids::TopicPartition;

/// The time that the client may take to seek to an offset.
const SEEK: Duration = Duration::from_secs(10);

impl ProductIngest {
    /// Gives up `partition` and drops its messages that wait. Returns true if records of it are
    /// gathered or being committed: then the whole batch must be dropped.
    pub fn release(&mut self, io: &LaneIo, partition: &TopicPartition) -> bool {
        if self.partitions.remove(partition).is_none() {
            return false;
        }
        (io.deps.owning)(partition, false);
        self.touches(partition)
    }

    /// Drops all uncommitted data of the product, and reads the partitions that the lane still owns
    /// from their table's next offset.
    ///
    /// Errors if the client could not seek.
    pub fn go_back(&mut self, io: &LaneIo) -> Result<(), LaneRestart> {
        self.go_back_with(io, BTreeSet::new())
    }

    /// Does the same as [`ProductIngest::go_back`], also with the partitions `moved`, whose next
    /// offset in the table another writer moved. Messages of theirs that wait may be stored
    /// already, also if no record of them is gathered.
    pub(super) fn go_back_with(
        &mut self,
        io: &LaneIo,
        moved: BTreeSet<TopicPartition>,
    ) -> Result<(), LaneRestart> {
        let mut dropped = self.drop_uncommitted(io);
        dropped.extend(moved);
        let product_paused = self.pause.stops_fetching;
        let mut list = TopicPartitionList::new();
        io.consumer.context().forget_drained(&dropped);
        for partition in &dropped {
            let Some(owned) = self.partitions.get_mut(partition) else {
                continue;
            };
            owned.end_schema_wait(io, partition, product_paused)?;
            owned.restart();
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
        tracing::info!(partitions = list.count(), product = %self.product, "going back to the table");
        let sought = io
            .consumer
            .seek_partitions(list, SEEK)
            .map_err(LaneRestart::because)?;
        for element in sought.elements() {
            element.error().map_err(LaneRestart::because)?;
        }
        if let Some(positions) = io.read_positions() {
            self.anchor(&positions);
        }
        Ok(())
    }

    /// Drops the batch that is being committed and the gathered data. Returns the partitions that
    /// must be read again.
    fn drop_uncommitted(&mut self, io: &LaneIo) -> BTreeSet<TopicPartition> {
        let pending = self.discard_pending(io);
        let gathered = std::mem::take(&mut self.pipeline.batch).coverage;
        pending
            .into_iter()
            .chain([gathered])
            .flat_map(|coverage| coverage.partitions.into_keys())
            .collect()
    }

    /// Drops the batch that is being committed, with its files if it cannot have been committed.
    /// The delivery of its letters continues, and they are not sent a second time when its records
    /// are read again.
    pub(super) fn discard_pending(&mut self, io: &LaneIo) -> Option<BatchCoverage> {
        let pending = self.pending.take()?;
        io.deps
            .health
            .over(&Component::Letters(self.product.clone()));
        if !pending.may_have_landed {
            io.tables.discard(&self.product, pending.segments);
        }
        Some(pending.coverage)
    }

    /// Clears the problems of the product if the lane no longer has a partition of it. The lane that
    /// has the partitions now reports them.
    pub fn forget_if_lost(&mut self, io: &LaneIo) {
        if self.partitions.is_empty() {
            self.pause.reset();
            self.forget_troubles(&io.deps.health);
        }
    }
}
