//! The demo's producers: they send the traffic of a whole day within the duration of the demo. They
//! count the records that they sent, and pause while ingest is so late that the broker would drop
//! messages.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use tokio::sync::watch;

use super::traffic::{PlantedPeople, Traffic, TrafficMessage, diurnal};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::ProductKey;
use ebbtide_base::metrics::{Metrics, RECORD_OUTCOMES};
use ebbtide_base::record::Fault;

/// The maximum number of records of a product that are sent but not yet committed. Two partitions
/// of the broker have room for more.
const MOST_AHEAD: u64 = 16_000;
/// The interval at which records are sent.
const BEAT: Duration = Duration::from_millis(50);
/// The interval at which a planted person gets a text.
const PLANT_EVERY: Duration = Duration::from_millis(200);

/// The records that were sent so far.
#[derive(Debug, Default)]
pub struct SentRecords {
    by_product: Mutex<BTreeMap<ProductKey, u64>>,
    corrupt: Mutex<BTreeMap<Fault, u64>>,
    planted: Mutex<Vec<String>>,
}

impl SentRecords {
    /// Returns the number of records sent, by product.
    #[must_use]
    pub fn by_product(&self) -> BTreeMap<ProductKey, u64> {
        self.by_product
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the number of corrupt records among them, by fault.
    #[must_use]
    pub fn corrupt(&self) -> BTreeMap<Fault, u64> {
        self.corrupt
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the values of the planted people and of the texts to them.
    #[must_use]
    pub fn planted(&self) -> Vec<String> {
        self.planted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn count(&self, message: &TrafficMessage) {
        let mut counts = self
            .by_product
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *counts.entry(message.product.clone()).or_default() += 1;
        if let Some(flaw) = message.flaw {
            *self
                .corrupt
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(flaw)
                .or_default() += 1;
        }
    }
}

/// Returns the number of records of `product` that commits have covered, with any outcome.
pub(super) fn passed(metrics: &Metrics, product: &ProductKey) -> u64 {
    RECORD_OUTCOMES
        .iter()
        .map(|outcome| {
            metrics
                .records
                .with_label_values(&[product.as_str(), outcome])
                .get()
        })
        .sum()
}

/// The rate and the duration of the traffic.
#[derive(Debug, Clone, Copy)]
pub struct TrafficRate {
    /// The average number of records per second.
    pub rate: u32,
    /// The duration of the simulated day.
    pub length: Duration,
}

impl TrafficRate {
    /// Returns the hour of the simulated day (0 to 24) at `elapsed`. The day begins at 6:00.
    #[must_use]
    pub fn hour(&self, elapsed: Duration) -> f64 {
        (6.0 + 24.0 * elapsed.as_secs_f64() / self.length.as_secs_f64().max(1.0)) % 24.0
    }
}

/// The producers of a demo.
pub struct Producers {
    traffic: Traffic,
    planted: Option<PlantedPeople>,
    client: ThreadedProducer<DefaultProducerContext>,
    clock: SharedClock,
    sent: Arc<SentRecords>,
    metrics: Metrics,
}

/// The parts that the producers share with the rest of the demo.
pub struct ProducersDeps {
    /// The clock that the traffic follows.
    pub clock: SharedClock,
    /// Counts the records that were sent.
    pub sent: Arc<SentRecords>,
    /// The metrics of the instance.
    pub metrics: Metrics,
}

impl Producers {
    /// Creates producers that send to the brokers at `servers`. Errors if librdkafka cannot create
    /// the client.
    pub fn new(
        traffic: Traffic,
        planted: Option<PlantedPeople>,
        servers: &str,
        deps: ProducersDeps,
    ) -> Result<Self, KafkaError> {
        let ProducersDeps {
            clock,
            sent,
            metrics,
        } = deps;
        let client = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .set("linger.ms", "20")
            .set("queue.buffering.max.messages", "200000")
            .create()?;
        Ok(Self {
            traffic,
            planted,
            client,
            clock,
            sent,
            metrics,
        })
    }

    /// Sends until the day is over or `stop` becomes true. Then waits until the broker has received
    /// everything.
    pub async fn run(
        mut self,
        pace: TrafficRate,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), KafkaError> {
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
            owed += f64::from(pace.rate)
                * diurnal(pace.hour(elapsed))
                * elapsed.saturating_sub(last).as_secs_f64();
            last = elapsed;
            if self.far_ahead() {
                // Skips the records that are owed: the traffic becomes slower and does not burst
                // later.
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
        let flushed =
            tokio::task::spawn_blocking(move || client.flush(Duration::from_secs(10))).await;
        flushed.unwrap_or(Err(KafkaError::Canceled))
    }

    /// Sends the next text to a planted person.
    async fn plant(&mut self) -> Result<(), KafkaError> {
        let Some(planted) = &mut self.planted else {
            return Ok(());
        };
        let message = planted.next(self.clock.now());
        *self
            .sent
            .planted
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = planted.values().to_vec();
        self.send(&message).await?;
        self.sent.count(&message);
        Ok(())
    }

    fn far_ahead(&self) -> bool {
        let sent = self.sent.by_product();
        sent.iter().any(|(product, &sent)| {
            sent.saturating_sub(passed(&self.metrics, product)) > MOST_AHEAD
        })
    }

    async fn send(&self, message: &TrafficMessage) -> Result<(), KafkaError> {
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
