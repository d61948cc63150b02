//! The state that results from a table's log, as far as a writer needs it: everything but the list
//! of files.
//!
//! Its size does not grow with the number of files or versions. The cost of reading on depends only
//! on the new entries.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use deltalake_core::kernel::{DataType, Metadata, PrimitiveType, Protocol, Snapshot};
use object_store::ObjectMeta;

use super::damage::Repair;
use super::files::{self, LogFile, LogFileKind};
use super::{CONTROLS_APP, LogEntry, TableLog, checkpoint, follow, read_entry};
use crate::error::StoreError;
use crate::evidence::{Evidence, TableTotals};
use ebbtide_base::ids::BucketUnit;

/// Features of reader version 3 and writer version 7 of the protocol that do not affect a writer of
/// whole files.
const HARMLESS_FEATURES: [&str; 4] = [
    "appendOnly",
    "invariants",
    "timestampNtz",
    "vacuumProtocolCheck",
];

/// Properties, with their values unless any value matters, under which a commit of Ebbtide would
/// not have its meaning.
const FORBIDDEN: [(&str, Option<&str>); 4] = [
    // Its checkpoints would no longer contain the statistics that show what is due.
    ("delta.checkpoint.writeStatsAsJson", Some("false")),
    ("delta.setTransactionRetentionDuration", None),
    ("delta.enableChangeDataFeed", Some("true")),
    ("delta.appendOnly", Some("true")),
];

/// The number of times that a log that seems damaged is read again, and the pause between them.
const LOOKS_AGAIN: usize = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// A table at one version.
#[derive(Debug, Clone)]
pub struct LogState {
    /// The version.
    pub version: u64,
    /// The schema, partition columns and properties.
    pub metadata: Metadata,
    protocol: Protocol,
    txns: HashMap<String, i64>,
    /// The running totals of the newest evidence, plus the rows that other engines added since;
    /// `None` if no entry with either still exists or was ever written.
    pub totals: Option<TableTotals>,
    /// The version of that evidence.
    pub evidence_at: Option<u64>,
    /// The time at which its commit was made, by the clock of its writer.
    pub made_at: Option<DateTime<Utc>>,
}

/// Returns the kernel's snapshot of the newest version. Listing a folder is not atomic: while
/// others write, it may miss an entry and show the next one, which looks like a gap. A later
/// listing shows both; real damage remains.
async fn newest_snapshot(log: &TableLog) -> Result<Snapshot, StoreError> {
    let mut again = 0;
    loop {
        match Snapshot::try_new(log.as_ref(), None).await {
            Ok(snapshot) => return Ok(snapshot),
            Err(error) if again >= LOOKS_AGAIN => return Err(error.into()),
            Err(_) => again += 1,
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// Returns a snapshot without the newest checkpoints that cannot be read, and without the hint at
/// one that is missing. Errors with the damaged file, if one is found.
async fn readable_snapshot(log: &TableLog) -> Result<Snapshot, StoreError> {
    let mut repair = Repair::default();
    loop {
        match newest_snapshot(log).await {
            Ok(snapshot) => return Ok(snapshot),
            Err(error) => repair.skip_damage(log, error).await?,
        }
    }
}

impl LogState {
    /// Loads the newest state: from the newest checkpoint, and the entries after it. `None` if
    /// there is no table.
    pub async fn load(log: &TableLog) -> Result<Option<LogState>, StoreError> {
        let loaded = Self::load_snapshot(log, &files::list(log).await?).await?;
        Ok(loaded.map(|(state, _)| state))
    }

    /// Loads the newest state like [`LogState::load`], and the kernel's snapshot of the same
    /// version, which can list the files. `listed` are the files of the log.
    pub async fn load_snapshot(
        log: &TableLog,
        listed: &[LogFile],
    ) -> Result<Option<(LogState, Snapshot)>, StoreError> {
        if !listed.iter().any(|file| {
            matches!(
                file.kind,
                LogFileKind::Entry(_) | LogFileKind::Checkpoint(..)
            )
        }) {
            return Ok(None);
        }
        let snapshot = readable_snapshot(log).await?;
        let version = snapshot.version();
        let Last { evidence, foreign } = last_evidence(log, version).await?;
        let totals = evidence.as_ref().map(|(_, evidence)| evidence.totals);
        let state = LogState {
            version,
            metadata: snapshot.metadata().clone(),
            protocol: snapshot.protocol().clone(),
            txns: checkpoint::txns(log, listed, version).await?,
            totals: with_foreign(totals, foreign),
            evidence_at: evidence.as_ref().map(|(version, _)| *version),
            made_at: evidence.map(|(_, evidence)| evidence.at),
        };
        state.supported()?;
        Ok(Some((state, snapshot)))
    }

    /// Applies the entries committed since the last call. The cost depends on the new entries, not
    /// on the table. Loads the newest state again if the entry of its version was deleted
    /// meanwhile. Returns the file of the entry of its version; `None` if it was loaded again.
    pub async fn read_on(&mut self, log: &TableLog) -> Result<Option<ObjectMeta>, StoreError> {
        let file = follow(log, self.version, |entry| self.apply(entry)).await?;
        if file.is_none() {
            let newest = Self::load(log)
                .await?
                .filter(|newest| newest.version >= self.version);
            *self = newest.ok_or_else(|| log.cut_short(self.version))?;
        }
        self.supported()?;
        Ok(file)
    }

    /// Applies one more entry.
    pub fn apply(&mut self, entry: &LogEntry) {
        self.version = entry.version;
        self.totals = with_foreign(self.totals, entry.foreign_rows());
        self.txns.extend(entry.txns.iter().cloned());
        if let Some(metadata) = &entry.metadata {
            self.metadata = metadata.clone();
        }
        if let Some(protocol) = &entry.protocol {
            self.protocol = protocol.clone();
        }
        if let Some(evidence) = &entry.evidence {
            self.totals = Some(evidence.totals);
            self.evidence_at = Some(entry.version);
            self.made_at = self.made_at.max(Some(evidence.at));
        }
    }

    /// Returns the version of a `txn` app id.
    pub fn txn(&self, app_id: &str) -> Option<i64> {
        self.txns.get(app_id).copied()
    }

    /// Returns all `txn` app ids with their versions, in no order.
    pub fn txns(&self) -> impl Iterator<Item = (&str, i64)> {
        self.txns
            .iter()
            .map(|(app_id, version)| (app_id.as_str(), *version))
    }

    /// Returns the names of the table's columns.
    pub fn columns(&self) -> Result<Vec<String>, StoreError> {
        let schema = self.metadata.parse_schema();
        Ok(schema
            .map_err(|error| StoreError::Delta(Box::new(error.into())))?
            .fields()
            .map(|field| field.name().clone())
            .collect())
    }

    /// Returns the unit of the table's buckets, by the type of their column; `None` if it is
    /// neither a day nor an hour.
    pub fn bucket_unit(&self) -> Result<Option<BucketUnit>, StoreError> {
        let schema = self.metadata.parse_schema();
        let schema = schema.map_err(|error| StoreError::Delta(Box::new(error.into())))?;
        Ok(schema
            .field("bucket")
            .and_then(|field| match field.data_type() {
                DataType::Primitive(PrimitiveType::Date) => Some(BucketUnit::Day),
                DataType::Primitive(PrimitiveType::Timestamp) => Some(BucketUnit::Hour),
                _ => None,
            }))
    }

    /// Returns the version of the controls: 0 before the first.
    pub fn controls(&self) -> i64 {
        self.txn(CONTROLS_APP).unwrap_or(0)
    }

    /// Errors if another engine gave the table a feature, property or protocol that this version
    /// would violate.
    pub fn supported(&self) -> Result<(), StoreError> {
        let (reader, writer) = (
            self.protocol.min_reader_version(),
            self.protocol.min_writer_version(),
        );
        let features = || {
            self.protocol
                .reader_features()
                .into_iter()
                .chain(self.protocol.writer_features())
                .flatten()
        };
        if let Some(unknown) = features()
            .map(|feature| feature.to_string())
            .find(|name| !HARMLESS_FEATURES.contains(&name.as_str()))
        {
            return Err(StoreError::Unsupported(format!("the feature {unknown}")));
        }
        // Another engine may have set offsets to expire: records of an expired offset would be read
        // again.
        if let Some(property) = FORBIDDEN.iter().find(|(key, value)| {
            self.metadata
                .configuration()
                .get(*key)
                .is_some_and(|set| value.is_none_or(|value| set == value))
        }) {
            return Err(StoreError::Unsupported(format!(
                "the property {}",
                property.0
            )));
        }
        if !matches!((reader, writer), (1, 1 | 2 | 7) | (3, 7)) {
            return Err(StoreError::Unsupported(format!(
                "protocol reader {reader} and writer {writer}"
            )));
        }
        Ok(())
    }
}

/// Returns the totals plus `rows` rows of other engines; `None` if there are no totals and no rows.
fn with_foreign(totals: Option<TableTotals>, rows: u64) -> Option<TableTotals> {
    match (totals, rows) {
        (None, 0) => None,
        (totals, rows) => {
            let totals = totals.unwrap_or_default();
            Some(TableTotals {
                foreign: totals.foreign + rows,
                ..totals
            })
        }
    }
}

/// The newest entry that has evidence, and the rows that other engines added after it.
struct Last {
    evidence: Option<(u64, Evidence)>,
    foreign: u64,
}

/// Searches from the newest entry backwards: nearly always the newest has evidence. Commits of
/// other engines are skipped and their rows counted.
async fn last_evidence(log: &TableLog, newest: u64) -> Result<Last, StoreError> {
    let mut foreign = 0;
    for version in (0..=newest).rev() {
        let Some(entry) = read_entry(log, version).await? else {
            break;
        };
        foreign += entry.foreign_rows();
        if let Some(evidence) = entry.evidence {
            return Ok(Last {
                evidence: Some((version, evidence)),
                foreign,
            });
        }
    }
    Ok(Last {
        evidence: None,
        foreign,
    })
}
