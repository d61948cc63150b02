//! Where the store is: the folder that holds every table.
//!
//! Promises an absolute place. Object stores are parsed as what they are and refused until they are built.

use std::path::{Component, Path, PathBuf};

use url::Url;

use crate::ids::ProductKey;

/// The place under which everything that Ebbtide keeps stands: `<root>/tables/<product>/` and `<root>/_controls/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    folder: PathBuf,
}

/// A root that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// It is a URL of a store that this version does not write to.
    #[error("{scheme}: is not a store this version writes to; use a folder or a file: URL")]
    Unsupported {
        /// The URL's scheme.
        scheme: String,
    },
    /// It is neither a folder's path nor a URL.
    #[error("{text:?} is not a folder or a file: URL")]
    Illegal {
        /// What was given.
        text: String,
    },
}

impl Root {
    /// Takes a folder's path, absolute or not, or a `file:` URL. The folder need not exist.
    pub fn parse(url_or_path: &str) -> Result<Root, RootError> {
        let illegal = || RootError::Illegal { text: url_or_path.to_owned() };
        if let Some((scheme, _)) = url_or_path.split_once("://") {
            if scheme != "file" {
                return Err(RootError::Unsupported { scheme: scheme.to_owned() });
            }
            let url = Url::parse(url_or_path).map_err(|_| illegal())?;
            return url.to_file_path().map(|folder| Root { folder }).map_err(|()| illegal());
        }
        if url_or_path.is_empty() {
            return Err(illegal());
        }
        std::path::absolute(url_or_path).map(|path| Root { folder: without_steps_up(&path) }).map_err(|_| illegal())
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder that holds one folder for each table.
    #[must_use]
    pub fn tables(&self) -> PathBuf {
        self.folder.join("tables")
    }

    /// The folder of the control log.
    #[must_use]
    pub fn controls(&self) -> PathBuf {
        self.folder.join("_controls")
    }

    /// The folder of a product's table.
    #[must_use]
    pub fn table(&self, product: &ProductKey) -> PathBuf {
        self.tables().join(product.as_str())
    }
}

/// The path without its `..`, each with the part before it taken away: the object store refuses them.
fn without_steps_up(path: &Path) -> PathBuf {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_step_up() {
        let root = Root::parse("/srv/config/../data").unwrap();
        assert_eq!(root.folder(), Path::new("/srv/data"));
        assert_eq!(Root::parse("/../data").unwrap().folder(), Path::new("/data"));
    }
}
