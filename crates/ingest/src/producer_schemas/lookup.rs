//! The names of producers' schemas, and the outcomes of their look-ups.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::registry::RegistryFailure;
use ebbtide_policy::schema::WriterSchema;

/// The name by which a message refers to its writer schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SchemaRef {
    /// The registry's id.
    Id(u32),
    /// The CRC-64-AVRO of the schema's parsing canonical form.
    Fingerprint(u64),
}

impl fmt::Display for SchemaRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SchemaRef::Id(id) => write!(f, "id {id}"),
            SchemaRef::Fingerprint(fingerprint) => write!(f, "fingerprint {fingerprint:016x}"),
        }
    }
}

/// The outcome of the look-up of a schema that a message names.
#[derive(Debug, Clone)]
pub enum SchemaLookup {
    /// The schema.
    Schema(Arc<WriterSchema>),
    /// The schema cannot be used; the reason, in words.
    Unusable(Arc<str>),
    /// No source has the schema, or some schema that it refers to; the missing part, in words.
    Unknown(Arc<str>),
}

/// The reason why a look-up has no outcome yet. No record is at fault: wait, keep serving Kafka,
/// and call again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupDelay {
    /// The registry does not answer: records of schemas that are not known yet wait.
    #[error(transparent)]
    Registry(#[from] RegistryUnavailable),
    /// The registry does not know the schema yet: only records of this schema wait.
    #[error("the schema registry does not know a schema yet")]
    NotYet {
        /// The wait: an earlier call sends no request and gets this error again.
        retry_after: Duration,
    },
}

impl LookupDelay {
    /// Returns the time after which to look again.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        match self {
            LookupDelay::Registry(RegistryUnavailable { retry_after, .. })
            | LookupDelay::NotYet { retry_after } => *retry_after,
        }
    }
}

/// The registry gives no reliable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema registry is unavailable: {why}")]
pub struct RegistryUnavailable {
    /// The reason.
    pub why: RegistryFailure,
    /// The wait: an earlier call sends no request and gets this error again.
    pub retry_after: Duration,
}
