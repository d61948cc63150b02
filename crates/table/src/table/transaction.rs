//! A transaction of one table: requirements, and actions with evidence that land as one entry.
//!
//! The requirements are checked against exactly the version that the entry follows. The entry's
//! totals are those of that version plus its own.

use bytes::Bytes;
use deltalake_core::kernel::Action;
use deltalake_core::kernel::transaction::TransactionError;

use super::actions::evidence_info;
use super::open::{entry_bytes, write_entry};
use super::requirement::Requirement;
use super::row_change::RowChange;
use crate::error::{CommitError, StoreError};
use crate::evidence::Evidence;
use crate::index::SegmentIndex;
use crate::log::{LogState, TableLog, next_entry};
use crate::snapshot::advance_or_load;
use crate::transaction::{EntryPut, Transaction, commit};
use ebbtide_base::failpoint;

/// A commit to a table.
pub(super) struct TableTransaction<'a> {
    /// The conditions under which it lands, in the order of their checks.
    pub(super) requirements: Vec<Requirement<'a>>,
    /// The rows that it changes, if it changes any.
    pub(super) rows: Option<&'a RowChange<'a>>,
    /// Its other actions: offsets and controls, or removed files.
    pub(super) actions: Vec<Action>,
    /// Its evidence. A commit that landed is recognised by the id in it.
    pub(super) evidence: &'a Evidence,
}

/// The log that a transaction is committed to, and its table as read last.
pub(super) struct LogHead<'a> {
    pub(super) log: &'a TableLog,
    pub(super) state: &'a mut LogState,
    /// The segments of the same version, if the caller needs them.
    pub(super) segments: Option<&'a mut SegmentIndex>,
    /// Counts the attempts that lost their version to another commit.
    pub(super) lost_races: &'a mut u64,
}

impl TableTransaction<'_> {
    /// Commits and returns the version of the entry, or that of an earlier one that has the same
    /// effect.
    pub(super) async fn commit(self, head: LogHead<'_>) -> Result<u64, CommitError> {
        let mut attempts = TableAttempts {
            head,
            transaction: self,
        };
        commit(&mut attempts).await
    }
}

struct TableAttempts<'h, 't> {
    head: LogHead<'h>,
    transaction: TableTransaction<'t>,
}

impl Transaction for TableAttempts<'_, '_> {
    type Entry = Bytes;
    type Done = u64;
    type Error = CommitError;

    async fn read(&mut self) -> Result<u64, StoreError> {
        self.head.read_on().await?;
        Ok(self.head.state.version + 1)
    }

    async fn recognise(&mut self, sent: Option<u64>) -> Result<Option<u64>, CommitError> {
        let LogHead { log, state, .. } = &self.head;
        let id = self.transaction.evidence.commit;
        if let Some(sent) = sent.filter(|sent| *sent <= state.version)
            && is_own(log, sent, id).await.map_err(CommitError::Unknown)?
        {
            return Ok(Some(sent));
        }
        for requirement in &mut self.transaction.requirements {
            if let Some(version) = requirement.search(log, state, id).await? {
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    async fn propose(&mut self) -> Result<Bytes, CommitError> {
        let LogHead { log, state, .. } = &self.head;
        for requirement in &self.transaction.requirements {
            requirement.check(log, state).await?;
        }
        let actions = self.transaction.actions(state);
        let entry = actions.and_then(|actions| entry_bytes(&actions));
        entry.map_err(CommitError::Store)
    }

    async fn put(&mut self, version: u64, entry: Bytes) -> EntryPut<u64> {
        let put = put_entry(self.head.log, version, entry.clone()).await;
        match &put {
            EntryPut::Done(_) => self.head.apply(version, &entry),
            EntryPut::ReadOn => *self.head.lost_races += 1,
            EntryPut::Failed(_) => {}
        }
        put
    }
}

impl TableTransaction<'_> {
    /// Returns the actions of the entry that follows `state`.
    fn actions(&self, state: &LogState) -> Result<Vec<Action>, StoreError> {
        let mut evidence = self.evidence.clone();
        evidence.totals = state.totals.unwrap_or_default().plus(&evidence);
        let mut entry = vec![evidence_info(&evidence, state.version)?];
        if let Some(rows) = self.rows {
            let properties = rows.new_properties(state, &evidence.policy_version)?;
            entry.extend(properties.map(Action::Metadata));
        }
        entry.extend(self.actions.iter().cloned());
        if let Some(rows) = self.rows {
            entry.extend(rows.adds(&evidence));
        }
        Ok(entry)
    }
}

impl LogHead<'_> {
    /// Reads the log up to its newest entry.
    pub(super) async fn read_on(&mut self) -> Result<(), StoreError> {
        match &mut self.segments {
            Some(segments) => advance_or_load(self.log, self.state, segments).await,
            None => self.state.read_on(self.log).await.map(drop),
        }
    }

    /// Applies an entry that this process wrote as `version`, as reading it back would. If it could
    /// not be read back, the next call of `read_on` fails.
    fn apply(&mut self, version: u64, entry: &Bytes) {
        let entry = match self.log.parse(version, entry) {
            Ok(entry) => entry,
            Err(error) => {
                tracing::error!(%error, version, "an entry of this process cannot be read");
                return;
            }
        };
        if let Some(segments) = &mut self.segments {
            segments.apply(&entry, self.state.controls());
        }
        self.state.apply(&entry);
    }
}

/// Puts one entry under `version` and returns the version if it landed.
pub(super) async fn put_entry(log: &TableLog, version: u64, entry: Bytes) -> EntryPut<u64> {
    failpoint::reach("before-commit");
    match write_entry(log, version, entry).await {
        Ok(()) => {
            failpoint::reach("after-commit");
            EntryPut::Done(version)
        }
        Err(TransactionError::VersionAlreadyExists(_)) => EntryPut::ReadOn,
        Err(error) => EntryPut::Failed(error.into()),
    }
}

/// Returns true if the entry of that version is the commit with that id. Errors if the log no
/// longer has the entry: then no one can tell.
pub(super) async fn is_own(
    log: &TableLog,
    version: u64,
    id: uuid::Uuid,
) -> Result<bool, StoreError> {
    let entry = next_entry(log, version).await?.ok_or_else(|| {
        StoreError::Refused(format!(
            "entry {version} was cleaned away before it was read"
        ))
    })?;
    let evidence = entry.evidence.as_ref();
    Ok(evidence.is_some_and(|evidence| evidence.commit == id))
}
