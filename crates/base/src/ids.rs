//! The names and units that several layers share: products, categories, countries, buckets,
//! deadlines, offsets.
//!
//! A value of one of these types is well formed: an illegal one does not parse. Must never read a
//! clock, a file or the environment.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

/// A text that is not a legal value of one of the types of this module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {what}: {why}")]
pub struct IdError {
    /// The expected kind of value, in words that a user knows: `country`, `category` and so on.
    pub what: &'static str,
    /// The text that was given.
    pub text: String,
    /// The reason why it was refused.
    pub why: &'static str,
}

/// Returns true for a legal column, product or category name: `[a-z][a-z0-9_]*`, at most 64 bytes.
#[must_use]
pub fn is_snake(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn snake(what: &'static str, text: &str) -> Result<Arc<str>, IdError> {
    if is_snake(text) {
        Ok(Arc::from(text))
    } else {
        Err(IdError {
            what,
            text: text.to_owned(),
            why: "use lower-case letters, digits and `_`, a letter first, 64 at most",
        })
    }
}

/// The key of a product in the policy (`sms`, `voice`): also the name of its table's folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ProductKey(Arc<str>);

/// The kind of personal data of a field (`phone_number`, `content`). Never `none`: data that is not
/// personal has no category.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Category(Arc<str>);

/// The id of a rule of the policy, unique in it (`telecom-default`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RuleId(Arc<str>);

/// A policy's `version`, as written: the policy names its own versions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct PolicyVersion(Arc<str>);

/// A Kafka topic's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Topic(Arc<str>);

/// The short hash that names a profile: 12 lower-case hexadecimal digits, the value of the
/// `profile` partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ProfileId(Arc<str>);

impl ProductKey {
    /// Parses a product key. Errors unless it is snake case ([`is_snake`]).
    pub fn new(text: &str) -> Result<Self, IdError> {
        snake("product key", text).map(Self)
    }
}

impl Category {
    /// Parses a category. Errors unless it is snake case ([`is_snake`]), and on `none`.
    pub fn new(text: &str) -> Result<Self, IdError> {
        if text == "none" {
            return Err(IdError {
                what: "category",
                text: text.to_owned(),
                why: "`none` means not personal and is no category",
            });
        }
        snake("category", text).map(Self)
    }
}

impl RuleId {
    /// Parses a rule id. Errors unless it is letters, digits, `-`, `_` and `.`, 1 to 64 bytes.
    pub fn new(text: &str) -> Result<Self, IdError> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if text.is_empty() || text.len() > 64 || !text.chars().all(legal) {
            return Err(IdError {
                what: "rule id",
                text: text.to_owned(),
                why: "use letters, digits, `-`, `_` and `.`, 64 at most",
            });
        }
        Ok(Self(Arc::from(text)))
    }
}

impl PolicyVersion {
    /// Parses a policy version. Errors if it is empty, longer than 64 bytes or contains control
    /// characters.
    pub fn new(text: &str) -> Result<Self, IdError> {
        if text.is_empty() || text.len() > 64 || text.chars().any(char::is_control) {
            return Err(IdError {
                what: "policy version",
                text: text.to_owned(),
                why: "use 1 to 64 printable characters",
            });
        }
        Ok(Self(Arc::from(text)))
    }
}

impl Topic {
    /// Parses a topic name by Kafka's own rule: 1 to 249 of `[a-zA-Z0-9._-]`, not `.` or `..`.
    pub fn new(text: &str) -> Result<Self, IdError> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if text.is_empty()
            || text.len() > 249
            || text == "."
            || text == ".."
            || !text.chars().all(legal)
        {
            return Err(IdError {
                what: "topic",
                text: text.to_owned(),
                why: "Kafka allows letters, digits, `.`, `_` and `-`, 249 at most",
            });
        }
        Ok(Self(Arc::from(text)))
    }
}

impl ProfileId {
    /// Parses a profile id. Errors unless it is 12 lower-case hexadecimal digits.
    pub fn new(text: &str) -> Result<Self, IdError> {
        if text.len() != 12
            || !text
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        {
            return Err(IdError {
                what: "profile id",
                text: text.to_owned(),
                why: "use 12 lower-case hexadecimal digits",
            });
        }
        Ok(Self(Arc::from(text)))
    }

    /// Returns the id whose digits are the first six bytes of a hash.
    #[must_use]
    pub fn of_hash(bytes: [u8; 6]) -> Self {
        Self(
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
                .into(),
        )
    }
}

macro_rules! text_id {
    ($($name:ident),*) => {$(
        impl $name {
            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    )*};
}
text_id!(
    ProductKey,
    Category,
    RuleId,
    PolicyVersion,
    Topic,
    ProfileId
);

/// A country by ISO 3166-1 alpha-2, upper case; [`Country::UNKNOWN`] (`ZZ`, a user-assigned code)
/// if it is not known.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    /// `ZZ`: the jurisdiction is not known.
    pub const UNKNOWN: Country = Country(*b"ZZ");
    /// The number of values that [`Country::index`] can take.
    pub const INDEXES: usize = 26 * 26;

    /// Parses two upper-case letters. Does not check that the code is assigned: the policy's check
    /// does.
    pub fn new(text: &str) -> Result<Self, IdError> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Ok(Self([*a, *b])),
            _ => Err(IdError {
                what: "country",
                text: text.to_owned(),
                why: "use two upper-case letters of ISO 3166-1",
            }),
        }
    }

    /// Returns a dense number below [`Country::INDEXES`], for tables by country.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0[0] - b'A') * 26 + usize::from(self.0[1] - b'A')
    }

    /// Returns the country of a dense number; `None` from [`Country::INDEXES`] on.
    #[must_use]
    pub fn of_index(index: usize) -> Option<Self> {
        let letter = |n: usize| u8::try_from(n).ok().filter(|n| *n < 26).map(|n| b'A' + n);
        Some(Self([letter(index / 26)?, letter(index % 26)?]))
    }

    /// Returns the two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Two ASCII capitals by construction, so the fallback is never taken.
        std::str::from_utf8(&self.0).unwrap_or("ZZ")
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Country {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::new(text)
    }
}

impl Serialize for Country {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

/// The unit in which data expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BucketUnit {
    /// A calendar day of the policy's zone.
    Day,
    /// A clock hour of the policy's zone; the hour that autumn repeats is two buckets.
    Hour,
}

/// The day or hour of the event, in the policy's zone: rows of one bucket and profile share every
/// deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bucket {
    /// A calendar day of the policy's zone; written as `2026-11-24`.
    Day(NaiveDate),
    /// The instant at which the hour begins; written as `2026-11-24T13:00:00Z`.
    Hour(DateTime<Utc>),
}

impl Bucket {
    /// Returns the unit of the bucket.
    #[must_use]
    pub fn unit(&self) -> BucketUnit {
        match self {
            Bucket::Day(_) => BucketUnit::Day,
            Bucket::Hour(_) => BucketUnit::Hour,
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bucket::Day(day) => write!(f, "{day}"),
            Bucket::Hour(start) => write!(f, "{}", start.format("%Y-%m-%dT%H:%M:%SZ")),
        }
    }
}

impl FromStr for Bucket {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        if let Ok(day) = NaiveDate::from_str(text) {
            return Ok(Bucket::Day(day));
        }
        DateTime::parse_from_rfc3339(text)
            .map(|start| Bucket::Hour(start.with_timezone(&Utc)))
            .map_err(|_| IdError {
                what: "bucket",
                text: text.to_owned(),
                why: "write a day as 2026-11-24, an hour as 2026-11-24T13:00:00Z",
            })
    }
}

/// The instant at which one category of one record is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Deadline(pub DateTime<Utc>);

impl Deadline {
    /// Returns true if the deadline has passed at `now`. A deadline is due at its own instant.
    #[must_use]
    pub fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.0 <= now
    }

    /// Returns the microseconds since 1970-01-01T00:00:00Z, as stored in the `expires_*` columns.
    #[must_use]
    pub fn micros(&self) -> i64 {
        self.0.timestamp_micros()
    }
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%dT%H:%M:%SZ"))
    }
}

/// A partition's number within its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub i32);

/// A position in a topic partition: of a record, or of the next one to read where the name says
/// `next`.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Offset(pub i64);

impl Offset {
    /// The first position of every partition.
    pub const ZERO: Offset = Offset(0);

    /// Returns the position after this one.
    #[must_use]
    pub fn next(self) -> Offset {
        Offset(self.0.saturating_add(1))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One partition of one topic: the unit of order, of ownership and of exactly-once bookkeeping.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Topic,
    /// The partition within it.
    pub partition: Partition,
}

/// The id that Kafka gives a topic when it is created: a topic that is deleted and created again
/// has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub u128);

/// The short form of a [`TopicId`] that a table stores with an offset: 63 bits, so that it fits the
/// version of a `txn`.
///
/// Two topics have the same mark with a probability of 2^-61.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicMark(pub i64);

impl TopicId {
    /// Returns the short form of the id.
    #[must_use]
    pub fn mark(self) -> TopicMark {
        let folded = ((self.0 >> 64) ^ self.0) as u64;
        TopicMark((folded & (u64::MAX >> 1)).cast_signed())
    }
}

/// Writes the id as Kafka's own tools do: 22 characters of URL-safe base64.
impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        for place in 0..22_u32 {
            // 128 bits are 21 digits of six bits and one of two, which is padded with zeros.
            let digit = if place < 21 {
                self.0 >> (122 - 6 * place)
            } else {
                self.0 << 4
            };
            write!(f, "{}", char::from(DIGITS[(digit & 63) as usize]))?;
        }
        Ok(())
    }
}

impl Serialize for TopicId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests;
