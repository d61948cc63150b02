//! Drops the columns of categories whose deadline has passed.

use std::collections::BTreeSet;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::commit::PlannedCommit;
use crate::error::SweepError;
use crate::segment_action::{ActionRun, SegmentAction};
use ebbtide_base::ids::Category;
use ebbtide_table::{RewriteEvidence, StoredSegment};

/// The columns of these categories are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropColumns {
    /// The categories.
    pub categories: BTreeSet<Category>,
}

impl SegmentAction for DropColumns {
    fn name(&self) -> &'static str {
        "drop"
    }

    fn describe(&self) -> String {
        let named: Vec<&str> = self.categories.iter().map(Category::as_str).collect();
        format!("drop {}", named.join(", "))
    }

    fn deletes(&self) -> bool {
        true
    }

    fn carry_out<'r>(
        &'r self,
        run: ActionRun<'r>,
        segments: Vec<StoredSegment>,
    ) -> BoxFuture<'r, Result<(), SweepError>> {
        self.drop(run, segments).boxed()
    }
}

impl DropColumns {
    async fn drop(
        &self,
        mut run: ActionRun<'_>,
        segments: Vec<StoredSegment>,
    ) -> Result<(), SweepError> {
        let table = &run.product.table;
        let spliced = table.splice(&segments, &self.categories).await?;
        let did = RewriteEvidence {
            dropped: spliced.dropped,
            bytes_copied: spliced.bytes_copied,
            bytes_dropped: spliced.bytes_dropped,
            ..RewriteEvidence::default()
        };
        run.commit(PlannedCommit {
            operation: "drop",
            removes: segments,
            adds: spliced.segments,
            did,
            renewed: false,
        })
        .await
    }
}
