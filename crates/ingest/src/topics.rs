//! The topics that the lanes read, for `/readyz`: missing, not visible to this client, or not
//! readable by it.
//!
//! Every lane reports the same facts about all topics, so any of them may clear what another one
//! raised.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::brokers::TopicState;
use crate::preflight::{self, TopicRole, UsedTopic, check_topic};
use ebbtide_base::health::{Component, Health};
use ebbtide_base::ids::{ProductKey, Topic};
use ebbtide_policy::Policy;

/// The topics that feed the tables.
pub struct TopicWatch {
    health: Arc<Health>,
    topics: Vec<WatchedTopic>,
}

struct WatchedTopic {
    used: UsedTopic,
    /// The longest time that the topic may keep its records, if the policy limits it.
    ceiling: Option<Duration>,
}

impl TopicWatch {
    /// Creates a watch over the topics of all products of `policy`.
    #[must_use]
    pub fn new(health: Arc<Health>, policy: &Policy) -> Self {
        let mut topics = Vec::new();
        for (product, terms) in &policy.products {
            for topic in terms.records.iter().flat_map(|records| &records.topics) {
                topics.push(WatchedTopic::new(topic.clone(), product.clone(), policy));
            }
        }
        Self { health, topics }
    }

    /// Returns the topics.
    pub fn names(&self) -> impl Iterator<Item = &Topic> {
        self.topics.iter().map(|topic| &topic.used.topic)
    }

    /// Reports the topics that cannot be read, and clears the others. Topics without a state stay
    /// as they are.
    pub fn report(&self, states: &BTreeMap<Topic, TopicState>) {
        for watched in &self.topics {
            let topic = &watched.used.topic;
            let Some(state) = states.get(topic) else {
                continue;
            };
            let part = Component::Topic(topic.clone());
            if let Some(why) = watched.fault(*state) {
                if self.health.trouble(part, why.clone()) {
                    tracing::error!(source.topic = %topic, "{why}");
                }
            } else if self.health.over(&part) {
                tracing::info!(source.topic = %topic, "the topic can be read again");
            }
        }
    }
}

impl WatchedTopic {
    fn new(topic: Topic, product: ProductKey, policy: &Policy) -> Self {
        let role = TopicRole::Source(product);
        let ceiling = role.ceiling(policy);
        Self {
            used: UsedTopic { topic, role },
            ceiling,
        }
    }

    /// Returns the topic's problem and the fix, in one sentence; `None` if the topic can be read.
    fn fault(&self, state: TopicState) -> Option<String> {
        let as_at_start =
            |state| check_topic(&self.used, &state, self.ceiling).map(|problem| problem.what);
        match state {
            TopicState::Exists(_) => None,
            TopicState::Missing => as_at_start(preflight::TopicConfigState::Missing),
            TopicState::Hidden => as_at_start(preflight::TopicConfigState::Unauthorized),
            TopicState::Unreadable(_) => Some(format!(
                "the brokers do not let this client read from topic {topic}; grant it Read on the topic",
                topic = self.used.topic
            )),
            TopicState::Failed(_) => state.fault(&self.used.topic),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use rdkafka::types::RDKafkaErrorCode;

    use super::*;
    use ebbtide_base::clock::ManualClock;
    use ebbtide_base::ids::TopicId;

    fn watch() -> TopicWatch {
        let health = Arc::new(Health::starting(Arc::new(ManualClock::at(
            DateTime::UNIX_EPOCH,
        ))));
        health.over(&Component::Process);
        let watched = |name: &str, ceiling| WatchedTopic {
            used: UsedTopic {
                topic: name.parse().unwrap(),
                role: TopicRole::Source("sms".parse().unwrap()),
            },
            ceiling,
        };
        TopicWatch {
            health,
            topics: vec![
                watched("a", Some(Duration::from_secs(3600))),
                watched("b", None),
            ],
        }
    }

    fn troubles(watch: &TopicWatch, states: &[(&str, TopicState)]) -> Vec<(String, String)> {
        watch.report(
            &states
                .iter()
                .map(|(topic, state)| (topic.parse().unwrap(), *state))
                .collect(),
        );
        watch
            .health
            .readiness()
            .troubles
            .into_iter()
            .map(|trouble| (trouble.part, trouble.reason))
            .collect()
    }

    #[test]
    fn each_state_has_its_reason_and_its_fix_and_existing_topics_have_none() {
        let watch = watch();
        let cases: [(TopicState, &[&str]); 6] = [
            (
                TopicState::Missing,
                &[
                    "topic a does not exist",
                    "retention.ms=3600000",
                    "products.sms.topics",
                ],
            ),
            (
                TopicState::Hidden,
                &[
                    "do not let this client see topic a",
                    "grant it Describe",
                    "Read",
                ],
            ),
            (
                TopicState::Unreadable(None),
                &["do not let this client read from topic a", "grant it Read"],
            ),
            (TopicState::Unreadable(Some(TopicId(7))), &["grant it Read"]),
            (
                TopicState::Failed(RDKafkaErrorCode::InvalidTopic),
                &["report an error for topic a"],
            ),
            (TopicState::Exists(Some(TopicId(7))), &[]),
        ];
        for (state, parts) in cases {
            let found = troubles(&watch, &[("a", state), ("b", TopicState::Exists(None))]);
            assert_eq!(
                found.len(),
                usize::from(!parts.is_empty()),
                "{state:?}: {found:?}"
            );
            for part in parts {
                assert!(
                    found[0].0 == "topic/a" && found[0].1.contains(part),
                    "{part}: {found:?}"
                );
            }
        }
    }

    #[test]
    fn topic_is_in_trouble_until_the_brokers_report_that_it_can_be_read() {
        let watch = watch();
        let (bad, good) = (TopicState::Missing, TopicState::Exists(None));
        assert_eq!(troubles(&watch, &[("a", bad), ("b", bad)]).len(), 2);
        assert_eq!(
            troubles(&watch, &[("b", good)])[0].0,
            "topic/a",
            "no answer is no answer about a"
        );
        assert_eq!(
            troubles(&watch, &[("a", TopicState::Unreadable(None)), ("b", good)]).len(),
            1
        );
        assert!(troubles(&watch, &[("a", good), ("b", good)]).is_empty());
    }
}
