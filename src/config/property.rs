//! The value of one librdkafka property, and which properties are not the operator's to set.
//!
//! Promises that a value which may be a credential is hidden, judged by its name or by where it came from.

use super::secret::Secret;

/// Properties that Ebbtide sets itself, and why the operator cannot.
pub(super) const OURS: [(&str, &str); 6] = [
    ("group.id", "write it as `kafka.group`"),
    ("enable.auto.commit", "leave it out: offsets are committed with the data, then told to Kafka"),
    ("enable.auto.offset.store", "leave it out: offsets are committed with the data, then told to Kafka"),
    ("auto.offset.reset", "leave it out: a partition starts where its table ends, and never skips in silence"),
    ("enable.idempotence", "leave it out: the dead letters' producer is always idempotent"),
    ("transactional.id", "leave it out: exactly once comes from the table's own commit"),
];

/// The value of one librdkafka property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Property {
    /// It may be seen.
    Plain(String),
    /// It may not.
    Hidden(Secret),
}

impl Property {
    /// Wraps a value written in the file itself: hidden if `name` is that of a credential.
    pub(super) fn literal(name: &str, value: String) -> Self {
        if is_credential(name) { Property::Hidden(Secret::new(value)) } else { Property::Plain(value) }
    }

    /// The value itself: for the client's configuration, never for a message.
    #[must_use]
    pub fn expose(&self) -> &str {
        match self {
            Property::Plain(value) => value,
            Property::Hidden(value) => value.expose(),
        }
    }
}

fn is_credential(name: &str) -> bool {
    const SIGNS: [&str; 7] = ["password", "secret", "token", "jaas", "username", "oauthbearer", ".pem"];
    SIGNS.iter().any(|sign| name.contains(sign))
}
