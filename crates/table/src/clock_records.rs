//! Records of the time in the root, under `<root>/_clock/`: they outlive the process, so that a
//! wrong clock is recognised at the start. They hold no personal value.

use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt, PutMode, PutOptions};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::deletions::delete_files;
use super::error::StoreError;
use super::log::files::LogFileKind;
use super::root::Root;

const TRUSTED: &str = "trusted.json";
const CONFIRMED: &str = "confirmed.json";
const JUMPED: &str = "jumped.json";
/// An object whose modification time is the time of the object store.
const PROBE: &str = "now";

/// Age of a temporary file that a crash left.
const STAGED_AGE: TimeDelta = TimeDelta::hours(1);

/// The newest time at which an instance trusted its clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedTime {
    /// The time.
    pub at: DateTime<Utc>,
    /// The id of the newest confirmation that the instance had read.
    pub confirmation: Option<String>,
}

/// A person's confirmation that a clock is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// Random id of this confirmation.
    pub id: String,
    /// Time of the confirmed clock.
    pub at: DateTime<Utc>,
    /// Name of the person, as given.
    pub by: Option<String>,
    /// Date of the newest commit at that time. Commits up to it are no evidence against a confirmed
    /// clock.
    pub newest_commit: Option<DateTime<Utc>>,
    /// Seconds by which the confirmed clock was ahead of the object store's.
    pub ahead_of_store: Option<i64>,
}

/// A jump of an instance's clock that has not settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockJump {
    /// Time that the clock should have shown.
    pub expected: DateTime<Utc>,
    /// Time that it showed.
    pub shown: DateTime<Utc>,
}

/// All records of the time in the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClockRecords {
    /// The newest trusted time.
    pub trusted: Option<TrustedTime>,
    /// The newest confirmation.
    pub confirmation: Option<Confirmation>,
    /// The last jump.
    pub jump: Option<ClockJump>,
}

impl ClockRecords {
    /// Reads the records of a root. Returns the default if there are none.
    ///
    /// Errors if the store fails or a record is damaged.
    pub async fn load(root: &Root) -> Result<ClockRecords, StoreError> {
        Ok(ClockRecords {
            trusted: read(root, TRUSTED).await?,
            confirmation: read(root, CONFIRMED).await?,
            jump: read(root, JUMPED).await?,
        })
    }

    /// Returns the last trusted time. An instance that had not read the newest confirmation may
    /// have written a time that the confirmation corrected: then the confirmed time counts.
    #[must_use]
    pub fn last_trusted(&self) -> Option<DateTime<Utc>> {
        match (&self.trusted, &self.confirmation) {
            (Some(trusted), Some(confirmed))
                if trusted.confirmation.as_ref() != Some(&confirmed.id) =>
            {
                Some(confirmed.at)
            }
            (Some(trusted), _) => Some(trusted.at),
            (None, confirmed) => confirmed.as_ref().map(|confirmed| confirmed.at),
        }
    }
}

impl Root {
    /// Records a trusted time, and deletes temporary files that a crash left next to it.
    pub async fn record_trusted(&self, trusted: &TrustedTime) -> Result<(), StoreError> {
        write(self, TRUSTED, trusted).await?;
        if self.local().is_some() {
            let listed: Vec<ObjectMeta> =
                self.store().list(Some(&folder(self))).try_collect().await?;
            let is_left = |file: &&ObjectMeta| {
                let kind = file
                    .location
                    .filename()
                    .map_or(LogFileKind::Other, LogFileKind::of);
                kind == LogFileKind::Staged && file.last_modified < trusted.at - STAGED_AGE
            };
            let left = listed
                .iter()
                .filter(is_left)
                .map(|file| file.location.to_string())
                .collect();
            delete_files(self.store().as_ref(), left).await;
        }
        Ok(())
    }

    /// Records a confirmation: the confirmed time becomes the last trusted one, and a recorded jump
    /// is deleted.
    pub async fn record_confirmation(&self, confirmation: &Confirmation) -> Result<(), StoreError> {
        write(self, CONFIRMED, confirmation).await?;
        let confirmed = Some(confirmation.id.clone());
        write(
            self,
            TRUSTED,
            &TrustedTime {
                at: confirmation.at,
                confirmation: confirmed,
            },
        )
        .await?;
        // A recorded jump that cannot be deleted expires after `sweep.clock_settle`.
        self.remove_jump().await.or(Ok(()))
    }

    /// Records a jump.
    pub async fn record_jump(&self, jump: &ClockJump) -> Result<(), StoreError> {
        write(self, JUMPED, jump).await
    }

    /// Removes the recorded jump.
    pub async fn remove_jump(&self) -> Result<(), StoreError> {
        match self.store().delete(&path(self, JUMPED)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks the object store for its time by writing a small object. Returns `None` for a folder,
    /// whose times come from this machine's own clock.
    pub async fn store_time(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        if self.local().is_some() {
            return Ok(None);
        }
        let probe = path(self, PROBE);
        self.store()
            .put_opts(&probe, "now\n".into(), PutOptions::from(PutMode::Overwrite))
            .await?;
        Ok(Some(self.store().head(&probe).await?.last_modified))
    }
}

fn folder(root: &Root) -> Path {
    root.at().clone().join("_clock")
}

fn path(root: &Root, name: &str) -> Path {
    folder(root).join(name)
}

async fn read<T: DeserializeOwned>(root: &Root, name: &str) -> Result<Option<T>, StoreError> {
    let bytes = match root.store().get(&path(root, name)).await {
        Ok(found) => found.bytes().await?,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let damaged = |error: serde_json::Error| {
        StoreError::Refused(format!(
            "_clock/{name} cannot be read ({error}); `ebbtide clock confirm` replaces it"
        ))
    };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

async fn write(root: &Root, name: &str, record: &impl Serialize) -> Result<(), StoreError> {
    let mut bytes =
        serde_json::to_vec(record).map_err(|error| StoreError::Refused(error.to_string()))?;
    bytes.push(b'\n');
    root.store()
        .put_opts(
            &path(root, name),
            bytes.into(),
            PutOptions::from(PutMode::Overwrite),
        )
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{noon, root};

    fn trusted(hours: i64, confirmation: Option<&str>) -> TrustedTime {
        TrustedTime {
            at: noon() + TimeDelta::hours(hours),
            confirmation: confirmation.map(str::to_owned),
        }
    }

    fn confirmed(id: &str, hours: i64) -> Confirmation {
        let at = noon() + TimeDelta::hours(hours);
        Confirmation {
            id: id.to_owned(),
            at,
            by: None,
            newest_commit: None,
            ahead_of_store: None,
        }
    }

    #[test]
    fn confirmation_that_a_writer_did_not_know_counts_before_its_time() {
        let records = |trusted, confirmation| ClockRecords {
            trusted,
            confirmation,
            jump: None,
        };
        let at = |hours| Some(noon() + TimeDelta::hours(hours));
        assert_eq!(records(None, None).last_trusted(), None);
        assert_eq!(records(Some(trusted(5, None)), None).last_trusted(), at(5));
        assert_eq!(records(None, Some(confirmed("a", 3))).last_trusted(), at(3));
        assert_eq!(
            records(Some(trusted(5, Some("a"))), Some(confirmed("a", 3))).last_trusted(),
            at(5)
        );
        for writer in [None, Some("before")] {
            assert_eq!(
                records(Some(trusted(5000, writer)), Some(confirmed("a", 3))).last_trusted(),
                at(3)
            );
        }
    }

    #[tokio::test]
    async fn records_are_read_as_they_were_written() {
        let (_folder, root) = root();
        assert_eq!(
            ClockRecords::load(&root).await.unwrap(),
            ClockRecords::default()
        );
        root.record_trusted(&trusted(1, None)).await.unwrap();
        let jump = ClockJump {
            expected: noon(),
            shown: noon() + TimeDelta::days(2),
        };
        root.record_jump(&jump).await.unwrap();
        let before = ClockRecords::load(&root).await.unwrap();
        assert_eq!(
            before,
            ClockRecords {
                trusted: Some(trusted(1, None)),
                confirmation: None,
                jump: Some(jump)
            }
        );
        root.record_confirmation(&confirmed("a", 7)).await.unwrap();
        let after = ClockRecords::load(&root).await.unwrap();
        assert_eq!(
            (after.last_trusted(), after.jump),
            (Some(noon() + TimeDelta::hours(7)), None)
        );
        assert_eq!(
            root.store_time().await.unwrap(),
            None,
            "a folder has no clock of its own"
        );
    }

    #[tokio::test]
    async fn damaged_record_is_an_error_until_a_confirmation_replaces_it() {
        let (_folder, root) = root();
        root.record_trusted(&trusted(1, None)).await.unwrap();
        std::fs::write(root.folder().join("_clock").join(TRUSTED), "{ half").unwrap();
        let error = ClockRecords::load(&root).await.unwrap_err().to_string();
        assert!(
            error.contains("_clock/trusted.json") && error.contains("ebbtide clock confirm"),
            "{error}"
        );
        root.record_confirmation(&confirmed("a", 7)).await.unwrap();
        assert_eq!(
            ClockRecords::load(&root).await.unwrap().last_trusted(),
            Some(noon() + TimeDelta::hours(7))
        );
    }
}
