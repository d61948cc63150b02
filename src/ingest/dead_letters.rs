//! Dead letters: a record that cannot be stored goes, whole, to a Kafka topic, with the reason and its source in headers.
//!
//! Delivered before the commit that passes its offset, so that no crash loses one; a crash between the two sends it
//! again, with the same source offset to tell. Must never log a byte of a record.

use std::time::Duration;

use futures::future::join_all;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};

use crate::ids::{Topic, TopicPartition};
use crate::ingest::decode::Rejected;
use crate::ingest::intake::Intake;
use crate::ingest::kafka::{Aside, DELIVERY_TIMEOUT};

/// The reason code (`bad_body`), as in `ebbtide_dead_letters_total`.
pub const CODE: &str = "ebbtide.code";
/// The reason in words.
pub const REASON: &str = "ebbtide.reason";
/// The topic that the record came from.
pub const TOPIC: &str = "ebbtide.topic";
/// The partition that it came from, in decimal.
pub const PARTITION: &str = "ebbtide.partition";
/// Its offset there, in decimal.
pub const OFFSET: &str = "ebbtide.offset";
/// Its Kafka timestamp, milliseconds since 1970, in decimal; absent where it had none.
pub const TIMESTAMP: &str = "ebbtide.timestamp";

/// One record that waits for its delivery to the dead-letter topic.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    payload: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    headers: OwnedHeaders,
}

impl DeadLetter {
    /// The letter for one row of `intake`: its bytes, key and headers as they came, and ours after them.
    #[must_use]
    pub fn of(intake: &Intake, source: &TopicPartition, rejected: &Rejected) -> Self {
        let Rejected { row, fault, reason } = rejected;
        let row = *row;
        let text = |headers: OwnedHeaders, key: &str, value: &str| headers.insert(Header { key, value: Some(value) });
        let mut headers = intake.headers(row).cloned().unwrap_or_default();
        headers = text(headers, CODE, fault.code());
        let reason = reason.as_ref().map_or_else(|| fault.to_string(), |reason| format!("{fault}: {reason}"));
        headers = text(headers, REASON, &reason);
        headers = text(headers, TOPIC, source.topic.as_str());
        headers = text(headers, PARTITION, &source.partition.to_string());
        headers = text(headers, OFFSET, &intake.offset(row).to_string());
        if let Some(timestamp) = intake.timestamp(row) {
            headers = text(headers, TIMESTAMP, &timestamp.to_string());
        }
        Self { payload: intake.payload(row).map(<[u8]>::to_vec), key: intake.key(row).map(<[u8]>::to_vec), headers }
    }

    /// How much memory it takes, in bytes, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        512 + self.payload.as_ref().map_or(0, Vec::len) + self.key.as_ref().map_or(0, Vec::len)
    }
}

/// Why dead letters are not delivered yet; they stay where they are and are sent again.
#[derive(Debug, thiserror::Error)]
#[error("{undelivered} of {all} dead letters were not taken by topic {topic}: {source}")]
pub struct DeliveryError {
    undelivered: usize,
    all: usize,
    topic: Topic,
    source: KafkaError,
}

/// Sends dead letters, idempotently and acknowledged by all replicas.
pub struct DeadLetters {
    producer: FutureProducer<Aside>,
    topic: Topic,
    patience: Duration,
}

impl DeadLetters {
    /// A producer for `topic` with the configuration of [`ClientRole::DeadLetters`](super::kafka::ClientRole).
    ///
    /// Errors if librdkafka refuses the configuration.
    pub fn new(config: &ClientConfig, topic: Topic) -> Result<Self, KafkaError> {
        let producer: FutureProducer<Aside> = config.create_with_context(Aside)?;
        Ok(Self { producer, topic, patience: DELIVERY_TIMEOUT })
    }

    /// The topic that they go to.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Delivers all of `letters`, in order; takes out each that the brokers have acknowledged.
    ///
    /// Errors if any was not acknowledged in time. It may have arrived all the same: sending it again is right.
    pub async fn deliver(&self, letters: &mut Vec<DeadLetter>) -> Result<(), DeliveryError> {
        let sends = letters.iter().map(|letter| {
            let mut record = FutureRecord::<[u8], [u8]>::to(self.topic.as_str()).headers(letter.headers.clone());
            record.payload = letter.payload.as_deref();
            record.key = letter.key.as_deref();
            self.producer.send(record, self.patience)
        });
        let sent = join_all(sends).await;
        let all = letters.len();
        let mut failed = None;
        let mut outcomes = sent.into_iter();
        letters.retain(|_| match outcomes.next() {
            Some(Err((error, _))) => {
                failed = Some(error);
                true
            }
            _ => false,
        });
        match failed {
            None => Ok(()),
            Some(source) => Err(DeliveryError { undelivered: letters.len(), all, topic: self.topic.clone(), source }),
        }
    }
}

impl Drop for DeadLetters {
    fn drop(&mut self) {
        // Nothing that matters is in flight: a letter counts only when `deliver` has returned.
        let _ = self.producer.flush(Duration::ZERO);
    }
}
