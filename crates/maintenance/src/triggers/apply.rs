//! Brings stored tags up to date: rows whose trigger came get the profile and deadlines that they
//! would get on arrival.
//!
//! Only tags change: a held row keeps its data. Segments without such rows are recorded, not
//! rewritten.

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::commit::PlannedCommit;
use crate::error::SweepError;
use crate::segment_action::{ActionRun, SegmentAction};
use ebbtide_table::{Segment, StoredSegment};

/// The tags of rows whose trigger came are brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApplyTriggers;

impl SegmentAction for ApplyTriggers {
    fn name(&self) -> &'static str {
        "retag"
    }

    fn deletes(&self) -> bool {
        false
    }

    // After a notice, the tags of held rows change too; their data does not.
    fn spares_held(&self) -> bool {
        false
    }

    fn carry_out<'r>(
        &'r self,
        run: ActionRun<'r>,
        segments: Vec<StoredSegment>,
    ) -> BoxFuture<'r, Result<(), SweepError>> {
        apply(run, segments).boxed()
    }
}

/// Brings the tags of segments up to date, in one commit.
async fn apply(mut run: ActionRun<'_>, segments: Vec<StoredSegment>) -> Result<(), SweepError> {
    let Some(retagging) = run.product.retagging(&segments) else {
        return Ok(());
    };
    let Some(retagged) = run.product.table.retag(&segments, retagging).await? else {
        let paths = segments.into_iter().map(|segment| segment.path);
        run.product.state.record_triggers(paths);
        return Ok(());
    };
    let new: Vec<String> = retagged
        .segments
        .iter()
        .map(|segment: &Segment| segment.path().to_owned())
        .collect();
    run.commit(PlannedCommit::retag(retagged, false)).await?;
    let stored = run.product.table.segments();
    let stay = segments
        .into_iter()
        .map(|segment| segment.path)
        .filter(|path| stored.get(path).is_some());
    let paths = new.into_iter().map(Into::into).chain(stay);
    run.product.state.record_triggers(paths);
    Ok(())
}
