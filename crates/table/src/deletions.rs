//! Deletes many files. A file that cannot be deleted does not delay the others, and every failure
//! is reported.

use std::collections::HashSet;
use std::fmt;

use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

/// Concurrent deletions, so that one that is slow to fail does not delay the others.
const IN_FLIGHT: usize = 8;

/// Maximum number of failures that a report keeps with their reasons.
const REASONS: usize = 5;

/// A file that could not be deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why}")]
pub struct DeleteFailure {
    /// The file. Names of files hold no personal value.
    pub path: String,
    /// Answer of the store.
    pub why: String,
}

/// Failures of one pass: their number, and the first of them with their reasons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteFailures {
    /// Number of files that could not be deleted.
    pub count: usize,
    /// The first of them.
    pub first: Vec<DeleteFailure>,
}

impl DeleteFailures {
    /// Adds one failure.
    pub fn add(&mut self, failure: DeleteFailure) {
        self.count += 1;
        if self.first.len() < REASONS {
            self.first.push(failure);
        }
    }

    /// Adds the failures of another pass.
    pub fn extend(&mut self, more: DeleteFailures) {
        self.count += more.count;
        let room = REASONS.saturating_sub(self.first.len());
        self.first.extend(more.first.into_iter().take(room));
    }

    /// Returns true if every deletion succeeded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl fmt::Display for DeleteFailures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, failure) in self.first.iter().enumerate() {
            write!(f, "{}{failure}", if number == 0 { "" } else { "; " })?;
        }
        match self.count - self.first.len() {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Files that should be deleted and still exist.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OverdueFiles {
    /// Their number.
    pub files: usize,
    /// Time at which the first of them should have been deleted, if known.
    pub since: Option<DateTime<Utc>>,
}

impl OverdueFiles {
    /// Adds one file, which should have been deleted at `since`.
    pub fn add(&mut self, since: Option<DateTime<Utc>>) {
        self.files += 1;
        self.since = self.since.into_iter().chain(since).min();
    }
}

/// Result of deleting a list of files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deletions {
    /// Files that no longer exist, deleted by this pass or by another instance.
    pub deleted: HashSet<String>,
    /// Files that could not be deleted.
    pub failed: HashSet<String>,
    /// The same failures with their reasons.
    pub failures: DeleteFailures,
}

impl Deletions {
    /// Records the outcome for one file.
    pub fn record(&mut self, path: String, outcome: object_store::Result<()>) {
        match outcome {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => drop(self.deleted.insert(path)),
            Err(error) => {
                self.failures.add(DeleteFailure {
                    path: path.clone(),
                    why: error.to_string(),
                });
                self.failed.insert(path);
            }
        }
    }
}

/// Deletes every file of `paths`, approximately in this order. A file that does not exist counts as
/// deleted.
pub async fn delete_files(store: &dyn ObjectStore, paths: Vec<String>) -> Deletions {
    let delete = |path: String| async move {
        // Paths of a listing are encoded already.
        let location = Path::parse(&path).unwrap_or_else(|_| Path::from(path.as_str()));
        let outcome = store.delete(&location).await;
        (path, outcome)
    };
    let mut outcomes = stream::iter(paths).map(delete).buffered(IN_FLIGHT);
    let mut done = Deletions::default();
    while let Some((path, outcome)) = outcomes.next().await {
        done.record(path, outcome);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(path: &str) -> DeleteFailure {
        DeleteFailure {
            path: path.to_owned(),
            why: "denied".to_owned(),
        }
    }

    #[test]
    fn failures_are_all_counted_and_the_first_are_named() {
        let mut failures = DeleteFailures::default();
        assert!(failures.is_empty());
        for path in ["a", "b", "c"] {
            failures.add(failure(path));
        }
        assert_eq!(failures.to_string(), "a: denied; b: denied; c: denied");
        let mut more = DeleteFailures::default();
        for path in ["d", "e", "f", "g"] {
            more.add(failure(path));
        }
        failures.extend(more);
        assert_eq!(failures.count, 7);
        assert_eq!(
            failures.to_string(),
            "a: denied; b: denied; c: denied; d: denied; e: denied; and 2 more"
        );
    }

    #[test]
    fn overdue_files_report_the_earliest_time() {
        let at = |hour: i64| DateTime::from_timestamp(hour * 3600, 0);
        let mut overdue = OverdueFiles::default();
        for since in [at(5), None, at(3), at(9)] {
            overdue.add(since);
        }
        assert_eq!(
            overdue,
            OverdueFiles {
                files: 4,
                since: at(3)
            }
        );
    }

    #[tokio::test]
    async fn file_that_does_not_exist_counts_as_deleted() {
        let store = object_store::memory::InMemory::new();
        store
            .put(&Path::parse("k%20p").unwrap(), "x".into())
            .await
            .unwrap();
        let done = delete_files(&store, vec!["k%20p".to_owned(), "missing".to_owned()]).await;
        assert_eq!((done.deleted.len(), done.failures.count), (2, 0));
        assert!(store.head(&Path::parse("k%20p").unwrap()).await.is_err());
    }
}
