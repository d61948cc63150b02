//! Which controls are in force in the tables under a root, kept from look to look.
//!
//! Promises that only the first look at a table reads all that its log says; those after it cost what was committed since. A
//! table in the place of another is told by its entries, and read anew.

use std::collections::BTreeMap;

use object_store::ObjectMeta;

use super::ControlsVersion;
use crate::ids::ProductKey;
use crate::store::error::StoreError;
use crate::store::log::{Log, LogState, POLICY_APP, entry_file};
use crate::store::root::Root;

/// What of the control log is in force in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableControls {
    /// The version of its controls.
    pub controls: ControlsVersion,
    /// The control that activated the policy which is in force there; 0 before the first.
    pub policy: ControlsVersion,
}

/// A table as far as it was read.
struct Read {
    log: Log,
    state: LogState,
    /// The file of its newest entry; `None` if that was gone.
    newest: Option<ObjectMeta>,
}

/// The tables under a root, as far as they were read.
pub struct KnownTables {
    root: Root,
    read: BTreeMap<ProductKey, Read>,
}

impl KnownTables {
    /// Those of `root`, of which nothing is read yet.
    #[must_use]
    pub fn new(root: Root) -> KnownTables {
        KnownTables { root, read: BTreeMap::new() }
    }

    /// How every table stands by its newest version. A table whose first entry is not written yet is none.
    pub async fn look(&mut self) -> Result<Vec<(ProductKey, TableControls)>, StoreError> {
        let mut tables: Vec<(ProductKey, TableControls)> = Vec::new();
        for product in self.root.folders().await? {
            // One that cannot be read on is read from the start by the next look.
            let before = self.read.remove(&product);
            let Some(read) = self.read(&product, before).await? else { continue };
            let policy = ControlsVersion(read.state.txn(POLICY_APP).unwrap_or(0));
            tables.push((product.clone(), TableControls { controls: ControlsVersion(read.state.controls()), policy }));
            self.read.insert(product, read);
        }
        self.read.retain(|product, _| tables.iter().any(|(of, _)| of == product));
        Ok(tables)
    }

    /// A table at its newest version: read on if it is the one that was read before. `None` if it has no entry yet.
    async fn read(&self, product: &ProductKey, before: Option<Read>) -> Result<Option<Read>, StoreError> {
        let (log, state, newest) = match before {
            Some(Read { log, mut state, newest })
                if newest.is_some() && newest == entry_file(&log, state.version).await? =>
            {
                let newest = state.read_on(&log).await?;
                (log, state, newest)
            }
            _ => {
                let log = Log::of(&self.root, product);
                let Some(state) = LogState::load(&log).await? else { return Ok(None) };
                (log, state, None)
            }
        };
        let newest = match newest {
            None => entry_file(&log, state.version).await?,
            newest => newest,
        };
        Ok(Some(Read { log, state, newest }))
    }
}
