//! The end of records: they are removed or aggregated into cells.
//!
//! All given segments are read, counted and removed in one step. Memory is bounded whatever their
//! size.

use crate::carry_out::{CommitContext, PlannedCommit};
use crate::error::SweepError;
use crate::product::{EndPlan, SweptProduct};
use ebbtide_base::ids::ProfileId;
use ebbtide_policy::anonymize::{Cells, cells};
use ebbtide_table::{RewriteError, RewriteEvidence, RowStream, StoreError, StoredSegment};
use futures::StreamExt;

impl SweptProduct {
    /// Prepares the end of the records of `free`, which all have one bucket and profile, and
    /// returns the step to commit.
    pub(super) async fn end(
        &self,
        profile: &ProfileId,
        free: Vec<StoredSegment>,
        by: &CommitContext,
    ) -> Result<PlannedCommit, SweepError> {
        let (EndPlan::Anonymize(plan), Some(bucket)) =
            (&self.ending, free.first().map(|first| first.bucket))
        else {
            let removed = free.iter().map(|segment| segment.records).sum();
            let did = RewriteEvidence {
                removed,
                ..RewriteEvidence::default()
            };
            return Ok(PlannedCommit {
                operation: "remove",
                removes: free,
                adds: Vec::new(),
                did,
                renewed: false,
            });
        };
        let Cells { rows, counts, .. } = self.count(plan, &free, by.memory).await?;
        let did = RewriteEvidence {
            cells: counts.cells,
            cell_records: counts.records,
            suppressed: counts.suppressed,
            ..RewriteEvidence::default()
        };
        let adds = match rows.num_rows() {
            0 => Vec::new(),
            _ => vec![self.table.put_cells(bucket, profile, rows).await?],
        };
        Ok(PlannedCommit {
            operation: "anonymize",
            removes: free,
            adds,
            did,
            renewed: false,
        })
    }

    /// Computes the cells on a blocking thread: counting uses the CPU, and the rows may be read
    /// more than once.
    async fn count(
        &self,
        plan: &ebbtide_policy::anonymize::CellPlan,
        free: &[StoredSegment],
        memory: usize,
    ) -> Result<Cells, SweepError> {
        let (plan, reader, free) = (plan.clone(), self.table.reader(), free.to_vec());
        let runtime = tokio::runtime::Handle::current();
        let counted = tokio::task::spawn_blocking(move || {
            let columns: Vec<&str> = plan.columns().collect();
            cells(&plan, memory, || Batches {
                rows: Some(runtime.block_on(async { reader.read_coded(&free, &columns) })),
                runtime: runtime.clone(),
            })
        });
        let stopped = |error: tokio::task::JoinError| {
            StoreError::Refused(format!("counting was stopped: {error}"))
        };
        Ok(counted.await.map_err(stopped)??)
    }
}

/// The rows as an iterator of batches for the count.
struct Batches {
    rows: Option<Result<RowStream, RewriteError>>,
    runtime: tokio::runtime::Handle,
}

impl Iterator for Batches {
    type Item = Result<arrow::array::RecordBatch, RewriteError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.rows.take()? {
            Err(error) => Some(Err(error)),
            Ok(mut rows) => {
                let next = self.runtime.block_on(rows.next())?;
                if next.is_ok() {
                    self.rows = Some(Ok(rows));
                }
                Some(next.map(|batch| batch.rows))
            }
        }
    }
}
