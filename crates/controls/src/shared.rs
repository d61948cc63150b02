//! The controls of a root, shared by all tables of an instance: they are read once, and their
//! policies are parsed once.
//!
//! Invariants: every caller gets the controls up to the newest, or an error. Controls that were
//! returned never change.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::log::Controls;
use ebbtide_table::{ControlsVersion, Root, StoreError};

/// The controls of a root, for concurrent callers. Clones share the same controls.
#[derive(Clone)]
pub struct SharedControls {
    root: Root,
    newest: Arc<Mutex<Arc<Controls>>>,
}

impl SharedControls {
    /// Returns the controls of `root`, of which nothing is read yet.
    #[must_use]
    pub fn new(root: Root) -> SharedControls {
        SharedControls {
            root,
            newest: Arc::default(),
        }
    }

    fn newest_read(&self) -> MutexGuard<'_, Arc<Controls>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns all controls so far. `known` is the version of the controls of the caller's table,
    /// read before this call. Errors if the log ends before that version, because it has then lost
    /// a control.
    pub async fn newest(&self, known: ControlsVersion) -> Result<Arc<Controls>, StoreError> {
        // The lock is not held while the store is read, so no caller waits for the reads of
        // another.
        let before = Arc::clone(&self.newest_read());
        match before.more(&self.root, known).await {
            Ok(None) => Ok(before),
            Ok(Some(more)) => Ok(self.keep(more)),
            Err(error) => {
                // After an error the next call reads the log from its start.
                *self.newest_read() = Arc::default();
                Err(error)
            }
        }
    }

    /// Stores the controls if they are newer than the stored ones, and returns the stored ones.
    fn keep(&self, more: Controls) -> Arc<Controls> {
        let mut newest = self.newest_read();
        if newest.version() < more.version() {
            *newest = Arc::new(more);
        }
        Arc::clone(&newest)
    }
}

impl fmt::Debug for SharedControls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedControls")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}
