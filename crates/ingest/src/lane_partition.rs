//! A partition that a lane owns: its messages that wait to be processed, and the offsets up to
//! which it was read.
//!
//! The records of a partition that is dropped are dropped with it.

use std::time::Duration;

use rdkafka::message::{BorrowedMessage, Message};

use crate::lane_io::{LaneIo, LaneRestart};
use crate::partition_buffer::PartitionBuffer;
use crate::position::KafkaPosition;
use crate::schema_search::SchemaSearch;
use ebbtide_base::ids::{Offset, TopicId, TopicPartition};

/// A partition that the lane owns.
pub struct LanePartition {
    /// Messages that wait to be processed.
    pub buffer: PartitionBuffer,
    /// The search for their schemas.
    pub search: SchemaSearch,
    /// The table's next offset, as far as this lane knows.
    pub committed: Option<Offset>,
    /// The lowest offset that is still to be read.
    pub wanted: Option<Offset>,
    /// The first offset that Kafka had at the time of the assignment.
    pub first: Offset,
    /// The id of the topic at the time of the assignment; `None` if the brokers do not report ids.
    pub topic: Option<TopicId>,
    /// True once the client's read position certainly belongs to this assignment.
    pub anchored: bool,
    /// Everything readable below this offset was delivered, as of the last check while no record
    /// waited.
    pub read_to: Option<Offset>,
    /// The monotonic time until which the partition waits for a schema; it is not fetched until
    /// then.
    pub schema_wait: Option<Duration>,
}

impl LanePartition {
    /// Creates a partition that was just assigned, with the table's next offset and Kafka's
    /// position.
    #[must_use]
    pub fn new(committed: Option<Offset>, kafka: KafkaPosition) -> Self {
        Self {
            buffer: PartitionBuffer::default(),
            search: SchemaSearch::default(),
            committed,
            wanted: committed,
            first: kafka.first,
            topic: kafka.topic,
            anchored: false,
            read_to: None,
            schema_wait: None,
        }
    }

    /// Appends a message. Returns false if its offset was read already.
    pub fn take(&mut self, message: &BorrowedMessage<'_>) -> bool {
        let offset = Offset(message.offset());
        if self.wanted.is_some_and(|wanted| offset < wanted) {
            return false;
        }
        self.anchored = true;
        self.wanted = Some(offset.next());
        self.buffer.push(message);
        true
    }

    /// Drops the messages that wait. Reading continues at the table's next offset.
    pub fn restart(&mut self) {
        (self.buffer, self.search) = (PartitionBuffer::default(), SchemaSearch::default());
        self.wanted = self.committed;
        self.anchored = false;
        self.read_to = None;
    }

    /// Takes over the table's next offset. Returns true if another writer moved it: then what this
    /// lane has read of the partition is not what follows on the table.
    #[must_use]
    pub fn reload(&mut self, stored: Option<Offset>) -> bool {
        let moved = self.committed != stored;
        self.committed = stored;
        moved
    }

    /// Returns the offset up to which everything readable was delivered, given the client's read
    /// `position`. Pure.
    #[must_use]
    pub fn passed(&self, position: Option<Offset>) -> Option<Offset> {
        let position =
            position.filter(|at| self.anchored && self.wanted.is_none_or(|wanted| *at >= wanted));
        // If the table has no offset of a partition, reading begins at the first offset that Kafka
        // has.
        position.or(self.wanted).or(Some(self.first))
    }

    /// Fetches nothing more from the partition until `time` has passed; the others continue.
    pub fn wait_for_schema(
        &mut self,
        io: &LaneIo,
        partition: &TopicPartition,
        time: Duration,
    ) -> Result<(), LaneRestart> {
        if self.schema_wait.replace(io.now() + time).is_none() {
            io.pause([partition])?;
        }
        Ok(())
    }

    /// Ends the wait for a schema. Fetches the partition again, unless its product is paused, which
    /// is resumed as a whole.
    pub fn end_schema_wait(
        &mut self,
        io: &LaneIo,
        partition: &TopicPartition,
        product_paused: bool,
    ) -> Result<(), LaneRestart> {
        if self.schema_wait.take().is_some() && !product_paused {
            io.resume([partition])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(committed: Option<i64>) -> LanePartition {
        let kafka = KafkaPosition {
            topic: None,
            first: Offset(7),
            end: Offset(100),
        };
        LanePartition::new(committed.map(Offset), kafka)
    }

    #[test]
    fn read_position_counts_only_if_it_belongs_to_the_assignment() {
        let mut owned = owned(Some(41));
        assert_eq!(owned.passed(Some(Offset(50))), Some(Offset(41)));
        owned.anchored = true;
        assert_eq!(owned.passed(Some(Offset(50))), Some(Offset(50)));
        assert_eq!(owned.passed(Some(Offset(40))), Some(Offset(41)));
        assert_eq!(owned.passed(None), Some(Offset(41)));
    }

    #[test]
    fn reading_continues_from_an_offset_that_another_writer_moved() {
        let mut owned = owned(Some(41));
        assert!(!owned.reload(Some(Offset(41))));
        assert!(owned.reload(Some(Offset(60))));
        owned.restart();
        assert_eq!(owned.wanted, Some(Offset(60)));
        assert!(!owned.reload(Some(Offset(60))));
        assert!(owned.reload(None));
    }

    #[test]
    fn partition_without_an_offset_begins_at_the_first_that_kafka_has() {
        assert_eq!(owned(None).passed(None), Some(Offset(7)));
    }

    #[test]
    fn restart_returns_to_the_tables_offset() {
        let mut owned = owned(Some(41));
        owned.wanted = Some(Offset(60));
        (owned.anchored, owned.read_to) = (true, Some(Offset(60)));
        owned.restart();
        assert_eq!(owned.wanted, Some(Offset(41)));
        assert!(!owned.anchored && owned.read_to.is_none());
        assert_eq!(owned.passed(Some(Offset(60))), Some(Offset(41)));
    }
}
