//! The search for the writer schemas of one partition's messages.
//!
//! It runs in parallel to the lane, which waits for it only briefly: neither a slow registry nor
//! any number of unknown schemas keeps the lane's other partitions waiting.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::producer_schemas::{LookupDelay, ProducerSchemas, SchemaLookup, SchemaRef};
use ebbtide_base::ids::ProductKey;
use ebbtide_base::record::Fault;

/// The outcomes of look-ups.
pub type LookupResults = Vec<(SchemaRef, Result<SchemaLookup, LookupDelay>)>;

/// The search for the schemas of one partition, until its messages are decoded.
#[derive(Default)]
pub struct SchemaSearch {
    running: Option<JoinHandle<LookupResults>>,
    /// The schemas by which no message can be read. They are not requested again for the same
    /// messages.
    refused: HashMap<SchemaRef, (Fault, Arc<str>)>,
}

impl SchemaSearch {
    /// Returns true if look-ups were started and their outcomes were not received yet.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Starts the look-ups of `schemas` on the current runtime.
    pub fn start(
        &mut self,
        source: &Arc<ProducerSchemas>,
        product: &ProductKey,
        schemas: Vec<SchemaRef>,
    ) {
        let (source, product) = (Arc::clone(source), product.clone());
        self.running = Some(tokio::spawn(async move {
            source.look_up(&product, schemas).await
        }));
    }

    /// Returns the outcomes of the look-ups that were started; `None` if they take longer than
    /// `patience`, and then they continue.
    pub async fn finish(&mut self, patience: Duration) -> Option<LookupResults> {
        let running = self.running.as_mut()?;
        let found = match running.is_finished() {
            true => running.await,
            false => tokio::time::timeout(patience, running).await.ok()?,
        };
        self.running = None;
        // Look-ups that were cut off have no outcome and are started again.
        Some(found.unwrap_or_default())
    }

    /// Records that no message of a schema can be read.
    pub fn refuse(&mut self, schema: SchemaRef, fault: Fault, reason: Arc<str>) {
        self.refused.insert(schema, (fault, reason));
    }

    /// Returns the fault of all messages of a schema, with its reason; `None` without one.
    #[must_use]
    pub fn refusal(&self, schema: SchemaRef) -> Option<&(Fault, Arc<str>)> {
        self.refused.get(&schema)
    }
}

impl Drop for SchemaSearch {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}
