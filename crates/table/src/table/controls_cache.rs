//! The controls in force in the tables under a root, cached between calls.
//!
//! Only the first read of a table reads its whole log; later reads cost as much as the entries
//! committed since. A table that was replaced by another is recognised by its entries and read
//! again in full.

use std::collections::BTreeMap;

use object_store::ObjectMeta;

use super::ControlsVersion;
use crate::error::StoreError;
use crate::log::{LogState, POLICY_APP, TableLog, entry_file};
use crate::root::Root;
use ebbtide_base::ids::ProductKey;

/// The controls that are in force in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableControls {
    /// The version of its controls.
    pub controls: ControlsVersion,
    /// The control that activated the table's policy; 0 before the first.
    pub policy: ControlsVersion,
}

/// A table at the version read last.
struct TableRead {
    log: TableLog,
    state: LogState,
    /// The file of its newest entry; `None` if it did not exist any more.
    newest: Option<ObjectMeta>,
}

/// The tables under a root that were read.
pub struct TableControlsCache {
    root: Root,
    read: BTreeMap<ProductKey, TableRead>,
}

impl TableControlsCache {
    /// Creates the cache for `root`. Reads nothing.
    #[must_use]
    pub fn new(root: Root) -> TableControlsCache {
        TableControlsCache {
            root,
            read: BTreeMap::new(),
        }
    }

    /// Returns the controls of every table at its newest version. A table whose first entry is not
    /// written yet does not count.
    pub async fn look(&mut self) -> Result<BTreeMap<ProductKey, TableControls>, StoreError> {
        let mut tables = BTreeMap::new();
        for product in self.root.folders().await? {
            // A table whose new entries cannot be read is read in full by the next call.
            let before = self.read.remove(&product);
            let Some(read) = self.read(&product, before).await? else {
                continue;
            };
            let policy = ControlsVersion(read.state.txn(POLICY_APP).unwrap_or(0));
            let controls = ControlsVersion(read.state.controls());
            tables.insert(product.clone(), TableControls { controls, policy });
            self.read.insert(product, read);
        }
        self.read.retain(|product, _| tables.contains_key(product));
        Ok(tables)
    }

    /// Reads a table at its newest version: only the new entries if it is the same table as before.
    /// `None` if it has no entry yet.
    async fn read(
        &self,
        product: &ProductKey,
        before: Option<TableRead>,
    ) -> Result<Option<TableRead>, StoreError> {
        let (log, state, newest) = match before {
            Some(TableRead {
                log,
                mut state,
                newest,
            }) if newest.is_some() && newest == entry_file(&log, state.version).await? => {
                let newest = state.read_on(&log).await?;
                (log, state, newest)
            }
            _ => {
                let log = self.root.table_log(product);
                let Some(state) = LogState::load(&log).await? else {
                    return Ok(None);
                };
                (log, state, None)
            }
        };
        let newest = match newest {
            None => entry_file(&log, state.version).await?,
            newest => newest,
        };
        Ok(Some(TableRead { log, state, newest }))
    }
}
