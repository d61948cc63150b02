//! One entry of a table's log, parsed as leniently as the protocol requires: unknown actions and
//! fields are ignored.

use std::collections::HashMap;

use bytes::Bytes;
use deltalake_core::kernel::{Metadata, Protocol};
use serde::Deserialize;

use super::XXH64;
use crate::evidence::Evidence;

/// The part of one commit that a writer needs.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// The version that it made.
    pub version: u64,
    /// Its evidence, if Ebbtide made it.
    pub evidence: Option<Evidence>,
    /// The `txn` actions: app id and version.
    pub txns: Vec<(String, i64)>,
    /// New metadata.
    pub metadata: Option<Metadata>,
    /// A new protocol.
    pub protocol: Option<Protocol>,
    /// The files that it adds.
    pub added: Vec<AddedFile>,
    /// The paths of the files that it removes.
    pub removed: Vec<String>,
    /// The time of the removals in milliseconds since 1970, if the entry has it: the latest of
    /// several.
    pub removed_at: Option<i64>,
}

/// A file that an entry adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedFile {
    /// Its path, as written in the log.
    pub path: String,
    /// Its size in bytes; 0 if the log does not have it.
    pub size: u64,
    /// The values of the partition columns.
    pub partition_values: Vec<(String, Option<String>)>,
    /// The statistics of its values, as JSON.
    pub stats: Option<String>,
    /// False if its rows were in the table before.
    pub data_change: bool,
    /// The XXH64 of its bytes, if the log has it.
    pub xxh64: Option<u64>,
}

impl AddedFile {
    /// Returns the number of its rows; `None` if the log does not have it.
    pub fn rows(&self) -> Option<u64> {
        serde_json::from_str::<Rows>(self.stats.as_deref()?)
            .ok()?
            .num_records
    }

    /// Returns the value of a partition column, if there is one.
    pub fn partition(&self, column: &str) -> Option<&str> {
        self.partition_values
            .iter()
            .find(|(name, _)| name == column)?
            .1
            .as_deref()
    }
}

/// One line of an entry: exactly one of its fields is present.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryLine {
    commit_info: Option<Info>,
    txn: Option<Txn>,
    meta_data: Option<Metadata>,
    protocol: Option<Protocol>,
    add: Option<Add>,
    remove: Option<Remove>,
}

#[derive(Deserialize)]
struct Info {
    // Another engine may store something else under the name: that is neither evidence nor damage.
    ebbtide: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Txn {
    app_id: String,
    version: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Add {
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    partition_values: HashMap<String, Option<String>>,
    stats: Option<String>,
    data_change: bool,
    tags: Option<HashMap<String, Option<String>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Remove {
    path: String,
    deletion_timestamp: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rows {
    num_records: Option<u64>,
}

/// Parses the digest of a tag.
pub fn digest(tag: &str) -> Option<u64> {
    u64::from_str_radix(tag, 16).ok()
}

impl LogEntry {
    /// Returns the number of rows that another engine's commit added, if it states them; 0 for a
    /// commit of Ebbtide.
    pub fn foreign_rows(&self) -> u64 {
        if self.evidence.is_some() {
            return 0;
        }
        self.added
            .iter()
            .filter(|file| file.data_change)
            .filter_map(AddedFile::rows)
            .sum()
    }

    /// Parses an entry. Errors with a description, which never quotes the entry, if it is not JSON
    /// or does not follow the protocol.
    pub fn parse(version: u64, bytes: &Bytes) -> Result<LogEntry, String> {
        let mut entry = LogEntry {
            version,
            evidence: None,
            txns: Vec::new(),
            metadata: None,
            protocol: None,
            added: Vec::new(),
            removed: Vec::new(),
            removed_at: None,
        };
        let damaged = |error: serde_json::Error| {
            format!(
                "line {} column {} is not an action of the protocol",
                error.line(),
                error.column()
            )
        };
        let mut empty = true;
        for line in serde_json::Deserializer::from_slice(bytes).into_iter::<EntryLine>() {
            let line = line.map_err(damaged)?;
            empty = false;
            let evidence = line.commit_info.and_then(|info| info.ebbtide);
            entry.evidence = entry
                .evidence
                .or(evidence.and_then(|value| serde_json::from_value(value).ok()));
            entry
                .txns
                .extend(line.txn.map(|txn| (txn.app_id, txn.version)));
            entry.metadata = line.meta_data.or(entry.metadata);
            entry.protocol = line.protocol.or(entry.protocol);
            entry.added.extend(line.add.map(|add| {
                AddedFile {
                    path: add.path,
                    size: add.size,
                    partition_values: add.partition_values.into_iter().collect(),
                    stats: add.stats,
                    data_change: add.data_change,
                    xxh64: add
                        .tags
                        .as_ref()
                        .and_then(|tags| digest(tags.get(XXH64)?.as_deref()?)),
                }
            }));
            entry.removed_at = entry.removed_at.max(
                line.remove
                    .as_ref()
                    .and_then(|remove| remove.deletion_timestamp),
            );
            entry.removed.extend(line.remove.map(|remove| remove.path));
        }
        // Every engine writes at least the action that names the committer.
        if empty {
            Err("it holds no action".to_owned())
        } else {
            Ok(entry)
        }
    }
}
