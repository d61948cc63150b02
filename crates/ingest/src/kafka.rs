//! The Kafka clients: their configurations, and their log, which becomes part of Ebbtide's.
//!
//! Must never forward the client library's own error message about a property: it quotes the value,
//! which may be a secret.

mod clients;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

pub use clients::{ClientRole, RefusedProperty, client_config, queue_bytes, refused_properties};

/// Writes one line of a client's own log to Ebbtide's log.
pub fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => {
            tracing::error!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
        _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

/// The context of the clients other than the lanes' consumers: the dead letters' producer, the
/// reader of notices, the admin client.
#[derive(Debug, Clone, Copy)]
pub struct AuxiliaryContext;

impl ClientContext for AuxiliaryContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The lanes' consumers report brokers that are down, and a failed request reports itself.
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for AuxiliaryContext {}
