//! The commit of ingest: files and offsets become part of the table in one step, or not at all.
//!
//! The cost must not grow with the table.

use super::actions::{check, offsets, topics};
use super::requirement::Requirement;
use super::row_change::RowChange;
use super::transaction::{LogHead, TableTransaction};
use super::{IngestCommit, Table};
use crate::error::CommitError;

impl Table {
    /// Commits the batch and returns the version at which it landed.
    ///
    /// Repeats the attempt if another writer was faster. Errors if the batch no longer fits the
    /// table, or if the store fails. It may be called again with the same batch, in another process
    /// too: a commit that landed before is found by its id.
    pub async fn commit(&mut self, batch: IngestCommit) -> Result<u64, CommitError> {
        check(&batch).map_err(CommitError::Store)?;
        let mut actions = offsets(&batch.advances, batch.evidence.at);
        actions.extend(topics(&batch.advances, batch.evidence.at, |partition| {
            self.topic_mark(partition)
        }));
        let rows = RowChange {
            spec: &self.spec,
            schema: &self.schema,
            segments: &batch.segments,
            removes: &[],
        };
        let policy = &batch.evidence.policy_version;
        let transaction = TableTransaction {
            requirements: vec![
                Requirement::OffsetsAt(&batch.advances),
                Requirement::PolicyIs(policy),
                Requirement::ControlsAt(batch.controls),
                Requirement::SchemaFits(&rows, policy),
                Requirement::FilesExist(&batch.segments),
            ],
            rows: Some(&rows),
            actions,
            evidence: &batch.evidence,
        };
        transaction
            .commit(LogHead {
                log: &self.log,
                state: &mut self.state,
                segments: None,
                lost_races: &mut self.lost_races,
            })
            .await
    }
}
