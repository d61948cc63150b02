//! Classes of producer errors for a dead letter: caused by the letter itself, caused by a setting
//! that must be changed, caused by a dead producer, or transient. Pure.

use rdkafka::types::RDKafkaErrorCode as Code;

/// The class of a delivery that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryFailure {
    /// The topic does not accept this message, however often it is sent. It may accept another
    /// form.
    Message,
    /// The topic accepts no message until a setting of the brokers or of this client is changed.
    Configuration,
    /// The producer can send nothing any more. A new one can.
    Producer,
    /// Transient: brokers that are away, timeouts, and every error that is not listed here.
    Passing,
}

/// Returns the class of an error. An unknown error is transient: a letter that waits is never lost.
#[must_use]
pub fn refusal(code: Option<Code>) -> DeliveryFailure {
    match code {
        Some(
            Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidMessage
            | Code::InvalidMessageSize
            | Code::InvalidRecord
            | Code::InvalidDifferentRecord
            | Code::InvalidTimestamp
            | Code::PolicyViolation
            | Code::UnsupportedForMessageFormat
            | Code::BadMessage
            | Code::BadCompression
            | Code::InvalidArgument
            | Code::KeySerialization
            | Code::ValueSerialization,
        ) => DeliveryFailure::Message,
        Some(
            Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::UnknownTopicId
            | Code::InvalidTopic
            | Code::InvalidPartitions
            | Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState
            | Code::Authentication
            | Code::SSL
            | Code::SecurityDisabled
            | Code::UnacceptableCredential
            | Code::InvalidRequiredAcks
            | Code::InvalidConfig
            | Code::InvalidRequest
            | Code::UnsupportedCompressionType
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature
            | Code::NotConfigured
            | Code::ReadOnly,
        ) => DeliveryFailure::Configuration,
        Some(
            Code::Fatal
            | Code::Fenced
            | Code::ProducerFenced
            | Code::InvalidProducerEpoch
            | Code::InvalidProducerIdMapping
            | Code::UnknownProducerId
            | Code::OutOfOrderSequenceNumber
            | Code::GaplessGuarantee
            | Code::State,
        ) => DeliveryFailure::Producer,
        _ => DeliveryFailure::Passing,
    }
}

/// Returns the advice for an operator about a refusal of this kind.
#[must_use]
pub fn help(code: Option<Code>) -> &'static str {
    match code {
        Some(
            Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::UnknownTopicId,
        ) => "create the topic, or set kafka.dead_letter_topic to one that exists",
        Some(Code::TopicAuthorizationFailed) => "allow this client to write to the topic",
        Some(Code::ClusterAuthorizationFailed) => {
            "allow this client IdempotentWrite on the cluster"
        }
        Some(
            Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState
            | Code::Authentication
            | Code::SSL
            | Code::UnacceptableCredential,
        ) => "see the credentials and certificates in kafka.properties",
        Some(Code::UnsupportedCompressionType) => {
            "set kafka.properties.compression.type to one that the topic takes"
        }
        _ => "it is sent again",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_its_class() {
        let table = [
            (
                DeliveryFailure::Message,
                &[
                    Code::MessageSizeTooLarge,
                    Code::MessageBatchTooLarge,
                    Code::InvalidRecord,
                    Code::InvalidDifferentRecord,
                    Code::PolicyViolation,
                    Code::InvalidTimestamp,
                    Code::UnsupportedForMessageFormat,
                    Code::InvalidMessage,
                ][..],
            ),
            (
                DeliveryFailure::Configuration,
                &[
                    Code::TopicAuthorizationFailed,
                    Code::ClusterAuthorizationFailed,
                    Code::UnknownTopic,
                    Code::UnknownTopicOrPartition,
                    Code::UnknownPartition,
                    Code::InvalidTopic,
                    Code::SaslAuthenticationFailed,
                    Code::UnsupportedCompressionType,
                ][..],
            ),
            (
                DeliveryFailure::Producer,
                &[
                    Code::Fatal,
                    Code::Fenced,
                    Code::InvalidProducerEpoch,
                    Code::OutOfOrderSequenceNumber,
                ][..],
            ),
            (
                DeliveryFailure::Passing,
                &[
                    Code::MessageTimedOut,
                    Code::AllBrokersDown,
                    Code::BrokerTransportFailure,
                    Code::NotEnoughReplicas,
                    Code::NotEnoughReplicasAfterAppend,
                    Code::LeaderNotAvailable,
                    Code::NotLeaderForPartition,
                    Code::KafkaStorageError,
                    Code::QueueFull,
                    Code::PurgeQueue,
                    Code::ThrottlingQuotaExceeded,
                    Code::Unknown,
                ][..],
            ),
        ];
        for (class, codes) in table {
            for code in codes {
                assert_eq!(refusal(Some(*code)), class, "{code:?}");
            }
        }
        assert_eq!(refusal(None), DeliveryFailure::Passing);
    }

    #[test]
    fn errors_that_need_a_change_name_it() {
        for code in [
            Code::UnknownTopic,
            Code::TopicAuthorizationFailed,
            Code::ClusterAuthorizationFailed,
            Code::SSL,
        ] {
            assert_ne!(help(Some(code)), help(None), "{code:?}");
        }
    }
}
