//! Requests to the brokers about partitions: the topic's id, the first offset and the end offset.
//!
//! Each question is one request for each broker concerned, whatever the number of partitions. A
//! topic that cannot be read has a separate answer and does not affect other topics.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kafka_topic_id::{
    DescribeError, DescribedTopic, topic_ids as describe, topic_rights as describe_rights,
};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset as Special, TopicPartitionList};

use crate::position::KafkaPosition;
use ebbtide_base::ids::{IdError, Offset, Topic, TopicId, TopicPartition};

/// The reason why the brokers' answer is missing.
#[derive(Debug, thiserror::Error)]
pub enum QueryBrokersError {
    /// The topic ids could not be read.
    #[error("the ids of the topics could not be read: {0}")]
    Ids(#[from] DescribeError),
    /// The first or last offsets of a partition could not be read.
    #[error("the offsets of {partition} could not be read: {why}")]
    Offsets {
        /// The partition.
        partition: TopicPartition,
        /// The reason.
        why: String,
    },
    /// The brokers named a topic that is not legal.
    #[error(transparent)]
    Name(#[from] IdError),
}

/// The state of a topic at the brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicState {
    /// The topic exists, with its id; `None` if the brokers are older than topic ids.
    Exists(Option<TopicId>),
    /// The topic exists, and this client may not read from it.
    Unreadable(Option<TopicId>),
    /// The topic does not exist.
    Missing,
    /// The brokers do not let this client see the topic.
    Hidden,
    /// The brokers report another error for the topic.
    Failed(RDKafkaErrorCode),
}

impl TopicState {
    /// Returns the topic's id, if the topic exists and the brokers report ids.
    #[must_use]
    pub fn id(self) -> Option<TopicId> {
        match self {
            TopicState::Exists(id) | TopicState::Unreadable(id) => id,
            TopicState::Missing | TopicState::Hidden | TopicState::Failed(_) => None,
        }
    }

    /// Returns the reason why the brokers report nothing else about `topic`; `None` if it exists.
    #[must_use]
    pub fn fault(self, topic: &Topic) -> Option<String> {
        match self {
            TopicState::Exists(_) | TopicState::Unreadable(_) => None,
            TopicState::Missing => Some(format!("topic {topic} does not exist")),
            TopicState::Hidden => Some(format!(
                "the brokers do not let this client see topic {topic}"
            )),
            TopicState::Failed(code) => Some(format!(
                "the brokers report an error for topic {topic}: {code}"
            )),
        }
    }

    fn new(answer: &DescribedTopic) -> Self {
        match (answer.id, answer.may_read) {
            (Ok(id), Some(false)) => TopicState::Unreadable(id.map(TopicId)),
            (Ok(id), _) => TopicState::Exists(id.map(TopicId)),
            (
                Err(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic),
                _,
            ) => TopicState::Missing,
            (Err(RDKafkaErrorCode::TopicAuthorizationFailed), _) => TopicState::Hidden,
            (Err(code), _) => TopicState::Failed(code),
        }
    }
}

/// Answers for several partitions: those that the brokers answered, and the reason for each of the
/// others.
#[derive(Debug)]
pub struct BrokerAnswers<T> {
    /// The answers.
    pub found: BTreeMap<TopicPartition, T>,
    /// The reasons why there is no answer.
    pub failed: BTreeMap<TopicPartition, String>,
}

impl<T> Default for BrokerAnswers<T> {
    fn default() -> Self {
        Self {
            found: BTreeMap::new(),
            failed: BTreeMap::new(),
        }
    }
}

impl<T> BrokerAnswers<T> {
    /// Returns the answers if there is one for each partition. Errors with the reason of the first
    /// that has none.
    pub fn complete(self) -> Result<BTreeMap<TopicPartition, T>, QueryBrokersError> {
        match self.failed.into_iter().next() {
            Some((partition, why)) => Err(QueryBrokersError::Offsets { partition, why }),
            None => Ok(self.found),
        }
    }

    fn fail(&mut self, partitions: &[TopicPartition], why: &str) {
        self.failed.extend(
            partitions
                .iter()
                .map(|partition| (partition.clone(), why.to_owned())),
        );
    }
}

/// Returns the brokers' position of each partition. Errors if they do not answer within `patience`.
pub fn positions<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[TopicPartition],
    patience: Duration,
) -> Result<BrokerAnswers<KafkaPosition>, QueryBrokersError> {
    let mut answers = BrokerAnswers::default();
    // The ids are read before the offsets. If a topic is recreated in between, its new offsets are
    // paired with its old id, and the next check refuses the partition.
    let topics = topic_states(
        consumer,
        partitions.iter().map(|partition| &partition.topic),
        patience,
    )?;
    let mut asked = Vec::with_capacity(partitions.len());
    for partition in partitions {
        let state = topics
            .get(&partition.topic)
            .copied()
            .unwrap_or(TopicState::Missing);
        match state.fault(&partition.topic) {
            Some(why) => answers.fail(std::slice::from_ref(partition), &why),
            None => asked.push(partition.clone()),
        }
    }
    let first = offsets(consumer, &asked, Special::Beginning, patience);
    let end = offsets(consumer, &asked, Special::End, patience);
    for partition in asked {
        let topic = topics.get(&partition.topic).and_then(|state| state.id());
        match (first.found.get(&partition), end.found.get(&partition)) {
            (Some(first), Some(end)) => {
                answers.found.insert(
                    partition,
                    KafkaPosition {
                        topic,
                        first: *first,
                        end: *end,
                    },
                );
            }
            _ => {
                let why = first
                    .failed
                    .get(&partition)
                    .or(end.failed.get(&partition))
                    .cloned()
                    .unwrap_or_default();
                answers.failed.insert(partition, why);
            }
        }
    }
    Ok(answers)
}

/// Returns the end of each partition: the offset after the last record that may be read.
pub fn ends<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[TopicPartition],
    patience: Duration,
) -> BrokerAnswers<Offset> {
    offsets(consumer, partitions, Special::End, patience)
}

/// Returns the state of each topic at the brokers, without this client's right to read from it.
/// Errors if they do not answer within `patience`.
pub fn topic_states<'t, C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topics: impl Iterator<Item = &'t Topic>,
    patience: Duration,
) -> Result<BTreeMap<Topic, TopicState>, QueryBrokersError> {
    states(topics, |names| describe(consumer.client(), names, patience))
}

/// Returns the state of each topic at the brokers, with this client's right to read from it. Errors
/// if they do not answer within `patience`.
pub fn topic_rights<'t, C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topics: impl Iterator<Item = &'t Topic>,
    patience: Duration,
) -> Result<BTreeMap<Topic, TopicState>, QueryBrokersError> {
    states(topics, |names| {
        describe_rights(consumer.client(), names, patience)
    })
}

fn states<'t>(
    topics: impl Iterator<Item = &'t Topic>,
    request: impl Fn(&[&str]) -> Result<Vec<DescribedTopic>, DescribeError>,
) -> Result<BTreeMap<Topic, TopicState>, QueryBrokersError> {
    let topics: BTreeSet<&Topic> = topics.collect();
    let names: Vec<&str> = topics.iter().map(|topic| topic.as_str()).collect();
    match request(&names) {
        Ok(answers) => answers
            .iter()
            .map(|answer| Ok((Topic::new(&answer.topic)?, TopicState::new(answer))))
            .collect(),
        Err(DescribeError::Request(RDKafkaErrorCode::UnsupportedFeature)) => Ok(topics
            .into_iter()
            .map(|topic| (topic.clone(), TopicState::Exists(None)))
            .collect()),
        Err(error) => Err(error.into()),
    }
}

/// Requests the first or the end offset of all partitions in one step. If that fails, each topic is
/// requested separately, since the client reports the error of one topic as the error of all.
fn offsets<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[TopicPartition],
    which: Special,
    patience: Duration,
) -> BrokerAnswers<Offset> {
    let mut answers = BrokerAnswers::default();
    if partitions.is_empty() {
        return answers;
    }
    let Err(error) = request_offsets(consumer, partitions, which, patience, &mut answers) else {
        return answers;
    };
    let mut by_topic: BTreeMap<&Topic, Vec<TopicPartition>> = BTreeMap::new();
    for partition in partitions {
        by_topic
            .entry(&partition.topic)
            .or_default()
            .push(partition.clone());
    }
    if by_topic.len() == 1 {
        answers.fail(partitions, &error.to_string());
        return answers;
    }
    for of_topic in by_topic.values() {
        if let Err(error) = request_offsets(consumer, of_topic, which, patience / 4, &mut answers) {
            answers.fail(of_topic, &error.to_string());
        }
    }
    answers
}

/// Requests one offset of each partition. Errors, without an answer, if the client reports one
/// error for all of them.
fn request_offsets<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[TopicPartition],
    which: Special,
    patience: Duration,
    answers: &mut BrokerAnswers<Offset>,
) -> Result<(), KafkaError> {
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for TopicPartition { topic, partition } in partitions {
        // The special offsets are also the special times of the protocol.
        asked.add_partition_offset(topic.as_str(), partition.0, which)?;
    }
    let answered = consumer.offsets_for_times(asked, patience)?;
    for partition in partitions {
        let element = answered.find_partition(partition.topic.as_str(), partition.partition.0);
        match element.map(|element| (element.error(), element.offset())) {
            Some((Ok(()), Special::Offset(offset))) => {
                answers.found.insert(partition.clone(), Offset(offset));
            }
            Some((Err(error), _)) => {
                answers.fail(std::slice::from_ref(partition), &error.to_string())
            }
            _ => answers.fail(
                std::slice::from_ref(partition),
                "the brokers did not answer",
            ),
        }
    }
    Ok(())
}
