//! What is looked at before the first record is read: whether Kafka itself keeps personal data longer than the policy allows.
//!
//! A topic that keeps a record for a year defeats a deadline of six months. The judgement is pure; asking the brokers
//! sits around it. Must never change a topic.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use crate::ids::{ProductKey, Topic};
use crate::ingest::kafka::Aside;
use crate::policy::{Boundary, Keep, Policy, Records, Trigger};

/// What a topic is configured to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicFacts {
    /// The topic.
    pub topic: Topic,
    /// How long it keeps a record; `None`: for ever.
    pub retention: Option<Duration>,
    /// Whether it keeps the newest record of each key for ever (`cleanup.policy=compact` without `delete`).
    pub compacted: bool,
}

/// A topic that keeps its records longer than the policy lets them be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLong {
    /// The topic.
    pub topic: Topic,
    /// What is wrong and what to set, in one sentence.
    pub what: String,
}

/// Why the topics could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// The brokers did not answer.
    #[error("the brokers did not say how long topic {topic} keeps its records: {why}")]
    Unanswered {
        /// The topic.
        topic: Topic,
        /// What the client said.
        why: String,
    },
    /// The configuration is refused by the client library.
    #[error("librdkafka refuses the configuration: {0}")]
    Client(#[from] KafkaError),
}

/// The shortest ceiling that `policy` sets for a category of `product`, or of any product where `None`.
/// Ceilings alone count: a minimum does not forbid to keep longer, and an open deadline has no length.
#[must_use]
pub fn shortest_ceiling(policy: &Policy, product: Option<&ProductKey>) -> Option<Duration> {
    policy
        .rules
        .iter()
        .filter(|rule| rule.boundary == Boundary::AtMost && rule.trigger != Trigger::ContractEnd)
        .filter(|rule| product.is_none_or(|key| rule.products.is_empty() || rule.products.contains(key)))
        .map(|rule| at_least(rule.keep))
        .min()
}

/// The least time that a calendar duration can take: a month may have 28 days.
fn at_least(keep: Keep) -> Duration {
    const DAY: u64 = 24 * 3600;
    Duration::from_secs(match keep {
        Keep::Hours(hours) => u64::from(hours) * 3600,
        Keep::Days(days) => u64::from(days) * DAY,
        Keep::Months(months) => u64::from(months / 12) * 365 * DAY + u64::from(months % 12) * 28 * DAY,
    })
}

/// Judges one topic against the shortest ceiling of what it carries.
#[must_use]
pub fn judge(facts: &TopicFacts, ceiling: Duration) -> Option<TooLong> {
    let days = |time: Duration| time.as_secs() / 86_400;
    let too_long = |what: String| Some(TooLong { topic: facts.topic.clone(), what });
    let mend = format!("set retention.ms={} or less", ceiling.as_millis());
    if facts.compacted {
        return too_long(format!(
            "topic {} is compacted and keeps records for ever; set cleanup.policy=delete and {mend}",
            facts.topic
        ));
    }
    match facts.retention {
        None => too_long(format!("topic {} keeps records for ever; {mend}", facts.topic)),
        Some(kept) if kept > ceiling => too_long(format!(
            "topic {} keeps records for {} days, the policy allows {}; {mend}",
            facts.topic,
            days(kept),
            days(ceiling)
        )),
        Some(_) => None,
    }
}

/// Judges every topic: a product's own by that product's ceilings, any other (the dead letters) by those of all.
#[must_use]
pub fn judge_all(policy: &Policy, topics: &[TopicFacts]) -> Vec<TooLong> {
    topics
        .iter()
        .filter_map(|facts| {
            let feeds = |records: &Records| records.topics.contains(&facts.topic);
            let product = policy.products.values().find(|product| product.records.as_ref().is_some_and(feeds));
            judge(facts, shortest_ceiling(policy, product.map(|product| &product.key))?)
        })
        .collect()
}

/// Asks the brokers what `topics` keep; a topic that does not exist yet is left out.
///
/// Errors if the brokers do not answer within `patience`.
pub async fn facts(
    base: &ClientConfig,
    topics: &[Topic],
    patience: Duration,
) -> Result<Vec<TopicFacts>, PreflightError> {
    let admin: AdminClient<Aside> = base.create_with_context(Aside)?;
    let options = AdminOptions::new().request_timeout(Some(patience));
    let mut found = Vec::new();
    for topic in topics {
        let unanswered = |why: String| PreflightError::Unanswered { topic: topic.clone(), why };
        let asked = [ResourceSpecifier::Topic(topic.as_str())];
        let answers = admin.describe_configs(&asked, &options).await.map_err(|error| unanswered(error.to_string()))?;
        for answer in answers {
            match answer {
                Ok(config) => found.push(read(topic, &config)),
                Err(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                    tracing::warn!(source.topic = %topic, "the topic does not exist yet; it will be read when it does");
                }
                Err(code) => return Err(unanswered(code.to_string())),
            }
        }
    }
    Ok(found)
}

fn read(topic: &Topic, config: &ConfigResource) -> TopicFacts {
    let value = |key: &str| config.get(key).and_then(|entry| entry.value.as_deref());
    let retention = value("retention.ms").and_then(|text| text.parse::<i64>().ok());
    let cleanup = value("cleanup.policy").unwrap_or("delete");
    TopicFacts {
        topic: topic.clone(),
        retention: retention.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis),
        compacted: cleanup.contains("compact") && !cleanup.contains("delete"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(retention: Option<u64>, compacted: bool) -> TopicFacts {
        let topic = Topic::new("traffic.sms").unwrap();
        TopicFacts { topic, retention: retention.map(|days| Duration::from_secs(days * 86_400)), compacted }
    }

    #[test]
    fn a_topic_may_keep_as_long_as_the_shortest_ceiling_and_no_longer() {
        let ceiling = Duration::from_secs(168 * 86_400);
        assert_eq!(judge(&facts(Some(7), false), ceiling), None);
        assert_eq!(judge(&facts(Some(168), false), ceiling), None);
        for bad in [facts(Some(169), false), facts(None, false), facts(Some(7), true)] {
            let told = judge(&bad, ceiling).unwrap();
            assert!(told.what.contains("retention.ms=14515200000"), "{}", told.what);
        }
    }

    #[test]
    fn months_count_as_short_as_they_can_be() {
        assert_eq!(at_least(Keep::Months(6)).as_secs(), 6 * 28 * 86_400);
        assert_eq!(at_least(Keep::Months(24)).as_secs(), 730 * 86_400);
    }
}
