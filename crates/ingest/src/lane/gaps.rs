//! Offsets without records: transaction markers, aborted and compacted records, and records that
//! retention removed.
//!
//! The client never delivers them, but its read position moves past them. That position is
//! committed like a record's, so that the table shows how far was read. A position counts only if
//! it belongs to the partition's present assignment.

use std::collections::BTreeMap;

use rdkafka::Offset as KafkaOffset;
use rdkafka::consumer::Consumer;

use super::{Lane, LanePartition};
use crate::pending_batch::PartitionProgress;
use ebbtide_base::ids::{Offset, Partition, Topic, TopicPartition};

impl Lane {
    /// Records which partitions have a read position that certainly belongs to their present
    /// assignment.
    ///
    /// Called right after an assignment and a seek. The client forgets the position then; once it
    /// was seen without a position, or a record was delivered, the position it reports is current.
    pub(super) fn anchor(&mut self) {
        if self.owned.iter().all(|owned| owned.anchored || !owned.live) {
            return;
        }
        let Some(positions) = self.read_positions() else {
            return;
        };
        for owned in self.owned.iter_mut().filter(|owned| owned.live) {
            owned.anchored |= !positions.contains_key(&owned.partition);
        }
    }

    /// Adds offsets that were passed and have no record to the gatherings, to be committed with
    /// them.
    pub(super) fn pass_gaps(&mut self) {
        let Some(positions) = self.read_positions() else {
            return;
        };
        let now = self.shared.clock.monotonic();
        for owned in &mut self.owned {
            let work = &mut self.works[owned.work];
            let settled =
                owned.live && owned.intake.is_empty() && !work.in_flight.contains(&owned.partition);
            if !settled {
                continue;
            }
            owned.read_to = passed(owned, positions.get(&owned.partition).copied());
            let so_far = work
                .gathering
                .reached
                .get(&owned.partition)
                .map(|reached| reached.next)
                .or(owned.committed);
            let Some(next) = owned
                .read_to
                .filter(|next| so_far.is_none_or(|so_far| *next > so_far))
            else {
                continue;
            };
            let reached = PartitionProgress {
                from: owned.committed,
                next,
                topic: owned.topic,
                records: 0,
                oldest: None,
            };
            work.gathering.reach(&owned.partition, reached);
            work.gathering.since.get_or_insert(now);
        }
    }

    /// Returns the client's read position of each partition that has one; `None` if the client does
    /// not report them.
    pub(super) fn read_positions(&self) -> Option<BTreeMap<TopicPartition, Offset>> {
        let list = self.consumer.position().ok()?;
        let mut positions = BTreeMap::new();
        for element in list.elements() {
            if let (KafkaOffset::Offset(offset), Ok(topic)) =
                (element.offset(), Topic::new(element.topic()))
            {
                positions.insert(
                    TopicPartition {
                        topic,
                        partition: Partition(element.partition()),
                    },
                    Offset(offset),
                );
            }
        }
        Some(positions)
    }
}

/// Returns the offset up to which everything readable in a partition was delivered. Pure.
fn passed(owned: &LanePartition, position: Option<Offset>) -> Option<Offset> {
    let position =
        position.filter(|at| owned.anchored && owned.wanted.is_none_or(|wanted| *at >= wanted));
    // If the table has no offset of a partition, reading begins at the first offset that Kafka has.
    position.or(owned.wanted).or(Some(owned.first))
}
