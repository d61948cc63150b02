//! The numbers that Ebbtide exports. The catalog declares each once; `docs/metrics.md` explains it.
//!
//! Metrics have base units, `_total` on counters, and series for every product from the start, so
//! that an alert on a rate works before the first event. A label must never contain a value that
//! could name a person, tenant, file or offset.

mod catalog;
mod declare;

use prometheus::TextEncoder;

use crate::ids::{Category, ProductKey, TopicPartition};
pub use catalog::Metrics;
use declare::ProductLabels;
pub use declare::{MetricDeclaration, MetricKind};

/// Labels that a metric may have, in addition to `le` of histograms.
pub const LABELS: [&str; 9] = [
    "product",
    "category",
    "topic",
    "partition",
    "jurisdiction",
    "outcome",
    "code",
    "action",
    "horizon",
];

/// The `outcome` of a record.
pub const RECORD_OUTCOMES: [&str; 4] = ["stored", "expired", "skipped", "dead_letter"];
/// The `outcome` of a commit.
pub const COMMIT_OUTCOMES: [&str; 4] = ["landed", "raced", "conflict", "failed"];
/// The `outcome` of a change of ownership.
pub const REBALANCE_OUTCOMES: [&str; 3] = ["assigned", "revoked", "rejoined"];
/// The `outcome` of a schema's fetch.
pub const FETCH_OUTCOMES: [&str; 4] = ["found", "unknown", "unreadable", "unavailable"];

/// The `outcome` of a notice: in force, already in force before, waiting for a person, a dead
/// letter; and of a batch that is read again.
pub const NOTICE_OUTCOMES: [&str; 5] = ["taken", "known", "parked", "refused", "failed"];

/// The `action` of a sweep's task.
pub const SWEEP_ACTIONS: [&str; 3] = ["drop", "end", "retag"];
/// The `outcome` of a column chunk that a sweep processed.
pub const SWEPT_OUTCOMES: [&str; 2] = ["copied", "dropped"];
/// The `outcome` of a record whose retention ended.
pub const ENDED_OUTCOMES: [&str; 3] = ["cell", "suppressed", "removed"];

/// The `outcome` of a merge.
pub const MERGE_OUTCOMES: [&str; 3] = ["merged", "lost", "failed"];
/// The `outcome` of bytes that a merge processed.
pub const COMPACTED_BYTES: [&str; 2] = ["read", "written"];
/// The `outcome` of a segment of a merge.
pub const COMPACTED_SEGMENTS: [&str; 2] = ["replaced", "added"];

/// The `product` of files that belong to no product: those of the control log, unfinished uploads
/// to a bucket, and quarantined dead letters.
pub const SHARED_FOLDERS: [&str; 3] = ["_controls", "_uploads", "_quarantine"];

/// The reason why the metrics could not be created: a name or label is illegal or used twice. A
/// test would have found it.
#[derive(Debug, thiserror::Error)]
#[error("the metrics are inconsistent: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

impl Metrics {
    /// Declares and registers all metrics. Errors only if their catalog has a mistake.
    pub fn new() -> Result<Self, MetricsError> {
        let metrics = Self::register()?;
        metrics.start(&ProductLabels::default());
        for folder in SHARED_FOLDERS {
            metrics.unlink_failures.with_label_values(&[folder]);
        }
        Ok(metrics)
    }

    /// Creates the series of a product and its categories, at zero.
    pub fn add_product<'c>(
        &self,
        product: &ProductKey,
        categories: impl IntoIterator<Item = &'c Category>,
    ) {
        self.start(&ProductLabels {
            product: Some(product.as_str()),
            categories: categories.into_iter().map(Category::as_str).collect(),
        });
    }

    fn start(&self, known: &ProductLabels<'_>) {
        for series in self.starting.iter() {
            series.create(known);
        }
    }

    /// Removes the series of a partition that is no longer owned: a lag without updates is wrong.
    pub fn forget_partition(&self, gone: &TopicPartition) {
        let partition = gone.partition.to_string();
        let labels = [gone.topic.as_str(), partition.as_str()];
        for gauges in [
            &self.lag_seconds,
            &self.lag_records,
            &self.refused_partitions,
        ] {
            // An error means that the series did not exist.
            let _ = gauges.remove_label_values(&labels);
        }
    }

    /// Removes the lag of a partition, and no other series of it.
    pub fn forget_lag(&self, gone: &TopicPartition) {
        let partition = gone.partition.to_string();
        for gauges in [&self.lag_seconds, &self.lag_records] {
            // An error means that the series did not exist.
            let _ = gauges.remove_label_values(&[gone.topic.as_str(), partition.as_str()]);
        }
    }

    /// Returns every declared metric in order of declaration, even if it has no series yet.
    #[must_use]
    pub fn declared(&self) -> &[MetricDeclaration] {
        &self.declared
    }

    /// Returns all series in Prometheus' text format, whose media type is
    /// [`prometheus::TEXT_FORMAT`].
    pub fn exposition(&self) -> Result<String, MetricsError> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }
}

#[cfg(test)]
mod tests;
