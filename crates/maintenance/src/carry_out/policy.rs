//! Brings segments of an earlier policy up to date with the active one: first their columns, then
//! their tags.
//!
//! Each of the two is one commit that leaves the segments outdated or up to date. Held rows do not
//! change: they keep their old columns and tags until they are no longer held.

use std::sync::Arc;

use super::{CommitContext, PlannedCommit, TaskOutcome};
use crate::change::PolicyRetagging;
use crate::error::SweepError;
use crate::product::{SweepHolds, SweptProduct};
use ebbtide_table::{RewriteEvidence, StoredSegment};

impl SweptProduct {
    /// Brings segments of one bucket, profile and policy up to date.
    pub(super) async fn take_policy(
        &mut self,
        free: Vec<StoredSegment>,
        held: &SweepHolds,
        by: &CommitContext,
        done: &mut TaskOutcome,
    ) -> Result<(), SweepError> {
        let Some(first) = free.first().cloned() else {
            return Ok(());
        };
        let Some((passage, former)) = self
            .outdated()
            .map(|outdated| (outdated.passage(&first).clone(), outdated.former().clone()))
        else {
            return Ok(());
        };
        let mut now = free;
        if !passage.keeps_columns()
            && let Some(reformed) = self.table.reform(&now, &former).await?
        {
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
            now.retain(|segment| {
                !reformed
                    .replaced
                    .iter()
                    .any(|gone| gone.path == segment.path)
            });
            let step = PlannedCommit {
                operation: "retag",
                removes: reformed.replaced,
                adds: reformed.segments,
                did,
                renewed: true,
            };
            done.count(&self.commit(step, held, by).await?);
            now.extend(new.iter().filter_map(|path| self.index.get(path).cloned()));
        }
        let text = self.table.profile_text(&first.profile).map(str::to_owned);
        let Some(tags) = PolicyRetagging::new(&passage, &now, text.as_deref(), &by.policy_version)
        else {
            return Ok(());
        };
        let retagged = self.table.retag(&now, Arc::new(tags)).await?;
        let replaced = retagged
            .as_ref()
            .map(|retagged| retagged.replaced.as_slice())
            .unwrap_or_default();
        let stay = now
            .iter()
            .filter(|segment| !replaced.iter().any(|gone| gone.path == segment.path));
        let stay: Vec<Arc<str>> = stay.map(|segment| segment.path.clone()).collect();
        if let Some(retagged) = retagged {
            let did = RewriteEvidence {
                retagged: retagged.retagged,
                moved: retagged.moved,
                bytes_copied: retagged.bytes_copied,
                ..RewriteEvidence::default()
            };
            let step = PlannedCommit {
                operation: "retag",
                removes: retagged.replaced,
                adds: retagged.segments,
                did,
                renewed: true,
            };
            done.count(&self.commit(step, held, by).await?);
        }
        if let Some(outdated) = self.outdated() {
            stay.into_iter().for_each(|path| outdated.settle(path));
        }
        Ok(())
    }
}
