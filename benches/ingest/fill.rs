//! Fills the topics for the measurement: steady synthetic traffic, uncompressed, spread over the
//! partitions.

use std::path::Path;
use std::time::Duration;

use ebbtide_base::clock::{Clock, SystemClock};
use ebbtide_base::ids::{ProductKey, Topic};
use ebbtide_demo::traffic::{Framing, Traffic, TrafficSettings, TrafficSource};
use ebbtide_services::policy_file::read_policy;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

/// The records that were produced.
pub struct Filled {
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
pub fn fill(bootstrap: &str, records: u64, partitions: i32, all_products: bool) -> Filled {
    let products = if all_products {
        &PRODUCTS[..]
    } else {
        &PRODUCTS[..1]
    };
    let sources: Vec<TrafficSource> = products
        .iter()
        .map(|product| TrafficSource {
            product: ProductKey::new(product).expect("a product"),
            topic: topic(product),
            schema: schema(product),
            framing: Framing::SingleObject,
        })
        .collect();
    let topics: Vec<String> = sources
        .iter()
        .map(|source| source.topic.as_str().to_owned())
        .collect();
    create(bootstrap, &topics, partitions);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
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
        let partition = (number / 64 % partitions as u64) as i32;
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
    Filled {
        topics,
        records,
        bytes,
    }
}

/// Returns the topic that the shipped policy names for a product.
fn topic(product: &str) -> Topic {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/policy.yaml");
    let policy = read_policy(&path)
        .expect("the shipped policy")
        .policy
        .expect("a clean policy");
    let product = ProductKey::new(product).expect("a product");
    policy.products[&product]
        .records
        .as_ref()
        .expect("records")
        .topics[0]
        .clone()
}

fn schema(product: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("schemas")
        .join(format!("{product}.avsc"));
    std::fs::read_to_string(path).expect("a shipped schema")
}

fn create(bootstrap: &str, topics: &[String], partitions: i32) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .expect("an admin client");
    let new: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|topic| {
            NewTopic::new(topic, partitions, TopicReplication::Fixed(1))
                .set("segment.bytes", "1073741824")
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let created = runtime
        .block_on(admin.create_topics(&new, &AdminOptions::new()))
        .expect("the broker answers");
    for topic in created {
        topic.expect("a new topic");
    }
}
