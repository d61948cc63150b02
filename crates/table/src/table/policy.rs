//! The commit that puts a policy in force in a table: it names the policy, adds the columns that
//! the table lacks and raises the controls, in one step.
//!
//! No commit made under another policy lands after it: every commit of records or rewrites is
//! checked against the policy that the table names. An older activation never replaces a newer one.

use std::sync::Arc;

use bytes::Bytes;
use deltalake_core::kernel::{Action, Metadata, MetadataExt, StructType, Transaction};

use super::actions::evidence_info;
use super::categories::CategoryColumns;
use super::open::{
    STATS_COLUMNS, creation, delta_schema, entry_bytes, read_newest, stats_columns, widened,
};
use super::transaction::{is_own, put_entry};
use super::{ControlsVersion, Table};
use crate::error::{CommitError, OpenError, StoreError};
use crate::evidence::Evidence;
use crate::log::{CONTROLS_APP, LogState, NOTICES_APP, POLICY_APP, TableLog};
use crate::root::Root;
use crate::spec::TableSpec;
use crate::transaction::{EntryPut, Transaction as LogTransaction, commit};
use ebbtide_base::ids::{PolicyVersion, ProductKey};

/// The property that names the active policy.
const POLICY: &str = "ebbtide.policy";

/// A policy to put in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyCommit {
    /// The version of its control.
    pub control: ControlsVersion,
    /// Its own version.
    pub policy: PolicyVersion,
}

impl Table {
    /// Returns the version of the only policy whose commits the table accepts; `None` if it accepts
    /// those of any policy.
    #[must_use]
    pub fn policy(&self) -> Option<&str> {
        self.state.policy()
    }
}

impl LogState {
    /// Returns the version of the active policy.
    pub fn policy(&self) -> Option<&str> {
        self.metadata
            .configuration()
            .get(POLICY)
            .map(String::as_str)
    }
}

/// Puts a policy in force in the table of a product. `spec` has the table's columns under the
/// policy; `None` if the policy has no records of the product. Creates the table if the policy has
/// records and no table exists. Returns true if the policy was not in force before; a policy never
/// replaces a later one. May be called again after any error.
pub async fn take_force(
    root: &Root,
    product: &ProductKey,
    spec: Option<Arc<TableSpec>>,
    taking: PolicyCommit,
    evidence: Evidence,
) -> Result<bool, CommitError> {
    let log = root.table_log(product);
    let schema = spec
        .as_deref()
        .map(delta_schema)
        .transpose()
        .map_err(refused)?;
    let columns = spec
        .as_deref()
        .zip(schema.as_ref())
        .map(|(spec, schema)| PolicyColumns { spec, schema });
    let mut activation = PolicyTransaction {
        log: &log,
        state: None,
        columns,
        taking: &taking,
        evidence: &evidence,
    };
    commit(&mut activation).await
}

/// The commit of a policy to one table. It is done with true if it landed, and with false if the
/// policy or a later one was in force, or the table needs no policy.
struct PolicyTransaction<'a> {
    log: &'a TableLog,
    /// `None` as long as there is no table.
    state: Option<LogState>,
    columns: Option<PolicyColumns<'a>>,
    taking: &'a PolicyCommit,
    evidence: &'a Evidence,
}

/// The columns of a table under the policy.
#[derive(Clone, Copy)]
struct PolicyColumns<'a> {
    spec: &'a TableSpec,
    /// The same columns in Delta's types.
    schema: &'a StructType,
}

impl LogTransaction for PolicyTransaction<'_> {
    type Entry = Bytes;
    type Done = bool;
    type Error = CommitError;

    async fn read(&mut self) -> Result<u64, StoreError> {
        read_newest(self.log, &mut self.state).await
    }

    async fn recognise(&mut self, sent: Option<u64>) -> Result<Option<bool>, CommitError> {
        let Some(state) = &self.state else {
            return Ok(self.columns.is_none().then_some(false));
        };
        if let Some(sent) = sent.filter(|sent| *sent <= state.version) {
            let own = is_own(self.log, sent, self.evidence.commit).await;
            if own.map_err(CommitError::Unknown)? {
                return Ok(Some(true));
            }
        }
        let active = state.txn(POLICY_APP);
        Ok(active
            .is_some_and(|control| control >= self.taking.control.0)
            .then_some(false))
    }

    async fn propose(&mut self) -> Result<Bytes, CommitError> {
        let actions = match (&self.state, self.columns) {
            (Some(state), columns) => change(state, columns, self.taking, self.evidence),
            (None, Some(columns)) => made(columns, self.taking),
            // `recognise` answers where the table does not exist and may not be created.
            (None, None) => {
                let why = "the table does not exist".to_owned();
                Err(CommitError::Store(StoreError::Refused(why)))
            }
        };
        entry_bytes(&actions?).map_err(CommitError::Store)
    }

    async fn put(&mut self, version: u64, entry: Bytes) -> EntryPut<bool> {
        match put_entry(self.log, version, entry).await {
            EntryPut::Done(_) => EntryPut::Done(true),
            EntryPut::ReadOn => EntryPut::ReadOn,
            EntryPut::Failed(error) => EntryPut::Failed(error),
        }
    }
}

fn refused(error: OpenError) -> CommitError {
    CommitError::Store(match error {
        OpenError::Store(error) => error,
        error => StoreError::Refused(error.to_string()),
    })
}

fn txns(taking: &PolicyCommit, controls: i64) -> [Action; 3] {
    // Under the new policy's terms, notices may apply to rows that they did not apply to before.
    [
        (POLICY_APP, taking.control.0),
        (CONTROLS_APP, taking.control.0.max(controls)),
        (NOTICES_APP, 0),
    ]
    .map(|(app, version)| Action::Txn(Transaction::new(app.to_owned(), version)))
}

/// Returns the metadata with the policy named, and with the columns of its categories.
fn named(
    metadata: Metadata,
    spec: Option<&TableSpec>,
    taking: &PolicyCommit,
) -> Result<Metadata, StoreError> {
    let named = metadata.add_config_key(POLICY.to_owned(), taking.policy.to_string());
    let named = named.map_err(|error| StoreError::Delta(Box::new(error.into())))?;
    match spec {
        Some(spec) => CategoryColumns::of_spec(spec).record(named, &taking.policy),
        None => Ok(named),
    }
}

fn change(
    state: &LogState,
    columns: Option<PolicyColumns<'_>>,
    taking: &PolicyCommit,
    evidence: &Evidence,
) -> Result<Vec<Action>, CommitError> {
    let mut metadata = state.metadata.clone();
    if let Some(PolicyColumns { spec, schema }) = columns {
        metadata = widened(spec, schema, &metadata)
            .map_err(refused)?
            .unwrap_or(metadata);
        // The bounds of a column that became personal are no longer written to the log.
        let changed = metadata.add_config_key(STATS_COLUMNS.to_owned(), stats_columns(spec));
        metadata = changed
            .map_err(|error| CommitError::Store(StoreError::Delta(Box::new(error.into()))))?;
    }
    let mut evidence = evidence.clone();
    evidence.totals = state.totals.unwrap_or_default().plus(&evidence);
    let info = evidence_info(&evidence, state.version).map_err(CommitError::Store)?;
    let metadata =
        named(metadata, columns.map(|columns| columns.spec), taking).map_err(CommitError::Store)?;
    Ok([info, Action::Metadata(metadata)]
        .into_iter()
        .chain(txns(taking, state.controls()))
        .collect())
}

/// Creates the first entry of a table that begins under the policy.
fn made(
    PolicyColumns { spec, schema }: PolicyColumns<'_>,
    taking: &PolicyCommit,
) -> Result<Vec<Action>, CommitError> {
    let made = creation(spec, schema, ControlsVersion(0)).map_err(CommitError::Store)?;
    let mut actions = Vec::with_capacity(made.len() + 3);
    for action in made {
        actions.push(match action {
            Action::Metadata(metadata) => {
                Action::Metadata(named(metadata, Some(spec), taking).map_err(CommitError::Store)?)
            }
            action => action,
        });
    }
    actions.extend(txns(taking, 0));
    Ok(actions)
}
