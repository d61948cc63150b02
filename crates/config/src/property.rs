//! One property of the Kafka client library (librdkafka): its value, and the canonical name for its
//! aliases.
//!
//! A value that may be a credential is hidden. Its name or its source decides.

use super::secret::Secret;

/// Names with the same meaning in librdkafka: the alias, and the canonical name used here.
const ALIASES: [(&str, &str); 12] = [
    ("metadata.broker.list", "bootstrap.servers"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("sasl.mechanisms", "sasl.mechanism"),
    (
        "sasl.oauthbearer.client.credentials.client.id",
        "sasl.oauthbearer.client.id",
    ),
    (
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.client.secret",
    ),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("message.send.max.retries", "retries"),
    ("compression.codec", "compression.type"),
    ("request.required.acks", "acks"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("auto.commit.enable", "enable.auto.commit"),
];

/// Returns the canonical name of a property, whichever of its names is given.
#[must_use]
pub fn canonical(name: &str) -> &str {
    ALIASES
        .iter()
        .find(|(alias, _)| *alias == name)
        .map_or(name, |(_, used)| used)
}

/// Returns every name of the property whose canonical name is `name`: that name and its aliases.
pub fn spellings(name: &str) -> impl Iterator<Item = &str> {
    let aliases = ALIASES
        .iter()
        .filter(move |(_, used)| *used == name)
        .map(|(alias, _)| *alias);
    std::iter::once(name).chain(aliases)
}

/// The value of one librdkafka property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Property {
    /// A value that may be shown.
    Plain(String),
    /// A value that must not be shown.
    Hidden(Secret),
}

impl Property {
    /// Wraps a value written in the file itself: hidden if `name` is that of a credential.
    pub(super) fn literal(name: &str, value: String) -> Self {
        if is_credential(name) {
            Property::Hidden(Secret::new(value))
        } else {
            Property::Plain(value)
        }
    }

    /// Returns the value itself. Use it for the client's configuration, never in a message.
    #[must_use]
    pub fn expose(&self) -> &str {
        match self {
            Property::Plain(value) => value,
            Property::Hidden(value) => value.expose(),
        }
    }
}

fn is_credential(name: &str) -> bool {
    const SIGNS: [&str; 7] = [
        "password",
        "secret",
        "token",
        "jaas",
        "username",
        "oauthbearer",
        ".pem",
    ];
    SIGNS.iter().any(|sign| name.contains(sign))
}
