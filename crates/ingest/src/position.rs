//! The offset at which reading of a partition begins, decided from the table's offset and Kafka's
//! position. Pure.
//!
//! A partition is refused if reading it would skip records without a trace. Offsets that never held
//! records (transaction markers, aborted and compacted records) are no reason: the table keeps the
//! offset up to which was read, not the last record.

use std::fmt;

use ebbtide_base::ids::{Offset, TopicId, TopicMark, TopicPartition};
use ebbtide_table::LossCause;

/// The position of a partition that a table has recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TablePosition {
    /// The next offset to read.
    pub next: Offset,
    /// The mark of the topic that the offset belongs to; `None` in tables from before marks were
    /// kept, and with brokers that are older than topic ids.
    pub topic: Option<TopicMark>,
}

/// Kafka's position of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KafkaPosition {
    /// The topic's id; `None` if the brokers are older than topic ids.
    pub topic: Option<TopicId>,
    /// The first offset that was not deleted.
    pub first: Offset,
    /// The offset after the last record that may be read.
    pub end: Offset,
}

/// A partition that must not be read, because records would be skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRefusal {
    /// The partition.
    pub partition: TopicPartition,
    /// The table's next offset.
    pub table: Offset,
    /// Kafka's position.
    pub kafka: KafkaPosition,
    /// The reason.
    pub cause: LossCause,
}

/// Decides whether reading may continue at `table`. Errors with the reason if not. A partition
/// without an offset in the table is read from its beginning.
pub fn check_position(
    partition: &TopicPartition,
    table: Option<TablePosition>,
    kafka: KafkaPosition,
) -> Result<(), PartitionRefusal> {
    let Some(table) = table else { return Ok(()) };
    let refuse = |cause| {
        Err(PartitionRefusal {
            partition: partition.clone(),
            table: table.next,
            kafka,
            cause,
        })
    };
    let known = table.topic.zip(kafka.topic.map(TopicId::mark));
    match known {
        Some((stored, now)) if stored != now => refuse(LossCause::Recreated),
        Some(_) if table.next > kafka.end => refuse(LossCause::Truncated),
        // Without ids, a topic that is too short is most likely another topic.
        None if table.next > kafka.end => refuse(LossCause::Recreated),
        _ if table.next < kafka.first => refuse(LossCause::Deleted),
        _ => Ok(()),
    }
}

impl PartitionRefusal {
    /// Returns the offset at which reading continues once the loss is accepted.
    #[must_use]
    pub fn resume(&self) -> Offset {
        match self.cause {
            LossCause::Deleted | LossCause::Recreated => self.kafka.first,
            LossCause::Truncated => self.kafka.end,
        }
    }

    /// Returns the number of offsets that are known to be lost.
    #[must_use]
    pub fn lost_offsets(&self) -> u64 {
        let lost = match self.cause {
            LossCause::Deleted => self.kafka.first.0 - self.table.0,
            // Offsets of the new topic only; the end of the old topic is not known any more.
            LossCause::Recreated => self.kafka.first.0,
            LossCause::Truncated => 0,
        };
        u64::try_from(lost).unwrap_or(0)
    }

    /// Describes the loss in one sentence without a full stop.
    #[must_use]
    pub fn loss(&self) -> String {
        let lost = self.lost_offsets();
        match self.cause {
            LossCause::Deleted => format!(
                "offsets {} to {} were deleted from the topic before they were read, at most {lost} records",
                self.table,
                self.kafka.first.0 - 1
            ),
            LossCause::Recreated if lost > 0 => format!(
                "the topic was deleted and created again: what the old topic had from offset {} on is lost, and offsets \
                 0 to {} of the new one, which were deleted before they were read",
                self.table,
                lost - 1
            ),
            LossCause::Recreated => format!(
                "the topic was deleted and created again: what the old topic had from offset {} on is lost",
                self.table
            ),
            LossCause::Truncated => format!(
                "Kafka lost offsets {} to {}, which the table has: records that come at these offsets are other ones",
                self.kafka.end,
                self.table.0 - 1
            ),
        }
    }
}

impl KafkaPosition {
    /// Describes the offsets of the partition: `offsets 15 to 24`.
    #[must_use]
    pub fn range(&self) -> String {
        if self.end > self.first {
            format!("offsets {} to {}", self.first, self.end.0 - 1)
        } else {
            format!("no records, its next offset is {}", self.end)
        }
    }
}

impl fmt::Display for PartitionRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TopicPartition { topic, partition } = &self.partition;
        write!(
            f,
            "{topic}/{partition} is not read: its table is at offset {}, Kafka has {}; {}; to go on, see `ebbtide \
             partition accept-loss --topic {topic} --partition {partition} --dry-run`",
            self.table,
            self.kafka.range(),
            self.loss()
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn partition() -> TopicPartition {
        TopicPartition {
            topic: "traffic.sms".parse().unwrap(),
            partition: ebbtide_base::ids::Partition(3),
        }
    }

    fn kafka(topic: Option<u128>, first: i64, end: i64) -> KafkaPosition {
        KafkaPosition {
            topic: topic.map(TopicId),
            first: Offset(first),
            end: Offset(end),
        }
    }

    fn table(topic: Option<u128>, next: i64) -> Option<TablePosition> {
        Some(TablePosition {
            next: Offset(next),
            topic: topic.map(|id| TopicId(id).mark()),
        })
    }

    fn cause(table: Option<TablePosition>, kafka: KafkaPosition) -> Option<LossCause> {
        check_position(&partition(), table, kafka)
            .err()
            .map(|refusal| refusal.cause)
    }

    #[test]
    fn reading_starts_at_the_tables_offset_unless_records_would_be_skipped() {
        let cases = [
            (None, kafka(Some(1), 7, 9), None),
            (table(Some(1), 10), kafka(Some(1), 0, 10), None),
            (table(Some(1), 10), kafka(Some(1), 10, 10), None),
            (
                table(Some(1), 10),
                kafka(Some(1), 11, 20),
                Some(LossCause::Deleted),
            ),
            (
                table(Some(1), 10),
                kafka(Some(1), 11, 11),
                Some(LossCause::Deleted),
            ),
            (
                table(Some(1), 10),
                kafka(Some(1), 0, 9),
                Some(LossCause::Truncated),
            ),
            (
                table(Some(1), 10),
                kafka(Some(2), 0, 9),
                Some(LossCause::Recreated),
            ),
            (
                table(Some(1), 10),
                kafka(Some(2), 0, 10),
                Some(LossCause::Recreated),
            ),
            (
                table(Some(1), 10),
                kafka(Some(2), 0, 99),
                Some(LossCause::Recreated),
            ),
            (
                table(Some(1), 0),
                kafka(Some(2), 0, 0),
                Some(LossCause::Recreated),
            ),
            // A table from before ids adopts the id that it finds; with brokers without ids, the
            // offsets decide.
            (table(None, 10), kafka(Some(2), 0, 99), None),
            (table(Some(1), 10), kafka(None, 0, 99), None),
            (
                table(None, 10),
                kafka(None, 0, 9),
                Some(LossCause::Recreated),
            ),
            (
                table(None, 10),
                kafka(None, 12, 99),
                Some(LossCause::Deleted),
            ),
        ];
        for (at, (table, kafka, expected)) in cases.into_iter().enumerate() {
            assert_eq!(cause(table, kafka), expected, "case {at}");
        }
    }

    #[test]
    fn a_refusal_names_partition_offsets_and_the_command_that_decides() {
        let text = |table, kafka| {
            check_position(&partition(), table, kafka)
                .unwrap_err()
                .to_string()
        };
        insta::assert_snapshot!(text(table(Some(1), 10), kafka(Some(1), 15, 25)), @"traffic.sms/3 is not read: its table is at offset 10, Kafka has offsets 15 to 24; offsets 10 to 14 were deleted from the topic before they were read, at most 5 records; to go on, see `ebbtide partition accept-loss --topic traffic.sms --partition 3 --dry-run`");
        insta::assert_snapshot!(text(table(Some(1), 10), kafka(Some(2), 0, 0)), @"traffic.sms/3 is not read: its table is at offset 10, Kafka has no records, its next offset is 0; the topic was deleted and created again: what the old topic had from offset 10 on is lost; to go on, see `ebbtide partition accept-loss --topic traffic.sms --partition 3 --dry-run`");
        insta::assert_snapshot!(text(table(Some(1), 10), kafka(Some(1), 0, 8)), @"traffic.sms/3 is not read: its table is at offset 10, Kafka has offsets 0 to 7; Kafka lost offsets 8 to 9, which the table has: records that come at these offsets are other ones; to go on, see `ebbtide partition accept-loss --topic traffic.sms --partition 3 --dry-run`");
    }

    proptest! {
        #[test]
        fn accepted_positions_skip_no_readable_record_and_stay_accepted(
            next in 0_i64..50, first in 0_i64..50, more in 0_i64..50, stored in 1_u128..3, now in 1_u128..3,
        ) {
            let (table, kafka) = (table(Some(stored), next), kafka(Some(now), first, first + more));
            match check_position(&partition(), table, kafka) {
                Ok(()) => prop_assert!(stored == now && next >= first && next <= first + more),
                Err(refusal) => {
                    let resumed = TablePosition { next: refusal.resume(), topic: Some(TopicId(now).mark()) };
                    prop_assert_eq!(check_position(&partition(), Some(resumed), kafka), Ok(()));
                    prop_assert!(refusal.resume() <= kafka.first || refusal.cause == LossCause::Truncated);
                }
            }
        }
    }
}
