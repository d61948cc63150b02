//! Requests to the brokers about partitions: the topic's id, the first offset and the end offset.
//!
//! Each question is one request for each broker concerned, whatever the number of partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kafka_topic_id::{DescribeError, topic_ids as describe};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset as Special, TopicPartitionList};

use crate::ids::{IdError, Offset, Partition, Topic, TopicId, TopicPartition};
use crate::ingest::position::KafkaPosition;

/// The reason why the brokers' answer is missing.
#[derive(Debug, thiserror::Error)]
pub enum BrokersError {
    /// The topic ids could not be read.
    #[error("the ids of the topics could not be read: {0}")]
    Ids(#[from] DescribeError),
    /// The id of one topic could not be read.
    #[error("the id of topic {topic} could not be read: {code}")]
    Topic {
        /// The topic.
        topic: Topic,
        /// The brokers' reason.
        code: RDKafkaErrorCode,
    },
    /// The first or last offsets could not be read.
    #[error("the offsets of {0} could not be read: {1}")]
    Offsets(String, KafkaError),
    /// The brokers named a topic that is not legal.
    #[error(transparent)]
    Name(#[from] IdError),
}

/// The state of a topic at the brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicState {
    /// The topic exists, with its id; `None` if the brokers are older than topic ids.
    Exists(Option<TopicId>),
    /// The topic does not exist.
    Missing,
}

/// Returns the brokers' position of each partition. Errors if they do not answer for all of them within `patience`.
pub fn positions<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[TopicPartition],
    patience: Duration,
) -> Result<BTreeMap<TopicPartition, KafkaPosition>, BrokersError> {
    if partitions.is_empty() {
        return Ok(BTreeMap::new());
    }
    // The ids are read before the offsets. If a topic is recreated in between, its new offsets are paired with its old
    // id, and the next check refuses the partition.
    let topics = topic_states(consumer, partitions.iter().map(|partition| &partition.topic), patience)?;
    let first = offsets(consumer, partitions, Special::Beginning, patience)?;
    let end = offsets(consumer, partitions, Special::End, patience)?;
    let mut found = BTreeMap::new();
    for partition in partitions {
        let topic = match topics.get(&partition.topic) {
            Some(TopicState::Exists(id)) => *id,
            _ => {
                let code = RDKafkaErrorCode::UnknownTopicOrPartition;
                return Err(BrokersError::Topic { topic: partition.topic.clone(), code });
            }
        };
        if let (Some(first), Some(end)) = (first.get(partition), end.get(partition)) {
            found.insert(partition.clone(), KafkaPosition { topic, first: *first, end: *end });
        }
    }
    Ok(found)
}

/// Returns the end of each partition: the offset after the last record that may be read.
pub fn ends<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[TopicPartition],
    patience: Duration,
) -> Result<BTreeMap<TopicPartition, Offset>, BrokersError> {
    if partitions.is_empty() { Ok(BTreeMap::new()) } else { offsets(consumer, partitions, Special::End, patience) }
}

/// Returns the state of each topic at the brokers. Errors if they do not answer within `patience`.
pub fn topic_states<'t, C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topics: impl Iterator<Item = &'t Topic>,
    patience: Duration,
) -> Result<BTreeMap<Topic, TopicState>, BrokersError> {
    let topics: BTreeSet<&Topic> = topics.collect();
    let names: Vec<&str> = topics.iter().map(|topic| topic.as_str()).collect();
    let answers = match describe(consumer.client(), &names, patience) {
        Ok(answers) => answers,
        Err(DescribeError::Request(RDKafkaErrorCode::UnsupportedFeature)) => {
            return Ok(topics.into_iter().map(|topic| (topic.clone(), TopicState::Exists(None))).collect());
        }
        Err(error) => return Err(error.into()),
    };
    let mut states = BTreeMap::new();
    for answer in answers {
        let topic = Topic::new(&answer.topic)?;
        let state = match answer.id {
            Ok(id) => TopicState::Exists(id.map(TopicId)),
            Err(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => TopicState::Missing,
            Err(code) => return Err(BrokersError::Topic { topic, code }),
        };
        states.insert(topic, state);
    }
    Ok(states)
}

/// Requests the first or the end offset of all partitions in one step. Partitions without an answer are left out.
fn offsets<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[TopicPartition],
    which: Special,
    patience: Duration,
) -> Result<BTreeMap<TopicPartition, Offset>, BrokersError> {
    let failed = |error| {
        let named: Vec<String> = partitions.iter().take(3).map(ToString::to_string).collect();
        let more = if partitions.len() > 3 { ", ..." } else { "" };
        BrokersError::Offsets(format!("{}{more}", named.join(", ")), error)
    };
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for TopicPartition { topic, partition } in partitions {
        // The special offsets are also the special times of the protocol.
        asked.add_partition_offset(topic.as_str(), partition.0, which).map_err(failed)?;
    }
    let answered = consumer.offsets_for_times(asked, patience).map_err(failed)?;
    let mut found = BTreeMap::new();
    for element in answered.elements() {
        element.error().map_err(failed)?;
        if let Special::Offset(offset) = element.offset() {
            let partition =
                TopicPartition { topic: Topic::new(element.topic())?, partition: Partition(element.partition()) };
            found.insert(partition, Offset(offset));
        }
    }
    Ok(found)
}
