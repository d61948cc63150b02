//! Commits through a store that fails on log entries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use deltalake_core::logstore::{StorageConfig, logstore_with};
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetResult, ObjectStore, PutOptions, PutPayload, PutResult, Result,
};

use crate::durable::DurableFs;
use crate::reports::audit;
use crate::testing::hook::{HookedStore, StoreHook};
use crate::testing::{batch, partition, root, spec};
use crate::{CommitError, Table};
use ebbtide_base::ids::Offset;

/// 2 fails and writes nothing, 3 like 1, and reads fail too.
#[derive(Debug, Default)]
struct Faulty {
    inner: DurableFs,
    mode: Arc<AtomicU8>,
}

fn broken() -> Error {
    Error::Generic {
        store: "faulty",
        source: "the cable was pulled".into(),
    }
}

#[async_trait]
impl StoreHook for Faulty {
    fn inner(&self) -> &dyn ObjectStore {
        &self.inner
    }

    async fn put(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let mode = self.mode.load(Ordering::SeqCst);
        if mode == 0 || !location.as_ref().contains("_delta_log") {
            return self.inner.put_opts(location, payload, opts).await;
        }
        if mode != 2 {
            self.inner.put_opts(location, payload, opts).await?;
        }
        if mode == 3 {
            self.mode.store(4, Ordering::SeqCst);
        }
        Err(broken())
    }

    async fn get(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if self.mode.load(Ordering::SeqCst) == 4 {
            return Err(broken());
        }
        self.inner.get_opts(location, options).await
    }
}

pub(super) fn with_faults(table: &mut Table) -> Arc<AtomicU8> {
    let store = Faulty::default();
    let mode = store.mode.clone();
    let store = logstore_with(
        Arc::new(HookedStore(store)),
        table.log.root_url(),
        StorageConfig::default(),
    )
    .unwrap();
    table.log = table.log.with(store);
    mode
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_landed_although_the_store_said_no_is_found_and_not_repeated() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    let mode = with_faults(&mut table);
    let next = batch(&table, 0, None, 100).await;
    mode.store(1, Ordering::SeqCst);
    assert_eq!(table.commit(next).await.unwrap(), 1);
    assert_eq!(
        (table.version(), table.next_offset(&partition(0))),
        (1, Some(Offset(100)))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_unknown_outcome_is_looked_for_before_it_is_tried_again() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    let mode = with_faults(&mut table);
    let next = batch(&table, 0, None, 100).await;
    mode.store(3, Ordering::SeqCst);
    assert!(matches!(
        table.commit(next.clone()).await,
        Err(CommitError::Unknown(_))
    ));
    assert!(matches!(
        table.commit(next.clone()).await,
        Err(CommitError::Unknown(_))
    ));
    mode.store(0, Ordering::SeqCst);
    // Also after another call reads past it, others commit after it, and the table is opened again.
    table.refresh().await.unwrap();
    for (number, from) in [(1, None), (0, Some(100)), (1, Some(110))] {
        let more = batch(&table, number, from, from.unwrap_or(100) + 10).await;
        table.commit(more).await.unwrap();
    }
    assert_eq!(table.commit(next.clone()).await.unwrap(), 1);
    assert_eq!(
        Table::open(&root, spec())
            .await
            .unwrap()
            .commit(next)
            .await
            .unwrap(),
        1
    );
    assert_eq!(table.version(), 4);
    assert_eq!(
        audit(&root, &"sms".parse().unwrap()).await.unwrap().broken,
        vec![]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_did_not_land_may_be_tried_again_with_the_same_batch() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    let mode = with_faults(&mut table);
    let next = batch(&table, 0, None, 100).await;
    mode.store(2, Ordering::SeqCst);
    assert!(matches!(
        table.commit(next.clone()).await,
        Err(CommitError::Store(_))
    ));
    assert_eq!(
        (table.version(), table.next_offset(&partition(0))),
        (0, None)
    );
    mode.store(0, Ordering::SeqCst);
    assert_eq!(table.commit(next).await.unwrap(), 1);
}
