//! Every metric, declared once: kind, field, name, labels, buckets and help.
//!
//! A label with values (`in`) and the labels `product` and `category` give a counter, a histogram
//! and a gauge of `zero_gauges` their series before the first event.

use std::sync::Arc;

use prometheus::Registry;

use super::declare::{MetricLabel, MetricRegistrar, StartingSeries, metrics};
use super::{
    COMMIT_OUTCOMES, COMPACTED_BYTES, COMPACTED_SEGMENTS, ENDED_OUTCOMES, FETCH_OUTCOMES,
    MERGE_OUTCOMES, MetricDeclaration, MetricsError, NOTICE_OUTCOMES, REBALANCE_OUTCOMES,
    RECORD_OUTCOMES, SWEEP_ACTIONS, SWEPT_OUTCOMES,
};
use crate::record::Fault;

/// Seconds of one task of a sweep: from that of a small segment to that of a bucket of a hundred
/// million records.
const SWEEP_SECONDS: [f64; 12] = [
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// Seconds of a commit: from that of a local disk to that of a remote object store.
const COMMIT_SECONDS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

metrics! {
    /// Records read, by `product` and `outcome` ([`RECORD_OUTCOMES`]), counted when they are
    /// committed.
    counters records: "ebbtide_records_total", [product, outcome in RECORD_OUTCOMES],
        "Records read from Kafka and passed by a commit.";
    /// Bytes of the values of committed records, by `product`.
    counters bytes: "ebbtide_bytes_total", [product],
        "Bytes of the values of the records read from Kafka and passed by a commit.";
    /// Attempted commits, by `product` and `outcome` ([`COMMIT_OUTCOMES`]).
    counters commits: "ebbtide_commits_total", [product, outcome in COMMIT_OUTCOMES],
        "Commits of records to a table, by how they ended.";
    /// Seconds of a commit that landed, by `product`.
    histograms commit_seconds: "ebbtide_commit_seconds", [product], &COMMIT_SECONDS,
        "Time of one commit of records, from its last segment written to its log entry durable.";
    /// Dead letters, by `product` and `code` ([`Fault::code`]).
    counters dead_letters: "ebbtide_dead_letters_total",
        [product, code in Fault::ALL.map(Fault::code)],
        "Records sent to the dead-letter topic, by the code of what is wrong with them.";
    /// Dead letters that were delivered without their record, by `product` (`_notices` for those of
    /// notices).
    counters reduced_letters: "ebbtide_reduced_letters_total", [product],
        "Dead letters that were delivered without their record, since the topic refuses them \
         whole.";
    /// Dead letters that were written to the quarantine, by the same.
    counters quarantined_letters: "ebbtide_quarantined_letters_total", [product],
        "Dead letters that were written to the quarantine, since the topic refuses them in every \
         form.";
    /// Files in the quarantine.
    gauge quarantine_files: "ebbtide_quarantine_files",
        "Files of dead letters in the quarantine.";
    /// Lanes, and the reader of notices, that fail or are refused.
    gauge lanes_failing: "ebbtide_lanes_failing",
        "Lanes, and the reader of notices, that fail or have no working consumer.";
    /// Seconds between the oldest record that is not durably committed and now, by `topic` and
    /// `partition`.
    gauges lag_seconds: "ebbtide_ingest_lag_seconds", [topic, partition],
        "Age of the oldest record that is not durably committed.";
    /// Records that are not durably committed, by `topic` and `partition`.
    gauges lag_records: "ebbtide_ingest_lag_records", [topic, partition],
        "Records that are not durably committed.";
    /// Bytes of decoded, buffered and in-flight data.
    gauge buffered_bytes: "ebbtide_buffered_bytes",
        "Bytes of decoded, buffered and in-flight data.";
    /// The maximum of `buffered_bytes`.
    gauge buffer_limit_bytes: "ebbtide_buffer_limit_bytes",
        "The most bytes that decoded, buffered and in-flight data may take, as configured.";
    /// Values not stored because the policy does not name their field, by `product`.
    counters unclassified: "ebbtide_unclassified_fields_total", [product],
        "Fields of records that were not stored because the policy does not name them.";
    /// Values of phone columns that are not numbers and stay text, by `product`.
    counters unparsed_subjects: "ebbtide_unparsed_subjects_total", [product],
        "Values of phone columns of stored records that could not be read as a telephone number \
         and stay text.";
    /// Partitions that rebalances moved, and lanes that joined the group again, by `outcome`
    /// ([`REBALANCE_OUTCOMES`]).
    counters rebalances: "ebbtide_rebalances_total", [outcome in REBALANCE_OUTCOMES],
        "Changes of ownership: partitions given and taken, lanes that joined the group again.";
    /// Fields not stored because they were already due on arrival, by `product` and `category`.
    counters late_fields: "ebbtide_late_fields_total", [product, category],
        "Fields of records that were not stored because they were already due on arrival.";
    /// Fetches of writer schemas, by `outcome` ([`FETCH_OUTCOMES`]).
    counters schema_fetches: "ebbtide_schema_fetches_total", [outcome in FETCH_OUTCOMES],
        "Requests to the schema registry.";
    /// Notices read from Kafka, by `outcome` ([`NOTICE_OUTCOMES`]).
    counters notices: "ebbtide_notices_total", [outcome in NOTICE_OUTCOMES],
        "Notices of contract ends and withdrawals of consent read from Kafka, by what became of \
         them.";
    /// Notices that wait for a person's decision.
    gauge parked_notices: "ebbtide_parked_notices",
        "Notices that are not applied until a person confirms them.";
    /// 1 for each partition that is refused, by `topic` and `partition`.
    gauges refused_partitions: "ebbtide_refused_partitions", [topic, partition],
        "1 for a partition that is not read because its topic and its table contradict one \
         another.";
    /// 1 while `/readyz` reports ready.
    gauge ready: "ebbtide_ready",
        "1 while the readiness check succeeds.";
    /// Fields past deadline and grace that are not held, by `product` and `category`. A field is
    /// one category of one record.
    gauges overdue_fields: "ebbtide_overdue_fields", [product, category],
        "Fields past their deadline and grace that no hold covers. Must be 0.";
    /// Seconds since the first of them should have been deleted; 0 if there are none.
    gauge oldest_overdue_seconds: "ebbtide_oldest_overdue_seconds",
        "Time since the first overdue field should have been deleted.";
    /// Fields due within a `horizon` (`1h`, `24h`, `7d`), by `product` and `category`.
    gauges due_fields: "ebbtide_due_fields", [product, category, horizon],
        "Fields that are due within a time from now.";
    /// Fields past their deadline that are held, by `product` and `category`.
    gauges held_fields: "ebbtide_held_fields", [product, category],
        "Fields past their deadline that stay because they are held.";
    /// Records whose tags do not yet reflect a notice or a policy, by `product`.
    zero_gauges stale_tag_records: "ebbtide_stale_tag_records", [product],
        "Records whose tags are not yet what a contract's end, a withdrawal of consent or a \
         policy made them.";
    /// Records whose tags were brought up to date, by `product`.
    counters retagged: "ebbtide_retagged_records_total", [product],
        "Records whose tags sweeps brought up to date.";
    /// Files whose expired data is unknown, because another engine wrote them, by `product`.
    gauges unswept_files: "ebbtide_unswept_files", [product],
        "Files of a table whose expired data is unknown, because another engine wrote them.";
    /// Seconds of one task of a sweep, by `product` and `action` ([`SWEEP_ACTIONS`]).
    histograms sweep_seconds: "ebbtide_sweep_seconds",
        [product, action in SWEEP_ACTIONS], &SWEEP_SECONDS,
        "Time of one piece of a sweep's work, its commit included.";
    /// Bytes of column chunks that sweeps copied or dropped, by `product` and `outcome`
    /// ([`SWEPT_OUTCOMES`]).
    counters swept_bytes: "ebbtide_swept_bytes_total", [product, outcome in SWEPT_OUTCOMES],
        "Bytes of column chunks that sweeps copied or left out.";
    /// Fields that sweeps dropped, by `product` and `category`.
    counters dropped_fields: "ebbtide_dropped_fields_total", [product, category],
        "Fields that sweeps left out because they were due.";
    /// Records whose retention ended, by `product` and `outcome` ([`ENDED_OUTCOMES`]).
    counters ended_records: "ebbtide_ended_records_total", [product, outcome in ENDED_OUTCOMES],
        "Records that ended, by what became of them.";
    /// Cells that were created, by `product`.
    counters cells: "ebbtide_cells_total", [product],
        "Cells that records became at their end.";
    /// Tasks of sweeps, and inspections of tables, that failed, by `product`.
    counters sweep_failures: "ebbtide_sweep_failures_total", [product],
        "Pieces of a sweep's work that failed, and looks at a table that did.";
    /// Merges of compaction, by `product` and `outcome` ([`MERGE_OUTCOMES`]).
    counters compactions: "ebbtide_compactions_total", [product, outcome in MERGE_OUTCOMES],
        "Merges of segments, by how they ended.";
    /// Bytes of segments that merges read and wrote, by `product` and `outcome`
    /// ([`COMPACTED_BYTES`]).
    counters compacted_bytes: "ebbtide_compacted_bytes_total",
        [product, outcome in COMPACTED_BYTES],
        "Bytes of segments that merges read and wrote.";
    /// Segments that merges replaced and added, by `product` and `outcome`
    /// ([`COMPACTED_SEGMENTS`]).
    counters compacted_segments: "ebbtide_compacted_segments_total",
        [product, outcome in COMPACTED_SEGMENTS],
        "Segments that merges replaced and added.";
    /// The highest number of segments of one closed bucket and profile, by `product`.
    gauges bucket_segments: "ebbtide_bucket_segments", [product],
        "The most segments that one closed bucket and profile has.";
    /// 1 while the clock is trusted; nothing is swept while it is 0.
    gauge clock_trusted: "ebbtide_clock_trusted",
        "1 while the clock is trusted. Nothing is swept while it is 0.";
    /// 1 for a `topic` that keeps its records no longer than the policy allows, 0 for another.
    gauges topic_retention_ok: "ebbtide_topic_retention_ok", [topic],
        "1 for a topic that keeps its records no longer than the policy allows, 0 for one that \
         does.";
    /// Files that were written and are in no version, by `product`.
    gauges orphans: "ebbtide_orphans", [product],
        "Files that no commit named, old enough to be no writer's in flight, that the last pass \
         deleted.";
    /// Files that were replaced and wait for the readers' grace, by `product`.
    gauges unlink_backlog: "ebbtide_unlink_backlog", [product],
        "Replaced files that are not unlinked yet.";
    /// Files that were unlinked, by `product`.
    counters unlinked: "ebbtide_unlinked_files_total", [product],
        "Replaced files that were unlinked.";
    /// Files that should be deleted and still exist, by `product` or one of [`SHARED_FOLDERS`].
    gauges unlink_overdue_files: "ebbtide_unlink_overdue_files", [product],
        "Files that should be deleted and still exist, the readers' grace included. Must be 0.";
    /// Seconds since the first of them should have been deleted, by the same.
    gauges unlink_overdue_seconds: "ebbtide_unlink_overdue_seconds", [product],
        "Time since the first of the files that still exist should have been deleted.";
    /// Failed deletions of files, and failed listings of a folder, by the same.
    counters unlink_failures: "ebbtide_unlink_failures_total", [product],
        "Deletions of files that failed, and looks for files to delete that did.";
    /// 1 while the last listing of a folder succeeded, by the same.
    gauges unlink_known: "ebbtide_unlink_known", [product],
        "1 while it is known which files should be deleted and still exist, 0 after a look that \
         failed.";
}
