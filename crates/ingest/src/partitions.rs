//! The partitions for an operator: the table's position, Kafka's position, and the decision to
//! continue after a loss.
//!
//! The rules are those of a lane, so that a refusal shown here is a refusal of an instance.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use serde::Serialize;
use uuid::Uuid;

use crate::brokers::{self, QueryBrokersError, TopicState};
use crate::kafka::AuxiliaryContext;
use crate::position::{KafkaPosition, PartitionRefusal, TablePosition, check_position};
use ebbtide_base::ids::{Offset, Partition, PolicyVersion, ProductKey, Topic, TopicPartition};
use ebbtide_config::KafkaConfig;
use ebbtide_table::{
    AcceptLossError, Evidence, LossDecision, OffsetLoss, PartitionEvidence, Table,
};

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
    /// The first offset that Kafka has; `None` if Kafka does not have the partition, or its topic
    /// could not be read.
    pub first: Option<Offset>,
    /// The offset after the last record that may be read; `None` as for `first`.
    pub end: Option<Offset>,
    /// The reason why it must not be read, and the records that are lost.
    pub refused: Option<String>,
    /// The reason why Kafka's position is not known; `None` if it is, or if Kafka does not have the
    /// partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// The partitions of the topics that feed a table.
#[derive(Debug)]
pub struct PartitionList {
    /// The partitions, in order.
    pub reports: Vec<PartitionReport>,
    /// The topics that could not be read, each with the reason. Their partitions have no position
    /// in Kafka.
    pub faults: BTreeMap<Topic, String>,
}

/// A partition that was inspected for a decision.
#[derive(Debug, Clone)]
pub struct LossCase {
    /// The table's position; `None` if it has no offset of the partition.
    pub table: Option<TablePosition>,
    /// Kafka's position.
    pub kafka: KafkaPosition,
    /// The refusal to be decided; `None` if the partition may be read.
    pub refusal: Option<PartitionRefusal>,
}

/// The reason why partitions could not be inspected, or why a loss could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum InspectPartitionsError {
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
    Brokers(#[from] QueryBrokersError),
    /// The partition does not exist in Kafka.
    #[error("Kafka has no partition {0}; nothing can be read from it")]
    Missing(TopicPartition),
    /// The decision was not recorded.
    #[error(transparent)]
    Accept(#[from] AcceptLossError),
}

/// A client of the brokers that joins no group.
pub struct PartitionClient {
    consumer: BaseConsumer<AuxiliaryContext>,
}

impl PartitionClient {
    /// Creates a client from the configuration. Errors if librdkafka refuses it.
    pub fn new(kafka: &KafkaConfig) -> Result<Self, InspectPartitionsError> {
        let mut base = super::client_config(kafka, super::ClientRole::Admin);
        base.set("group.id", &kafka.group)
            .set("enable.auto.commit", "false");
        Ok(Self {
            consumer: base
                .create_with_context(AuxiliaryContext)
                .map_err(InspectPartitionsError::Client)?,
        })
    }

    /// Returns one report for each partition that `topics` have in Kafka or that `table` has an
    /// offset of. A topic that cannot be read does not affect others. Errors if the brokers do not
    /// answer.
    pub fn list(
        &self,
        table: &Table,
        topics: &[Topic],
    ) -> Result<PartitionList, InspectPartitionsError> {
        let mut found: BTreeMap<TopicPartition, Option<KafkaPosition>> = BTreeMap::new();
        found.extend(
            table
                .partitions()
                .into_iter()
                .map(|partition| (partition, None)),
        );
        let states = brokers::topic_states(&self.consumer, topics.iter(), PATIENCE)?;
        let mut faults = BTreeMap::new();
        let mut asked = Vec::new();
        for (topic, state) in states
            .into_iter()
            .filter(|(_, state)| *state != TopicState::Missing)
        {
            let partitions = match state.fault(&topic) {
                Some(why) => Err(why),
                None => self.metadata(&topic).map_err(|error| error.to_string()),
            };
            match partitions {
                Ok(partitions) => asked.extend(partitions),
                Err(why) => drop(faults.insert(topic, why)),
            }
        }
        let answers = brokers::positions(&self.consumer, &asked, PATIENCE)?;
        found.extend(
            answers
                .found
                .into_iter()
                .map(|(partition, kafka)| (partition, Some(kafka))),
        );
        for (partition, why) in answers.failed {
            let why = QueryBrokersError::Offsets {
                partition: partition.clone(),
                why,
            };
            faults
                .entry(partition.topic.clone())
                .or_insert_with(|| why.to_string());
            found.entry(partition).or_insert(None);
        }
        let report = |(partition, kafka): (TopicPartition, Option<KafkaPosition>)| {
            let recorded = recorded(table, &partition);
            let refusal = kafka.and_then(|kafka| check_position(&partition, recorded, kafka).err());
            PartitionReport {
                product: table.spec().product.clone(),
                table: recorded.map(|table| table.next),
                first: kafka.map(|kafka| kafka.first),
                end: kafka.map(|kafka| kafka.end),
                refused: refusal.map(|refusal| refusal.loss()),
                fault: faults
                    .get(&partition.topic)
                    .filter(|_| kafka.is_none())
                    .cloned(),
                partition,
            }
        };
        let reports = found.into_iter().map(report).collect();
        Ok(PartitionList { reports, faults })
    }

    /// Inspects one partition for a decision. Errors if Kafka does not have it.
    pub fn look(
        &self,
        table: &Table,
        partition: &TopicPartition,
    ) -> Result<LossCase, InspectPartitionsError> {
        let missing = || InspectPartitionsError::Missing(partition.clone());
        if !self.partitions(&partition.topic)?.contains(partition) {
            return Err(missing());
        }
        let asked = std::slice::from_ref(partition);
        let found = brokers::positions(&self.consumer, asked, PATIENCE)?.complete()?;
        let kafka = *found.get(partition).ok_or_else(missing)?;
        let table = recorded(table, partition);
        Ok(LossCase {
            table,
            kafka,
            refusal: check_position(partition, table, kafka).err(),
        })
    }

    /// Returns the partitions that a topic has in Kafka; empty if the topic does not exist.
    fn partitions(&self, topic: &Topic) -> Result<Vec<TopicPartition>, InspectPartitionsError> {
        // A metadata request for a missing topic may create it.
        let states = brokers::topic_states(&self.consumer, std::iter::once(topic), PATIENCE)?;
        if states.get(topic) == Some(&TopicState::Missing) {
            Ok(Vec::new())
        } else {
            self.metadata(topic)
        }
    }

    /// Returns the partitions of a topic that exists.
    fn metadata(&self, topic: &Topic) -> Result<Vec<TopicPartition>, InspectPartitionsError> {
        let failed = |error| InspectPartitionsError::Metadata {
            topic: topic.clone(),
            error,
        };
        let metadata = self
            .consumer
            .fetch_metadata(Some(topic.as_str()), PATIENCE)
            .map_err(failed)?;
        let of_topic = metadata
            .topics()
            .iter()
            .filter(|found| found.name() == topic.as_str());
        // Brokers without topic ids report only here that a topic is hidden or missing.
        match of_topic
            .clone()
            .find_map(|found| found.error())
            .map(RDKafkaErrorCode::from)
        {
            None
            | Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {}
            Some(code) => return Err(failed(KafkaError::MetadataFetch(code))),
        }
        let number = |id: i32| TopicPartition {
            topic: topic.clone(),
            partition: Partition(id),
        };
        Ok(of_topic
            .flat_map(|found| found.partitions())
            .map(|partition| number(partition.id()))
            .collect())
    }
}

/// Records in `table` that the loss of `refusal` is accepted, so that reading continues. Returns
/// the table's version.
pub async fn accept_loss(
    table: &mut Table,
    refusal: &PartitionRefusal,
    policy: &PolicyVersion,
    at: DateTime<Utc>,
) -> Result<u64, InspectPartitionsError> {
    let partition = refusal.partition.clone();
    let decision = LossDecision {
        partition: partition.clone(),
        from: refusal.table,
        mark: table.topic_mark(&partition),
        next: refusal.resume(),
        topic: refusal.kafka.topic,
    };
    let moved = PartitionEvidence {
        partition: partition.clone(),
        from: Some(refusal.table),
        next: decision.next,
        records: 0,
    };
    let loss = OffsetLoss {
        partition,
        cause: refusal.cause,
        offsets: refusal.lost_offsets(),
    };
    let evidence = Evidence::accept_loss(Uuid::new_v4(), at, policy.clone(), moved, loss);
    Ok(table.accept_loss(&decision, evidence).await?)
}

fn recorded(table: &Table, partition: &TopicPartition) -> Option<TablePosition> {
    let topic = table.topic_mark(partition);
    table
        .next_offset(partition)
        .map(|next| TablePosition { next, topic })
}
