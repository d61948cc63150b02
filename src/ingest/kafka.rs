//! librdkafka's configuration, as the user gave it.

use rdkafka::ClientConfig;

use crate::config::Kafka;

/// Every property that the user set, and no other: what ingest needs on top is set where it is needed.
#[must_use]
pub fn client_config(kafka: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (key, value) in &kafka.properties {
        config.set(key, value.expose());
    }
    config
}
