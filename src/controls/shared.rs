//! The controls of a root as all tables of an instance go by them: read once, and their policies understood once.
//!
//! Promises whoever asks the controls up to the newest, or an error; what was given stays as it was.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::log::Controls;
use crate::store::{ControlsVersion, Root, StoreError};

/// The controls of a root, for many who ask. Clones are of the same.
#[derive(Clone)]
pub struct SharedControls {
    root: Root,
    newest: Arc<Mutex<Arc<Controls>>>,
}

impl SharedControls {
    /// Those of `root`, of which nothing is read yet.
    #[must_use]
    pub fn new(root: Root) -> SharedControls {
        SharedControls { root, newest: Arc::default() }
    }

    fn newest_read(&self) -> MutexGuard<'_, Arc<Controls>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All controls so far. `known` is the version that the caller's table is at, read before this call: a log that ends before
    /// it has lost an order.
    pub async fn newest(&self, known: ControlsVersion) -> Result<Arc<Controls>, StoreError> {
        // Nobody waits for what another asks of the store.
        let before = Arc::clone(&self.newest_read());
        match before.more(&self.root, known).await {
            Ok(None) => Ok(before),
            Ok(Some(more)) => Ok(self.keep(more)),
            Err(error) => {
                // What cannot be read on is read from the start by the next call.
                *self.newest_read() = Arc::default();
                Err(error)
            }
        }
    }

    /// Keeps these if they are newer than what is there; what is there then.
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
        f.debug_struct("SharedControls").field("root", &self.root).finish_non_exhaustive()
    }
}
