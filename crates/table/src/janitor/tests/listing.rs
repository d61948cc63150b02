//! A file that is committed while the folder is listed is not an orphan.

use std::fmt;
use std::sync::{Arc, Mutex};

use deltalake_core::logstore::{StorageConfig, logstore_with};
use futures::future::BoxFuture;
use futures::stream::{BoxStream, once};
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, Result};

use crate::durable::DurableFs;
use crate::testing::hook::{HookedStore, StoreHook};
use crate::testing::{batch, noon, root, spec};
use crate::{CleanupPlan, MaintenanceSettings, Table};

/// A store that runs an action after the first listing of a table's whole folder.
struct ListingHook {
    inner: DurableFs,
    happens: Mutex<Option<BoxFuture<'static, ()>>>,
}

impl fmt::Debug for ListingHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListingHook")
    }
}

impl StoreHook for ListingHook {
    fn inner(&self) -> &dyn ObjectStore {
        &self.inner
    }

    fn listed(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let of_log = prefix.is_some_and(|prefix| prefix.as_ref().contains("_delta_log"));
        let happens = self.happens.lock().unwrap().take_if(|_| !of_log);
        let listed = self.inner.list(prefix);
        once(async move {
            let all: Vec<Result<ObjectMeta>> = listed.collect().await;
            if let Some(happens) = happens {
                happens.await;
            }
            futures::stream::iter(all)
        })
        .flatten()
        .boxed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_committed_while_the_folder_is_listed_is_no_orphan() {
    let (_folder, root) = root();
    let mut other = Table::open(&root, spec()).await.unwrap();
    let in_flight = batch(&other, 0, None, 10).await;
    let mut table = Table::open(&root, spec()).await.unwrap();
    let commits = async move {
        other.commit(in_flight).await.unwrap();
    };
    let store = HookedStore(ListingHook {
        inner: DurableFs::default(),
        happens: Mutex::new(Some(commits.boxed())),
    });
    let store = logstore_with(
        Arc::new(store),
        table.log.root_url(),
        StorageConfig::default(),
    )
    .unwrap();
    table.log = table.log.with(store);
    // By a clock that shows the file as in flight for too long.
    let late = noon() + chrono::TimeDelta::days(36_500);
    assert_eq!(
        table
            .plan(late, &MaintenanceSettings::default())
            .await
            .unwrap(),
        CleanupPlan::default()
    );
    assert_eq!(table.version(), 1, "it was committed");
}
