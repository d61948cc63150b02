//! The commit of a rewrite: it replaces segments by others in one step, with the evidence of the
//! rewrite.

use std::collections::HashSet;

use deltalake_core::kernel::{Action, Remove};

use super::actions::{notices_action, partition_values};
use super::removed_files::RemovedFilesCheck;
use super::requirement::Requirement;
use super::row_change::RowChange;
use super::transaction::{LogHead, TableTransaction};
use super::{ControlsVersion, Table};
use crate::error::{CommitError, StoreError};
use crate::evidence::{Evidence, RewriteEvidence};
use crate::index::{SegmentIndex, StoredSegment};
use crate::segment::Segment;

/// The input of one rewrite commit.
#[derive(Debug, Clone)]
pub struct RewriteCommit {
    /// The segments to remove.
    pub removes: Vec<StoredSegment>,
    /// The version at which they were active: that of the index that returned them.
    pub seen_at: u64,
    /// The segments that replace them, already written. Empty if nothing of the old ones is kept.
    pub adds: Vec<Segment>,
    /// The controls under which the rewrite was made.
    pub controls: ControlsVersion,
    /// True if its rows come under another policy, by whose terms notices may apply to them that
    /// did not apply before: the table's record of the notices that its tags reflect is reset.
    pub renewed: bool,
    /// The evidence of the commit. A repeated commit is recognised by the id in it.
    pub evidence: Evidence,
}

impl Table {
    /// Replaces segments by others in one step and returns the version at which the commit landed.
    ///
    /// Repeats the attempt if another writer was faster. Errors if one of the segments is no longer
    /// in the table, if the controls or the columns changed, or if the store fails. It may be
    /// called again with the same rewrite, in another process too: a commit that landed before is
    /// found by its id.
    pub async fn commit_rewrite(&mut self, rewrite: RewriteCommit) -> Result<u64, CommitError> {
        self.rewrite_with(None, rewrite).await
    }

    /// Does the same as [`Table::commit_rewrite`], and moves `segments` on.
    pub(super) async fn rewrite_with(
        &mut self,
        segments: Option<&mut SegmentIndex>,
        rewrite: RewriteCommit,
    ) -> Result<u64, CommitError> {
        check(&rewrite).map_err(CommitError::Store)?;
        let at = rewrite.evidence.at.timestamp_millis();
        let changes = rewrite.evidence.changes_data();
        let removed = rewrite
            .removes
            .iter()
            .map(|segment| Action::Remove(remove(segment, at, changes)));
        let rows = RowChange {
            spec: &self.spec,
            schema: &self.schema,
            segments: &rewrite.adds,
            removes: &rewrite.removes,
        };
        let policy = &rewrite.evidence.policy_version;
        let transaction = TableTransaction {
            requirements: vec![
                Requirement::SegmentsActive(RemovedFilesCheck::new(
                    rewrite.evidence.commit,
                    &rewrite.removes,
                    rewrite.seen_at,
                )),
                Requirement::PolicyIs(policy),
                Requirement::ControlsAt(rewrite.controls),
                Requirement::SchemaFits(&rows, policy),
                Requirement::FilesExist(&rewrite.adds),
            ],
            rows: Some(&rows),
            actions: removed
                .chain(rewrite.renewed.then(|| notices_action(ControlsVersion(0))))
                .collect(),
            evidence: &rewrite.evidence,
        };
        transaction
            .commit(LogHead {
                log: &self.log,
                state: &mut self.state,
                segments,
                lost_races: &mut self.lost_races,
            })
            .await
    }
}

fn remove(segment: &StoredSegment, at: i64, data_change: bool) -> Remove {
    Remove {
        path: segment.path.to_string(),
        data_change,
        deletion_timestamp: Some(at),
        extended_file_metadata: Some(true),
        partition_values: Some(partition_values(&segment.bucket, &segment.profile)),
        size: i64::try_from(segment.size).ok(),
        ..Remove::default()
    }
}

/// Refuses a rewrite that is invalid for any table.
fn check(rewrite: &RewriteCommit) -> Result<(), StoreError> {
    let refused = |why: String| Err(StoreError::Refused(why));
    let Some(did) = &rewrite.evidence.rewrite else {
        return refused("the evidence is not that of a rewrite".to_owned());
    };
    if rewrite.removes.is_empty() {
        return refused("a rewrite that removes nothing could come twice".to_owned());
    }
    let mut paths = HashSet::new();
    if !rewrite
        .removes
        .iter()
        .all(|segment| paths.insert(&*segment.path))
    {
        return refused("a rewrite removes a segment twice".to_owned());
    }
    if rewrite.evidence.read + rewrite.evidence.accounted() > 0 {
        return refused("a rewrite reads nothing from the source".to_owned());
    }
    let same =
        (did.rows_in, did.records_in) == (did.rows_out, did.records_out) && did.dropped.is_empty();
    if !rewrite.evidence.changes_data() && !same {
        return refused("a compaction changes no row".to_owned());
    }
    if !rewrite.evidence.conserves() || !agrees(did, rewrite) {
        return refused(format!(
            "the evidence has {} records in {} rows and out {} in {}, removed {}, suppressed {}, and does not agree with \
             itself and the segments",
            did.records_in, did.rows_in, did.records_out, did.rows_out, did.removed, did.suppressed
        ));
    }
    Ok(())
}

/// Returns true if the evidence has the rows and records of these segments.
fn agrees(did: &RewriteEvidence, rewrite: &RewriteCommit) -> bool {
    let removed = (
        rewrite
            .removes
            .iter()
            .map(|segment| segment.rows)
            .sum::<u64>(),
        rewrite
            .removes
            .iter()
            .map(|segment| segment.records)
            .sum::<u64>(),
    );
    let added = (
        rewrite.adds.iter().map(Segment::rows).sum::<u64>(),
        rewrite.adds.iter().map(Segment::records).sum::<u64>(),
    );
    removed == (did.rows_in, did.records_in) && added == (did.rows_out, did.records_out)
}
