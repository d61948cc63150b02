//! The partitions for an operator: the table's position, Kafka's position, and the decision to continue after a loss.
//!
//! Decided by the rules of a lane, so that what is shown here is what an instance refuses.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use serde::Serialize;
use uuid::Uuid;

use crate::config::Kafka;
use crate::ids::{Offset, Partition, PolicyVersion, ProductKey, Topic, TopicPartition};
use crate::ingest::brokers::{self, BrokersError, TopicState};
use crate::ingest::kafka::Aside;
use crate::ingest::position::{KafkaPosition, Refusal, TablePosition, judge};
use crate::store::{AcceptLossError, Evidence, Loss, LossDecision, PartitionProgress, Table};

/// The time that the brokers may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// One partition of a topic that feeds a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    /// The product that the topic feeds.
    pub product: ProductKey,
    /// The partition.
    #[serde(flatten)]
    pub partition: TopicPartition,
    /// The table's next offset; `None` if it has no offset of the partition.
    pub table: Option<Offset>,
    /// The offset after the last record that may be read.
    pub first: Option<Offset>,
    /// The offset after the last record that may be read.
    pub end: Option<Offset>,
    /// The reason why it must not be read, and the records that are lost.
    pub refused: Option<String>,
}

/// A partition that was inspected for a decision.
#[derive(Debug, Clone)]
pub struct LossCase {
    /// The table's position; `None` if it has no offset of the partition.
    pub table: Option<TablePosition>,
    /// Kafka's position.
    pub kafka: KafkaPosition,
    /// The refusal to be decided; `None` if the partition may be read.
    pub refusal: Option<Refusal>,
}

/// The reason why partitions could not be inspected, or why a loss could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum PartitionsError {
    /// The client library refuses the configuration.
    #[error("librdkafka refuses the configuration: {0}")]
    Client(KafkaError),
    /// The brokers did not report the partitions of a topic.
    #[error("the partitions of topic {topic} could not be read: {error}")]
    Metadata {
        /// The topic.
        topic: Topic,
        /// The client's reason.
        error: KafkaError,
    },
    /// The brokers did not answer.
    #[error(transparent)]
    Brokers(#[from] BrokersError),
    /// The partition does not exist in Kafka.
    #[error("Kafka has no partition {0}; nothing can be read from it")]
    Missing(TopicPartition),
    /// The decision was not recorded.
    #[error(transparent)]
    Accept(#[from] AcceptLossError),
}

/// A client of the brokers that joins no group.
pub struct PartitionClient {
    consumer: BaseConsumer<Aside>,
}

impl PartitionClient {
    /// Creates a client from the configuration. Errors if librdkafka refuses it.
    pub fn new(kafka: &Kafka) -> Result<Self, PartitionsError> {
        let mut base = super::client_config(kafka, super::ClientRole::Admin);
        base.set("group.id", &kafka.group).set("enable.auto.commit", "false");
        Ok(Self { consumer: base.create_with_context(Aside).map_err(PartitionsError::Client)? })
    }

    /// Returns one report for each partition that `topics` have in Kafka or that `table` has an offset of, in order.
    pub fn list(&self, table: &Table, topics: &[Topic]) -> Result<Vec<PartitionReport>, PartitionsError> {
        let mut found: BTreeMap<TopicPartition, Option<KafkaPosition>> = BTreeMap::new();
        found.extend(table.partitions().into_iter().map(|partition| (partition, None)));
        for topic in topics {
            let partitions = self.partitions(topic)?;
            let positions = brokers::positions(&self.consumer, &partitions, PATIENCE)?.complete()?;
            found.extend(positions.into_iter().map(|(partition, kafka)| (partition, Some(kafka))));
        }
        let report = |(partition, kafka): (TopicPartition, Option<KafkaPosition>)| {
            let recorded = recorded(table, &partition);
            let refusal = kafka.and_then(|kafka| judge(&partition, recorded, kafka).err());
            PartitionReport {
                product: table.spec().product.clone(),
                table: recorded.map(|table| table.next),
                first: kafka.map(|kafka| kafka.first),
                end: kafka.map(|kafka| kafka.end),
                refused: refusal.map(|refusal| refusal.loss()),
                partition,
            }
        };
        Ok(found.into_iter().map(report).collect())
    }

    /// Inspects one partition for a decision. Errors if Kafka does not have it.
    pub fn look(&self, table: &Table, partition: &TopicPartition) -> Result<LossCase, PartitionsError> {
        let missing = || PartitionsError::Missing(partition.clone());
        if !self.partitions(&partition.topic)?.contains(partition) {
            return Err(missing());
        }
        let asked = std::slice::from_ref(partition);
        let found = brokers::positions(&self.consumer, asked, PATIENCE)?.complete()?;
        let kafka = *found.get(partition).ok_or_else(missing)?;
        let table = recorded(table, partition);
        Ok(LossCase { table, kafka, refusal: judge(partition, table, kafka).err() })
    }

    /// Returns the partitions that a topic has in Kafka; empty if the topic does not exist.
    fn partitions(&self, topic: &Topic) -> Result<Vec<TopicPartition>, PartitionsError> {
        // A metadata request for a missing topic may create it.
        let states = brokers::topic_states(&self.consumer, std::iter::once(topic), PATIENCE)?;
        if states.get(topic) == Some(&TopicState::Missing) {
            return Ok(Vec::new());
        }
        let failed = |error| PartitionsError::Metadata { topic: topic.clone(), error };
        let metadata = self.consumer.fetch_metadata(Some(topic.as_str()), PATIENCE).map_err(failed)?;
        let of_topic = metadata.topics().iter().filter(|found| found.name() == topic.as_str());
        let number = |id: i32| TopicPartition { topic: topic.clone(), partition: Partition(id) };
        Ok(of_topic.flat_map(|found| found.partitions()).map(|partition| number(partition.id())).collect())
    }
}

/// Records in `table` that the loss of `refusal` is accepted, so that reading continues. Returns the table's version.
pub async fn accept_loss(
    table: &mut Table,
    refusal: &Refusal,
    policy: &PolicyVersion,
    at: DateTime<Utc>,
) -> Result<u64, PartitionsError> {
    let partition = refusal.partition.clone();
    let decision = LossDecision {
        partition: partition.clone(),
        from: refusal.table,
        mark: table.topic_mark(&partition),
        next: refusal.resume(),
        topic: refusal.kafka.topic,
    };
    let moved =
        PartitionProgress { partition: partition.clone(), from: Some(refusal.table), next: decision.next, records: 0 };
    let loss = Loss { partition, cause: refusal.cause, offsets: refusal.lost_offsets() };
    let evidence = Evidence::accept_loss(Uuid::new_v4(), at, policy.clone(), moved, loss);
    Ok(table.accept_loss(&decision, evidence).await?)
}

fn recorded(table: &Table, partition: &TopicPartition) -> Option<TablePosition> {
    let topic = table.topic_mark(partition);
    table.next_offset(partition).map(|next| TablePosition { next, topic })
}
