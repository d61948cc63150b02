//! The clock of a command that commits: it is checked before the commit.
//!
//! A commit that is dated far ahead makes the clocks of all correct instances look wrong, and they
//! stop deleting.

use chrono::{DateTime, SecondsFormat, Utc};

use ebbtide_base::clock::SharedClock;
use ebbtide_base::metrics::{Metrics, MetricsError};
use ebbtide_config::SweepConfig;
use ebbtide_maintenance::TrustedClock;
use ebbtide_query::newest_commit;
use ebbtide_table::{Root, StoreError};

/// The reason why a command may not commit by its clock.
#[derive(Debug, thiserror::Error)]
pub enum CommitClockError {
    /// The clock is too far from the known times.
    #[error(
        "the clock is not trusted ({verdict}), so nothing was changed: {reason}; `ebbtide clock show` compares it"
    )]
    Untrusted {
        /// The verdict's word.
        verdict: &'static str,
        /// The difference, and the fix.
        reason: String,
    },
    /// The newest commits cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The clock cannot be checked.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

/// Compares the clock with all known times. Records nothing.
pub async fn look(
    root: &Root,
    clock: SharedClock,
    sweep: &SweepConfig,
) -> Result<TrustedClock, CommitClockError> {
    let newest = newest_commit(root).await?;
    compare(root, clock, sweep, newest).await
}

async fn compare(
    root: &Root,
    clock: SharedClock,
    sweep: &SweepConfig,
    newest: Option<DateTime<Utc>>,
) -> Result<TrustedClock, CommitClockError> {
    let guard = TrustedClock::for_command(clock, Metrics::new()?, sweep, root);
    guard.consult(newest).await;
    Ok(guard)
}

/// Returns the time that the commits of a command are dated by.
///
/// Errors if the clock is not trusted and too far off for ingest.
pub async fn commit_time(
    root: &Root,
    clock: &SharedClock,
    sweep: &SweepConfig,
) -> Result<DateTime<Utc>, CommitClockError> {
    let now = clock.now();
    let guard = look(root, SharedClock::clone(clock), sweep).await?;
    if guard.may_ingest() {
        return Ok(now);
    }
    Err(CommitClockError::Untrusted {
        verdict: guard.sources().0.as_str(),
        reason: guard.reason(),
    })
}

/// The time of a commit that does not wait for a trusted clock: it keeps data, and the data may be
/// due soon.
pub struct UrgentTime {
    /// The date of the commit: the clock's time, or that of the newest commit if the clock is not
    /// trusted.
    pub at: DateTime<Utc>,
    /// The time that the clock shows.
    pub clock: DateTime<Utc>,
    /// The verdict and the reason why the clock is not trusted.
    untrusted: Option<(&'static str, String)>,
}

impl UrgentTime {
    /// Determines the time. If a table cannot be read, the newest commit is unknown.
    pub async fn find(
        root: &Root,
        clock: &SharedClock,
        sweep: &SweepConfig,
    ) -> Result<UrgentTime, CommitClockError> {
        let (now, newest) = (clock.now(), newest_commit(root).await.unwrap_or_default());
        let guard = compare(root, SharedClock::clone(clock), sweep, newest).await?;
        if guard.may_ingest() {
            return Ok(UrgentTime {
                at: now,
                clock: now,
                untrusted: None,
            });
        }
        let (verdict, sources) = guard.sources();
        let at = sources
            .newest_commit
            .or(sources.last_trusted)
            .unwrap_or(now);
        Ok(UrgentTime {
            at,
            clock: now,
            untrusted: Some((verdict.as_str(), guard.reason())),
        })
    }

    /// Returns the date of a commit for an order that is in force until `until`. If a wrong clock
    /// dated the newest commit after that, the date is the time that this clock shows.
    pub fn before(&self, until: DateTime<Utc>) -> DateTime<Utc> {
        if self.at < until { self.at } else { self.clock }
    }

    /// Returns the warning for a commit that is dated `at`; empty if the clock is trusted.
    pub fn warning(&self, at: DateTime<Utc>) -> String {
        let Some((verdict, reason)) = &self.untrusted else {
            return String::new();
        };
        let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
        format!(
            "warning: the clock is not trusted ({verdict}), so the commit is dated {at}: {reason}\n"
        )
    }
}

#[cfg(test)]
mod tests;
