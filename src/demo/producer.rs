//! The demo's producers: they send the traffic of a whole day, squeezed into the time that the demo takes.
//! Promises to count what it sent, and to wait where ingest is so far behind that the broker would forget.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use tokio::sync::watch;

use super::traffic::{Message, Planted, Traffic, diurnal};
use crate::clock::SharedClock;
use crate::ids::ProductKey;
use crate::metrics::{Metrics, RECORD_OUTCOMES};
use crate::record::Fault;

/// The most records of a product that may be sent and not yet committed: two partitions of the broker hold more.
const MOST_AHEAD: u64 = 16_000;
/// How often a handful is sent.
const BEAT: Duration = Duration::from_millis(50);
/// How often a planted person gets a text.
const PLANT_EVERY: Duration = Duration::from_millis(200);

/// What was sent so far.
#[derive(Debug, Default)]
pub struct Sent {
    by_product: Mutex<BTreeMap<ProductKey, u64>>,
    corrupt: Mutex<BTreeMap<Fault, u64>>,
    planted: Mutex<Vec<String>>,
}

impl Sent {
    /// Records sent of each product.
    #[must_use]
    pub fn by_product(&self) -> BTreeMap<ProductKey, u64> {
        self.by_product.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Corrupt records among them, by their fault.
    #[must_use]
    pub fn corrupt(&self) -> BTreeMap<Fault, u64> {
        self.corrupt.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The values of the planted people and of the texts to them.
    #[must_use]
    pub fn planted(&self) -> Vec<String> {
        self.planted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, message: &Message) {
        let mut counts = self.by_product.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(message.product.clone()).or_default() += 1;
        if let Some(flaw) = message.flaw {
            *self.corrupt.lock().unwrap_or_else(PoisonError::into_inner).entry(flaw).or_default() += 1;
        }
    }
}

/// How many records of `product` have been passed by a commit.
pub(super) fn passed(metrics: &Metrics, product: &ProductKey) -> u64 {
    RECORD_OUTCOMES.iter().map(|outcome| metrics.records.with_label_values(&[product.as_str(), outcome]).get()).sum()
}

/// How much to send, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Records a second, on average.
    pub rate: u32,
    /// How long the day takes.
    pub length: Duration,
}

impl Pace {
    /// The hour of the squeezed day (0 to 24) at `elapsed`; it begins at six in the morning.
    #[must_use]
    pub fn hour(&self, elapsed: Duration) -> f64 {
        (6.0 + 24.0 * elapsed.as_secs_f64() / self.length.as_secs_f64().max(1.0)) % 24.0
    }
}

/// The producers of a demo.
pub struct Producers {
    traffic: Traffic,
    planted: Option<Planted>,
    client: ThreadedProducer<DefaultProducerContext>,
    clock: SharedClock,
    sent: Arc<Sent>,
    metrics: Metrics,
}

impl Producers {
    /// Producers that send to the brokers at `servers`. Errors if the client library refuses.
    pub fn new(
        (traffic, planted): (Traffic, Option<Planted>),
        servers: &str,
        clock: SharedClock,
        sent: Arc<Sent>,
        metrics: Metrics,
    ) -> Result<Self, KafkaError> {
        let client = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .set("linger.ms", "20")
            .set("queue.buffering.max.messages", "200000")
            .create()?;
        Ok(Self { traffic, planted, client, clock, sent, metrics })
    }

    /// Sends until the day is over or `stop` turns true; then waits until the broker has all of it.
    pub async fn run(mut self, pace: Pace, mut stop: watch::Receiver<bool>) -> Result<(), KafkaError> {
        let start = self.clock.monotonic();
        let mut beat = tokio::time::interval(BEAT);
        let (mut owed, mut last, mut plant_at) = (0.0, Duration::ZERO, Duration::ZERO);
        loop {
            tokio::select! {
                _ = beat.tick() => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
            let elapsed = self.clock.monotonic().saturating_sub(start);
            if elapsed >= pace.length {
                break;
            }
            owed += f64::from(pace.rate) * diurnal(pace.hour(elapsed)) * elapsed.saturating_sub(last).as_secs_f64();
            last = elapsed;
            if self.far_ahead() {
                // What was owed meanwhile is let go: traffic is slower, not a flood later.
                owed = 0.0;
            }
            if elapsed >= plant_at {
                plant_at = elapsed + PLANT_EVERY;
                self.plant().await?;
            }
            while owed >= 1.0 {
                owed -= 1.0;
                let message = self.traffic.next(self.clock.now());
                self.send(&message).await?;
                self.sent.count(&message);
            }
        }
        let client = self.client;
        let flushed = tokio::task::spawn_blocking(move || client.flush(Duration::from_secs(10))).await;
        flushed.unwrap_or(Err(KafkaError::Canceled))
    }

    /// Sends the next text to a planted person.
    async fn plant(&mut self) -> Result<(), KafkaError> {
        let Some(planted) = &mut self.planted else { return Ok(()) };
        let message = planted.next(self.clock.now());
        *self.sent.planted.lock().unwrap_or_else(PoisonError::into_inner) = planted.values().to_vec();
        self.send(&message).await?;
        self.sent.count(&message);
        Ok(())
    }

    fn far_ahead(&self) -> bool {
        let sent = self.sent.by_product();
        sent.iter().any(|(product, &sent)| sent.saturating_sub(passed(&self.metrics, product)) > MOST_AHEAD)
    }

    async fn send(&self, message: &Message) -> Result<(), KafkaError> {
        let mut record = BaseRecord::to(message.topic.as_str()).key(&message.key);
        if let Some(payload) = &message.payload {
            record = record.payload(payload);
        }
        loop {
            match self.client.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    tokio::time::sleep(BEAT).await;
                }
                Err((error, _)) => return Err(error),
            }
        }
    }
}
