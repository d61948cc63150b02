//! The location of the store: the folder, or the prefix in an object store, that contains every
//! table.
//!
//! The location is absolute, and all users of a root share one client of the object store. Code
//! that needs paths of the file system must check that the root is a folder.

use std::fmt;
use std::path::{Component, Path as FsPath, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use url::Url;

use super::deletions::Deletions;
use super::durable::DurableFs;
use super::error::StoreError;
use super::log::{EntryCache, TableFolder, TableLog};
use super::objects::{self, ConnectedStore, UnfinishedUploads};
use ebbtide_base::ids::ProductKey;

/// The location of everything that Ebbtide stores: `<root>/tables/<product>/` and
/// `<root>/_controls/`.
#[derive(Clone)]
pub struct Root {
    /// With a slash at its end.
    url: Url,
    /// The same location in the store's own paths.
    at: Path,
    /// The folder, if the root is one.
    folder: Option<PathBuf>,
    store: Arc<dyn ObjectStore>,
    uploads: Option<UnfinishedUploads>,
    /// Recently read entries of the tables' logs.
    recent: Arc<EntryCache>,
}

/// A root that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// It is a URL of a store that this version does not write to.
    #[error(
        "{scheme}: is not a store this version writes to; use a folder, or a URL of file:, s3:, gs:, az: or abfss:"
    )]
    Unsupported {
        /// The URL's scheme.
        scheme: String,
    },
    /// It is neither a folder's path nor a URL.
    #[error("{text:?} is neither a folder nor a URL such as s3://BUCKET/PREFIX")]
    Illegal {
        /// The given text.
        text: String,
    },
    /// The client of the object store cannot be set up.
    #[error("{place} cannot be reached: {why}; see `store` in the configuration")]
    Client {
        /// The root.
        place: String,
        /// The problem; never a secret.
        why: String,
    },
}

impl Root {
    /// Opens a folder's path, absolute or not, or a URL, like [`Root::open`], of a store that needs
    /// no settings.
    pub fn parse(url_or_path: &str) -> Result<Root, RootError> {
        Root::open(url_or_path, &ebbtide_config::ObjectStoreConfig::default())
    }

    /// Opens a folder's path, absolute or not, a `file:` URL, or a URL of an object store, which is
    /// accessed with `settings`. Sends no request to the store; the folder need not exist.
    pub fn open(
        url_or_path: &str,
        settings: &ebbtide_config::ObjectStoreConfig,
    ) -> Result<Root, RootError> {
        let illegal = || RootError::Illegal {
            text: url_or_path.to_owned(),
        };
        let Some((scheme, _)) = url_or_path.split_once("://") else {
            if url_or_path.is_empty() {
                return Err(illegal());
            }
            let path = std::path::absolute(url_or_path).map_err(|_| illegal())?;
            return Root::of_folder(without_steps_up(&path)).ok_or_else(illegal);
        };
        let mut url = Url::parse(url_or_path).map_err(|_| illegal())?;
        if scheme == "file" {
            return url
                .to_file_path()
                .ok()
                .and_then(Root::of_folder)
                .ok_or_else(illegal);
        }
        if !objects::SCHEMES.contains(&scheme) {
            return Err(RootError::Unsupported {
                scheme: scheme.to_owned(),
            });
        }
        // A secret key must not be in the URL: it would appear in every message.
        let odd = url.query().is_some() || url.fragment().is_some() || url.password().is_some();
        if !url.has_host() || odd || (!url.username().is_empty() && !scheme.starts_with("abfs")) {
            return Err(illegal());
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let at = Path::from_url_path(url.path()).map_err(|_| illegal())?;
        let client = |why: String| RootError::Client {
            place: url_or_path.to_owned(),
            why,
        };
        let ConnectedStore { store, uploads } = objects::connect(&url, settings).map_err(client)?;
        Ok(Root {
            url,
            at,
            folder: None,
            store,
            uploads,
            recent: Arc::default(),
        })
    }

    fn of_folder(folder: PathBuf) -> Option<Root> {
        let url = Url::from_directory_path(&folder).ok()?;
        let at = Path::from_absolute_path(&folder).ok()?;
        Some(Root {
            url,
            at,
            folder: Some(folder),
            store: Arc::new(DurableFs::default()),
            uploads: None,
            recent: Arc::default(),
        })
    }

    /// Returns the folder; `None` if the root is in an object store.
    #[must_use]
    pub fn local(&self) -> Option<&FsPath> {
        self.folder.as_deref()
    }

    /// Returns true if the folder exists, or an object store has an object under the root.
    pub async fn exists(&self) -> Result<bool, StoreError> {
        match self.local() {
            Some(folder) => Ok(folder.is_dir()),
            None => Ok(self
                .store()
                .list(Some(&self.at))
                .try_next()
                .await?
                .is_some()),
        }
    }

    /// Returns the products that have a folder among the tables, sorted. The content of the folders
    /// is not checked. A root that does not exist has none.
    pub async fn folders(&self) -> Result<Vec<ProductKey>, StoreError> {
        let listed = match self.store().list_with_delimiter(Some(&self.tables())).await {
            Ok(listed) => listed,
            Err(object_store::Error::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let named = listed
            .common_prefixes
            .iter()
            .filter_map(|folder| ProductKey::new(folder.filename()?).ok());
        let mut products: Vec<ProductKey> = named.collect();
        products.sort();
        Ok(products)
    }

    /// Aborts uploads to a bucket that a killed process left unfinished, if they were begun before
    /// `old`. In stores that do not list them, the bucket's own lifecycle rule aborts them.
    pub async fn give_up_uploads(&self, old: DateTime<Utc>) -> Result<Deletions, StoreError> {
        match &self.uploads {
            Some(uploads) => Ok(uploads.give_up(&self.at, old).await?),
            None => Ok(Deletions::default()),
        }
    }

    /// Returns true if old versions of deleted or overwritten objects exist, as far as one answer
    /// lists. Returns false without a request for stores that do not speak S3.
    pub(super) async fn old_versions(&self) -> Result<bool, StoreError> {
        match &self.uploads {
            Some(uploads) => Ok(uploads.old_versions(&self.at).await?),
            None => Ok(false),
        }
    }

    /// Returns the store that the root is in, which uses its own paths.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// Returns the root in the store's own paths.
    pub fn at(&self) -> &Path {
        &self.at
    }

    /// Returns the folder of all tables, in the store's own paths.
    pub(super) fn tables(&self) -> Path {
        self.at.clone().join("tables")
    }

    /// Returns the folder of the control log, in the store's own paths.
    pub(super) fn controls(&self) -> Path {
        self.at.clone().join("_controls")
    }

    /// Returns the folder of a product's table, in the store's own paths and as a URL.
    pub fn table(&self, product: &ProductKey) -> (Path, Url) {
        let mut url = self.url.clone();
        if let Ok(mut steps) = url.path_segments_mut() {
            steps
                .pop_if_empty()
                .extend(["tables", product.as_str(), ""]);
        }
        (self.tables().join(product.as_str()), url)
    }

    /// Returns the log of a product's table. It uses the root's own store, whose writes are durable.
    pub fn table_log(&self, product: &ProductKey) -> TableLog {
        let (path, url) = self.table(product);
        let store = Arc::clone(&self.store);
        let folder = TableFolder { store, path, url };
        TableLog::new(product.clone(), folder, Arc::clone(&self.recent))
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.folder {
            Some(folder) => folder.display().fmt(f),
            None => f.write_str(self.url.as_str().trim_end_matches('/')),
        }
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root({self})")
    }
}

impl PartialEq for Root {
    fn eq(&self, other: &Root) -> bool {
        self.url == other.url
    }
}

impl Eq for Root {}

/// Resolves every `..` of a path with the part before it: the object store refuses them.
fn without_steps_up(path: &FsPath) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}

/// Another store, and paths of the file system, for tests whose root is a folder.
#[cfg(any(test, feature = "testing"))]
#[allow(missing_docs, clippy::expect_used, reason = "only tests use it")]
impl Root {
    /// Returns the same location in another store.
    #[must_use]
    pub fn with_store(self, store: Arc<dyn ObjectStore>) -> Root {
        Root { store, ..self }
    }

    /// Returns the folder.
    pub fn folder(&self) -> &FsPath {
        self.local().expect("a root that is a folder")
    }

    /// Returns the folder of the control log.
    pub fn controls_folder(&self) -> PathBuf {
        self.folder().join("_controls")
    }

    /// Returns the folder of a product's table.
    pub fn table_folder(&self, product: &ProductKey) -> PathBuf {
        self.folder().join("tables").join(product.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_step_up() {
        let root = Root::parse("/srv/config/../data").unwrap();
        assert_eq!(root.folder(), FsPath::new("/srv/data"));
        assert_eq!(
            Root::parse("/../data").unwrap().folder(),
            FsPath::new("/data")
        );
    }

    #[test]
    fn a_root_may_be_in_an_object_store_and_says_where_its_tables_are() {
        for (text, shown, at) in [
            ("s3://traffic/eu/west", "s3://traffic/eu/west", "eu/west"),
            ("s3://traffic/", "s3://traffic", ""),
            ("gs://traffic/eu/", "gs://traffic/eu", "eu"),
        ] {
            let root = Root::parse(text).unwrap();
            assert_eq!((root.to_string().as_str(), root.at().as_ref()), (shown, at));
            assert_eq!(root.local(), None);
            let (path, url) = root.table(&"sms".parse().unwrap());
            let slash = if at.is_empty() { "" } else { "/" };
            assert_eq!(path.as_ref(), format!("{at}{slash}tables/sms"));
            assert_eq!(url.as_str(), format!("{shown}/tables/sms/"));
        }
    }

    #[test]
    fn an_invalid_root_is_refused_without_showing_a_secret() {
        let refused = |text: &str| Root::parse(text).unwrap_err().to_string();
        insta::assert_snapshot!(refused("ftp://host/data"), @"ftp: is not a store this version writes to; use a folder, or a URL of file:, s3:, gs:, az: or abfss:");
        insta::assert_snapshot!(refused("s3:///data"), @r#""s3:///data" is neither a folder nor a URL such as s3://BUCKET/PREFIX"#);
        insta::assert_snapshot!(refused(""), @r#""" is neither a folder nor a URL such as s3://BUCKET/PREFIX"#);
        assert!(Root::parse("s3://me:hunter2@bucket/data").is_err());
    }
}
