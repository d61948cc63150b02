//! The topics that an instance uses. Their state is requested from the brokers, checked and
//! exported.
//!
//! A topic that keeps records for too long shows in the metrics, even if its settings are changed
//! later. Must never change a topic.

use std::sync::Arc;
use std::time::Duration;

use ebbtide_base::ids::Topic;
use ebbtide_base::metrics::Metrics;
use ebbtide_config::Config;
use ebbtide_ingest::preflight::{
    self, PreflightError, TopicConfigState, TopicProblem, TopicRole, UsedTopic,
};
use ebbtide_ingest::{ClientRole, client_config};
use ebbtide_policy::Policy;

/// The time that the brokers may take to answer one request.
const PATIENCE: Duration = Duration::from_secs(10);
/// The interval at which the topics are checked again: their settings change rarely, and nothing
/// waits for the check.
pub(super) const RETENTION_EVERY: Duration = Duration::from_secs(3600);

/// The topics, the policy that they are checked against, and the export of the result.
pub(super) struct TopicMonitor {
    pub config: Arc<Config>,
    pub topics: Vec<UsedTopic>,
    pub policy: Arc<Policy>,
    pub metrics: Metrics,
}

/// Returns every topic that an instance reads or writes.
pub(super) fn used_topics(config: &Config, policy: &Policy) -> Vec<UsedTopic> {
    let mut used = Vec::new();
    for product in policy.products.values() {
        for topic in product.records.iter().flat_map(|records| &records.topics) {
            used.push(UsedTopic {
                topic: topic.clone(),
                role: TopicRole::Source(product.key.clone()),
            });
        }
    }
    let named = [
        (
            Some(&config.kafka.dead_letter_topic),
            TopicRole::DeadLetters,
        ),
        (config.notices.contracts.as_ref(), TopicRole::Contracts),
        (config.notices.consents.as_ref(), TopicRole::Consents),
    ];
    for (name, role) in named {
        // The names were checked when the configuration was read.
        used.extend(
            name.and_then(|name| Topic::new(name).ok())
                .map(|topic| UsedTopic { topic, role }),
        );
    }
    used
}

impl TopicMonitor {
    /// Asks the brokers once, and exports the answer. Returns the topics that are missing, hidden
    /// or keep their records for too long.
    pub async fn check(&self) -> Result<Vec<TopicProblem>, PreflightError> {
        let client = client_config(&self.config.kafka, ClientRole::Admin);
        let states = preflight::states(&client, &self.topics, PATIENCE).await?;
        let mut problems = Vec::new();
        for (used, state) in self.topics.iter().zip(&states) {
            let ceiling = used.role.ceiling(&self.policy);
            let problem = preflight::check_topic(used, state, ceiling);
            let ok = &self.metrics.topic_retention_ok;
            match state {
                TopicConfigState::Kept(_) => ok
                    .with_label_values(&[used.topic.as_str()])
                    .set(i64::from(problem.is_none())),
                // Unknown. An error means that there was no series to remove.
                _ => _ = ok.remove_label_values(&[used.topic.as_str()]),
            }
            problems.extend(problem);
        }
        for large in preflight::check_dead_letter_limits(&self.topics, &states) {
            // A letter that is too large is delivered without its record: this does not prevent the
            // start.
            tracing::warn!(source.topic = %large.topic, "{}", large.what);
        }
        Ok(problems)
    }

    /// Checks after `first` and every hour from then on, and logs each problem, until dropped.
    pub async fn watch(self, first: Duration) {
        tokio::time::sleep(first).await;
        loop {
            match self.check().await {
                Ok(problems) => {
                    for problem in problems {
                        tracing::warn!(source.topic = %problem.topic, "{}", problem.what);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "how long the topics keep their records is not known")
                }
            }
            tokio::time::sleep(RETENTION_EVERY).await;
        }
    }
}
