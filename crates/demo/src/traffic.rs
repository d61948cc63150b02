//! Synthetic traffic: records of any product, encoded as a producer would send them, with realistic
//! people, places, times and frequencies. The same seed and times give the same messages. Must
//! never read a clock or use a network.

mod avro;
mod chance;
mod flaws;
mod people;
mod plan;
mod planted;
#[cfg(test)]
mod tests;
mod words;
mod write;

use apache_avro::Schema;
use chrono::{DateTime, TimeDelta, Utc};

pub use chance::diurnal;
use chance::{SplitMix64, lateness};
use ebbtide_base::ids::{ProductKey, Topic};
use ebbtide_base::record::Fault;
use ebbtide_policy::schema::WriterSchema;
use flaws::{FLAWS, WrittenMessage, event_time, spoil};
use people::{TENANTS, countries, random_person};
use plan::{WriteStep, plan};
pub use planted::PlantedPeople;
use write::{EventValues, RecordWriter};

/// The reason why traffic cannot be generated from these sources.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// There is no producer, or there are more than 255.
    #[error("traffic needs 1 to 255 producers")]
    Producers,
    /// A producer's schema is not the Avro schema of a record.
    #[error("the producer's schema of {product} is not an Avro record: {why}")]
    Schema {
        /// The product of the schema.
        product: ProductKey,
        /// The error of the parser.
        why: String,
    },
}

/// The way in which a message identifies the schema that it was written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// A zero byte and the registry's id.
    Confluent(u32),
    /// Avro's single-object encoding: two bytes of magic and the fingerprint of the schema.
    SingleObject,
}

/// One product's producer.
#[derive(Debug, Clone)]
pub struct TrafficSource {
    /// The product.
    pub product: ProductKey,
    /// The topic that it produces to.
    pub topic: Topic,
    /// The Avro schema that it writes with, as JSON.
    pub schema: String,
    /// The framing of its messages.
    pub framing: Framing,
}

/// The properties of the traffic, except for the people in it.
#[derive(Debug, Clone, Copy)]
pub struct TrafficSettings {
    /// The number of corrupt messages per million.
    pub flaws_per_million: u32,
    /// True if some records arrive late, by minutes to months.
    pub late: bool,
    /// The time before `now` over which events are spread, by the curve of the day. If it is zero,
    /// events happen at `now`.
    pub spread: TimeDelta,
}

impl Default for TrafficSettings {
    /// Returns live traffic: some of it is late, and 300 of a million messages are corrupt.
    fn default() -> Self {
        Self {
            flaws_per_million: 300,
            late: true,
            spread: TimeDelta::zero(),
        }
    }
}

impl TrafficSettings {
    /// Good messages at `now` only, for measurements.
    pub const STEADY: TrafficSettings = TrafficSettings {
        flaws_per_million: 0,
        late: false,
        spread: TimeDelta::zero(),
    };
}

/// A message as it would be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficMessage {
    /// Its product.
    pub product: ProductKey,
    /// The topic that it is sent to.
    pub topic: Topic,
    /// The key that keeps the messages of one person in order: 16 hexadecimal digits.
    pub key: String,
    /// Its value; `None` is a tombstone.
    pub payload: Option<Vec<u8>>,
    /// The fault that it was given.
    pub flaw: Option<Fault>,
}

/// The result of [`Traffic::append`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendedMessage {
    /// The index of its source in the list that was given to [`Traffic::new`].
    pub source: usize,
    /// A number that is the same for the same person.
    pub person: u64,
    /// The fault that it was given. For a tombstone and an empty message nothing was written.
    pub flaw: Option<Fault>,
}

#[derive(Debug)]
struct Producer {
    source: TrafficSource,
    header: Vec<u8>,
    plan: WriteStep,
}

/// An endless stream of messages.
#[derive(Debug)]
pub struct Traffic {
    seed: u64,
    chance: SplitMix64,
    habits: TrafficSettings,
    producers: Vec<Producer>,
    /// Indexes of producers. Each index occurs as often as the producer's share.
    shares: Vec<u8>,
    countries: [u8; 256],
}

impl Traffic {
    /// Creates traffic of these producers, in the proportions that a communications platform sees.
    ///
    /// # Errors
    /// Errors if there are no sources or too many, or if a schema is not an Avro record.
    pub fn new(
        seed: u64,
        habits: TrafficSettings,
        sources: &[TrafficSource],
    ) -> Result<Self, TrafficError> {
        if sources.is_empty() || sources.len() > 255 {
            return Err(TrafficError::Producers);
        }
        let producers = sources
            .iter()
            .map(producer)
            .collect::<Result<Vec<_>, _>>()?;
        let shares = shares(&producers);
        Ok(Self {
            seed,
            chance: SplitMix64::new(seed),
            habits,
            producers,
            shares,
            countries: countries(),
        })
    }

    /// Returns the next message, as of `now`.
    pub fn next(&mut self, now: DateTime<Utc>) -> TrafficMessage {
        let mut payload = Vec::with_capacity(256);
        let appended = self.append(now, &mut payload);
        let source = &self.producers[appended.source].source;
        TrafficMessage {
            product: source.product.clone(),
            topic: source.topic.clone(),
            key: format!("{:016x}", appended.person),
            payload: (appended.flaw != Some(Fault::Tombstone)).then_some(payload),
            flaw: appended.flaw,
        }
    }

    /// Appends the next message, as of `now`, to `to`. Does not allocate once the buffer is large
    /// enough.
    pub fn append(&mut self, now: DateTime<Utc>, to: &mut Vec<u8>) -> AppendedMessage {
        let source = usize::from(self.chance.pick(&self.shares));
        let flaw = self.flaw();
        let at = self.event_time(now.timestamp_millis());
        let event = EventValues {
            at: event_time(flaw, at),
            tenant: self.chance.zipf(TENANTS),
            subject: random_person(&mut self.chance, self.seed, &self.countries),
            other: random_person(&mut self.chance, self.seed ^ 1, &self.countries),
        };
        let person = event.subject.hash;
        let producer = &self.producers[source];
        let start = to.len();
        to.extend_from_slice(&producer.header);
        let mut writer = RecordWriter {
            event,
            chance: &mut self.chance,
            to,
            tenant_end: None,
        };
        writer.write(&producer.plan);
        let written = WrittenMessage {
            start,
            header: producer.header.len(),
            tenant_end: writer.tenant_end,
        };
        let flaw = flaw.map(|flaw| spoil(flaw, &written, to, &mut self.chance));
        AppendedMessage {
            source,
            person,
            flaw,
        }
    }

    fn flaw(&mut self) -> Option<Fault> {
        if self.habits.flaws_per_million == 0
            || self.chance.below(1_000_000) >= self.habits.flaws_per_million.into()
        {
            return None;
        }
        FLAWS
            .get(self.chance.below(FLAWS.len() as u64) as usize)
            .copied()
    }

    /// Returns the event time of a record that arrives at `now`, both in milliseconds.
    fn event_time(&mut self, now: i64) -> i64 {
        let spread = self.habits.spread.num_milliseconds();
        let mut at = now;
        // Draws from the curve of the day by rejection. A few tries find a likely hour.
        for _ in 0..8 {
            if spread <= 0 {
                break;
            }
            at = now - self.chance.below(spread.unsigned_abs()) as i64;
            let hour = at.rem_euclid(86_400_000) as f64 / 3_600_000.0;
            if self.chance.unit() * 2.0 < diurnal(hour) {
                break;
            }
        }
        if self.habits.late {
            at - lateness(&mut self.chance)
        } else {
            at
        }
    }
}

fn producer(source: &TrafficSource) -> Result<Producer, TrafficError> {
    let refuse = |why: String| TrafficError::Schema {
        product: source.product.clone(),
        why,
    };
    let schema = Schema::parse_str(&source.schema).map_err(|error| refuse(error.to_string()))?;
    if !matches!(schema, Schema::Record(_)) {
        return Err(refuse("its top is another type".to_owned()));
    }
    let mut header = Vec::new();
    match source.framing {
        Framing::Confluent(id) => {
            header.push(0);
            header.extend_from_slice(&id.to_be_bytes());
        }
        Framing::SingleObject => {
            header.extend_from_slice(&[0xc3, 0x01]);
            // Not the fingerprint of apache-avro: for schemas with logical types it differs from
            // the one that producers send.
            let known =
                WriterSchema::parse(&source.schema).map_err(|error| refuse(error.to_string()))?;
            header.extend_from_slice(&known.fingerprint().to_le_bytes());
        }
    }
    let plan = plan(source.product.as_str(), &schema, "");
    Ok(Producer {
        source: source.clone(),
        header,
        plan,
    })
}

/// Returns the share of a product in all traffic, in thousandths (approximately).
fn share(product: &str) -> usize {
    match product {
        "sms" => 460,
        "voice" => 140,
        "conversations" => 120,
        "email" => 100,
        "push" => 80,
        "inbox" | "flow" | "cdp" => 20,
        "account" => 4,
        _ => 10,
    }
}

fn shares(producers: &[Producer]) -> Vec<u8> {
    let each = |producer: &Producer| share(producer.source.product.as_str());
    let places = producers.iter().enumerate();
    places
        .flat_map(|(place, producer)| std::iter::repeat_n(place as u8, each(producer)))
        .collect()
}
