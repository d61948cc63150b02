//! A store whose listings escape percent signs, for the Delta crate's kernel under roots that have
//! them in their names.
//!
//! The kernel sets the path of a URL to a listed path as it is, and later decodes that URL: `50%25`
//! would become `50%`.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// The store with escaped listings. All other calls are passed to the store.
#[derive(Debug, Clone)]
pub struct EscapedListings(pub Arc<dyn ObjectStore>);

impl fmt::Display for EscapedListings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for EscapedListings {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.0.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.0.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0
            .list(prefix)
            .map(|listed| listed.and_then(escaped))
            .boxed()
    }

    // The default would compare escaped paths with an unescaped offset.
    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0
            .list_with_offset(prefix, offset)
            .map(|listed| listed.and_then(escaped))
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let ListResult {
            common_prefixes,
            objects,
        } = self.0.list_with_delimiter(prefix).await?;
        let common_prefixes = common_prefixes
            .iter()
            .map(escaped_path)
            .collect::<Result<_>>()?;
        let objects = objects.into_iter().map(escaped).collect::<Result<_>>()?;
        Ok(ListResult {
            common_prefixes,
            objects,
        })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

fn escaped(listed: ObjectMeta) -> Result<ObjectMeta> {
    Ok(ObjectMeta {
        location: escaped_path(&listed.location)?,
        ..listed
    })
}

fn escaped_path(path: &Path) -> Result<Path> {
    Ok(Path::parse(path.as_ref().replace('%', "%25"))?)
}

#[cfg(test)]
mod tests {
    use crate::testing::{filled, paths, spec};
    use crate::{MaintenanceSettings, Root, Table};

    #[tokio::test]
    async fn a_table_under_percent_signs_is_committed_checkpointed_and_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["100%", "50%25 off", "a%2Fb%zz", "%"] {
            let root = Root::parse(folder.path().join(name).to_str().unwrap()).unwrap();
            let mut table = filled(&root, 3).await;
            let upkeep = MaintenanceSettings {
                checkpoint_every: 1,
                ..MaintenanceSettings::default()
            };
            table
                .maintain(crate::testing::noon(), &upkeep)
                .await
                .unwrap();
            let log = folder.path().join(name).join("tables/sms/_delta_log");
            assert!(log.join("_last_checkpoint").is_file(), "{name}");
            let mut again = Table::open(&root, spec()).await.unwrap();
            again
                .maintain(crate::testing::noon(), &upkeep)
                .await
                .unwrap();
            assert_eq!(paths(&root).await.len(), 3, "{name}");
        }
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            4,
            "something was written beside the roots"
        );
    }
}
