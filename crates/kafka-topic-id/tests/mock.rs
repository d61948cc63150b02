//! Asks librdkafka's own mock broker for topic ids. `make sanitize` runs these tests under the
//! address sanitizer.

use std::time::Duration;

use kafka_topic_id::{DescribeError, topic_ids, topic_rights};
use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::types::RDKafkaErrorCode;

const PATIENCE: Duration = Duration::from_secs(10);

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "ids");
    config
}

#[test]
fn ids_are_read_by_a_consumer_and_by_an_admin_client_alike() {
    let cluster = MockCluster::new(1).unwrap();
    for topic in ["first", "second", "third"] {
        cluster.create_topic(topic, 3, 1).unwrap();
    }
    let config = config(&cluster.bootstrap_servers());
    let consumer: BaseConsumer = config.create().unwrap();
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let topics = ["first", "second", "third"];
    let mut by_consumer = topic_ids(consumer.client(), &topics, PATIENCE).unwrap();
    let mut by_admin = topic_ids(admin.inner(), &topics, PATIENCE).unwrap();
    by_consumer.sort_by(|a, b| a.topic.cmp(&b.topic));
    by_admin.sort_by(|a, b| a.topic.cmp(&b.topic));
    assert_eq!(by_consumer, by_admin);
    assert_eq!(
        by_consumer
            .iter()
            .map(|answer| answer.topic.as_str())
            .collect::<Vec<_>>(),
        topics
    );
    assert!(
        by_consumer.iter().all(|answer| answer.id.is_ok()),
        "{by_consumer:?}"
    );
}

#[test]
fn a_missing_topic_is_an_answer_and_harms_no_other() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("here", 1, 1).unwrap();
    let consumer: BaseConsumer = config(&cluster.bootstrap_servers()).create().unwrap();
    for _ in 0..50 {
        let answers = topic_ids(consumer.client(), &["here", "missing"], PATIENCE).unwrap();
        let of = |topic: &str| {
            answers
                .iter()
                .find(|answer| answer.topic == topic)
                .unwrap()
                .id
        };
        assert!(of("here").is_ok());
        assert_eq!(
            of("missing"),
            Err(RDKafkaErrorCode::UnknownTopicOrPartition)
        );
    }
}

#[test]
fn a_broker_that_does_not_answer_is_a_timeout_and_frees_everything() {
    let consumer: BaseConsumer = config("127.0.0.1:1").create().unwrap();
    for _ in 0..3 {
        let failed =
            topic_ids(consumer.client(), &["any"], Duration::from_millis(200)).unwrap_err();
        assert!(
            matches!(
                failed,
                DescribeError::TimedOut(_) | DescribeError::Request(_)
            ),
            "{failed:?}"
        );
    }
}

#[test]
fn a_name_that_no_topic_can_have_is_refused_before_anything_is_asked() {
    let consumer: BaseConsumer = config("127.0.0.1:1").create().unwrap();
    let failed = topic_ids(consumer.client(), &["with\0zero"], PATIENCE).unwrap_err();
    assert_eq!(failed, DescribeError::Name("with\0zero".to_owned()));
    assert_eq!(topic_ids(consumer.client(), &[], PATIENCE).unwrap(), []);
}

#[test]
fn rights_are_reported_with_the_same_ids_if_the_broker_knows_them() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("here", 1, 1).unwrap();
    let consumer: BaseConsumer = config(&cluster.bootstrap_servers()).create().unwrap();
    for _ in 0..50 {
        let ids = topic_ids(consumer.client(), &["here"], PATIENCE).unwrap();
        let rights = topic_rights(consumer.client(), &["here", "missing"], PATIENCE).unwrap();
        let of = |topic: &str| rights.iter().find(|answer| answer.topic == topic).unwrap();
        assert_eq!(of("here").id, ids[0].id);
        assert_eq!((ids[0].may_read, of("missing").may_read), (None, None));
    }
}
