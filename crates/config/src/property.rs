//! The properties of the Kafka client library (librdkafka): the value of one, the canonical name for
//! its aliases, and those that are set twice.
//!
//! A value that may be a credential is hidden. Its name or its source decides.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

use super::secret::{SECRET, Secret};
use ebbtide_base::problem::Problems;
use ebbtide_base::yaml::{YamlEntry, YamlNode, join};

/// The path of the client library's properties.
pub(super) const PROPERTIES: &str = "kafka.properties";

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

/// Reports each property that is set again by another of its names. Returns the paths of these: they
/// are not read.
pub(super) fn repeated_properties(tree: &YamlNode, problems: &mut Problems) -> BTreeSet<String> {
    let mut repeated = BTreeSet::new();
    let properties = tree.get("kafka").and_then(|kafka| kafka.get("properties"));
    let entries = properties.map_or(&[][..], YamlNode::entries);
    for (place, YamlEntry { key, value, .. }) in entries.iter().enumerate() {
        let name = canonical(key);
        let first = entries[..place]
            .iter()
            .find(|other| canonical(&other.key) == name);
        if let Some(first) = first {
            let what = format!("`{}` and `{key}` are one property, set twice", first.key);
            let path = join(PROPERTIES, key);
            problems.error(value.at, &path, what, "keep one of the two");
            repeated.insert(path);
        }
    }
    repeated
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
    /// Hides a value written in the file itself if `name` is that of a credential.
    pub(super) fn named(self, name: &str) -> Self {
        match self {
            Property::Plain(value) if is_credential(name) => Property::Hidden(Secret::new(value)),
            value => value,
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

impl Serialize for Property {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Property::Plain(value) => to.serialize_str(value),
            Property::Hidden(value) => value.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Property {
    /// Reads a value that the file contains as plain, whatever its property is, and one from
    /// another place as hidden.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct PropertyVisitor;
        impl<'de> Visitor<'de> for PropertyVisitor {
            type Value = Property;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a property")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Property, E> {
                Ok(Property::Plain(text.to_owned()))
            }

            fn visit_newtype_struct<D>(self, from: D) -> Result<Property, D::Error>
            where
                D: Deserializer<'de>,
            {
                String::deserialize(from).map(|text| Property::Hidden(Secret::new(text)))
            }
        }
        from.deserialize_newtype_struct(SECRET, PropertyVisitor)
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
