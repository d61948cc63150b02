//! Notices from Kafka: contracts that ended and people who withdrew, as reported by other systems
//! (docs/triggers.md has their form).
//!
//! A message's offset is committed only once its notice is in force in every table, is parked, or
//! is a dead letter. Reading it again changes nothing. Must never log or quote the content of a
//! message.

mod message;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset as KafkaOffset, TopicPartitionList};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::dead_letters::{DeadLetter, DeadLetters, UndeliveredLetters};
use super::kafka::AuxiliaryContext;
use super::partition_buffer::PartitionBuffer;
use super::watch::LaneWatch;
use super::{StartIngestError, is_final};
use crate::decode::RejectedRow;
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::{IdError, Offset, Partition, Topic, TopicPartition};
use ebbtide_base::metrics::Metrics;
use ebbtide_base::record::Fault;
use ebbtide_controls::{
    CommitIdentity, NoticeError, NoticeOutcome, NotifyError, Screening, ScreeningOutcome,
    notify_screened,
};
use ebbtide_policy::Policy;
use ebbtide_table::Root;
use message::NoticeKind;

/// The maximum number of messages of a batch: one commit puts all of them in force in a table.
const BATCH: usize = 500;
/// The time that one poll waits for a message.
const POLL: Duration = Duration::from_millis(200);
/// The time that the dead letters of a batch may take before the batch is read again.
const DELIVERY: Duration = Duration::from_secs(10);

/// The reader of notices and its dependencies.
pub struct NoticeReader {
    /// The configuration of the consumer.
    pub client: ClientConfig,
    /// The topics, each with its kind of notice.
    pub topics: Vec<(Topic, NoticeKind)>,
    /// The rules for notices that are applied only after a person has decided.
    pub screening: Screening,
    /// The policy in use.
    pub policy: Arc<Policy>,
    /// The root of the tables.
    pub root: Root,
    /// The source of time.
    pub clock: SharedClock,
    /// The metrics in which notices are counted.
    pub metrics: Metrics,
    /// The sender of dead letters, for messages that are not notices.
    pub dead_letters: Arc<DeadLetters>,
    /// The state of the reader, for `/readyz`.
    pub watch: LaneWatch,
    /// The runtime of the I/O.
    pub runtime: Handle,
    /// Set when the instance is to stop.
    pub stop: Arc<AtomicBool>,
}

/// The reason why messages are read again.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Name(#[from] IdError),
    #[error(transparent)]
    Notify(#[from] NotifyError),
    #[error(transparent)]
    Letters(#[from] UndeliveredLetters),
}

/// Messages in the order in which they were read.
#[derive(Default)]
struct Batch {
    messages: Vec<NoticeMessage>,
}

/// One message.
struct NoticeMessage {
    /// The message alone.
    buffer: PartitionBuffer,
    /// Its partition.
    from: TopicPartition,
}

/// Returns the topics that the configuration names, each with its kind of notice.
pub fn topics(config: &ebbtide_config::NoticesConfig) -> Result<Vec<(Topic, NoticeKind)>, IdError> {
    let named = [
        (&config.contracts, NoticeKind::Contract),
        (&config.consents, NoticeKind::Consent),
    ];
    named
        .into_iter()
        .filter_map(|(name, kind)| Some(Topic::new(name.as_ref()?).map(|topic| (topic, kind))))
        .collect()
}

impl NoticeReader {
    /// Reads until the instance is to stop. Starts again after a transient error.
    ///
    /// Errors if the client library refuses the configuration.
    pub fn run(mut self) -> Result<(), StartIngestError> {
        while !self.stop.load(Ordering::Relaxed) {
            self.watch.begin();
            let error = match self.read() {
                Ok(()) => return Ok(()),
                Err(ReadError::Kafka(error)) if is_final(&error) => return Err(error.into()),
                Err(error) => error,
            };
            self.metrics.notices.with_label_values(&["failed"]).inc();
            tracing::error!(%error, "notices could not be taken; they are read again");
            let until = self.clock.monotonic() + self.watch.fail(&error.to_string());
            while self.clock.monotonic() < until && !self.stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), ReadError> {
        let consumer: BaseConsumer<AuxiliaryContext> =
            self.client.create_with_context(AuxiliaryContext)?;
        let names: Vec<&str> = self
            .topics
            .iter()
            .map(|(topic, _)| topic.as_str())
            .collect();
        consumer.subscribe(&names)?;
        while !self.stop.load(Ordering::Relaxed) {
            let batch = poll(&consumer)?;
            if !batch.messages.is_empty() {
                self.take(&batch)?;
                consumer.commit(&next_offsets(&batch)?, CommitMode::Sync)?;
                for NoticeMessage { buffer, from } in &batch.messages {
                    self.dead_letters
                        .settle(from, Offset(buffer.offset(0)).next());
                }
            }
            self.watch.run();
        }
        consumer.unsubscribe();
        Ok(())
    }

    /// Applies a batch. After this each message is in force, known, parked or a dead letter.
    fn take(&mut self, batch: &Batch) -> Result<(), ReadError> {
        let mut faults: Vec<RejectedRow> = Vec::new();
        let (mut rows, mut notices) = (Vec::new(), Vec::new());
        for (row, NoticeMessage { buffer, from }) in batch.messages.iter().enumerate() {
            let kind = self
                .topics
                .iter()
                .find(|(topic, _)| *topic == from.topic)
                .map(|(_, kind)| *kind);
            match message::parse(kind.unwrap_or(NoticeKind::Contract), buffer.payload(0)) {
                Ok(notice) => {
                    rows.push(row);
                    notices.push(notice);
                }
                Err(fault) => faults.push(RejectedRow::new(row, fault)),
            }
        }
        let (writer, at) = (Uuid::new_v4(), self.clock.now());
        let by = CommitIdentity {
            writer,
            at,
            policy_version: self.policy.version.clone(),
        };
        let outcomes = self.runtime.block_on(notify_screened(
            &self.root,
            &self.policy,
            notices,
            &by,
            &self.screening,
        ))?;
        for (row, outcome) in rows.into_iter().zip(outcomes) {
            faults.extend(self.count_outcome(row, &batch.messages[row], outcome));
        }
        let letter = |rejected: &RejectedRow| {
            let NoticeMessage { buffer, from } = &batch.messages[rejected.row];
            let letter = DeadLetter::of(
                buffer,
                from,
                &RejectedRow {
                    row: 0,
                    ..rejected.clone()
                },
            );
            tracing::warn!(
                source.partition = %from,
                source.offset = buffer.offset(0),
                code = rejected.fault.code(),
                reason = letter.reason,
                "dead letter"
            );
            letter
        };
        self.deliver(faults.iter().map(letter).collect())?;
        faults.iter().for_each(|_| self.count("refused"));
        Ok(())
    }

    /// Counts the outcome of a notice. Returns its rejection if it may not be applied.
    fn count_outcome(
        &self,
        row: usize,
        NoticeMessage { buffer, from }: &NoticeMessage,
        outcome: ScreeningOutcome,
    ) -> Option<RejectedRow> {
        match outcome {
            ScreeningOutcome::Passed(NoticeOutcome::Taken { known: false, .. }) => {
                self.count("taken")
            }
            ScreeningOutcome::Parked {
                version,
                known: false,
            } => {
                self.count("parked");
                tracing::warn!(
                    source.partition = %from,
                    source.offset = buffer.offset(0),
                    control = version.0,
                    "notice parked: it would make too much data due immediately; see `ebbtide notice show`"
                );
            }
            ScreeningOutcome::Passed(NoticeOutcome::Taken { known: true, .. })
            | ScreeningOutcome::Parked { known: true, .. } => {
                self.count("known");
            }
            // No data is left that the notice could concern, or a person has decided not to apply
            // it.
            ScreeningOutcome::Passed(NoticeOutcome::Refused(
                NoticeError::Over | NoticeError::Rejected(_),
            )) => self.count("known"),
            ScreeningOutcome::Passed(NoticeOutcome::Refused(why)) => {
                return Some(refused(row, Some(why)));
            }
            ScreeningOutcome::TooMuch(_) => return Some(refused(row, None)),
        }
        None
    }

    fn count(&self, outcome: &str) {
        self.metrics.notices.with_label_values(&[outcome]).inc();
    }

    /// Delivers dead letters. The delivery of letters that are not acknowledged in time continues,
    /// and they are not sent twice when they are read again.
    fn deliver(&self, letters: Vec<DeadLetter>) -> Result<(), UndeliveredLetters> {
        if letters.is_empty() {
            return Ok(());
        }
        let delivery = self.dead_letters.start(&self.runtime, None, letters);
        let wait = |why: &str| {
            UndeliveredLetters(format!(
                "dead letters for topic {} {why}",
                self.dead_letters.topic()
            ))
        };
        match self
            .runtime
            .block_on(async { tokio::time::timeout(DELIVERY, delivery).await })
        {
            Err(_) => Err(wait("are not acknowledged yet")),
            Ok(Err(_)) => Err(wait("could not be sent")),
            Ok(Ok(done)) => done.waiting.map_or(Ok(()), Err),
        }
    }
}

/// Returns the rejection of a notice, with the reason why it may not be applied, which names no
/// person.
fn refused(row: usize, why: Option<NoticeError>) -> RejectedRow {
    RejectedRow {
        row,
        fault: Fault::RefusedNotice,
        reason: why.map(|why| why.to_string().into()),
    }
}

/// Returns the messages that are available or arrive while one poll waits, at most [`BATCH`].
fn poll(consumer: &BaseConsumer<AuxiliaryContext>) -> Result<Batch, ReadError> {
    let (mut batch, mut wait) = (Batch::default(), POLL);
    while batch.messages.len() < BATCH {
        let Some(message) = consumer.poll(wait) else {
            break;
        };
        let message = message?;
        let mut buffer = PartitionBuffer::default();
        buffer.push(&message);
        let from = TopicPartition {
            topic: Topic::new(message.topic())?,
            partition: Partition(message.partition()),
        };
        batch.messages.push(NoticeMessage { buffer, from });
        wait = Duration::ZERO;
    }
    Ok(batch)
}

/// Returns the offset after the last message of each partition.
fn next_offsets(batch: &Batch) -> Result<TopicPartitionList, ReadError> {
    let mut list = TopicPartitionList::new();
    for NoticeMessage { buffer, from } in &batch.messages {
        let next = KafkaOffset::Offset(Offset(buffer.offset(0)).next().0);
        let (topic, number) = (from.topic.as_str(), from.partition.0);
        match list.find_partition(topic, number) {
            Some(mut known) => known.set_offset(next)?,
            None => list.add_partition_offset(topic, number, next)?,
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_notice_says_why_in_its_letter() {
        let at: chrono::DateTime<chrono::Utc> = "2026-11-24T09:00:00Z".parse().unwrap();
        for (why, words) in [
            (NoticeError::NoTenant, "the tenant is empty"),
            (
                NoticeError::Future(at),
                "consent cannot be withdrawn in the future; the notice says 2026-11-24T09:00:00Z",
            ),
            (
                NoticeError::Lengthens { known: at },
                "the contract is recorded to end at 2026-11-24T09:00:00Z",
            ),
        ] {
            let rejected = refused(0, Some(why));
            assert_eq!(rejected.fault, Fault::RefusedNotice);
            assert!(rejected.reason.unwrap().starts_with(words));
        }
    }
}
