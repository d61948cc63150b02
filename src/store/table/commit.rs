//! The commit: files and offsets become part of the table in one step, or not at all.
//!
//! Promises a pure compare-and-swap: what lands was checked against exactly the version before it. After any error it looks
//! before it tries again. Must never retry blindly; its cost must not grow with the table.

use std::collections::HashMap;

use deltalake_core::kernel::transaction::TransactionError;
use deltalake_core::kernel::{Action, Add, Metadata, MetadataExt, Transaction};

use futures::future::ready;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use uuid::Uuid;

use super::open::{commit_info, same_type, write_entry};
use super::{IngestCommit, Table};
use crate::ids::{Bucket, Offset};
use crate::store::error::{CommitError, StoreError};
use crate::store::evidence::Evidence;
use crate::store::fail_point;
use crate::store::log::{Entry, app_id};
use crate::store::segment::Segment;
use crate::store::spec::PARTITION_COLUMNS;

/// Files that are looked for at once.
const LOOKING: usize = 16;

/// Commits of unknown outcome that are remembered.
const DOUBTS: usize = 256;

impl Table {
    /// Makes the batch part of the table and gives the version that it landed at.
    ///
    /// Loops by itself on a plainly lost race. Errors if the batch no longer fits the table, or if the store fails; with the
    /// same batch (the same commit id) it may be called again after [`CommitError::Store`] and [`CommitError::Unknown`].
    pub async fn commit(&mut self, batch: IngestCommit) -> Result<u64, CommitError> {
        let id = batch.evidence.commit;
        check(&batch).map_err(CommitError::Store)?;
        if self.in_doubt.len() >= DOUBTS && !self.in_doubt.contains_key(&id) {
            // Whoever still asks for one of these is told that its offsets moved, which is true.
            self.in_doubt.clear();
        }
        let outcome = match self.refresh_for(id).await {
            Ok(()) => self.try_commit(&batch).await,
            Err(error) => Err(error),
        };
        // A commit whose outcome is unknown, or that may be tried again, is looked for until it is known.
        if !matches!(outcome, Err(CommitError::Store(_) | CommitError::Unknown(_))) {
            self.in_doubt.remove(&id);
        }
        outcome
    }

    /// The first look at what is new. Until something was tried, a table that cannot be read leaves nothing in doubt.
    async fn refresh_for(&mut self, id: Uuid) -> Result<(), CommitError> {
        let tried_before = self.in_doubt.contains_key(&id);
        self.in_doubt.entry(id).or_insert(None);
        let looked = self.refresh().await;
        looked.map_err(if tried_before { CommitError::Unknown } else { CommitError::Store })
    }

    async fn try_commit(&mut self, batch: &IngestCommit) -> Result<u64, CommitError> {
        loop {
            if let Some(Some(version)) = self.in_doubt.get(&batch.evidence.commit) {
                return Ok(*version);
            }
            self.validate(batch)?;
            self.still_there(batch).await?;
            let version = self.state.version + 1;
            let mut evidence = batch.evidence.clone();
            evidence.totals = self.state.totals.unwrap_or_default().plus(&evidence);
            let actions = self.actions(batch, &evidence).map_err(CommitError::Store)?;
            fail_point("before-commit");
            match write_entry(&self.log, version, &actions).await {
                Ok(()) => {
                    fail_point("after-commit");
                    self.state.apply(own_entry(version, actions, evidence));
                    return Ok(version);
                }
                Err(TransactionError::VersionAlreadyExists(_)) => self.refresh().await.map_err(CommitError::Unknown)?,
                Err(error) => match self.look(batch).await? {
                    Some(version) => return Ok(version),
                    None => return Err(CommitError::Store(error.into())),
                },
            }
        }
    }

    /// After an error: the version at which the commit stands after all, if it does.
    async fn look(&mut self, batch: &IngestCommit) -> Result<Option<u64>, CommitError> {
        self.refresh().await.map_err(CommitError::Unknown)?;
        Ok(self.in_doubt.get(&batch.evidence.commit).copied().flatten())
    }

    /// Checks the batch against the version that it is about to follow.
    fn validate(&self, batch: &IngestCommit) -> Result<(), CommitError> {
        for advance in &batch.advances {
            if self.next_offset(&advance.partition) != advance.from {
                return Err(CommitError::OffsetsMoved(advance.partition.clone()));
            }
        }
        if self.controls() != batch.controls {
            return Err(CommitError::ControlsMoved);
        }
        let stored = self.state.metadata.parse_schema().map_err(|_| CommitError::SchemaMoved)?;
        let still_fits = |name: &String| match (stored.field(name), self.schema.field(name)) {
            (Some(stored), Some(ours)) => stored.is_nullable() && same_type(stored.data_type(), ours.data_type()),
            _ => false,
        };
        let partitioned = self.state.metadata.partition_columns() == PARTITION_COLUMNS.as_slice();
        if partitioned && batch.segments.iter().flat_map(|segment| &segment.columns).all(still_fits) {
            Ok(())
        } else {
            Err(CommitError::SchemaMoved)
        }
    }

    /// A process that was frozen for longer than the janitor waits may find its files gone: it must not list them.
    async fn still_there(&self, batch: &IngestCommit) -> Result<(), CommitError> {
        let store = self.log.object_store(None);
        let looked = batch.segments.iter().map(|segment| {
            let (store, path) = (store.clone(), Path::from(segment.path.as_str()));
            async move { store.head(&path).await }.boxed()
        });
        let looked: Vec<_> = looked.collect();
        let looked = futures::stream::iter(looked).buffer_unordered(LOOKING).try_for_each(|_| ready(Ok(())));
        looked.await.map_err(|error| match error {
            object_store::Error::NotFound { .. } => CommitError::SegmentGone,
            error => CommitError::Store(error.into()),
        })
    }

    fn actions(&self, batch: &IngestCommit, evidence: &Evidence) -> Result<Vec<Action>, StoreError> {
        let mut info = commit_info(&evidence.operation);
        info.timestamp = Some(evidence.at.timestamp_millis());
        info.is_blind_append = Some(false);
        info.read_version = Some(self.state.version);
        let json = serde_json::to_value(evidence)
            .map_err(|error| StoreError::Refused(format!("the evidence is no JSON: {error}")))?;
        info.info.insert("ebbtide".to_owned(), json);
        let mut actions = vec![Action::CommitInfo(info)];
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

/// Refuses what cannot be right whatever the table is.
fn check(batch: &IngestCommit) -> Result<(), StoreError> {
    let refused = |why: String| Err(StoreError::Refused(why));
    let mut partitions = HashMap::new();
    for advance in &batch.advances {
        if advance.next < advance.from.unwrap_or(Offset::ZERO) {
            return refused(format!("{} would move backwards", advance.partition));
        }
        if partitions.insert(&advance.partition, (advance.from, advance.next)).is_some() {
            return refused(format!("{} moves twice", advance.partition));
        }
    }
    if partitions.is_empty() && !batch.segments.is_empty() {
        return refused("records without the offsets that they end at could come twice".to_owned());
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
        Bucket::Hour(start) => start.format("%Y-%m-%d %H:%M:%S").to_string(),
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
fn own_entry(version: u64, actions: Vec<Action>, evidence: Evidence) -> Entry {
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
