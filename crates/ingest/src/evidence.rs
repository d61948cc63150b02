//! The evidence of one ingest commit: the records that were read and their outcomes, as counts. It
//! never contains a value.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::pending_batch::PendingBatch;
use ebbtide_base::ids::PolicyVersion;
use ebbtide_table::{Evidence, PartitionEvidence};

/// Returns the evidence of committing `gathering`, which `writer` gathered under policy `version`
/// and commits at `at`.
#[must_use]
pub fn evidence(
    gathering: &PendingBatch,
    version: &PolicyVersion,
    writer: Uuid,
    at: DateTime<Utc>,
) -> Evidence {
    let counts = &gathering.counts;
    let mut evidence = Evidence::ingest(writer, at, version.clone());
    evidence.read = counts.read;
    evidence.stored = counts.stored;
    evidence.expired = counts.expired;
    evidence.skipped = counts.skipped;
    evidence.dead_letters = counts
        .faults
        .iter()
        .map(|(fault, count)| (fault.code().to_owned(), *count))
        .collect();
    evidence.late_fields = counts.late_fields.clone();
    evidence.unclassified = counts.unclassified;
    evidence.buckets = gathering
        .segments
        .keys()
        .map(|(bucket, _, _)| bucket.to_string())
        .collect();
    evidence.partitions = gathering
        .reached
        .iter()
        .map(|(partition, reached)| PartitionEvidence {
            partition: partition.clone(),
            from: reached.from,
            next: reached.next,
            records: reached.records,
        })
        .collect();
    evidence
}
