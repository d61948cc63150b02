//! The one loop of all commits, to the tables' logs and to the control log.
//!
//! Invariants: an entry follows exactly the version that it was checked against, or does not land.
//! After any error the log is read again before anything is tried or reported, so that an error
//! says exactly what is known: nothing landed, or the outcome is unknown.

use std::future::Future;

use super::error::{CommitError, OpenError, StoreError};
use super::objects::CommitOutcomeUnknown;
use ebbtide_base::backoff::Backoff;

/// The maximum number of times that the log is read again for an entry that the store does not
/// show, although it refused a put because that entry exists.
const HIDDEN_READS: u32 = 4;

/// A commit to a log whose entries are numbered without a gap.
pub trait Transaction: Send {
    /// An entry of the log.
    type Entry: Send;
    /// The result of the commit.
    type Done: Send;
    /// The reason why nothing was committed, or why the outcome is unknown.
    type Error: From<CommitFailure> + Send;

    /// Reads the log up to its newest entry. Returns the version of the next entry.
    fn read(&mut self) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Returns the result if the log as read has this commit already, or needs none. `sent` is the
    /// version of an entry of this commit that may have landed.
    fn recognise(
        &mut self,
        sent: Option<u64>,
    ) -> impl Future<Output = Result<Option<Self::Done>, Self::Error>> + Send;

    /// Returns the entry to follow the log as read, or refuses the commit.
    fn propose(&mut self) -> impl Future<Output = Result<Self::Entry, Self::Error>> + Send;

    /// Puts the entry under `version` if no entry has it.
    fn put(
        &mut self,
        version: u64,
        entry: Self::Entry,
    ) -> impl Future<Output = EntryPut<Self::Done>> + Send;
}

/// The outcome of a put of one entry.
#[derive(Debug)]
pub enum EntryPut<D> {
    /// It landed, and the commit is complete.
    Done(D),
    /// Another entry has the version, or the commit needs another look at the log.
    ReadOn,
    /// The store failed: the log shows if the entry landed.
    Failed(StoreError),
}

/// The store failed during a commit.
#[derive(Debug)]
pub enum CommitFailure {
    /// Nothing was committed.
    NothingLanded(StoreError),
    /// The commit may have landed, or may still land.
    Unknown(StoreError),
}

/// Commits: reads the log, looks whether the commit landed before, validates and tries, until the
/// outcome is known or cannot be known.
pub async fn commit<T: Transaction>(transaction: &mut T) -> Result<T::Done, T::Error> {
    let mut failed: Option<(u64, StoreError)> = None;
    let mut taken: Option<TakenVersion> = None;
    loop {
        let next = transaction.read().await.map_err(CommitFailure::Unknown)?;
        if let Some(taken) = taken.as_mut().filter(|taken| next <= taken.version) {
            taken.wait().await?;
            continue;
        }
        let sent = failed.as_ref().map(|(version, _)| *version);
        if let Some(done) = transaction.recognise(sent).await? {
            return Ok(done);
        }
        if let Some((version, error)) = failed.take()
            && next <= version
        {
            return Err(CommitFailure::of_absent(error).into());
        }
        // A version that another entry has is lost: the entry that was sent can land no more.
        let entry = transaction.propose().await?;
        match transaction.put(next, entry).await {
            EntryPut::Done(done) => return Ok(done),
            EntryPut::ReadOn => taken = Some(TakenVersion::new(next)),
            EntryPut::Failed(error) => failed = Some((next, error)),
        }
    }
}

/// A version that has an entry, as the answer to a put said.
struct TakenVersion {
    version: u64,
    /// Counts the reads that did not show the entry.
    backoff: Backoff,
}

impl TakenVersion {
    fn new(version: u64) -> TakenVersion {
        TakenVersion {
            version,
            backoff: Backoff::default(),
        }
    }

    /// Waits until the log should be read again. Errors if it was read often enough.
    async fn wait(&mut self) -> Result<(), CommitFailure> {
        if self.backoff.failures() >= HIDDEN_READS {
            let version = self.version;
            return Err(CommitFailure::Unknown(StoreError::EntryHidden { version }));
        }
        tokio::time::sleep(self.backoff.next_delay()).await;
        Ok(())
    }
}

impl CommitFailure {
    /// Classifies the error of a put whose version has no entry afterwards.
    fn of_absent(error: StoreError) -> CommitFailure {
        if CommitOutcomeUnknown::is_cause_of(&error) {
            CommitFailure::Unknown(error)
        } else {
            CommitFailure::NothingLanded(error)
        }
    }
}

impl From<CommitFailure> for CommitError {
    fn from(failure: CommitFailure) -> Self {
        match failure {
            CommitFailure::NothingLanded(error) => CommitError::Store(error),
            CommitFailure::Unknown(error) => CommitError::Unknown(error),
        }
    }
}

/// Opening a table again finds what an earlier call committed, so both cases are the same to the
/// caller.
impl From<CommitFailure> for OpenError {
    fn from(failure: CommitFailure) -> Self {
        match failure {
            CommitFailure::NothingLanded(error) | CommitFailure::Unknown(error) => error.into(),
        }
    }
}

impl From<CommitFailure> for StoreError {
    fn from(failure: CommitFailure) -> Self {
        match failure {
            CommitFailure::NothingLanded(error) => error,
            CommitFailure::Unknown(error) => StoreError::OutcomeUnknown(Box::new(error)),
        }
    }
}
