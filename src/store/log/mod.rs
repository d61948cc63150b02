//! The Delta log as this floor reads it: entries one by one, the state they add up to, and where to begin.
//!
//! Promises to understand what any engine may have written, or to say that it does not. Reading on costs what is new.

pub mod checkpoint;
mod damage;
mod entry;
mod escaped;
pub mod files;
mod hiding;
mod recent;
mod state;

pub use entry::{Added, Entry};
use hiding::{Hidden, HidingStore};
pub use recent::Recent;
pub use state::LogState;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use self::escaped::EscapedListings;
use super::error::StoreError;
use super::root::Root;
use crate::ids::{ProductKey, TopicPartition};

/// The `txn` app id that controls raise.
pub const CONTROLS_APP: &str = "controls";

/// The `txn` app id of the active policy: its version is that of the control that activated it.
pub const POLICY_APP: &str = "policy";

/// The `txn` app id of the notices that all tags of the table tell of: its version is that of the newest of them.
pub const NOTICES_APP: &str = "notices";

/// The tag of an added file that holds the XXH64 of its bytes, in 16 hexadecimal digits.
pub const XXH64: &str = "ebbtide.xxh64";

/// The `txn` app id of a topic partition: its version is the next offset to read.
pub fn app_id(partition: &TopicPartition) -> String {
    format!("ebbtide/{}/{}", partition.topic, partition.partition)
}

/// The topic partition of a `txn` app id, if it is one.
pub fn partition_of(app_id: &str) -> Option<TopicPartition> {
    let (topic, partition) = app_id.strip_prefix("ebbtide/")?.rsplit_once('/')?;
    Some(TopicPartition { topic: topic.parse().ok()?, partition: crate::ids::Partition(partition.parse().ok()?) })
}

/// Returns the `txn` app id of the topic that a partition's offsets belong to: its version is the mark of the topic's
/// id.
pub fn topic_app_id(partition: &TopicPartition) -> String {
    format!("ebbtide-topic/{}/{}", partition.topic, partition.partition)
}

/// The log of one product's table.
#[derive(Clone)]
pub struct Log {
    product: ProductKey,
    store: LogStoreRef,
    /// The table's folder, in the root's store.
    at: Path,
    recent: Arc<Recent>,
    /// The checkpoints that cannot be read, which every reader of this log skips.
    hidden: Hidden,
    /// The version of the checkpoint that was last read completely; `u64::MAX` before that.
    readable: Arc<AtomicU64>,
}

impl Log {
    /// That of a product's table, through the root's own store, which makes durable what it puts.
    pub fn of(root: &Root, product: &ProductKey) -> Log {
        let (path, url) = root.table(product);
        let (hidden, readable) = (Hidden::default(), Arc::new(AtomicU64::new(u64::MAX)));
        let shown: Arc<dyn ObjectStore> = Arc::new(HidingStore::new(Arc::clone(root.store()), hidden.clone()));
        let mut whole = Arc::clone(&shown);
        if path.as_ref().contains('%') {
            whole = Arc::new(EscapedListings(whole));
        }
        let table = Arc::new(PrefixStore::new(shown, path.clone()));
        let store = default_logstore(table, whole, &url, &StorageConfig::default());
        Log { product: product.clone(), store, at: path, recent: Arc::clone(root.recent()), hidden, readable }
    }
}

#[cfg(test)]
impl Log {
    /// The same through another store.
    pub fn with(&self, store: LogStoreRef) -> Log {
        Log { store, ..self.clone() }
    }
}

impl Deref for Log {
    type Target = LogStoreRef;

    fn deref(&self) -> &LogStoreRef {
        &self.store
    }
}

/// Whether the log still has the entry of a version that was read before.
///
/// What is cleaned away goes from the oldest on, so where it has, an entry after it that is not there was never written. Where
/// it has not, whoever read it was away for longer than entries are kept, and must begin anew: a commit after a version that it
/// takes for the newest would stand where nobody reads it.
pub async fn still_has(log: &Log, version: u64) -> Result<bool, StoreError> {
    Ok(entry_file(log, version).await?.is_some())
}

/// The file of an entry, unread; `None` if there is none of that version.
pub async fn entry_file(log: &Log, version: u64) -> Result<Option<ObjectMeta>, StoreError> {
    let path = log.log_path().clone().join(format!("{version:020}.json"));
    match log.object_store(None).head(&path).await {
        Ok(file) => Ok(Some(file)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// One entry of the log; `None` if there is none of that version.
pub async fn read_entry(log: &Log, version: u64) -> Result<Option<Entry>, StoreError> {
    match log.read_commit_entry(version).await? {
        Some(bytes) => Ok(Some(log.parse(version, &bytes)?)),
        None => Ok(None),
    }
}

/// The entry of a version that whoever reads a log on comes to next; `None` if there is none. Another of this process may have
/// read it already.
pub async fn next_entry(log: &Log, version: u64) -> Result<Option<Arc<Entry>>, StoreError> {
    let key = (log.product.clone(), version);
    if let Some(known) = log.recent.get(&key) {
        return Ok(Some(known));
    }
    let Some(bytes) = log.read_commit_entry(version).await? else { return Ok(None) };
    let entry = Arc::new(log.parse(version, &bytes)?);
    log.recent.keep(key, Arc::clone(&entry), bytes.len());
    Ok(Some(entry))
}
