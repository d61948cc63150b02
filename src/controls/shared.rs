//! The controls of a root as all tables of an instance go by them: read once, and their policies understood once.
//!
//! Promises whoever asks the controls up to the newest, or an error; what was given stays as it was.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Mutex;

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

    /// All controls so far. `known` is the version that the caller's table is at, read before this call: a log that ends before
    /// it has lost an order.
    pub async fn newest(&self, known: ControlsVersion) -> Result<Arc<Controls>, StoreError> {
        let mut newest = self.newest.lock().await;
        if let Some(more) = newest.more(&self.root, known).await? {
            *newest = Arc::new(more);
        }
        Ok(Arc::clone(&newest))
    }
}

impl fmt::Debug for SharedControls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedControls").field("root", &self.root).finish_non_exhaustive()
    }
}
