//! The bare consumer: joins a group like any other consumer, takes every message, and does nothing
//! with it.
#![allow(
    unsafe_code,
    reason = "librdkafka's batch read, the fastest peer there is, has no safe binding"
)]

use std::time::{Duration, Instant};

use rdkafka::bindings as rdsys;
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, Message};

use ebbtide_testkit::topics::FilledTopics;

fn consumer(bootstrap: &str, filled: &FilledTopics) -> BaseConsumer {
    let group = format!(
        "bare-{}",
        std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .expect("a clock")
            .as_nanos()
    );
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("fetch.message.max.bytes", "1048576")
        .set("queued.min.messages", "1000000")
        .set("queued.max.messages.kbytes", "131072")
        .create()
        .expect("a consumer");
    let topics: Vec<&str> = filled.topics.iter().map(String::as_str).collect();
    consumer.subscribe(&topics).expect("a subscription");
    consumer
}

/// Takes all records one at a time. Returns the time from the first to the last.
pub fn polls(bootstrap: &str, filled: &FilledTopics) -> Duration {
    let consumer = consumer(bootstrap, filled);
    let (mut taken, mut bytes) = (0, 0);
    let mut started = None;
    while taken < filled.records {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message.expect("a message");
            started.get_or_insert_with(Instant::now);
            taken += 1;
            bytes += message.payload().map_or(0, <[u8]>::len) as u64;
        }
    }
    assert_eq!(bytes, filled.bytes);
    started.expect("a first record").elapsed()
}

/// Takes all records in batches from the consumer's own queue. Returns the time from the first to
/// the last.
pub fn batches(bootstrap: &str, filled: &FilledTopics) -> Duration {
    let consumer: BaseConsumer<DefaultConsumerContext> = consumer(bootstrap, filled);
    // Polls until the partitions are assigned: a batch read of the queue must not coincide with a
    // rebalance.
    let (mut taken, mut bytes) = (0_u64, 0_u64);
    let started = loop {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            taken += 1;
            bytes += message.expect("a message").payload().map_or(0, <[u8]>::len) as u64;
            break Instant::now();
        }
    };
    let mut batch = vec![std::ptr::null_mut(); 10_000];
    // SAFETY: the queue is the consumer's, which outlives it; each message is destroyed once, after
    // its last use.
    unsafe {
        let queue = rdsys::rd_kafka_queue_get_consumer(consumer.client().native_ptr());
        while taken < filled.records {
            let count =
                rdsys::rd_kafka_consume_batch_queue(queue, 100, batch.as_mut_ptr(), batch.len());
            assert!(count >= 0, "the batch read failed");
            for message in &batch[..count as usize] {
                assert!(
                    (**message).err == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
                    "a message"
                );
                bytes += (**message).len as u64;
                rdsys::rd_kafka_message_destroy(*message);
            }
            taken += count as u64;
        }
        rdsys::rd_kafka_queue_destroy(queue);
    }
    assert_eq!(bytes, filled.bytes);
    started.elapsed()
}
