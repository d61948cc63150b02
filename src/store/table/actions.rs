//! What a commit says in the log: its actions, and what of a batch is refused before anything is tried.
//!
//! Promises that the evidence is in the same entry as the files and offsets it tells of, and that it agrees with them.

use std::collections::HashMap;

use deltalake_core::kernel::{Action, Add, Metadata, MetadataExt, Transaction};

use super::open::commit_info;
use super::{IngestCommit, Table};
use crate::ids::{Bucket, Offset};
use crate::store::error::StoreError;
use crate::store::evidence::Evidence;
use crate::store::log::{Entry, app_id};
use crate::store::segment::Segment;

impl Table {
    /// The actions of a batch's entry, the commit's own first.
    pub(super) fn actions(&self, batch: &IngestCommit, evidence: &Evidence) -> Result<Vec<Action>, StoreError> {
        let mut actions = vec![evidence_info(evidence, self.state.version)?];
        actions.extend(self.new_profiles(&batch.segments)?.map(Action::Metadata));
        actions.extend(batch.advances.iter().map(|advance| {
            Action::Txn(Transaction::new_with_last_update(
                app_id(&advance.partition),
                advance.next.0,
                Some(evidence.at.timestamp_millis()),
            ))
        }));
        let at = evidence.at.timestamp_millis();
        actions.extend(batch.segments.iter().map(|segment| Action::Add(add(segment, at))));
        Ok(actions)
    }

    /// The table's metadata with the text of profiles that it does not explain yet; `None` if it explains them all.
    fn new_profiles(&self, segments: &[Segment]) -> Result<Option<Metadata>, StoreError> {
        let mut changed = None;
        for tags in segments.iter().map(|segment| &segment.tags) {
            let key = format!("ebbtide.profile.{}", tags.profile);
            let now = changed.as_ref().unwrap_or(&self.state.metadata);
            if !now.configuration().contains_key(&key) {
                let with = now.clone().add_config_key(key, tags.profile_text.clone());
                changed = Some(with.map_err(|error| StoreError::Delta(Box::new(error.into())))?);
            }
        }
        Ok(changed)
    }
}

/// The `commitInfo` of a commit against version `read`, with its evidence.
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

/// Refuses what cannot be right whatever the table is.
pub fn check(batch: &IngestCommit) -> Result<(), StoreError> {
    let refused = |why: String| Err(StoreError::Refused(why));
    let mut partitions = HashMap::new();
    for advance in &batch.advances {
        // One that stays could not be told from one that never landed.
        if advance.from.map_or(advance.next < Offset::ZERO, |from| advance.next <= from) {
            return refused(format!("{} would not move forwards", advance.partition));
        }
        if partitions.insert(&advance.partition, (advance.from, advance.next)).is_some() {
            return refused(format!("{} moves twice", advance.partition));
        }
    }
    if partitions.is_empty() {
        return refused("a commit that moves no offset could come twice".to_owned());
    }
    let evidence = &batch.evidence;
    for told in &evidence.partitions {
        let span = told.next.0.saturating_sub(told.from.unwrap_or(Offset::ZERO).0);
        if i64::try_from(told.records).map_or(true, |records| records > span) {
            return refused(format!("{} read more records than offsets", told.partition));
        }
        if partitions.remove(&told.partition) != Some((told.from, told.next)) {
            return refused(format!("the evidence moves {} otherwise than the commit", told.partition));
        }
    }
    if let Some(partition) = partitions.keys().next() {
        return refused(format!("the evidence does not tell of {partition}"));
    }
    let rows: u64 = batch.segments.iter().map(Segment::rows).sum();
    if !evidence.conserves() || evidence.stored != rows {
        return refused(format!(
            "read {} is not stored {} (in {rows} rows) + expired {} + dead letters {}",
            evidence.read,
            evidence.stored,
            evidence.expired,
            evidence.dead()
        ));
    }
    Ok(())
}

fn add(segment: &Segment, at: i64) -> Add {
    let bucket = match segment.tags.bucket {
        Bucket::Day(day) => day.to_string(),
        // With its zone: without one, some engines read it in the session's.
        Bucket::Hour(start) => start.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
    };
    let profile = segment.tags.profile.to_string();
    Add {
        path: segment.path.clone(),
        partition_values: [("bucket".to_owned(), Some(bucket)), ("profile".to_owned(), Some(profile))].into(),
        size: i64::try_from(segment.size).unwrap_or(i64::MAX),
        modification_time: at,
        data_change: true,
        stats: Some(segment.stats.clone()),
        ..Add::default()
    }
}

/// Our own entry, as reading it back would give it.
pub fn own_entry(version: u64, actions: Vec<Action>, evidence: Evidence) -> Entry {
    let mut entry = Entry {
        version,
        evidence: Some(evidence),
        txns: Vec::new(),
        metadata: None,
        protocol: None,
        added: Vec::new(),
        removed: Vec::new(),
    };
    for action in actions {
        match action {
            Action::Txn(txn) => entry.txns.push((txn.app_id, txn.version)),
            Action::Metadata(metadata) => entry.metadata = Some(metadata),
            _ => {}
        }
    }
    entry
}
