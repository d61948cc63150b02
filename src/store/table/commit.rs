//! The commit: files and offsets become part of the table in one step, or not at all.
//!
//! Promises a pure compare-and-swap: what lands was checked against exactly the version before it. After any error it looks
//! before it tries again. Must never retry blindly; its cost must not grow with the table.

use deltalake_core::kernel::transaction::TransactionError;
use futures::future::ready;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::actions::{check, own_entry};
use super::open::{same_type, write_entry};
use super::{Advance, IngestCommit, Table};
use crate::failpoint;
use crate::store::error::{CommitError, StoreError};
use crate::store::log::read_entry;
use crate::store::spec::PARTITION_COLUMNS;

/// Files that are looked for at once.
const LOOKING: usize = 16;

impl Table {
    /// Makes the batch part of the table and gives the version that it landed at.
    ///
    /// Loops by itself on a plainly lost race. Errors if the batch no longer fits the table, or if the store fails. With the
    /// same batch it may be called again, in another process too: a commit that landed before is found by its id.
    pub async fn commit(&mut self, batch: IngestCommit) -> Result<u64, CommitError> {
        check(&batch).map_err(CommitError::Store)?;
        let mut failed: Option<StoreError> = None;
        loop {
            self.refresh().await.map_err(CommitError::Unknown)?;
            if let Some(moved) = batch.advances.iter().find(|advance| self.has_moved(advance)) {
                return self.landed_or_moved(&batch, moved).await;
            }
            // Looked: it is not there.
            if let Some(error) = failed {
                return Err(CommitError::Store(error));
            }
            self.validate(&batch)?;
            self.still_there(&batch).await?;
            let version = self.state.version + 1;
            let mut evidence = batch.evidence.clone();
            evidence.totals = self.state.totals.unwrap_or_default().plus(&evidence);
            let actions = self.actions(&batch, &evidence).map_err(CommitError::Store)?;
            failpoint::reach("before-commit");
            match write_entry(&self.log, version, &actions).await {
                Ok(()) => {
                    failpoint::reach("after-commit");
                    self.state.apply(own_entry(version, actions, evidence));
                    return Ok(version);
                }
                Err(TransactionError::VersionAlreadyExists(_)) => {}
                Err(error) => failed = Some(error.into()),
            }
        }
    }

    fn has_moved(&self, advance: &Advance) -> bool {
        self.next_offset(&advance.partition) != advance.from
    }

    /// Whether it was this very batch that moved a partition on from where the batch began. At most one commit ever does
    /// that, so its entry tells: what landed is never taken for lost, whoever asks and however late.
    async fn landed_or_moved(&self, batch: &IngestCommit, moved: &Advance) -> Result<u64, CommitError> {
        for version in (0..=self.state.version).rev() {
            let Some(entry) = read_entry(&self.log, version).await.map_err(CommitError::Unknown)? else { break };
            let Some(evidence) = entry.evidence else { continue };
            if evidence.commit == batch.evidence.commit {
                return Ok(version);
            }
            let mut moves = evidence.partitions.iter().filter(|progress| progress.partition == moved.partition);
            if moves.any(|progress| progress.from == moved.from) {
                break;
            }
        }
        Err(CommitError::OffsetsMoved(moved.partition.clone()))
    }

    /// Checks the batch against the version that it is about to follow; its offsets are checked already.
    fn validate(&self, batch: &IngestCommit) -> Result<(), CommitError> {
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
}
