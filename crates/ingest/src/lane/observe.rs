//! The progress of a lane and the bytes that it buffers, published for the gauges.

use rdkafka::consumer::Consumer;

use super::{Lane, PUBLISH};
use crate::lag::LanePosition;
use crate::product_ingest::ProductIngest;
use ebbtide_base::ids::TopicPartition;
use ebbtide_table::LossCause;

impl Lane {
    /// Publishes the lane's progress, unless it did so a moment ago.
    pub(super) fn publish_sometimes(&mut self) {
        let now = self.io.now();
        if now.saturating_sub(self.published) >= PUBLISH {
            self.published = now;
            self.publish();
        }
    }

    /// Publishes the progress of the lane's partitions and the bytes that it buffers, for the
    /// gauges.
    pub(super) fn publish(&self) {
        let drained = self.io.consumer.context().drained();
        let (mut progress, mut buffered): (Vec<(TopicPartition, LanePosition)>, usize) =
            (Vec::new(), 0);
        for product in &self.products {
            buffered += product.memory();
            for (partition, owned) in &product.partitions {
                buffered += owned.buffer.memory();
                let drained = drained.get(partition).copied();
                let position = product.progress(partition, owned, drained);
                progress.push((partition.clone(), position));
            }
        }
        for (partition, refusal) in &self.io.refused {
            let owns = |product: &ProductIngest| product.partitions.contains_key(partition);
            if self.products.iter().any(owns) {
                continue;
            }
            let done = if refusal.cause == LossCause::Deleted {
                refusal.table
            } else {
                refusal.resume()
            };
            let position = LanePosition {
                done,
                read: done,
                oldest: None,
            };
            progress.push((partition.clone(), position));
        }
        self.gauges.publish(progress, buffered);
    }
}
