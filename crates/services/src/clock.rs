//! The clock of this machine: the known times, and a person's confirmation that the clock is right.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use ebbtide_base::clock::SharedClock;
use ebbtide_config::SweepConfig;
use ebbtide_maintenance::{ClockStatus, TimeSources, TrustedClock};
use ebbtide_table::{Confirmation, Root, StoreError};

use crate::commit_clock::{CommitClockError, look};

/// The reason why the clock could not be checked or confirmed.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    /// The root cannot be read, or the confirmation could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The clock cannot be compared.
    #[error(transparent)]
    Look(#[from] CommitClockError),
    /// The root does not exist.
    #[error(
        "{0} does not exist; give the root of the tables with --root, or with a configuration that names it (--config)"
    )]
    NoRoot(String),
}

/// This machine's clock and the known times.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClockReport {
    /// The time of this machine.
    pub clock: DateTime<Utc>,
    /// The verdict's word.
    pub verdict: &'static str,
    /// The reason why the clock is not trusted; absent if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The last time that the root has recorded as trusted.
    pub last_trusted: Option<DateTime<Utc>>,
    /// The time of the newest commit of all tables.
    pub newest_commit: Option<DateTime<Utc>>,
    /// The time of the object store.
    pub object_store: Option<DateTime<Utc>>,
    /// The last confirmation.
    pub confirmation: Option<Confirmation>,
}

/// A recorded confirmation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClockConfirmation {
    /// The verdict before the confirmation.
    pub before: &'static str,
    /// The last trusted time that the root had before the confirmation.
    pub last_trusted: Option<DateTime<Utc>>,
    /// The confirmation.
    pub confirmation: Confirmation,
}

impl ClockReport {
    /// Returns true if the clock is trusted.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.reason.is_none()
    }
}

/// Compares the clock with the known times. Records nothing.
pub async fn show(
    root: &Root,
    clock: SharedClock,
    sweep: &SweepConfig,
) -> Result<ClockReport, ClockError> {
    require_root(root).await?;
    let now = clock.now();
    let (guard, sources) = compare(root, clock, sweep).await?;
    let (verdict, _) = guard.sources();
    Ok(ClockReport {
        clock: now,
        verdict: verdict.as_str(),
        reason: (verdict != ClockStatus::Trusted).then(|| guard.reason()),
        last_trusted: sources.last_trusted,
        newest_commit: sources.newest_commit,
        object_store: sources.store_time,
        confirmation: sources.confirmation,
    })
}

/// Records in the root that the clock is right now. `by` is the name of the person who confirms.
pub async fn confirm(
    root: &Root,
    clock: SharedClock,
    sweep: &SweepConfig,
    by: Option<String>,
) -> Result<ClockConfirmation, ClockError> {
    require_root(root).await?;
    let (guard, before) = compare(root, Arc::clone(&clock), sweep).await?;
    let (verdict, _) = guard.sources();
    let at = clock.now();
    let confirmation = Confirmation {
        id: Uuid::new_v4().to_string(),
        at,
        by,
        newest_commit: before.newest_commit,
        ahead_of_store: before.store_time.map(|store| (at - store).num_seconds()),
    };
    root.record_confirmation(&confirmation).await?;
    Ok(ClockConfirmation {
        before: verdict.as_str(),
        last_trusted: before.last_trusted,
        confirmation,
    })
}

async fn require_root(root: &Root) -> Result<(), ClockError> {
    match root.exists().await? {
        true => Ok(()),
        false => Err(ClockError::NoRoot(root.to_string())),
    }
}

/// Checks the clock, and returns the last trusted time that the root had before. Records nothing.
async fn compare(
    root: &Root,
    clock: SharedClock,
    sweep: &SweepConfig,
) -> Result<(TrustedClock, TimeSources), ClockError> {
    let guard = look(root, clock, sweep).await?;
    let (_, sources) = guard.sources();
    let sources = TimeSources {
        last_trusted: guard.recorded_time(),
        ..sources
    };
    Ok((guard, sources))
}
