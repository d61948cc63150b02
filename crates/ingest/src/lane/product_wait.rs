//! Products that wait: their partitions are not fetched, and the lane continues with the others.

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;

use super::{Lane, LanePartition, LaneRestart};
use ebbtide_base::health::Component;

impl Lane {
    /// Makes a product wait after a failed step. Each wait is longer than the one before, until a
    /// commit succeeds.
    pub(super) fn hold_product(&mut self, index: usize) -> Result<(), LaneRestart> {
        let now = self.shared.clock.monotonic();
        self.works[index].hold.fail(now);
        self.pause_product(index)
    }

    /// Stops fetching the partitions of a product.
    pub(super) fn pause_product(&mut self, index: usize) -> Result<(), LaneRestart> {
        if std::mem::replace(&mut self.works[index].hold.paused, true) {
            return Ok(());
        }
        let list = self.partitions_of(index, false);
        if list.count() == 0 {
            Ok(())
        } else {
            self.consumer.pause(&list).map_err(LaneRestart::because)
        }
    }

    /// Fetches the partitions of a product again.
    pub(super) fn resume_product(&mut self, index: usize) -> Result<(), LaneRestart> {
        self.works[index].hold.paused = false;
        let list = self.partitions_of(index, true);
        if list.count() == 0 {
            Ok(())
        } else {
            self.consumer.resume(&list).map_err(LaneRestart::because)
        }
    }

    /// Stops fetching partitions that were assigned to products that wait.
    pub(super) fn pause_held(&mut self) -> Result<(), LaneRestart> {
        for index in 0..self.works.len() {
            if std::mem::take(&mut self.works[index].hold.paused) {
                self.pause_product(index)?;
            }
        }
        Ok(())
    }

    /// Drops the batch of a product that is written and not committed, with its files if it cannot
    /// have been committed. The delivery of its letters continues, and they are not sent a second
    /// time when its records are read again.
    pub(super) fn discard_pending(&mut self, index: usize) {
        let work = &mut self.works[index];
        let Some(pending) = work.pending.take() else {
            return;
        };
        self.shared
            .health
            .over(&Component::Letters(work.product.clone()));
        if !pending.may_have_landed {
            self.tables.discard(&work.product, pending.batch.segments);
        }
    }

    /// Clears the problems of products of which the lane no longer has a partition. The lane that
    /// has the partitions now reports them.
    pub(super) fn forget_lost_products(&mut self) {
        for (index, work) in self.works.iter_mut().enumerate() {
            if !self
                .owned
                .iter()
                .any(|owned| owned.live && owned.work == index)
            {
                work.hold.land();
                work.forget_troubles(&self.shared.health);
            }
        }
    }

    /// Returns true if a partition must not be fetched for its own reason: it waits for a schema,
    /// or is refused.
    pub(super) fn stays_paused(&self, owned: &LanePartition) -> bool {
        owned.held.is_some() || self.refused.contains_key(&owned.partition)
    }

    /// Returns the partitions of a product; with `to_resume`, without those that stay paused for
    /// their own reasons.
    fn partitions_of(&self, index: usize, to_resume: bool) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        let wanted = |owned: &&LanePartition| {
            owned.live && owned.work == index && !(to_resume && self.stays_paused(owned))
        };
        for owned in self.owned.iter().filter(wanted) {
            list.add_partition(owned.partition.topic.as_str(), owned.partition.partition.0);
        }
        list
    }
}
