//! The actions of a commit's log entry, and the checks of a batch before any attempt.
//!
//! The evidence is in the same entry as its files and offsets, and agrees with them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use deltalake_core::kernel::{Action, Add, Transaction};

use super::open::commit_info;
use super::{ControlsVersion, IngestCommit, OffsetAdvance};
use crate::error::StoreError;
use crate::evidence::Evidence;
use crate::log::{NOTICES_APP, XXH64, app_id, topic_app_id};
use crate::segment::Segment;
use ebbtide_base::ids::{Bucket, Offset, ProfileId, TopicId, TopicMark, TopicPartition};

/// Creates the `commitInfo` of a commit against version `read`, with its evidence.
pub fn evidence_info(evidence: &Evidence, read: u64) -> Result<Action, StoreError> {
    let mut info = commit_info(&evidence.operation);
    info.timestamp = Some(evidence.at.timestamp_millis());
    info.is_blind_append = Some(false);
    info.read_version = Some(read);
    let json = serde_json::to_value(evidence)
        .map_err(|error| StoreError::Refused(format!("the evidence is no JSON: {error}")))?;
    info.info.insert("ebbtide".to_owned(), json);
    Ok(Action::CommitInfo(info))
}

/// Creates the `txn` actions of a batch that moves those offsets.
pub fn offsets(advances: &[OffsetAdvance], at: DateTime<Utc>) -> Vec<Action> {
    let txn = |advance: &OffsetAdvance| {
        let at = Some(at.timestamp_millis());
        Action::Txn(Transaction::new_with_last_update(
            app_id(&advance.partition),
            advance.next.0,
            at,
        ))
    };
    advances.iter().map(txn).collect()
}

/// Returns the `txn` actions that record the topics of those advances that `recorded` does not have
/// yet.
pub fn topics(
    advances: &[OffsetAdvance],
    at: DateTime<Utc>,
    recorded: impl Fn(&TopicPartition) -> Option<TopicMark>,
) -> Vec<Action> {
    let mut actions = Vec::new();
    for advance in advances {
        let Some(mark) = advance.topic.map(TopicId::mark) else {
            continue;
        };
        if recorded(&advance.partition) != Some(mark) {
            actions.push(topic_action(&advance.partition, mark, at));
        }
    }
    actions
}

/// Returns the `txn` action that records the topic of a partition's offsets.
pub fn topic_action(partition: &TopicPartition, mark: TopicMark, at: DateTime<Utc>) -> Action {
    let at = Some(at.timestamp_millis());
    Action::Txn(Transaction::new_with_last_update(
        topic_app_id(partition),
        mark.0,
        at,
    ))
}

/// Creates the `txn` action that records that all tags of the table reflect the notices up to
/// `newest`.
pub fn notices_action(newest: ControlsVersion) -> Action {
    Action::Txn(Transaction::new(NOTICES_APP.to_owned(), newest.0))
}

/// Refuses a batch that is invalid for any table.
pub fn check(batch: &IngestCommit) -> Result<(), StoreError> {
    let refused = |why: String| Err(StoreError::Refused(why));
    let mut partitions = HashMap::new();
    for advance in &batch.advances {
        // An advance that does not move could not be distinguished from one that never landed.
        if advance
            .from
            .map_or(advance.next < Offset::ZERO, |from| advance.next <= from)
        {
            return refused(format!("{} would not move forwards", advance.partition));
        }
        if partitions
            .insert(&advance.partition, (advance.from, advance.next))
            .is_some()
        {
            return refused(format!("{} moves twice", advance.partition));
        }
    }
    if partitions.is_empty() {
        return refused("a commit that moves no offset could come twice".to_owned());
    }
    let evidence = &batch.evidence;
    for progress in &evidence.partitions {
        let span = progress
            .next
            .0
            .saturating_sub(progress.from.unwrap_or(Offset::ZERO).0);
        if i64::try_from(progress.records).map_or(true, |records| records > span) {
            return refused(format!(
                "{} read more records than offsets",
                progress.partition
            ));
        }
        if partitions.remove(&progress.partition) != Some((progress.from, progress.next)) {
            return refused(format!(
                "the evidence moves {} otherwise than the commit",
                progress.partition
            ));
        }
    }
    if let Some(partition) = partitions.keys().next() {
        return refused(format!("the evidence does not name {partition}"));
    }
    let rows: u64 = batch.segments.iter().map(Segment::rows).sum();
    if !evidence.conserves() || evidence.stored != rows {
        return refused(format!(
            "read {} is not stored {} (in {rows} rows) + expired {} + skipped {} + dead letters {}",
            evidence.read,
            evidence.stored,
            evidence.expired,
            evidence.skipped,
            evidence.dead()
        ));
    }
    Ok(())
}

/// Creates the action that adds a file.
pub fn add(segment: &Segment, at: i64, data_change: bool) -> Add {
    Add {
        path: segment.path.clone(),
        partition_values: partition_values(&segment.home.bucket, &segment.home.profile),
        size: i64::try_from(segment.size).unwrap_or(i64::MAX),
        modification_time: at,
        data_change,
        stats: Some(segment.contents.stats.clone()),
        tags: Some(
            [(
                XXH64.to_owned(),
                Some(format!("{:016x}", segment.contents.xxh64)),
            )]
            .into(),
        ),
        ..Add::default()
    }
}

/// Returns the values of the partition columns as written in the log.
pub fn partition_values(bucket: &Bucket, profile: &ProfileId) -> HashMap<String, Option<String>> {
    let bucket = match bucket {
        Bucket::Day(day) => day.to_string(),
        // With its time zone: without one, some engines assume the session's.
        Bucket::Hour(start) => start.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
    };
    [
        ("bucket".to_owned(), Some(bucket)),
        ("profile".to_owned(), Some(profile.to_string())),
    ]
    .into()
}
