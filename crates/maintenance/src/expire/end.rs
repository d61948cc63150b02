//! The end of records: they are removed or aggregated into cells.
//!
//! All given segments are read, counted and removed in one step. Memory is bounded whatever their
//! size.

use futures::FutureExt;
use futures::StreamExt;
use futures::future::BoxFuture;

use crate::commit::PlannedCommit;
use crate::error::SweepError;
use crate::product::end_plan::EndPlan;
use crate::segment_action::{ActionRun, SegmentAction};
use ebbtide_policy::anonymize::{CellPlan, Cells, cells};
use ebbtide_table::{RewriteError, RewriteEvidence, RowStream, StoreError, StoredSegment, Table};

/// The records end in the way that the product's policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndRecords;

impl SegmentAction for EndRecords {
    fn name(&self) -> &'static str {
        "end"
    }

    fn deletes(&self) -> bool {
        true
    }

    // People are counted over all segments.
    fn needs_memory(&self) -> bool {
        true
    }

    fn carry_out<'r>(
        &'r self,
        mut run: ActionRun<'r>,
        segments: Vec<StoredSegment>,
    ) -> BoxFuture<'r, Result<(), SweepError>> {
        async move {
            let step = match &run.product.state.ending {
                EndPlan::Remove => removed(segments),
                EndPlan::Anonymize(plan) => {
                    aggregated(&run.product.table, plan, segments, run.by.memory).await?
                }
            };
            run.commit(step).await
        }
        .boxed()
    }
}

/// Returns the step that removes segments with all records.
fn removed(segments: Vec<StoredSegment>) -> PlannedCommit {
    let did = RewriteEvidence {
        removed: segments.iter().map(|segment| segment.records).sum(),
        ..RewriteEvidence::default()
    };
    PlannedCommit {
        operation: "remove",
        removes: segments,
        adds: Vec::new(),
        did,
        renewed: false,
    }
}

/// Counts the records of segments, which all have one bucket and profile, into cells, and returns
/// the step that replaces the segments by them.
async fn aggregated(
    table: &Table,
    plan: &CellPlan,
    segments: Vec<StoredSegment>,
    memory: usize,
) -> Result<PlannedCommit, SweepError> {
    let Some(first) = segments.first() else {
        return Ok(removed(segments));
    };
    let (bucket, profile) = (first.bucket, first.profile.clone());
    let Cells { rows, counts, .. } = count(table, plan, &segments, memory).await?;
    let did = RewriteEvidence {
        cells: counts.cells,
        cell_records: counts.records,
        suppressed: counts.suppressed,
        ..RewriteEvidence::default()
    };
    let adds = match rows.num_rows() {
        0 => Vec::new(),
        _ => vec![table.put_cells(bucket, &profile, rows).await?],
    };
    Ok(PlannedCommit {
        operation: "anonymize",
        removes: segments,
        adds,
        did,
        renewed: false,
    })
}

/// Computes the cells on a blocking thread: counting uses the CPU, and the rows may be read more
/// than once.
async fn count(
    table: &Table,
    plan: &CellPlan,
    segments: &[StoredSegment],
    memory: usize,
) -> Result<Cells, SweepError> {
    let (plan, reader, segments) = (plan.clone(), table.reader(), segments.to_vec());
    let runtime = tokio::runtime::Handle::current();
    let counted = tokio::task::spawn_blocking(move || {
        let columns: Vec<&str> = plan.columns().collect();
        cells(&plan, memory, || Batches {
            rows: Some(runtime.block_on(async { reader.read_coded(&segments, &columns) })),
            runtime: runtime.clone(),
        })
    });
    let stopped = |error: tokio::task::JoinError| {
        StoreError::Refused(format!("counting was stopped: {error}"))
    };
    Ok(counted.await.map_err(stopped)??)
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
