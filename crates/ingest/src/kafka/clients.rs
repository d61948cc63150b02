//! The configuration of every Kafka client of an instance, built in one place from the operator's
//! properties.
//!
//! A client receives the properties that concern it, then Ebbtide's defaults for those that the
//! operator did not set, then the values that the guarantees require. [`refused_properties`]
//! creates each client without brokers, so that a wrong property is found before the start.

use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, ProducerContext};

use ebbtide_config::{
    Config, IngestConfig, KafkaConfig, Property, SESSION_TIMEOUT_MS, spellings,
    uses_consumer_protocol,
};

/// The bytes of a partition's records that a lane requests in one fetch, unless the operator set
/// them.
const FETCH_BYTES: usize = 1 << 20;
/// The interval at which a consumer looks for topics and partitions that it was not given yet,
/// unless the operator set it. The client's own default is five minutes.
const LOOK_FOR_TOPICS_MS: u32 = 10_000;
/// The bytes that the framing of a response takes in addition to its records.
const FRAMING_BYTES: usize = 512;

/// One of the Kafka clients of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientRole {
    /// The consumer of a lane.
    Lane {
        /// The lane's number within the instance.
        number: usize,
        /// The approximate limit of the bytes in its queue of fetched records.
        queue_bytes: usize,
    },
    /// The consumer of the notice topics.
    Notices,
    /// The producer of dead letters.
    DeadLetters,
    /// The client that lists the topics and reads how long they keep their records.
    Admin,
}

/// Properties that only consumers use.
const OF_CONSUMERS: [&str; 18] = [
    "check.crcs",
    "consume.callback.max.messages",
    "coordinator.query.interval.ms",
    "enable.partition.eof",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "group.instance.id",
    "group.protocol",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "isolation.level",
    "max.poll.interval.ms",
    "partition.assignment.strategy",
    "session.timeout.ms",
];
/// Consumers' properties that limit the records that are fetched ahead: with them, the reader of
/// notices would use as much memory as a lane.
const OF_LANES: [&str; 3] = [
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "statistics.interval.ms",
];
/// Properties that only producers use.
const OF_PRODUCERS: [&str; 17] = [
    "acks",
    "batch.num.messages",
    "batch.size",
    "compression.level",
    "compression.type",
    "delivery.report.only.error",
    "enable.gapless.guarantee",
    "linger.ms",
    "max.in.flight.requests.per.connection",
    "partitioner",
    "produce.offset.report",
    "queue.buffering.backpressure.threshold",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "request.timeout.ms",
    "retries",
    "sticky.partitioning.linger.ms",
];

impl ClientRole {
    /// Returns true if the property `name` applies to this client.
    fn takes(self, name: &str) -> bool {
        if OF_LANES.contains(&name) {
            return matches!(self, Self::Lane { .. });
        }
        if OF_CONSUMERS.contains(&name) {
            return matches!(self, Self::Lane { .. } | Self::Notices);
        }
        !OF_PRODUCERS.contains(&name) || self == Self::DeadLetters
    }

    /// Returns the client's name for messages.
    fn name(self) -> &'static str {
        match self {
            Self::Lane { .. } => "consumer",
            Self::Notices => "consumer of notices",
            Self::DeadLetters => "producer of dead letters",
            Self::Admin => "admin client",
        }
    }
}

/// Returns the bytes of a lane's queue of fetched records. The client needs about twice the bytes
/// of a message to hold it.
#[must_use]
pub fn queue_bytes(ingest: &IngestConfig) -> usize {
    usize::try_from(ingest.memory).unwrap_or(usize::MAX) / ingest.lanes.max(1) / 16
}

/// Returns the configuration of one client.
#[must_use]
pub fn client_config(kafka: &KafkaConfig, role: ClientRole) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in kafka.properties.iter().filter(|(name, _)| role.takes(name)) {
        config.set(name, value.expose());
    }
    // The client takes its log level from the `log` crate, which has no receiver here; `tracing`
    // filters the lines.
    let detailed = kafka.properties.contains_key("debug");
    config.set_log_level(if detailed {
        RDKafkaLogLevel::Debug
    } else {
        RDKafkaLogLevel::Info
    });
    match role {
        ClientRole::Lane {
            number,
            queue_bytes,
        } => lane(&mut config, kafka, number, queue_bytes),
        ClientRole::Notices => notices(&mut config, kafka),
        ClientRole::DeadLetters => dead_letters(&mut config),
        // A request for a topic must not create it.
        ClientRole::Admin => _ = config.set("allow.auto.create.topics", "false"),
    }
    config
}

fn lane(config: &mut ClientConfig, kafka: &KafkaConfig, number: usize, queue_bytes: usize) {
    // With the protocol of Kafka 4, the brokers assign partitions and detect members that time out.
    if !uses_consumer_protocol(&kafka.properties) {
        set_default(config, "partition.assignment.strategy", "roundrobin");
        set_default(config, "session.timeout.ms", SESSION_TIMEOUT_MS.to_string());
    }
    set_default(config, "fetch.message.max.bytes", FETCH_BYTES.to_string());
    set_default(
        config,
        "fetch.max.bytes",
        largest_fetch(kafka, (queue_bytes / 4).max(FETCH_BYTES)).to_string(),
    );
    set_default(
        config,
        "queued.max.messages.kbytes",
        (queue_bytes / 1024)
            .clamp(1024, MOST_QUEUED_KBYTES)
            .to_string(),
    );
    set_default(config, "queued.min.messages", "1000000");
    // The wait of the client when its queue is full: the client's own default of a second leaves a
    // lane without work.
    set_default(config, "fetch.queue.backoff.ms", "5");
    set_default(config, "statistics.interval.ms", "2000");
    look_for_topics(config);
    set_member(config, &kafka.group, &format!("lane-{number}"));
    // Nothing may be skipped or read again silently: an offset that Kafka lacks is an error.
    config.set("auto.offset.reset", "error");
}

/// The maximum that librdkafka accepts for `queued.max.messages.kbytes`.
const MOST_QUEUED_KBYTES: usize = 2_097_151;

fn notices(config: &mut ClientConfig, kafka: &KafkaConfig) {
    set_default(
        config,
        "fetch.max.bytes",
        largest_fetch(kafka, 4 * FETCH_BYTES).to_string(),
    );
    look_for_topics(config);
    set_member(config, &format!("{}-notices", kafka.group), "notices");
    // Every notice counts, so a new group starts with the oldest.
    config.set("auto.offset.reset", "earliest");
}

/// Makes a consumer find new topics and partitions soon. A topic that the brokers do not report
/// when the consumer joins, because it was created a moment ago, is left out of the assignment
/// until then.
fn look_for_topics(config: &mut ClientConfig) {
    set_default(
        config,
        "topic.metadata.refresh.interval.ms",
        LOOK_FOR_TOPICS_MS.to_string(),
    );
}

fn dead_letters(config: &mut ClientConfig) {
    if ["compression.type", "compression.codec"]
        .iter()
        .all(|key| config.get(key).is_none())
    {
        // A record that was stored compressed in its own topic would exceed the limit uncompressed.
        config.set("compression.type", "lz4");
    }
    // The time for which a missing topic may be one that was created just now.
    set_default(config, "topic.metadata.propagation.max.ms", "5000");
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        // The topic decides the largest size.
        .set("message.max.bytes", "1000000000")
        // The client never gives up on a letter because of time: a letter that timed out may have
        // arrived, and would be sent twice.
        .set("message.timeout.ms", "0");
}

/// Sets a property that the operator did not set.
fn set_default(config: &mut ClientConfig, name: &str, value: impl Into<String>) {
    if config.get(name).is_none() {
        config.set(name, value);
    }
}

/// Makes a consumer a member of `group`. Static members with the same id would expel each other, so
/// each gets a different suffix.
fn set_member(config: &mut ClientConfig, group: &str, ending: &str) {
    if let Some(id) = config
        .get("group.instance.id")
        .map(|id| format!("{id}-{ending}"))
    {
        config.set("group.instance.id", id);
    }
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "false")
        .set("isolation.level", "read_committed");
}

/// Returns `wanted`, or less if the operator limits the size of responses to less.
fn largest_fetch(kafka: &KafkaConfig, wanted: usize) -> usize {
    let received = number_of(kafka, "receive.message.max.bytes");
    received.map_or(wanted, |received| {
        wanted.min(received.saturating_sub(FRAMING_BYTES))
    })
}

fn number_of(kafka: &KafkaConfig, name: &str) -> Option<usize> {
    kafka.properties.get(name)?.expose().trim().parse().ok()
}

/// A property that librdkafka refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", self.path())]
pub struct RefusedProperty {
    /// Its name; empty if only several properties together are wrong.
    pub name: String,
    /// The library's reason, in one sentence; without the value if that is a secret.
    pub why: String,
}

impl RefusedProperty {
    /// Returns its path in the configuration.
    #[must_use]
    pub fn path(&self) -> String {
        match self.name.as_str() {
            "" => "kafka.properties".to_owned(),
            name => format!("kafka.properties.{name}"),
        }
    }
}

/// Returns every property that librdkafka refuses, alone or together with others in one of the
/// clients. No request is sent to a broker.
///
/// Call this before any client is created for use, so that no error of a client quotes a secret.
#[must_use]
pub fn refused_properties(config: &Config) -> Vec<RefusedProperty> {
    let single: Vec<RefusedProperty> = config
        .kafka
        .properties
        .iter()
        .filter_map(|(name, value)| refused_alone(name, value))
        .collect();
    if !single.is_empty() {
        return single;
    }
    let lane = ClientRole::Lane {
        number: 0,
        queue_bytes: queue_bytes(&config.ingest),
    };
    let mut refused: Vec<RefusedProperty> = Vec::new();
    for role in [
        lane,
        ClientRole::Notices,
        ClientRole::DeadLetters,
        ClientRole::Admin,
    ] {
        if let Some(found) = refused_by(&config.kafka, role)
            && !refused
                .iter()
                .any(|known| known.name == found.name && !known.name.is_empty())
        {
            refused.push(found);
        }
    }
    refused
}

fn refused_alone(name: &str, value: &Property) -> Option<RefusedProperty> {
    let why = match ClientConfig::new()
        .set(name, value.expose())
        .create_native_config()
    {
        Ok(_) => return None,
        Err(KafkaError::ClientConfig(_, why, ..)) if !why.contains(value.expose()) => why,
        Err(KafkaError::ClientConfig(_, why, ..)) if matches!(value, Property::Plain(_)) => why,
        Err(_) => "its value is refused".to_owned(),
    };
    Some(RefusedProperty {
        name: name.to_owned(),
        why,
    })
}

/// Creates the client without brokers, so that it connects to nothing, and drops it.
fn refused_by(kafka: &KafkaConfig, role: ClientRole) -> Option<RefusedProperty> {
    let mut config = client_config(kafka, role);
    config.remove("bootstrap.servers");
    // A member of a group would leave it when dropped, and would wait for brokers to do so.
    config.remove("group.id");
    let made = match role {
        ClientRole::Lane { .. } | ClientRole::Notices => config
            .create_with_context::<_, BaseConsumer<_>>(MutedContext)
            .map(drop),
        ClientRole::DeadLetters => config
            .create_with_context::<_, BaseProducer<_>>(MutedContext)
            .map(drop),
        ClientRole::Admin => config
            .create_with_context::<_, AdminClient<_>>(MutedContext)
            .map(drop),
    };
    let why = match made {
        Ok(()) => return None,
        Err(KafkaError::ClientCreation(why) | KafkaError::ClientConfig(_, why, ..)) => why,
        Err(error) => error.to_string(),
    };
    let named = |name: &&String| spellings(name).any(|spelling| why.contains(spelling));
    let name = kafka
        .properties
        .keys()
        .filter(named)
        .max_by_key(|name| name.len())
        .cloned()
        .unwrap_or_default();
    let quotes_secret =
        |value: &Property| matches!(value, Property::Hidden(_)) && why.contains(value.expose());
    let why = match kafka.properties.values().any(quotes_secret) {
        true => format!("the {} refuses it", role.name()),
        false => format!("the {} refuses it: {why}", role.name()),
    };
    Some(RefusedProperty { name, why })
}

/// The context of a client that is created only as a test: its log is discarded.
#[derive(Debug, Clone, Copy)]
struct MutedContext;

impl ClientContext for MutedContext {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for MutedContext {}

impl ProducerContext for MutedContext {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &rdkafka::producer::DeliveryResult<'_>, (): ()) {}
}

#[cfg(test)]
mod tests;
