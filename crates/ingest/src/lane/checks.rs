//! Checks of the brokers, the topics and the partitions that are not read because records would be
//! skipped. A lane finds such partitions, and reads them again once they may be read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;

use super::Lane;
use crate::brokers::{self, TopicState};
use crate::lane_io::{LaneIo, LaneRestart, log_unanswered};
use crate::position::{TablePosition, check_position};
use crate::product_ingest::ProductIngest;
use crate::source::PositionSource;
use ebbtide_base::ids::{Topic, TopicId, TopicPartition};

/// The time that the brokers may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

impl Lane {
    /// Reports brokers that cannot be reached.
    pub(super) fn sample(&mut self) {
        self.watch.run();
        if self.io.consumer.context().brokers_down() {
            self.io.brokers_fail("no broker can be reached");
        }
    }

    /// Finds the partition for which the client reports a missing offset, and refuses it.
    ///
    /// The client does not name the partition. Errors if none is found: a partition would then stop
    /// unnoticed, and joining again helps.
    pub(super) fn refuse_lost(&mut self, error: &KafkaError) -> Result<(), LaneRestart> {
        let Self { io, products, .. } = self;
        let positions = io.read_positions().unwrap_or_default();
        let mut refused = false;
        for product in products {
            let mut reading = BTreeMap::new();
            for (partition, owned) in &product.partitions {
                if io.refused.contains_key(partition) {
                    continue;
                }
                let position = positions.get(partition).copied().filter(|_| owned.anchored);
                if let Some(next) = position.max(owned.wanted) {
                    let topic = owned.topic.map(TopicId::mark);
                    reading.insert(partition.clone(), TablePosition { next, topic });
                }
            }
            if reading.is_empty() {
                continue;
            }
            let partitions: Vec<TopicPartition> = reading.keys().cloned().collect();
            let found = brokers::positions(&io.consumer, &partitions, PATIENCE)
                .map_err(LaneRestart::because)?;
            for (partition, table) in reading {
                let Some(kafka) = found.found.get(&partition) else {
                    log_unanswered(&partition, found.failed.get(&partition));
                    continue;
                };
                if let Err(refusal) = check_position(&partition, Some(table), *kafka) {
                    refused = true;
                    product.stop_reading(io, refusal)?;
                }
            }
        }
        if refused {
            Ok(())
        } else {
            Err(LaneRestart::because(error))
        }
    }

    /// Reports the topics that cannot be read, refuses every partition whose topic was recreated
    /// since it was assigned, and checks whether partitions that are not read may be read now.
    ///
    /// Errors if some may, or if a recreated topic may have no owner: joining again resumes them.
    pub(super) fn check_partitions(&mut self) -> Result<(), LaneRestart> {
        let Self { io, products, .. } = self;
        if io.consumer.context().brokers_down() {
            return Ok(());
        }
        match brokers::topic_rights(&io.consumer, io.deps.topics.names(), PATIENCE) {
            Ok(states) => {
                io.brokers_answer();
                io.deps.topics.report(&states);
                for product in products {
                    product.refuse_recreated(io, &states)?;
                }
                self.join_for_changed(&states)?;
                self.look_again()
            }
            Err(error) => {
                if io.brokers_fail(error.to_string()) {
                    tracing::warn!(%error, "the topics were not checked");
                }
                Ok(())
            }
        }
    }

    /// Errors if a topic changed and the lane owns no partition of it: the group may have shared
    /// out its partitions while the topic did not exist.
    fn join_for_changed(
        &mut self,
        states: &BTreeMap<Topic, TopicState>,
    ) -> Result<(), LaneRestart> {
        let Self { io, products, .. } = self;
        let owned = products
            .iter()
            .flat_map(|product| product.partitions.keys());
        let owned: BTreeSet<&Topic> = owned
            .chain(io.refused.keys())
            .chain(&io.unavailable)
            .map(|partition| &partition.topic)
            .collect();
        let unowned = self
            .changed
            .unowned(states, io.now(), |topic| owned.contains(topic));
        if unowned.is_empty() || loses_records(io, products) {
            return Ok(());
        }
        let names: Vec<String> = unowned.iter().map(Topic::to_string).collect();
        Err(LaneRestart::wanted(format_args!(
            "{} changed, and the lane has no partition of it",
            names.join(", ")
        )))
    }

    /// Checks the partitions that are refused or set aside. Errors, with all that may be read
    /// again, if some may.
    fn look_again(&mut self) -> Result<(), LaneRestart> {
        let Self { io, products, .. } = self;
        let partitions: Vec<TopicPartition> =
            io.refused.keys().chain(&io.unavailable).cloned().collect();
        if partitions.is_empty() {
            return Ok(());
        }
        let found = match brokers::positions(&io.consumer, &partitions, PATIENCE) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "refused partitions were not checked again");
                return Ok(());
            }
        };
        let mut readable = Vec::new();
        for partition in partitions {
            let Some(kafka) = found.found.get(&partition) else {
                log_unanswered(&partition, found.failed.get(&partition));
                continue;
            };
            let table = match io.tables.position(&partition) {
                Ok(table) => table,
                Err(error) => {
                    tracing::warn!(%error, "a refused partition was not checked again");
                    continue;
                }
            };
            match check_position(&partition, table, *kafka) {
                Err(refusal) => io.refuse(refusal),
                Ok(()) => readable.push(partition.to_string()),
            }
        }
        if readable.is_empty() || loses_records(io, products) {
            return Ok(());
        }
        Err(LaneRestart::wanted(format_args!(
            "{} may be read again",
            readable.join(", ")
        )))
    }
}

/// Returns true if a lane that joins again would lose records: those of a refused partition that
/// were read before a loss and are not committed yet. Kafka may not have them any more.
fn loses_records(io: &LaneIo, products: &[ProductIngest]) -> bool {
    let is_pending = |partition: &TopicPartition| {
        products
            .iter()
            .any(|product| product.has_uncommitted(partition))
    };
    io.refused.keys().any(is_pending)
}
