//! The quarantine: files of dead letters that no topic accepts, under
//! `<root>/_quarantine/<owner>/<expiry>-<id>.letters`.
//!
//! The name of a file holds the time at which it must be deleted, so that any process can delete it
//! without reading it. No letter is kept beyond that time. The format of the content belongs to the
//! caller.

use chrono::{DateTime, NaiveDateTime, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use uuid::Uuid;

use super::deletions::{DeleteFailure, DeleteFailures};
use super::error::StoreError;
use super::objects::put_unique;
use super::root::Root;

/// The folder of the quarantine below the root.
const FOLDER: &str = "_quarantine";
/// The suffix of its file names.
const SUFFIX: &str = ".letters";
/// The format of the expiry time in its file names, in UTC.
const EXPIRY: &str = "%Y%m%dT%H%M%SZ";

/// The quarantine of one root.
#[derive(Debug, Clone)]
pub struct Quarantine {
    root: Root,
}

/// The outcome of one pass of [`Quarantine::delete_expired`].
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct QuarantinePass {
    /// Files that were deleted.
    pub deleted: usize,
    /// Files that are kept, because they have not expired.
    pub kept: usize,
    /// Files that have expired and could not be deleted.
    pub failures: DeleteFailures,
    /// The time at which the first of these expired.
    pub since: Option<DateTime<Utc>>,
}

impl Quarantine {
    /// Returns the quarantine of `root`. Nothing is created before the first letter.
    #[must_use]
    pub fn new(root: Root) -> Self {
        Self { root }
    }

    /// Writes one file, durably, for `owner` (a product, or another name without a slash). Returns
    /// its path in the store.
    ///
    /// # Errors
    /// If the store does not accept the file. Then no letter of it counts as stored.
    pub async fn put(
        &self,
        owner: &str,
        expires: DateTime<Utc>,
        content: Vec<u8>,
    ) -> Result<String, StoreError> {
        let name = format!("{}-{}{SUFFIX}", expires.format(EXPIRY), Uuid::new_v4());
        let path = self.folder().join(owner).join(name.as_str());
        // Written under its final name: a file that a crash cuts short expires like the others.
        put_unique(self.root.store(), &path, content.into()).await?;
        Ok(path.to_string())
    }

    /// Deletes every file that has expired at `now`, and continues after a file that cannot be
    /// deleted.
    ///
    /// # Errors
    /// If the files cannot be listed.
    pub async fn delete_expired(&self, now: DateTime<Utc>) -> Result<QuarantinePass, StoreError> {
        let files: Vec<ObjectMeta> = match self
            .root
            .store()
            .list(Some(&self.folder()))
            .try_collect()
            .await
        {
            Ok(files) => files,
            Err(object_store::Error::NotFound { .. }) => return Ok(QuarantinePass::default()),
            Err(error) => return Err(error.into()),
        };
        let mut pass = QuarantinePass::default();
        for file in files {
            // A file whose name has no expiry was put here by someone else. It is kept and counted.
            let Some(expires) = file
                .location
                .filename()
                .and_then(expiry)
                .filter(|expires| *expires <= now)
            else {
                pass.kept += 1;
                continue;
            };
            match self.root.store().delete(&file.location).await {
                // Another instance's pass deleted it first.
                Ok(()) | Err(object_store::Error::NotFound { .. }) => pass.deleted += 1,
                Err(error) => {
                    pass.failures.add(DeleteFailure {
                        path: file.location.to_string(),
                        why: error.to_string(),
                    });
                    pass.since = Some(pass.since.map_or(expires, |since| since.min(expires)));
                }
            }
        }
        Ok(pass)
    }

    fn folder(&self) -> Path {
        self.root.at().clone().join(FOLDER)
    }
}

/// Returns the time at which the file of this name expires.
fn expiry(name: &str) -> Option<DateTime<Utc>> {
    let (time, _) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    NaiveDateTime::parse_from_str(time, EXPIRY)
        .ok()
        .map(|time| time.and_utc())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn file_is_deleted_at_its_expiry_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine =
            Quarantine::new(Root::parse(&folder.path().display().to_string()).unwrap());
        let expires = at("2026-11-30T06:00:00Z");
        let path = quarantine
            .put("sms", expires, b"one".to_vec())
            .await
            .unwrap();
        quarantine
            .put("_notices", expires + TimeDelta::days(1), b"two".to_vec())
            .await
            .unwrap();
        assert!(path.contains("_quarantine/sms/20261130T060000Z-"), "{path}");

        let early = quarantine
            .delete_expired(expires - TimeDelta::seconds(1))
            .await
            .unwrap();
        assert_eq!(
            early,
            QuarantinePass {
                kept: 2,
                ..QuarantinePass::default()
            }
        );
        let due = quarantine.delete_expired(expires).await.unwrap();
        assert_eq!((due.deleted, due.kept, due.failures.count), (1, 1, 0));
    }

    #[tokio::test]
    async fn root_without_quarantine_and_foreign_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine =
            Quarantine::new(Root::parse(&folder.path().display().to_string()).unwrap());
        assert_eq!(
            quarantine
                .delete_expired(at("2026-11-30T06:00:00Z"))
                .await
                .unwrap(),
            QuarantinePass::default()
        );
        let foreign = folder.path().join("_quarantine/sms");
        std::fs::create_dir_all(&foreign).unwrap();
        std::fs::write(foreign.join("notes.txt"), "by hand").unwrap();
        let pass = quarantine
            .delete_expired(at("2099-01-01T00:00:00Z"))
            .await
            .unwrap();
        assert_eq!((pass.kept, pass.deleted), (1, 0));
    }

    #[test]
    fn names_say_when_a_file_expires() {
        let id = "6e0fd0c4-0000-4000-8000-000000000000";
        for (name, expires) in [
            (
                format!("20261130T064200Z-{id}.letters"),
                Some(at("2026-11-30T06:42:00Z")),
            ),
            (format!("20261130T064200Z-{id}.tmp"), None),
            (format!("2026-11-30-{id}.letters"), None),
            ("letters".to_owned(), None),
        ] {
            assert_eq!(expiry(&name), expires, "{name}");
        }
    }
}
