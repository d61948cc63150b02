//! How long the topics keep what they carry, the dead letters' too: asked of the brokers, judged, exported.
//!
//! Promises that a topic which keeps records for too long shows in the metrics, also where somebody changed it later. Must
//! never change a topic.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::ids::Topic;
use crate::ingest::client_config;
use crate::ingest::preflight::{self, PreflightError, TooLong};
use crate::metrics::Metrics;
use crate::policy::Policy;

/// How long the brokers may take to answer one question.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the topics are looked at again: their settings change rarely, and nothing waits for it.
pub(super) const RETENTION_EVERY: Duration = Duration::from_secs(3600);

/// What the topics are judged by, and where it is told.
pub(super) struct Retention {
    pub config: Arc<Config>,
    pub topics: Vec<Topic>,
    pub policy: Arc<Policy>,
    pub metrics: Metrics,
}

impl Retention {
    /// Asks once, and exports the answer: the topics that keep their records for too long.
    pub async fn judge(&self) -> Result<Vec<TooLong>, PreflightError> {
        let brokers = client_config(&self.config.kafka);
        let found = preflight::facts(&brokers, &self.topics, PATIENCE).await?;
        let judged = preflight::judge_all(&self.policy, &found);
        for facts in &found {
            let ok = !judged.iter().any(|long| long.topic == facts.topic);
            self.metrics.topic_retention_ok.with_label_values(&[facts.topic.as_str()]).set(i64::from(ok));
        }
        Ok(judged)
    }

    /// Asks after `first` and every hour from then on, and says in the log what is too long, until dropped.
    pub async fn watch(self, first: Duration) {
        tokio::time::sleep(first).await;
        loop {
            match self.judge().await {
                Ok(judged) => {
                    for long in judged {
                        tracing::warn!(source.topic = %long.topic, "{}", long.what);
                    }
                }
                Err(error) => tracing::warn!(%error, "how long the topics keep their records is not known"),
            }
            tokio::time::sleep(RETENTION_EVERY).await;
        }
    }
}
