//! What a table's log adds up to, as far as a writer needs it: everything but the list of files.
//!
//! Promises that its size does not grow with the table's files or versions, and that reading on costs what is new.

use std::collections::HashMap;

use deltalake_core::kernel::{Metadata, Protocol, Snapshot};
use deltalake_core::logstore::LogStoreRef;

use super::{CONTROLS_APP, Entry, read_entry, txns};
use crate::store::error::StoreError;
use crate::store::evidence::Totals;

/// Features of the protocol's third reader and seventh writer version that change nothing for a writer of whole files.
const HARMLESS_FEATURES: [&str; 4] = ["appendOnly", "invariants", "timestampNtz", "vacuumProtocolCheck"];

/// A table at one version.
#[derive(Debug, Clone)]
pub struct LogState {
    /// The version.
    pub version: u64,
    /// The schema, partition columns and properties.
    pub metadata: Metadata,
    protocol: Protocol,
    txns: HashMap<String, i64>,
    /// The running totals of the newest evidence; `None` if no entry with evidence is left or none was ever written.
    pub totals: Option<Totals>,
}

impl LogState {
    /// The newest state: from the newest checkpoint, and the entries after it. `None` if there is no table.
    pub async fn load(log: &LogStoreRef) -> Result<Option<LogState>, StoreError> {
        if !log.is_delta_table_location().await? {
            return Ok(None);
        }
        let snapshot = Snapshot::try_new(log.as_ref(), None).await?;
        let version = snapshot.version();
        let mut state = LogState {
            version,
            metadata: snapshot.metadata().clone(),
            protocol: snapshot.protocol().clone(),
            txns: txns::load(log, version).await?,
            totals: None,
        };
        state.totals = last_totals(log, version).await?;
        state.supported()?;
        Ok(Some(state))
    }

    /// Reads on to the newest version, and hands each new entry to `seen`.
    pub async fn read_on(&mut self, log: &LogStoreRef, mut seen: impl FnMut(&Entry)) -> Result<(), StoreError> {
        while let Some(entry) = read_entry(log, self.version + 1).await? {
            seen(&entry);
            self.apply(entry);
        }
        self.supported()
    }

    /// The state after one more entry.
    pub fn apply(&mut self, entry: Entry) {
        self.version = entry.version;
        self.txns.extend(entry.txns);
        if let Some(metadata) = entry.metadata {
            self.metadata = metadata;
        }
        if let Some(protocol) = entry.protocol {
            self.protocol = protocol;
        }
        if let Some(evidence) = entry.evidence {
            self.totals = Some(evidence.totals);
        }
    }

    /// The version of a `txn` app id.
    pub fn txn(&self, app_id: &str) -> Option<i64> {
        self.txns.get(app_id).copied()
    }

    /// All `txn` app ids with their versions, in no order.
    pub fn txns(&self) -> impl Iterator<Item = (&str, i64)> {
        self.txns.iter().map(|(app_id, version)| (app_id.as_str(), *version))
    }

    /// The version of the controls: 0 before the first.
    pub fn controls(&self) -> i64 {
        self.txn(CONTROLS_APP).unwrap_or(0)
    }

    /// Errors if another engine gave the table what a writer of this version would break.
    fn supported(&self) -> Result<(), StoreError> {
        let (reader, writer) = (self.protocol.min_reader_version(), self.protocol.min_writer_version());
        let features = || self.protocol.reader_features().into_iter().chain(self.protocol.writer_features()).flatten();
        if let Some(unknown) =
            features().map(|feature| feature.to_string()).find(|name| !HARMLESS_FEATURES.contains(&name.as_str()))
        {
            return Err(StoreError::Unsupported(format!("the feature {unknown}")));
        }
        if !matches!((reader, writer), (1, 1 | 2 | 7) | (3, 7)) {
            return Err(StoreError::Unsupported(format!("protocol reader {reader} and writer {writer}")));
        }
        Ok(())
    }
}

/// The totals of the newest entry that has evidence. Nearly always the newest of all; foreign commits are passed over.
async fn last_totals(log: &LogStoreRef, newest: u64) -> Result<Option<Totals>, StoreError> {
    for version in (0..=newest).rev() {
        let Some(entry) = read_entry(log, version).await? else { break };
        if let Some(evidence) = entry.evidence {
            return Ok(Some(evidence.totals));
        }
    }
    Ok(None)
}
