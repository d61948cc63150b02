//! Changes of a lane's partitions: it takes over assigned partitions, and drops uncommitted records
//! of revoked ones.

use std::collections::BTreeSet;

use rdkafka::consumer::Consumer;

use super::{Lane, fed_by};
use crate::lane_io::LaneRestart;
use crate::lane_partition::LanePartition;
use crate::position::KafkaPosition;
use crate::product_ingest::ProductIngest;
use crate::source::OwnershipEvent;
use ebbtide_base::ids::{Offset, TopicPartition};

impl Lane {
    /// Processes the consumer's events since the last call.
    ///
    /// Errors if the lane must join again.
    pub(super) fn ownership(&mut self) -> Result<(), LaneRestart> {
        let events = self.io.consumer.context().take_events();
        if events.is_empty() {
            return Ok(());
        }
        let (mut broken, mut new) = (BTreeSet::new(), Vec::new());
        let metrics = self.io.deps.metrics.clone();
        for event in events {
            match event {
                OwnershipEvent::Assigned {
                    partition,
                    next,
                    kafka,
                } => {
                    metrics.rebalances.with_label_values(&["assigned"]).inc();
                    tracing::info!(source.partition = %partition, next = next.map(|offset| offset.0), "partition assigned");
                    self.io.forget_refusal(&partition);
                    new.extend(next.is_none().then(|| partition.clone()));
                    self.take_over(partition, next, kafka);
                }
                OwnershipEvent::Revoked(partition) => {
                    metrics.rebalances.with_label_values(&["revoked"]).inc();
                    self.io.forget_refusal(&partition);
                    // Remembered: the partition may be assigned again by a later event, and the
                    // records that were gathered before must still be dropped.
                    if let Some(product) = fed_by(&mut self.products, &partition.topic)
                        && product.release(&self.io, &partition)
                    {
                        broken.insert(product.product.clone());
                    }
                    tracing::info!(source.partition = %partition, "partition revoked");
                }
                OwnershipEvent::Refused(refusal) => self.io.refuse(refusal),
                OwnershipEvent::Unavailable { partition, why } => {
                    self.io.set_aside(partition, &why)
                }
                OwnershipEvent::Joined => {
                    self.watch.join();
                    self.changed.rebalanced(self.io.now());
                }
                OwnershipEvent::Failed(why) => return Err(LaneRestart::because(why)),
            }
        }
        self.anchor();
        let Self { io, products, .. } = self;
        for product in products.iter_mut() {
            if broken.contains(&product.product) {
                product.go_back(io)?;
            }
            product.forget_if_lost(io);
            product.record_starts(io, &new);
        }
        self.publish();
        Ok(())
    }

    fn take_over(
        &mut self,
        partition: TopicPartition,
        committed: Option<Offset>,
        kafka: KafkaPosition,
    ) {
        self.fresh = true;
        (self.io.deps.owning)(&partition, true);
        let Some(product) = fed_by(&mut self.products, &partition.topic) else {
            return;
        };
        let owned = LanePartition::new(committed, kafka);
        if let Some(mut before) = product.partitions.insert(partition.clone(), owned) {
            // The client may still have the partition paused; if not, this does nothing.
            let product_paused = product.pause.stops_fetching;
            let _ = before.end_schema_wait(&self.io, &partition, product_paused);
        }
    }

    /// Records which partitions have a read position that certainly belongs to their present
    /// assignment.
    fn anchor(&mut self) {
        if self.products.iter().all(ProductIngest::is_anchored) {
            return;
        }
        let Some(positions) = self.io.read_positions() else {
            return;
        };
        for product in &mut self.products {
            product.anchor(&positions);
        }
    }
}
