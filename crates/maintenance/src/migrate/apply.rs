//! Brings segments of an earlier policy up to date with the active one: first their columns, then
//! their tags.
//!
//! Each of the two is one commit that leaves the segments outdated or up to date. Held rows do not
//! change: they keep their old columns and tags until they are no longer held.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::migration::Migration;
use super::policy_lag::PolicyLag;
use super::retagging::PolicyRetagging;
use crate::commit::PlannedCommit;
use crate::error::SweepError;
use crate::segment_action::{ActionRun, SegmentAction};
use ebbtide_table::{RewriteEvidence, StoredSegment};

/// The columns and tags are brought up to date with the active policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigratePolicy;

impl SegmentAction for MigratePolicy {
    fn name(&self) -> &'static str {
        "retag"
    }

    fn deletes(&self) -> bool {
        false
    }

    fn carry_out<'r>(
        &'r self,
        run: ActionRun<'r>,
        segments: Vec<StoredSegment>,
    ) -> BoxFuture<'r, Result<(), SweepError>> {
        migrate(run, segments).boxed()
    }
}

/// Brings segments of one bucket, profile and policy up to date.
async fn migrate(mut run: ActionRun<'_>, segments: Vec<StoredSegment>) -> Result<(), SweepError> {
    let Some(first) = segments.first().cloned() else {
        return Ok(());
    };
    let Some(lag) = run.product.state.lag.clone() else {
        return Ok(());
    };
    let migration = Arc::clone(lag.migration(&first));
    let segments = reform(&mut run, segments, &lag, &migration).await?;
    let text = run.product.table.profile_text(&first.profile);
    let Some(tags) = PolicyRetagging::new(&migration, &segments, text, &run.by.policy_version)
    else {
        return Ok(());
    };
    let mut stay: Vec<Arc<str>> = segments
        .iter()
        .map(|segment| Arc::clone(&segment.path))
        .collect();
    if let Some(retagged) = run.product.table.retag(&segments, Arc::new(tags)).await? {
        stay.retain(|path| !retagged.replaced.iter().any(|old| old.path == *path));
        run.commit(PlannedCommit::retag(retagged, true)).await?;
    }
    run.product.state.settle(stay, &lag);
    Ok(())
}

/// Gives the segments whose columns changed the columns of the active policy. Returns the segments
/// that there are then.
async fn reform(
    run: &mut ActionRun<'_>,
    mut segments: Vec<StoredSegment>,
    lag: &PolicyLag,
    migration: &Migration,
) -> Result<Vec<StoredSegment>, SweepError> {
    if migration.keeps_columns() {
        return Ok(segments);
    }
    let table = &run.product.table;
    let Some(reformed) = table.reform(&segments, lag.former()).await? else {
        return Ok(segments);
    };
    let new: Vec<String> = reformed
        .segments
        .iter()
        .map(|segment| segment.path().to_owned())
        .collect();
    let did = RewriteEvidence {
        unclassified: reformed.unclassified,
        bytes_copied: reformed.bytes_copied,
        bytes_dropped: reformed.bytes_dropped,
        ..RewriteEvidence::default()
    };
    let replaced = &reformed.replaced;
    segments.retain(|segment| !replaced.iter().any(|old| old.path == segment.path));
    run.commit(PlannedCommit {
        operation: "retag",
        removes: reformed.replaced,
        adds: reformed.segments,
        did,
        renewed: true,
    })
    .await?;
    let stored = run.product.table.segments();
    segments.extend(new.iter().filter_map(|path| stored.get(path).cloned()));
    Ok(segments)
}
