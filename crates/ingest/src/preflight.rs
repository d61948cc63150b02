//! Checks before the first record is read: each topic exists, may be seen, and keeps personal data
//! no longer than the policy allows.
//!
//! A topic that keeps a record for a year defeats a deadline of six months. The decision is pure;
//! the requests to the brokers are separate. Must never change or create a topic.

mod letters;

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use crate::kafka::AuxiliaryContext;
use ebbtide_base::ids::{ProductKey, Topic};
use ebbtide_policy::{Boundary, Policy, RetentionPeriod, Trigger};

pub use letters::check_dead_letter_limits;

/// A topic that an instance uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedTopic {
    /// The topic.
    pub topic: Topic,
    /// Its use.
    pub role: TopicRole,
}

/// The use of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicRole {
    /// The records of a product.
    Source(ProductKey),
    /// Dead letters of all products.
    DeadLetters,
    /// Notices of ended contracts, which name tenants and no person.
    Contracts,
    /// Notices of withdrawn consents, which name people.
    Consents,
}

/// The state of one topic, as reported by the brokers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicConfigState {
    /// No topic has that name.
    Missing,
    /// The principal may not see whether it exists.
    Unauthorized,
    /// The topic exists, but the principal may not see its configuration.
    ConfigHidden,
    /// The topic exists and keeps its records for the given retention.
    Kept(TopicRetention),
}

/// The retention of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicRetention {
    /// The retention time; `None` means for ever.
    pub time: Option<Duration>,
    /// Its `cleanup.policy`.
    pub cleanup: Cleanup,
    /// The largest message in bytes that the topic accepts (`max.message.bytes`), if the broker
    /// reports it.
    pub max_message_bytes: Option<u64>,
}

/// The records of a topic that the brokers remove (`cleanup.policy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleanup {
    /// Records that are older than the retention (`delete`).
    Delete,
    /// All records of a key but the newest, which is kept for ever (`compact`).
    Compact,
    /// Both (`compact,delete`).
    CompactAndDelete,
}

/// A topic that cannot be used as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicProblem {
    /// The topic.
    pub topic: Topic,
    /// The problem and the fix, in one sentence.
    pub what: String,
}

/// The reason why the topics could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// The brokers did not answer.
    #[error("the brokers did not say how long topic {topic} keeps its records: {why}")]
    Unanswered {
        /// The topic.
        topic: Topic,
        /// The client's reason.
        why: String,
    },
    /// The configuration is refused by the client library.
    #[error("librdkafka refuses the configuration: {0}")]
    Client(#[from] KafkaError),
}

/// Returns the shortest ceiling that `policy` sets for a category of `product`, or of any product
/// if `None`. Only ceilings count: a minimum does not forbid a longer retention, and an open
/// deadline has no length.
#[must_use]
pub fn shortest_ceiling(policy: &Policy, product: Option<&ProductKey>) -> Option<Duration> {
    policy
        .rules
        .iter()
        .filter(|rule| rule.boundary == Boundary::AtMost && rule.trigger != Trigger::ContractEnd)
        .filter(|rule| {
            product.is_none_or(|key| rule.products.is_empty() || rule.products.contains(key))
        })
        .map(|rule| at_least(rule.keep))
        .min()
}

/// Returns the shortest time that a calendar duration can take: a month may have 28 days.
fn at_least(keep: RetentionPeriod) -> Duration {
    const DAY: u64 = 24 * 3600;
    Duration::from_secs(match keep {
        RetentionPeriod::Hours(hours) => u64::from(hours) * 3600,
        RetentionPeriod::Days(days) => u64::from(days) * DAY,
        RetentionPeriod::Months(months) => {
            u64::from(months / 12) * 365 * DAY + u64::from(months % 12) * 28 * DAY
        }
    })
}

impl TopicRole {
    /// Returns the longest time that the policy lets such a topic keep its records; `None` if the
    /// policy sets no limit.
    #[must_use]
    pub fn ceiling(&self, policy: &Policy) -> Option<Duration> {
        match self {
            Self::Source(product) => shortest_ceiling(policy, Some(product)),
            Self::DeadLetters | Self::Consents => shortest_ceiling(policy, None),
            Self::Contracts => None,
        }
    }

    /// Returns the place that names the topic.
    fn named_by(&self) -> String {
        match self {
            Self::Source(product) => format!("products.{product}.topics of the policy"),
            Self::DeadLetters => "kafka.dead_letter_topic".to_owned(),
            Self::Contracts => "notices.contracts".to_owned(),
            Self::Consents => "notices.consents".to_owned(),
        }
    }

    /// Returns the operations that the principal needs on the topic.
    fn needs(&self) -> &'static str {
        match self {
            Self::DeadLetters => "Describe, DescribeConfigs and Write",
            _ => "Describe, DescribeConfigs and Read",
        }
    }
}

/// Checks one topic by its use and its state. `ceiling` is the longest time that it may keep its
/// records, if there is a limit.
#[must_use]
pub fn check_topic(
    used: &UsedTopic,
    state: &TopicConfigState,
    ceiling: Option<Duration>,
) -> Option<TopicProblem> {
    let UsedTopic { topic, role } = used;
    let set = ceiling.map(|ceiling| format!("retention.ms={} or less", ceiling.as_millis()));
    let what = match (state, ceiling, set) {
        (TopicConfigState::Missing, _, set) => {
            let with = set.map(|set| format!(" with {set}")).unwrap_or_default();
            format!(
                "topic {topic} does not exist; create it{with}, or correct its name in {}",
                role.named_by()
            )
        }
        (TopicConfigState::Unauthorized, ..) => {
            format!(
                "the brokers do not let this client see topic {topic}; grant it {} on the topic",
                role.needs()
            )
        }
        (TopicConfigState::ConfigHidden, Some(_), _) => format!(
            "the brokers do not show this client how long topic {topic} keeps records; grant it DescribeConfigs on the topic"
        ),
        (TopicConfigState::Kept(kept), _, set)
            if *role == TopicRole::DeadLetters && kept.cleanup != Cleanup::Delete =>
        {
            let with = set.map(|set| format!(" and {set}")).unwrap_or_default();
            format!(
                "topic {topic} is compacted, so of the dead letters with one key only the newest would be kept; set \
                 cleanup.policy=delete{with}"
            )
        }
        (TopicConfigState::Kept(kept), Some(ceiling), Some(set)) => {
            kept_too_long(topic, *kept, ceiling, &set)?
        }
        _ => return None,
    };
    Some(TopicProblem {
        topic: topic.clone(),
        what,
    })
}

fn kept_too_long(
    topic: &Topic,
    kept: TopicRetention,
    ceiling: Duration,
    set: &str,
) -> Option<String> {
    if kept.cleanup == Cleanup::Compact {
        return Some(format!(
            "topic {topic} is compacted and keeps records for ever; set cleanup.policy=delete and {set}"
        ));
    }
    match kept.time {
        None => Some(format!("topic {topic} keeps records for ever; set {set}")),
        Some(time) if time > ceiling => Some(format!(
            "topic {topic} keeps records for {}, the policy allows {}; set {set}",
            in_words(time),
            in_words(ceiling)
        )),
        Some(_) => None,
    }
}

/// Formats a time in the largest unit that divides it: days from two on, else hours, minutes,
/// seconds.
fn in_words(time: Duration) -> String {
    let millis = time.as_millis();
    for (unit, name, least) in [
        (86_400_000, "day", 2),
        (3_600_000, "hour", 1),
        (60_000, "minute", 1),
        (1_000, "second", 1),
    ] {
        let number = millis / unit;
        if number >= least && millis.is_multiple_of(unit) {
            return format!("{number} {name}{}", if number == 1 { "" } else { "s" });
        }
    }
    format!("{millis} ms")
}

/// Asks the brokers for the state of each of `topics`, in their order.
///
/// Errors if the brokers do not answer within `patience`.
pub async fn states(
    config: &ClientConfig,
    topics: &[UsedTopic],
    patience: Duration,
) -> Result<Vec<TopicConfigState>, PreflightError> {
    let admin: Arc<AdminClient<AuxiliaryContext>> =
        Arc::new(config.create_with_context(AuxiliaryContext)?);
    let mut found = Vec::with_capacity(topics.len());
    for UsedTopic { topic, .. } in topics {
        let unanswered = |why: String| PreflightError::Unanswered {
            topic: topic.clone(),
            why,
        };
        // The metadata is requested first: a response about a configuration does not contain the
        // topic's error.
        let state = match presence(Arc::clone(&admin), topic.clone(), patience)
            .await
            .map_err(unanswered)?
        {
            Some(state) => state,
            None => retention(&admin, topic, patience)
                .await
                .map_err(unanswered)?,
        };
        found.push(state);
    }
    Ok(found)
}

/// Returns the state of a topic that is missing or may not be seen; `None` if it exists.
async fn presence(
    admin: Arc<AdminClient<AuxiliaryContext>>,
    topic: Topic,
    patience: Duration,
) -> Result<Option<TopicConfigState>, String> {
    let ask = move || -> Result<_, KafkaError> {
        let metadata = admin
            .inner()
            .fetch_metadata(Some(topic.as_str()), patience)?;
        let found = metadata
            .topics()
            .iter()
            .find(|found| found.name() == topic.as_str());
        Ok(found.map(|found| found.error().map(RDKafkaErrorCode::from)))
    };
    let answer = tokio::task::spawn_blocking(ask)
        .await
        .map_err(|error| error.to_string())?;
    match answer {
        Ok(Some(None)) => Ok(None),
        Ok(None) => Ok(Some(TopicConfigState::Missing)),
        Ok(Some(Some(code))) | Err(KafkaError::MetadataFetch(code)) => match code {
            RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
                Ok(Some(TopicConfigState::Missing))
            }
            RDKafkaErrorCode::TopicAuthorizationFailed => Ok(Some(TopicConfigState::Unauthorized)),
            code => Err(code.to_string()),
        },
        Err(error) => Err(error.to_string()),
    }
}

/// Returns the retention of an existing topic.
async fn retention(
    admin: &AdminClient<AuxiliaryContext>,
    topic: &Topic,
    patience: Duration,
) -> Result<TopicConfigState, String> {
    let options = AdminOptions::new().request_timeout(Some(patience));
    let asked = [ResourceSpecifier::Topic(topic.as_str())];
    let answers = admin
        .describe_configs(&asked, &options)
        .await
        .map_err(|error| error.to_string())?;
    match answers.into_iter().next() {
        Some(Ok(config)) => Ok(read(&config)),
        Some(Err(RDKafkaErrorCode::TopicAuthorizationFailed)) => Ok(TopicConfigState::ConfigHidden),
        Some(Err(code)) => Err(code.to_string()),
        None => Err("the answer is empty".to_owned()),
    }
}

/// Reads a topic's configuration. The client library drops the error of a topic whose configuration
/// is refused: the configuration has no entries then.
fn read(config: &ConfigResource) -> TopicConfigState {
    let value = |key: &str| config.get(key).and_then(|entry| entry.value.as_deref());
    let Some(time) = value("retention.ms").and_then(|text| text.parse::<i64>().ok()) else {
        return TopicConfigState::ConfigHidden;
    };
    let cleanup = value("cleanup.policy").unwrap_or("delete");
    TopicConfigState::Kept(TopicRetention {
        time: u64::try_from(time).ok().map(Duration::from_millis),
        cleanup: match (cleanup.contains("compact"), cleanup.contains("delete")) {
            (true, false) => Cleanup::Compact,
            (true, true) => Cleanup::CompactAndDelete,
            _ => Cleanup::Delete,
        },
        max_message_bytes: value("max.message.bytes").and_then(|text| text.parse().ok()),
    })
}

#[cfg(test)]
mod tests;
