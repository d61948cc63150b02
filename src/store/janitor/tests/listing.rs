//! What is committed while the folder is listed is no orphan.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deltalake_core::logstore::{StorageConfig, logstore_with};
use futures::future::BoxFuture;
use futures::stream::{BoxStream, once};
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

use crate::store::durable::DurableFs;
use crate::store::testing::{batch, noon, root, spec};
use crate::store::{Plan, Table, Upkeep};

/// A store in which something happens behind the first list of a table's whole folder.
struct Behind {
    inner: DurableFs,
    happens: Mutex<Option<BoxFuture<'static, ()>>>,
}

impl fmt::Debug for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Behind")
    }
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Behind")
    }
}

#[async_trait]
impl ObjectStore for Behind {
    async fn put_opts(&self, to: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(to, payload, opts).await
    }

    async fn put_multipart_opts(&self, to: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(to, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
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

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_while_the_folder_is_listed_is_no_orphan() {
    let (_folder, root) = root();
    let mut other = Table::open(&root, spec()).await.unwrap();
    let in_flight = batch(&other, 0, None, 10).await;
    let mut table = Table::open(&root, spec()).await.unwrap();
    let commits = async move {
        other.commit(in_flight).await.unwrap();
    };
    let store = Behind { inner: DurableFs::default(), happens: Mutex::new(Some(commits.boxed())) };
    let store = logstore_with(Arc::new(store), table.log.root_url(), StorageConfig::default()).unwrap();
    table.log = table.log.with(store);
    // By a clock for which the file has been in flight for too long.
    let late = noon() + chrono::TimeDelta::days(36_500);
    assert_eq!(table.plan(late, &Upkeep::default()).await.unwrap(), Plan::default());
    assert_eq!(table.version(), 1, "it was committed");
}
