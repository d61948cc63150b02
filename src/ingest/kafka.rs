//! librdkafka's configuration, as the user gave it, and its log, as it comes into ours.
//!
//! Must never let the client library's own complaint out: it quotes the value of the property, which may be a secret.

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

use crate::config::{Kafka, Property};

/// A property that librdkafka refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("kafka.properties.{name}: {why}")]
pub struct RefusedProperty {
    /// Its name.
    pub name: String,
    /// What librdkafka says of it, in one sentence; without the value where that is a secret.
    pub why: String,
}

/// Every property that librdkafka refuses by itself. None where a client can be made of them, or where only making it tells.
///
/// To be asked before any client is made, so that no error of one quotes a secret.
#[must_use]
pub fn refused_properties(kafka: &Kafka) -> Vec<RefusedProperty> {
    let refused = |(name, value): (&String, &Property)| {
        let why = match ClientConfig::new().set(name, value.expose()).create_native_config() {
            Ok(_) => return None,
            Err(KafkaError::ClientConfig(_, why, ..)) if !why.contains(value.expose()) => why,
            Err(KafkaError::ClientConfig(_, why, ..)) if matches!(value, Property::Plain(_)) => why,
            Err(_) => "its value is refused".to_owned(),
        };
        Some(RefusedProperty { name: name.clone(), why })
    };
    kafka.properties.iter().filter_map(refused).collect()
}

/// Every property that the user set, and no other: what ingest needs on top is set where it is needed.
#[must_use]
pub fn client_config(kafka: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (key, value) in &kafka.properties {
        config.set(key, value.expose());
    }
    // The client asks the `log` crate how much to say, which nobody listens to here: `tracing` filters what comes.
    let detailed = kafka.properties.contains_key("debug");
    config.set_log_level(if detailed { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Info });
    config
}

/// One line of a client's own log.
pub fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::error!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
        _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

/// A client beside the lanes' consumers: the dead letters' producer, the reader of notices, the one that asks what topics keep. It has the consumer's
/// properties too, and does not complain of those that are none of its own.
#[derive(Debug, Clone, Copy)]
pub struct Aside;

impl ClientContext for Aside {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility != "CONFWARN" {
            log(level, facility, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Brokers that are down are the consumer's to tell, and what a request was for tells itself.
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for Aside {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{RetentionCheck, Secret};

    fn kafka(properties: &[(&str, Property)]) -> Kafka {
        Kafka {
            properties: properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            group: "g".to_owned(),
            dead_letter_topic: "d".to_owned(),
            retention_check: RetentionCheck::Warn,
        }
    }

    fn plain(value: &str) -> Property {
        Property::Plain(value.to_owned())
    }

    fn hidden(value: &str) -> Property {
        Property::Hidden(Secret::new(value))
    }

    #[test]
    fn what_librdkafka_refuses_is_told_at_once_and_no_secret_is_quoted() {
        let refused = refused_properties(&kafka(&[
            ("bootstrap.servers", plain("localhost:9092")),
            ("sasl.passwrod", hidden("hunter2")),
            ("security.protocol", hidden("hunter2")),
            ("session.timeout.ms", plain("soon")),
            ("sasl.password", hidden("right")),
        ]));
        let told: String = refused.iter().map(|refused| format!("{refused}\n")).collect();
        assert!(!told.contains("hunter2"), "{told}");
        insta::assert_snapshot!(told, @r#"
        kafka.properties.sasl.passwrod: No such configuration property: "sasl.passwrod"
        kafka.properties.security.protocol: its value is refused
        kafka.properties.session.timeout.ms: Invalid value for configuration property "session.timeout.ms"
        "#);
    }

    #[test]
    fn a_clients_own_complaint_would_quote_the_secret() {
        let mut config = client_config(&kafka(&[("sasl.passwrod", hidden("hunter2"))]));
        let complaint = config.set("group.id", "g").create_native_config().err().map(|error| error.to_string());
        assert!(complaint.is_some_and(|complaint| complaint.contains("hunter2")), "the check is no longer needed");
    }
}
