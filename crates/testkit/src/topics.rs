//! Topics full of records for a measurement: steady synthetic traffic, uncompressed, spread over the
//! partitions.

use std::time::Duration;

use ebbtide_base::clock::{Clock, SystemClock};
use ebbtide_base::ids::ProductKey;
use ebbtide_demo::traffic::{Framing, Traffic, TrafficSettings, TrafficSource};
use ebbtide_policy::Policy;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::kafka::Kafka;
use super::tables::shipped_policy;

/// The records that were produced.
pub struct FilledTopics {
    /// The topics.
    pub topics: Vec<String>,
    /// The number of records in all topics.
    pub records: u64,
    /// The size of their values in bytes.
    pub bytes: u64,
}

/// The products that have records. The shipped policy names their topics.
const PRODUCTS: [&str; 13] = [
    "sms",
    "voice",
    "email",
    "inbox",
    "flow",
    "video",
    "widget",
    "conversations",
    "push",
    "cdp",
    "account",
    "marketing",
    "consent",
];

/// Produces `records` records of SMS, or of all products.
pub fn fill(kafka: &Kafka, records: u64, partitions: u32, all_products: bool) -> FilledTopics {
    let products = if all_products {
        &PRODUCTS[..]
    } else {
        &PRODUCTS[..1]
    };
    let policy = shipped_policy();
    let sources: Vec<TrafficSource> = products
        .iter()
        .map(|product| source(&policy, product))
        .collect();
    let topics: Vec<String> = sources
        .iter()
        .map(|source| source.topic.as_str().to_owned())
        .collect();
    kafka.create(&topics, partitions, &["segment.bytes=1073741824"]);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap())
        .set("linger.ms", "50")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "500000")
        .create()
        .expect("a producer");
    let mut traffic = Traffic::new(7, TrafficSettings::STEADY, &sources).expect("traffic");
    let now = SystemClock::new().now();
    let (mut bytes, mut value) = (0, Vec::new());
    for number in 0..records {
        value.clear();
        let appended = traffic.append(now, &mut value);
        bytes += value.len() as u64;
        let partition = (number / 64 % u64::from(partitions)) as i32;
        let mut record = BaseRecord::<(), [u8]>::to(sources[appended.source].topic.as_str())
            .payload(value.as_slice())
            .partition(partition);
        while let Err((error, back)) = producer.send(record) {
            assert!(
                matches!(
                    error,
                    KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)
                ),
                "{error}"
            );
            producer.poll(Duration::from_millis(20));
            record = back;
        }
    }
    producer
        .flush(Duration::from_secs(120))
        .expect("all delivered");
    FilledTopics {
        topics,
        records,
        bytes,
    }
}

/// Returns the traffic of a product, to the topic that the policy names for it.
fn source(policy: &Policy, product: &str) -> TrafficSource {
    let product = ProductKey::new(product).expect("a product");
    let records = policy.products[&product].records.as_ref().expect("records");
    TrafficSource {
        topic: records.topics[0].clone(),
        schema: records.schema.text().to_owned(),
        framing: Framing::SingleObject,
        product,
    }
}
