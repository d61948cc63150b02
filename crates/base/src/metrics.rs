//! Every number that Ebbtide exports, declared once: name, kind, labels and help. `docs/metrics.md`
//! explains each.
//!
//! Metrics have base units, `_total` on counters, and series for every product from the start, so
//! that an alert on a rate works before the first event. A label must never contain a value that
//! could name a person, tenant, file or offset.

mod declare;

use std::sync::Arc;

use prometheus::{HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder};

use crate::ids::{Category, ProductKey, TopicPartition};
use crate::record::Fault;
use declare::MetricRegistrar;
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

/// Seconds of one task of a sweep: from that of a small segment to that of a bucket of a hundred
/// million records.
const SWEEP_SECONDS: [f64; 12] = [
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// Seconds of a commit: from that of a local disk to that of a remote object store.
const COMMIT_SECONDS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// The reason why the metrics could not be created: a name or label is illegal or used twice. A
/// test would have found it.
#[derive(Debug, thiserror::Error)]
#[error("the metrics are inconsistent: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

/// Every metric. Cheap to clone: clones share the same series.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// The registry of all metrics.
    pub registry: Registry,
    /// Records read, by `product` and `outcome` ([`RECORD_OUTCOMES`]), counted when they are
    /// committed.
    pub records: IntCounterVec,
    /// Bytes of the values of committed records, by `product`.
    pub bytes: IntCounterVec,
    /// Attempted commits, by `product` and `outcome` ([`COMMIT_OUTCOMES`]).
    pub commits: IntCounterVec,
    /// Seconds of a commit that landed, by `product`.
    pub commit_seconds: HistogramVec,
    /// Dead letters, by `product` and `code` ([`Fault::code`]).
    pub dead_letters: IntCounterVec,
    /// Dead letters that were delivered without their record, by `product` (`_notices` for those of
    /// notices).
    pub reduced_letters: IntCounterVec,
    /// Dead letters that were written to the quarantine, by the same.
    pub quarantined_letters: IntCounterVec,
    /// Files in the quarantine.
    pub quarantine_files: IntGauge,
    /// Lanes, and the reader of notices, that fail or are refused.
    pub lanes_failing: IntGauge,
    /// Seconds between the oldest record that is not durably committed and now, by `topic` and
    /// `partition`.
    pub lag_seconds: IntGaugeVec,
    /// Records that are not durably committed, by `topic` and `partition`.
    pub lag_records: IntGaugeVec,
    /// Bytes of decoded, buffered and in-flight data.
    pub buffered_bytes: IntGauge,
    /// The maximum of `buffered_bytes`.
    pub buffer_limit_bytes: IntGauge,
    /// Values not stored because the policy does not name their field, by `product`.
    pub unclassified: IntCounterVec,
    /// Values of phone columns that are not numbers and stay text, by `product`.
    pub unparsed_subjects: IntCounterVec,
    /// Partitions that rebalances moved, and lanes that joined the group again, by `outcome`
    /// ([`REBALANCE_OUTCOMES`]).
    pub rebalances: IntCounterVec,
    /// Fields not stored because they were already due on arrival, by `product` and `category`.
    pub late_fields: IntCounterVec,
    /// Fetches of writer schemas, by `outcome` ([`FETCH_OUTCOMES`]).
    pub schema_fetches: IntCounterVec,
    /// Notices read from Kafka, by `outcome` ([`NOTICE_OUTCOMES`]).
    pub notices: IntCounterVec,
    /// Notices that wait for a person's decision.
    pub parked_notices: IntGauge,
    /// 1 for each partition that is refused, by `topic` and `partition`.
    pub refused_partitions: IntGaugeVec,
    /// 1 while `/readyz` reports ready.
    pub ready: IntGauge,
    /// Fields past deadline and grace that are not held, by `product` and `category`. A field is
    /// one category of one record.
    pub overdue_fields: IntGaugeVec,
    /// Seconds since the first of them should have been deleted; 0 if there is none.
    pub oldest_overdue_seconds: IntGauge,
    /// Fields due within a `horizon` (`1h`, `24h`, `7d`), by `product` and `category`.
    pub due_fields: IntGaugeVec,
    /// Fields past their deadline that are held, by `product` and `category`.
    pub held_fields: IntGaugeVec,
    /// Records whose tags do not yet reflect a notice or a policy, by `product`.
    pub stale_tag_records: IntGaugeVec,
    /// Files whose expired data is unknown, because another engine wrote them, by `product`.
    pub unswept_files: IntGaugeVec,
    /// Records whose tags were brought up to date, by `product`.
    pub retagged: IntCounterVec,
    /// Seconds of one task of a sweep, by `product` and `action` ([`SWEEP_ACTIONS`]).
    pub sweep_seconds: HistogramVec,
    /// Bytes of column chunks that sweeps copied or dropped, by `product` and `outcome`
    /// ([`SWEPT_OUTCOMES`]).
    pub swept_bytes: IntCounterVec,
    /// Fields that sweeps dropped, by `product` and `category`.
    pub dropped_fields: IntCounterVec,
    /// Records whose retention ended, by `product` and `outcome` ([`ENDED_OUTCOMES`]).
    pub ended_records: IntCounterVec,
    /// Cells that were created, by `product`.
    pub cells: IntCounterVec,
    /// Tasks of sweeps, and inspections of tables, that failed, by `product`.
    pub sweep_failures: IntCounterVec,
    /// Merges of compaction, by `product` and `outcome` ([`MERGE_OUTCOMES`]).
    pub compactions: IntCounterVec,
    /// Bytes of segments that merges read and wrote, by `product` and `outcome`
    /// ([`COMPACTED_BYTES`]).
    pub compacted_bytes: IntCounterVec,
    /// Segments that merges replaced and added, by `product` and `outcome`
    /// ([`COMPACTED_SEGMENTS`]).
    pub compacted_segments: IntCounterVec,
    /// The highest number of segments of one closed bucket and profile, by `product`.
    pub bucket_segments: IntGaugeVec,
    /// 1 while the clock is trusted; nothing is swept while it is 0.
    pub clock_trusted: IntGauge,
    /// 1 for a `topic` that keeps its records no longer than the policy allows, 0 for another.
    pub topic_retention_ok: IntGaugeVec,
    /// Files that were written and are in no version, by `product`.
    pub orphans: IntGaugeVec,
    /// Files that were replaced and wait for the readers' grace, by `product`.
    pub unlink_backlog: IntGaugeVec,
    /// Files that were unlinked, by `product`.
    pub unlinked: IntCounterVec,
    /// Files that should be deleted and still exist, by `product` or one of [`SHARED_FOLDERS`].
    pub unlink_overdue_files: IntGaugeVec,
    /// Seconds since the first of them should have been deleted, by the same.
    pub unlink_overdue_seconds: IntGaugeVec,
    /// Failed deletions of files, and failed listings of a folder, by the same.
    pub unlink_failures: IntCounterVec,
    /// 1 while the last listing of a folder succeeded, by the same.
    pub unlink_known: IntGaugeVec,
    declared: Arc<[MetricDeclaration]>,
}

impl Metrics {
    /// Declares and registers all metrics. Errors only if this file has a mistake.
    pub fn new() -> Result<Self, MetricsError> {
        let mut to = MetricRegistrar::default();
        let metrics = Self {
            records: to.counters(
                "ebbtide_records_total",
                "Records read from Kafka and passed by a commit.",
                &["product", "outcome"],
            )?,
            bytes: to.counters(
                "ebbtide_bytes_total",
                "Bytes of the values of the records read from Kafka and passed by a commit.",
                &["product"],
            )?,
            commits: to.counters(
                "ebbtide_commits_total",
                "Commits of records to a table, by how they ended.",
                &["product", "outcome"],
            )?,
            commit_seconds: to.histograms(
                "ebbtide_commit_seconds",
                "Time of one commit of records, from its last segment written to its log entry durable.",
                &["product"],
                &COMMIT_SECONDS,
            )?,
            dead_letters: to.counters(
                "ebbtide_dead_letters_total",
                "Records sent to the dead-letter topic, by the code of what is wrong with them.",
                &["product", "code"],
            )?,
            reduced_letters: to.counters(
                "ebbtide_reduced_letters_total",
                "Dead letters that were delivered without their record, since the topic refuses them whole.",
                &["product"],
            )?,
            quarantined_letters: to.counters(
                "ebbtide_quarantined_letters_total",
                "Dead letters that were written to the quarantine, since the topic refuses them in every form.",
                &["product"],
            )?,
            quarantine_files: to.gauge("ebbtide_quarantine_files", "Files of dead letters in the quarantine.")?,
            lanes_failing: to.gauge(
                "ebbtide_lanes_failing",
                "Lanes, and the reader of notices, that fail or have no working consumer.",
            )?,
            lag_seconds: to.gauges(
                "ebbtide_ingest_lag_seconds",
                "Age of the oldest record that is not durably committed.",
                &["topic", "partition"],
            )?,
            lag_records: to.gauges(
                "ebbtide_ingest_lag_records",
                "Records that are not durably committed.",
                &["topic", "partition"],
            )?,
            buffered_bytes: to.gauge("ebbtide_buffered_bytes", "Bytes of decoded, buffered and in-flight data.")?,
            buffer_limit_bytes: to.gauge(
                "ebbtide_buffer_limit_bytes",
                "The most bytes that decoded, buffered and in-flight data may take, as configured.",
            )?,
            unclassified: to.counters(
                "ebbtide_unclassified_fields_total",
                "Fields of records that were not stored because the policy does not name them.",
                &["product"],
            )?,
            unparsed_subjects: to.counters(
                "ebbtide_unparsed_subjects_total",
                "Values of phone columns of stored records that could not be read as a telephone number and stay text.",
                &["product"],
            )?,
            rebalances: to.counters(
                "ebbtide_rebalances_total",
                "Changes of ownership: partitions given and taken, lanes that joined the group anew.",
                &["outcome"],
            )?,
            late_fields: to.counters(
                "ebbtide_late_fields_total",
                "Fields of records that were not stored because they were already due on arrival.",
                &["product", "category"],
            )?,
            schema_fetches: to.counters(
                "ebbtide_schema_fetches_total",
                "Requests to the schema registry.",
                &["outcome"],
            )?,
            notices: to.counters(
                "ebbtide_notices_total",
                "Notices of contract ends and withdrawals of consent read from Kafka, by what became of them.",
                &["outcome"],
            )?,
            parked_notices: to
                .gauge("ebbtide_parked_notices", "Notices that are not applied until a person confirms them.")?,
            refused_partitions: to.gauges(
                "ebbtide_refused_partitions",
                "1 for a partition that is not read because its topic and its table contradict one another.",
                &["topic", "partition"],
            )?,
            ready: to.gauge("ebbtide_ready", "1 while the readiness check succeeds.")?,
            overdue_fields: to.gauges(
                "ebbtide_overdue_fields",
                "Fields past their deadline and grace that nobody holds. Must be 0.",
                &["product", "category"],
            )?,
            oldest_overdue_seconds: to
                .gauge("ebbtide_oldest_overdue_seconds", "Time since the first overdue field should have been gone.")?,
            due_fields: to.gauges(
                "ebbtide_due_fields",
                "Fields that are due within a time from now.",
                &["product", "category", "horizon"],
            )?,
            held_fields: to.gauges(
                "ebbtide_held_fields",
                "Fields past their deadline that stay because they are held.",
                &["product", "category"],
            )?,
            stale_tag_records: to.gauges(
                "ebbtide_stale_tag_records",
                "Records whose tags are not yet what a contract's end, a withdrawal of consent or a policy made them.",
                &["product"],
            )?,
            retagged: to.counters(
                "ebbtide_retagged_records_total",
                "Records whose tags sweeps brought up to date.",
                &["product"],
            )?,
            unswept_files: to.gauges(
                "ebbtide_unswept_files",
                "Files of a table of which nobody can tell what is due in them, since another engine wrote them.",
                &["product"],
            )?,
            sweep_seconds: to.histograms(
                "ebbtide_sweep_seconds",
                "Time of one piece of a sweep's work, its commit included.",
                &["product", "action"],
                &SWEEP_SECONDS,
            )?,
            swept_bytes: to.counters(
                "ebbtide_swept_bytes_total",
                "Bytes of column chunks that sweeps copied or left out.",
                &["product", "outcome"],
            )?,
            dropped_fields: to.counters(
                "ebbtide_dropped_fields_total",
                "Fields that sweeps left out because they were due.",
                &["product", "category"],
            )?,
            ended_records: to.counters(
                "ebbtide_ended_records_total",
                "Records that ended, by what became of them.",
                &["product", "outcome"],
            )?,
            cells: to.counters("ebbtide_cells_total", "Cells that records became at their end.", &["product"])?,
            sweep_failures: to.counters(
                "ebbtide_sweep_failures_total",
                "Pieces of a sweep's work that failed, and looks at a table that did.",
                &["product"],
            )?,
            compactions: to.counters(
                "ebbtide_compactions_total",
                "Merges of segments, by how they ended.",
                &["product", "outcome"],
            )?,
            compacted_bytes: to.counters(
                "ebbtide_compacted_bytes_total",
                "Bytes of segments that merges read and wrote.",
                &["product", "outcome"],
            )?,
            compacted_segments: to.counters(
                "ebbtide_compacted_segments_total",
                "Segments that merges replaced and added.",
                &["product", "outcome"],
            )?,
            bucket_segments: to.gauges(
                "ebbtide_bucket_segments",
                "The most segments that one closed bucket and profile has.",
                &["product"],
            )?,
            clock_trusted: to
                .gauge("ebbtide_clock_trusted", "1 while the clock is trusted. Nothing is swept while it is 0.")?,
            topic_retention_ok: to.gauges(
                "ebbtide_topic_retention_ok",
                "1 for a topic that keeps its records no longer than the policy allows, 0 for one that does.",
                &["topic"],
            )?,
            orphans: to.gauges(
                "ebbtide_orphans",
                "Files that no commit named, old enough to be no writer's in flight, that the last pass deleted.",
                &["product"],
            )?,
            unlink_backlog: to.gauges(
                "ebbtide_unlink_backlog",
                "Replaced files that are not unlinked yet.",
                &["product"],
            )?,
            unlinked: to.counters(
                "ebbtide_unlinked_files_total",
                "Replaced files that were unlinked.",
                &["product"],
            )?,
            unlink_overdue_files: to.gauges(
                "ebbtide_unlink_overdue_files",
                "Files that should be deleted and still exist, the readers' grace included. Must be 0.",
                &["product"],
            )?,
            unlink_overdue_seconds: to.gauges(
                "ebbtide_unlink_overdue_seconds",
                "Time since the first of the files that still exist should have been deleted.",
                &["product"],
            )?,
            unlink_failures: to.counters(
                "ebbtide_unlink_failures_total",
                "Deletions of files that failed, and looks for files to delete that did.",
                &["product"],
            )?,
            unlink_known: to.gauges(
                "ebbtide_unlink_known",
                "1 while it is known which files should be deleted and still exist, 0 after a look that failed.",
                &["product"],
            )?,
            registry: to.registry,
            declared: to.declared.into(),
        };
        for outcome in REBALANCE_OUTCOMES {
            metrics.rebalances.with_label_values(&[outcome]);
        }
        for outcome in NOTICE_OUTCOMES {
            metrics.notices.with_label_values(&[outcome]);
        }
        for outcome in FETCH_OUTCOMES {
            metrics.schema_fetches.with_label_values(&[outcome]);
        }
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
        let product = product.as_str();
        for outcome in RECORD_OUTCOMES {
            self.records.with_label_values(&[product, outcome]);
        }
        for outcome in COMMIT_OUTCOMES {
            self.commits.with_label_values(&[product, outcome]);
        }
        for fault in Fault::ALL {
            self.dead_letters
                .with_label_values(&[product, fault.code()]);
        }
        for category in categories {
            for counters in [&self.late_fields, &self.dropped_fields] {
                counters.with_label_values(&[product, category.as_str()]);
            }
        }
        for action in SWEEP_ACTIONS {
            self.sweep_seconds.with_label_values(&[product, action]);
        }
        for outcome in SWEPT_OUTCOMES {
            self.swept_bytes.with_label_values(&[product, outcome]);
        }
        for outcome in ENDED_OUTCOMES {
            self.ended_records.with_label_values(&[product, outcome]);
        }
        for outcome in MERGE_OUTCOMES {
            self.compactions.with_label_values(&[product, outcome]);
        }
        for outcome in COMPACTED_BYTES {
            self.compacted_bytes.with_label_values(&[product, outcome]);
        }
        for outcome in COMPACTED_SEGMENTS {
            self.compacted_segments
                .with_label_values(&[product, outcome]);
        }
        for counters in [
            &self.cells,
            &self.retagged,
            &self.sweep_failures,
            &self.unlinked,
            &self.unlink_failures,
        ] {
            counters.with_label_values(&[product]);
        }
        for counters in [&self.reduced_letters, &self.quarantined_letters] {
            counters.with_label_values(&[product]);
        }
        self.stale_tag_records.with_label_values(&[product]);
        self.bytes.with_label_values(&[product]);
        self.commit_seconds.with_label_values(&[product]);
        self.unclassified.with_label_values(&[product]);
        self.unparsed_subjects.with_label_values(&[product]);
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
