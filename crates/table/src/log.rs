//! Reads the Delta log: single entries, the state that results from all of them, and the checkpoint
//! to begin with.
//!
//! Everything that another engine may write is either understood or reported as unsupported. The
//! cost of reading on depends only on the new entries.

pub mod checkpoint;
mod damage;
mod entry;
mod entry_cache;
mod escaped;
pub mod files;
mod hidden_files;
mod state;

pub use entry::{AddedFile, LogEntry};
pub use entry_cache::EntryCache;
use hidden_files::{HiddenFiles, HidingStore};
pub use state::LogState;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use url::Url;

use self::escaped::EscapedListings;
use super::error::StoreError;
use ebbtide_base::ids::{ProductKey, TopicPartition};

/// The `txn` app id of the controls: its version is that of the newest control in force.
pub const CONTROLS_APP: &str = "controls";

/// The `txn` app id of the active policy: its version is that of the control that activated it.
pub const POLICY_APP: &str = "policy";

/// The `txn` app id of the notices that all tags of the table reflect: its version is that of the
/// newest of them.
pub const NOTICES_APP: &str = "notices";

/// The tag of an added file that holds the XXH64 of its bytes, in 16 hexadecimal digits.
pub const XXH64: &str = "ebbtide.xxh64";

/// Returns the `txn` app id of a topic partition: its version is the next offset to read.
pub fn app_id(partition: &TopicPartition) -> String {
    format!("ebbtide/{}/{}", partition.topic, partition.partition)
}

/// Returns the topic partition of a `txn` app id, if it is one.
pub fn partition_of(app_id: &str) -> Option<TopicPartition> {
    let (topic, partition) = app_id.strip_prefix("ebbtide/")?.rsplit_once('/')?;
    Some(TopicPartition {
        topic: topic.parse().ok()?,
        partition: ebbtide_base::ids::Partition(partition.parse().ok()?),
    })
}

/// Returns the `txn` app id of the topic that a partition's offsets belong to: its version is the
/// mark of the topic's id.
pub fn topic_app_id(partition: &TopicPartition) -> String {
    format!("ebbtide-topic/{}/{}", partition.topic, partition.partition)
}

/// The folder of a table in an object store.
#[derive(Debug)]
pub struct TableFolder {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The folder in the store's own paths.
    pub path: Path,
    /// The folder as a URL.
    pub url: Url,
}

/// The log of one product's table.
#[derive(Clone)]
pub struct TableLog {
    product: ProductKey,
    store: LogStoreRef,
    /// The table's folder, in the root's store.
    at: Path,
    recent: Arc<EntryCache>,
    /// The checkpoints that cannot be read, which every reader of this log skips.
    hidden: HiddenFiles,
    /// The version of the checkpoint that was last read completely; `u64::MAX` before that.
    readable: Arc<AtomicU64>,
}

impl TableLog {
    /// Creates the log of a product's table in `folder`. `recent` caches entries of all logs of a
    /// root.
    pub fn new(product: ProductKey, folder: TableFolder, recent: Arc<EntryCache>) -> TableLog {
        let TableFolder { store, path, url } = folder;
        let (hidden, readable) = (HiddenFiles::default(), Arc::new(AtomicU64::new(u64::MAX)));
        let shown: Arc<dyn ObjectStore> = Arc::new(HidingStore::new(store, hidden.clone()));
        let mut whole = Arc::clone(&shown);
        if path.as_ref().contains('%') {
            whole = Arc::new(EscapedListings(whole));
        }
        let table = Arc::new(PrefixStore::new(shown, path.clone()));
        let store = default_logstore(table, whole, &url, &StorageConfig::default());
        TableLog {
            product,
            store,
            at: path,
            recent,
            hidden,
            readable,
        }
    }
}

#[cfg(test)]
impl TableLog {
    /// Returns the same log through another store.
    pub fn with(&self, store: LogStoreRef) -> TableLog {
        TableLog {
            store,
            ..self.clone()
        }
    }
}

impl Deref for TableLog {
    type Target = LogStoreRef;

    fn deref(&self) -> &LogStoreRef {
        &self.store
    }
}

/// Passes every entry after `version` to `apply`, oldest first: the only way in which a reader
/// moves on. Returns the file of the newest entry; `None` if that entry was deleted meanwhile.
///
/// The cleanup deletes the oldest entries first. So if the newest entry exists, a missing entry
/// after it was never written. If it does not exist, the reader was away for longer than entries
/// are kept, and must start again: a commit after a version that only seems to be the newest would
/// be stored where no one reads it.
pub async fn follow(
    log: &TableLog,
    version: u64,
    mut apply: impl FnMut(&LogEntry) + Send,
) -> Result<Option<ObjectMeta>, StoreError> {
    let mut newest = version;
    while let Some(entry) = next_entry(log, newest + 1).await? {
        newest = entry.version;
        apply(&entry);
    }
    entry_file(log, newest).await
}

/// Returns the file of an entry without reading it; `None` if that version has no entry.
pub async fn entry_file(log: &TableLog, version: u64) -> Result<Option<ObjectMeta>, StoreError> {
    let path = log.log_path().clone().join(format!("{version:020}.json"));
    match log.object_store(None).head(&path).await {
        Ok(file) => Ok(Some(file)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads one entry of the log; `None` if that version has no entry.
pub async fn read_entry(log: &TableLog, version: u64) -> Result<Option<LogEntry>, StoreError> {
    match log.read_commit_entry(version).await? {
        Some(bytes) => Ok(Some(log.parse(version, &bytes)?)),
        None => Ok(None),
    }
}

/// Returns the entry of the next version for a reader that follows a log; `None` if it is missing.
/// Another reader of this process may have read it already.
pub async fn next_entry(log: &TableLog, version: u64) -> Result<Option<Arc<LogEntry>>, StoreError> {
    let key = (log.product.clone(), version);
    if let Some(known) = log.recent.get(&key) {
        return Ok(Some(known));
    }
    let Some(bytes) = log.read_commit_entry(version).await? else {
        return Ok(None);
    };
    let entry = Arc::new(log.parse(version, &bytes)?);
    log.recent.keep(key, Arc::clone(&entry), bytes.len());
    Ok(Some(entry))
}
