//! One compaction: merges the small segments of closed buckets, once, where no instance does it.

use serde::Serialize;

use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::ProductKey;
use ebbtide_maintenance::{
    Compaction, CompactionReport, CompactionSettings, PlanBounds, PlannedMerge, SweepError, Sweeper,
};

use crate::maintenance_setup::{MaintenanceSetup, MaintenanceSetupError, OpenSweeperError};

/// The segments to merge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactRequest {
    /// The only product to compact.
    pub product: Option<ProductKey>,
    /// The maximum number of merges.
    pub steps: Option<usize>,
}

/// The planned merges.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CompactPlanReport {
    /// The merges.
    pub merges: Vec<MergeReport>,
    /// True if more is left than one plan has.
    pub more: bool,
}

/// A planned merge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MergeReport {
    /// The product of the table.
    pub product: ProductKey,
    /// The bucket of the segments.
    pub bucket: String,
    /// The profile of the segments.
    pub profile: String,
    /// The number of segments that become one.
    pub segments: usize,
    /// The number of their records.
    pub records: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// The result of a compaction.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct CompactOutcome {
    /// The merges that were done and are left.
    pub report: CompactionReport,
    /// The reason why the clock is not trusted; empty if it is.
    #[serde(skip)]
    pub reason: String,
}

/// The reason why nothing could be compacted.
#[derive(Debug, thiserror::Error)]
pub enum RunCompactionError {
    /// The configuration, the policy or the root cannot be used.
    #[error(transparent)]
    Setup(#[from] MaintenanceSetupError),
    /// A table cannot be compacted.
    #[error(transparent)]
    Open(#[from] OpenSweeperError),
    /// The merges could not be planned.
    #[error(transparent)]
    Plan(#[from] SweepError),
}

/// Returns the merges that a compaction would do. Changes nothing.
pub async fn plan(
    setup: &MaintenanceSetup,
    request: &CompactRequest,
    clock: &SharedClock,
) -> Result<CompactPlanReport, RunCompactionError> {
    let compaction = compaction(setup, clock);
    let root = setup.root(None).await?;
    let (mut sweeper, _) = setup
        .sweeper(root, request.product.as_ref(), clock, PlanBounds::default())
        .await?;
    let (merges, more) = sweeper.merges(&compaction).await?;
    Ok(CompactPlanReport {
        merges: merges.iter().map(MergeReport::new).collect(),
        more,
    })
}

/// Merges segments until nothing is left or the steps are used up. `progress` is called after each
/// merge with all that was done.
pub async fn compact(
    setup: &MaintenanceSetup,
    request: &CompactRequest,
    clock: &SharedClock,
    progress: impl FnMut(&CompactionReport),
) -> Result<CompactOutcome, RunCompactionError> {
    let mut compaction = compaction(setup, clock);
    let root = setup.root(Some(clock.now())).await?;
    let (mut sweeper, guard) = setup
        .sweeper(root, request.product.as_ref(), clock, PlanBounds::default())
        .await?;
    guard.update(sweeper.newest_commit()).await;
    let report = rounds(&mut sweeper, &mut compaction, request.steps, progress).await;
    guard.update(None).await;
    let reason = report.clock.map(|_| guard.reason()).unwrap_or_default();
    Ok(CompactOutcome { report, reason })
}

fn compaction(setup: &MaintenanceSetup, clock: &SharedClock) -> Compaction {
    let settings = CompactionSettings::of(&setup.config.compact);
    Compaction::new(settings, clock.monotonic())
}

/// Does one merge at a time until nothing is left, the steps are used up or a round makes no
/// progress.
async fn rounds(
    sweeper: &mut Sweeper,
    compaction: &mut Compaction,
    steps: Option<usize>,
    mut progress: impl FnMut(&CompactionReport),
) -> CompactionReport {
    let mut all = CompactionReport::default();
    loop {
        let done = usize::try_from(all.merges).unwrap_or(usize::MAX);
        let left = steps.map_or(usize::MAX, |steps| steps.saturating_sub(done));
        // With no step left, this call still finds out whether there is more.
        let did = sweeper.compact(compaction, left.min(1)).await;
        all.add(&did);
        if did.merges > 0 {
            progress(&all);
        }
        let nowhere = did.merges == 0 && did.failed == 0 && did.lost == 0;
        if !did.more || nowhere || did.clock.is_some() || left == 0 {
            return all;
        }
    }
}

impl MergeReport {
    fn new(planned: &PlannedMerge) -> MergeReport {
        let merge = &planned.merge;
        MergeReport {
            product: planned.product.clone(),
            bucket: merge.bucket.to_string(),
            profile: merge.profile.to_string(),
            segments: merge.segments.len(),
            records: merge.records(),
            bytes: merge.bytes(),
        }
    }
}
