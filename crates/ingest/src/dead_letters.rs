//! Dead letters: a record that cannot be stored is sent to a Kafka topic, with the reason and its
//! source in headers.
//!
//! A letter is delivered before the commit that passes its offset, so that no crash loses it. A
//! crash between the two sends it again, with the same source offset. Must never log a byte of a
//! record.

mod delivered;
mod delivery;
mod delivery_failure;
mod letter;
mod quarantine;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, Producer};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::kafka::AuxiliaryContext;
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::{Offset, ProductKey, Topic, TopicPartition};
use ebbtide_base::metrics::Metrics;
use ebbtide_table::Quarantine;

use delivered::DeliveredLetters;
pub use delivery::{DeliveryOutcome, UndeliveredLetters};
pub use letter::{DeadLetter, LetterForm};
pub use quarantine::QuarantineTerms;

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
/// Its Kafka timestamp, milliseconds since 1970, in decimal; absent if it had none.
pub const TIMESTAMP: &str = "ebbtide.timestamp";
/// The header that names the omitted parts: `value,key,headers`. Absent in a letter that contains
/// its record.
pub const OMITTED: &str = "ebbtide.omitted";
/// The reason why the letter does not contain its record, in the client's words.
pub const REFUSED: &str = "ebbtide.refused";
/// The length of the omitted value in bytes, in decimal; absent if the record had no value.
pub const BYTES: &str = "ebbtide.value-bytes";
/// The length of the omitted key in bytes, in decimal; absent if the record had no key.
pub const KEY_BYTES: &str = "ebbtide.key-bytes";
/// The SHA-256 of the omitted value, in hexadecimal.
pub const DIGEST: &str = "ebbtide.value-sha256";

/// The maximum number of delivered letters that are remembered until a commit passes them.
const REMEMBERED: usize = 200_000;

/// The maximum number of deliveries that send at the same time: more than there are products.
const SENDERS: u32 = 1 << 16;

/// The dependencies of dead letters other than the producer.
#[derive(Clone)]
pub struct LetterDeps {
    /// The store of letters that the topic does not accept.
    pub quarantine: Quarantine,
    /// The retention of letters in the quarantine.
    pub terms: QuarantineTerms,
    /// The clock by which they expire.
    pub clock: SharedClock,
    /// The metrics in which letters are counted.
    pub metrics: Metrics,
}

/// Sends dead letters, idempotently and acknowledged by all replicas.
pub struct DeadLetters {
    config: ClientConfig,
    /// `None` after a failure from which a producer may not recover.
    producer: Mutex<Option<Arc<FutureProducer<AuxiliaryContext>>>>,
    /// Permits to send. A letter that is sent alone takes all of them: the client joins letters of
    /// several deliveries in one batch, and the brokers refuse the whole batch.
    sending: Semaphore,
    topic: Topic,
    delivered: Mutex<DeliveredLetters>,
    quarantine: Quarantine,
    terms: QuarantineTerms,
    clock: SharedClock,
    metrics: Metrics,
}

impl DeadLetters {
    /// Creates a producer for `topic` with the configuration of
    /// [`ClientRole::DeadLetters`](super::kafka::ClientRole).
    ///
    /// # Errors
    /// If librdkafka refuses the configuration.
    pub fn new(config: ClientConfig, topic: Topic, deps: LetterDeps) -> Result<Self, KafkaError> {
        let producer = config.create_with_context(AuxiliaryContext)?;
        let LetterDeps {
            quarantine,
            terms,
            clock,
            metrics,
        } = deps;
        Ok(Self {
            config,
            producer: Mutex::new(Some(Arc::new(producer))),
            sending: Semaphore::new(SENDERS as usize),
            topic,
            delivered: Mutex::new(DeliveredLetters::new(REMEMBERED)),
            quarantine,
            terms,
            clock,
            metrics,
        })
    }

    /// Returns the topic that the letters are sent to.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Starts the delivery of `letters` of `product`, or of a notice topic if `product` is `None`.
    /// The task continues when its handle is dropped, and a later delivery of the same letters does
    /// not send them a second time.
    pub fn start(
        self: &Arc<Self>,
        runtime: &Handle,
        product: Option<&ProductKey>,
        letters: Vec<DeadLetter>,
    ) -> JoinHandle<DeliveryOutcome> {
        runtime.spawn(delivery::deliver(
            Arc::clone(self),
            product.cloned(),
            letters,
        ))
    }

    /// Forgets the delivered letters of `source` before `next`, which a commit has passed.
    pub fn settle(&self, source: &TopicPartition, next: Offset) {
        self.delivered().settle(source, next);
    }

    fn delivered(&self) -> MutexGuard<'_, DeliveredLetters> {
        self.delivered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the producer, or a new one after [`DeadLetters::renew`].
    fn producer(&self) -> Result<Arc<FutureProducer<AuxiliaryContext>>, KafkaError> {
        let mut producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = &*producer {
            return Ok(Arc::clone(producer));
        }
        let made = Arc::new(self.config.create_with_context(AuxiliaryContext)?);
        *producer = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Makes the next delivery create a new producer. A producer that failed permanently sends
    /// nothing any more, and a producer that was refused a topic asks for it again only minutes
    /// later.
    fn renew(&self) {
        *self.producer.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Drop for DeadLetters {
    fn drop(&mut self) {
        // No letter in flight is lost by this: a letter counts as delivered only when its delivery
        // has returned.
        let producer = self
            .producer
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = producer {
            let _ = producer.flush(Duration::ZERO);
        }
    }
}
