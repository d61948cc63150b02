//! The tables that one lane commits to. Each lane has its own tables, so that no lane waits for
//! another.
//!
//! The calls block: a lane is a thread and waits for its commit.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::position::TablePosition;
use crate::source::{PositionError, PositionSource};
use ebbtide_base::ids::{Offset, ProductKey, Topic, TopicPartition};
use ebbtide_controls::{Controls, ControlsEffect, SharedControls, changes_ingest};
use ebbtide_table::{
    CommitError, ControlsVersion, EncodedSegment, IngestCommit, Segment, StoreError, Table,
};

/// The number of segments that are written at the same time.
const AT_ONCE: usize = 3;

/// One lane's tables.
pub struct LaneTables {
    runtime: Handle,
    controls: SharedControls,
    products: HashMap<Topic, ProductKey>,
    tables: Mutex<BTreeMap<ProductKey, Table>>,
}

impl LaneTables {
    /// Creates the tables of a lane from open tables, each with the topics that feed it, and the
    /// controls of their root.
    #[must_use]
    pub fn new(
        runtime: &Handle,
        controls: SharedControls,
        opened: impl IntoIterator<Item = (Table, Vec<Topic>)>,
    ) -> Self {
        let mut tables = BTreeMap::new();
        let mut products = HashMap::new();
        for (table, topics) in opened {
            let product = table.spec().product.clone();
            products.extend(topics.into_iter().map(|topic| (topic, product.clone())));
            tables.insert(product, table);
        }
        Self {
            runtime: runtime.clone(),
            controls,
            products,
            tables: Mutex::new(tables),
        }
    }

    fn tables(&self) -> MutexGuard<'_, BTreeMap<ProductKey, Table>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes segments durably, outside of every version. A few are written at the same time, while
    /// the next is encoded. Returns the segments that were written, and the error of the first that
    /// was not. Errors if a segment cannot be encoded.
    pub fn put_all<E>(
        &self,
        product: &ProductKey,
        segments: impl Iterator<Item = Result<EncodedSegment, E>>,
    ) -> Result<(Vec<Segment>, Option<StoreError>), E> {
        let store = self.tables().get(product).map(Table::segment_store);
        let Some(store) = store else {
            return Ok((Vec::new(), Some(not_open(product))));
        };
        let (mut writing, mut written, mut failure) = (VecDeque::new(), Vec::new(), None);
        let mut take =
            |task: JoinHandle<Result<Segment, StoreError>>| match self.runtime.block_on(task) {
                Ok(Ok(segment)) => written.push(segment),
                Ok(Err(error)) => failure = failure.take().or(Some(error)),
                Err(stopped) => {
                    failure = failure
                        .take()
                        .or(Some(StoreError::Refused(stopped.to_string())))
                }
            };
        for segment in segments {
            let (segment, store) = (segment?, store.clone());
            if writing.len() >= AT_ONCE {
                writing.pop_front().into_iter().for_each(&mut take);
            }
            writing.push_back(self.runtime.spawn(async move { store.put(segment).await }));
        }
        writing.into_iter().for_each(take);
        Ok((written, failure))
    }

    /// Deletes segments that were never committed, as far as possible.
    pub fn discard(&self, product: &ProductKey, segments: Vec<Segment>) {
        if let Some(table) = self.tables().get(product) {
            self.runtime.block_on(table.discard(segments));
        }
    }

    /// Commits a batch against exactly the state for which it was made. Returns the version.
    ///
    /// Newer controls that do not change the work of ingest are recorded in `batch`, which is valid
    /// under them too. If they do change it, or cannot be read, nothing is committed.
    pub fn commit(
        &self,
        product: &ProductKey,
        batch: &mut IngestCommit,
    ) -> Result<u64, CommitError> {
        let mut tables = self.tables();
        let table = tables
            .get_mut(product)
            .ok_or_else(|| CommitError::Store(not_open(product)))?;
        loop {
            match self.runtime.block_on(table.commit(batch.clone())) {
                Err(CommitError::ControlsMoved) => {}
                done => return done,
            }
            let newest = table.controls();
            let since = changes_ingest(
                &self.controls,
                batch.controls,
                newest,
                &batch.evidence.policy_version,
            );
            match self.runtime.block_on(since).map_err(CommitError::Store)? {
                ControlsEffect::Unchanged => {}
                ControlsEffect::Remake => return Err(CommitError::ControlsMoved),
                ControlsEffect::Policy(active) => {
                    return Err(CommitError::PolicyMoved {
                        active: active.to_string(),
                    });
                }
            }
            tracing::info!(%product, controls = newest.0, "the table's controls changed; the gathered records are committed under the new ones");
            batch.controls = newest;
        }
    }

    /// Returns the number of times that a commit to the table found its version taken by another
    /// commit and was retried.
    #[must_use]
    pub fn lost_races(&self, product: &ProductKey) -> u64 {
        self.tables()
            .get(product)
            .map(Table::lost_races)
            .unwrap_or_default()
    }

    /// Returns the version of the controls on which a writer that starts now acts.
    #[must_use]
    pub fn controls(&self, product: &ProductKey) -> ControlsVersion {
        self.tables()
            .get(product)
            .map(Table::controls)
            .unwrap_or_default()
    }

    /// Returns all controls, at least up to the newest version in any of the tables. Errors if they
    /// cannot be read.
    pub fn newest_controls(&self) -> Result<Arc<Controls>, StoreError> {
        let known = self
            .tables()
            .values()
            .map(Table::controls)
            .max()
            .unwrap_or_default();
        self.runtime.block_on(self.controls.newest(known))
    }

    /// Returns the table's next offset of a partition, as of the newest version that was loaded.
    #[must_use]
    pub fn next_offset(&self, product: &ProductKey, partition: &TopicPartition) -> Option<Offset> {
        self.tables()
            .get(product)
            .and_then(|table| table.next_offset(partition))
    }
}

fn not_open(product: &ProductKey) -> StoreError {
    StoreError::Refused(format!("the table of {product} is not open"))
}

impl PositionSource for LaneTables {
    fn position(&self, partition: &TopicPartition) -> Result<Option<TablePosition>, PositionError> {
        let fail = |why: String| PositionError {
            partition: partition.clone(),
            why,
        };
        let product = self
            .products
            .get(&partition.topic)
            .ok_or_else(|| fail("no product reads that topic".into()))?;
        let mut tables = self.tables();
        let table = tables
            .get_mut(product)
            .ok_or_else(|| fail("its table is not open".into()))?;
        self.runtime
            .block_on(table.refresh())
            .map_err(|error| fail(error.to_string()))?;
        let topic = table.topic_mark(partition);
        Ok(table
            .next_offset(partition)
            .map(|next| TablePosition { next, topic }))
    }
}

#[cfg(test)]
mod tests;
