//! The clock of an instance under its guard: one for everything that cannot be undone, so that a
//! jump seen by one task stops all.
//!
//! The verdict is always in the metrics and the readiness, and in the log when it changes. Its
//! evidence is recorded in the root, so that it survives a restart.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::guard::{ClockGuard, ClockStatus, Jump};
use super::time_sources::{ClockBounds, TimeSources, check_clock, explain};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::health::{Component, Health};
use ebbtide_base::metrics::Metrics;
use ebbtide_config::SweepConfig;
use ebbtide_table::{ClockJump, ClockRecords, Root, StoreError, TrustedTime};

/// Time after which the records in the root are read and written again while the clock is trusted.
const RECORD_EVERY: Duration = Duration::from_secs(5 * 60);

/// Age up to which a confirmation also settles a jump of this process: it was given for the clock
/// as it is now.
const FRESH_CONFIRMATION: TimeDelta = TimeDelta::hours(1);

/// The difference from which records would be misjudged when they arrive: they would seem expired,
/// or in the future.
const INGEST_TOLERANCE: TimeDelta = TimeDelta::hours(1);

/// A clock that every deleting task checks before it deletes. Clones share one verdict.
#[derive(Clone)]
pub struct TrustedClock {
    clock: SharedClock,
    metrics: Metrics,
    bounds: ClockBounds,
    /// The root with the records of the time. Without it, only this process's own readings count.
    root: Option<Root>,
    health: Option<Arc<Health>>,
    state: Arc<Mutex<State>>,
}

struct State {
    guard: ClockGuard,
    sources: TimeSources,
    /// Time of the object store, and this machine's running time at which it was read.
    store: Option<(DateTime<Utc>, Duration)>,
    /// The running time at which the records were read.
    read: Option<Duration>,
    /// Reason why they could not be read, until they are read for the first time.
    unread: Option<String>,
    /// The running time at which the trusted time was written.
    written: Option<Duration>,
    /// The jump that this process recorded.
    recorded: Option<Jump>,
    /// The last time that this process trusted, and the running time then.
    trusted: Option<(DateTime<Utc>, Duration)>,
    /// The last trusted time that was read from the root.
    recorded_time: Option<DateTime<Utc>>,
    verdict: ClockStatus,
}

impl TrustedClock {
    /// Creates a clock that counts as jumped if wall and running time differ by more than
    /// `tolerance`, and is trusted again after `settle` without such a difference. It has no
    /// information from before this process.
    #[must_use]
    pub fn new(
        clock: SharedClock,
        metrics: Metrics,
        tolerance: Duration,
        settle: Duration,
    ) -> Self {
        metrics.clock_trusted.set(1);
        let time = |duration| TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
        let state = State {
            guard: ClockGuard::new(tolerance, settle),
            sources: TimeSources::default(),
            store: None,
            read: None,
            unread: None,
            written: None,
            recorded: None,
            trusted: None,
            recorded_time: None,
            verdict: ClockStatus::Trusted,
        };
        let bounds = ClockBounds {
            tolerance: time(tolerance),
            settle: time(settle),
            max_step: TimeDelta::MAX,
        };
        Self {
            clock,
            metrics,
            bounds,
            root: None,
            health: None,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Creates a clock that is also compared with the times recorded in `root`. It is not trusted
    /// before [`TrustedClock::update`] has read them.
    #[must_use]
    pub fn with_records(
        clock: SharedClock,
        metrics: Metrics,
        sweep: &SweepConfig,
        root: &Root,
    ) -> Self {
        let max_step = TimeDelta::from_std(sweep.clock_max_step).unwrap_or(TimeDelta::MAX);
        let mut made = Self::new(clock, metrics, sweep.clock_tolerance, sweep.clock_settle);
        made.bounds.max_step = max_step;
        made.root = Some(root.clone());
        made.lock().unread = Some("they were not read yet".to_owned());
        made
    }

    /// Creates a command's clock: a jump that it sees stops the command, which ends before the
    /// clock could have settled.
    #[must_use]
    pub fn for_command(
        clock: SharedClock,
        metrics: Metrics,
        sweep: &SweepConfig,
        root: &Root,
    ) -> Self {
        let made = Self::with_records(clock, metrics, sweep, root);
        made.lock().guard = ClockGuard::new(sweep.clock_tolerance, Duration::MAX);
        made
    }

    /// Adds the verdict to an instance's readiness.
    #[must_use]
    pub fn with_health(self, health: Arc<Health>) -> Self {
        Self {
            health: Some(health),
            ..self
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides whether the clock may be used; `newest_commit` is the date of the newest commit that
    /// the caller knows.
    pub fn look(&self, newest_commit: Option<DateTime<Utc>>) -> ClockStatus {
        let mut state = self.lock();
        let (wall, running) = (self.clock.now(), self.clock.monotonic());
        state.sources.newest_commit = state.sources.newest_commit.max(newest_commit);
        state.sources.store_time = state.store_now(running);
        let own = state.guard.look(wall, running);
        let verdict = match check_clock(wall, &state.sources, &self.bounds) {
            _ if state.unread.is_some() => ClockStatus::Unknown,
            ClockStatus::Trusted => own,
            other => other,
        };
        if verdict == ClockStatus::Trusted {
            state.sources.advance_trusted(wall, &self.bounds);
            state.trusted = Some((wall, running));
        }
        let changed = std::mem::replace(&mut state.verdict, verdict) != verdict;
        self.report(verdict, changed, || state.reason(wall));
        verdict
    }

    fn report(&self, verdict: ClockStatus, changed: bool, reason: impl Fn() -> String) {
        let is_trusted = verdict == ClockStatus::Trusted;
        self.metrics.clock_trusted.set(i64::from(is_trusted));
        if changed && is_trusted {
            tracing::info!("the clock is trusted again");
        } else if changed {
            tracing::error!(
                clock = verdict.as_str(),
                "the clock is not trusted: {}",
                reason()
            );
        }
        match &self.health {
            Some(health) if is_trusted => drop(health.over(&Component::Clock)),
            Some(health) => drop(health.trouble(
                Component::Clock,
                format!("{}: {}", verdict.as_str(), reason()),
            )),
            None => {}
        }
    }

    /// Explains in one sentence why the clock is not trusted, and the fix.
    #[must_use]
    pub fn reason(&self) -> String {
        self.lock().reason(self.clock.now())
    }

    /// Returns the last verdict with its evidence.
    #[must_use]
    pub fn sources(&self) -> (ClockStatus, TimeSources) {
        let state = self.lock();
        (state.verdict, state.sources.clone())
    }

    /// Returns the last trusted time that the root had when it was read; what this process trusts
    /// does not change it.
    #[must_use]
    pub fn recorded_time(&self) -> Option<DateTime<Utc>> {
        self.lock().recorded_time
    }

    /// Returns true if records may be judged by the clock when they arrive: it is trusted, or its
    /// difference is small.
    #[must_use]
    pub fn may_ingest(&self) -> bool {
        let state = self.lock();
        let wall = self.clock.now();
        let near =
            |at: Option<DateTime<Utc>>| at.is_some_and(|at| (wall - at).abs() <= INGEST_TOLERANCE);
        match state.verdict {
            ClockStatus::Trusted => true,
            ClockStatus::Jumped => near(state.expected(self.clock.monotonic())),
            ClockStatus::Ahead | ClockStatus::Unknown => false,
            ClockStatus::BeforeTrusted => near(state.sources.last_trusted),
            // A clock that the last trusted time supports is not the one that dated that commit.
            ClockStatus::BeforeCommit => {
                near(state.sources.newest_commit) || near(state.sources.last_trusted)
            }
            ClockStatus::StoreDiffers => near(state.sources.store_time),
        }
    }

    /// Reads the records of the time, writes what this process knows, each if it is due, and checks
    /// the clock. Must be called regularly: it is cheap if nothing is due.
    pub async fn update(&self, newest_commit: Option<DateTime<Utc>>) -> ClockStatus {
        let Some(root) = &self.root else {
            return self.look(newest_commit);
        };
        if self.is_read_due() {
            self.read(root).await;
        }
        let verdict = self.look(newest_commit);
        if let Err(error) = self.write(root, verdict).await {
            tracing::warn!(%error, "the trusted time could not be recorded; trying again");
        }
        verdict
    }

    /// Reads the records of the time and checks the clock, and records nothing.
    pub async fn consult(&self, newest_commit: Option<DateTime<Utc>>) -> ClockStatus {
        if let Some(root) = &self.root {
            self.read(root).await;
        }
        self.look(newest_commit)
    }

    fn is_read_due(&self) -> bool {
        let state = self.lock();
        let running = self.clock.monotonic();
        state.verdict != ClockStatus::Trusted
            || state
                .read
                .is_none_or(|read| running.saturating_sub(read) >= RECORD_EVERY)
    }

    async fn read(&self, root: &Root) {
        let records = ClockRecords::load(root).await;
        // Only the machine's clock can be compared with the store's.
        let store = if self.clock.is_machine() {
            root.store_time().await
        } else {
            Ok(None)
        };
        let running = self.clock.monotonic();
        let wall = self.clock.now();
        let mut state = self.lock();
        match records {
            Ok(records) => {
                state.apply(records, wall);
                state.read = Some(running);
                state.unread = None;
            }
            Err(error) if state.unread.is_some() => state.unread = Some(error.to_string()),
            Err(error) => tracing::warn!(%error, "the records of the time could not be read again"),
        }
        match store {
            Ok(time) => state.store = time.map(|time| (time, running)),
            Err(error) => {
                state.store = None;
                tracing::warn!(%error, "the object store could not be asked for its time");
            }
        }
    }

    async fn write(&self, root: &Root, verdict: ClockStatus) -> Result<(), StoreError> {
        let running = self.clock.monotonic();
        let (jump, recorded, trusted, is_due) = {
            let state = self.lock();
            let confirmation = state
                .sources
                .confirmation
                .as_ref()
                .map(|confirmed| confirmed.id.clone());
            let trusted = state
                .sources
                .last_trusted
                .map(|at| TrustedTime { at, confirmation });
            let is_due = state
                .written
                .is_none_or(|written| running.saturating_sub(written) >= RECORD_EVERY);
            (state.guard.jump(), state.recorded, trusted, is_due)
        };
        if let Some(jump) = jump
            && recorded != Some(jump)
        {
            root.record_jump(&ClockJump {
                expected: jump.expected,
                shown: jump.shown,
            })
            .await?;
            self.lock().recorded = Some(jump);
        }
        if verdict != ClockStatus::Trusted {
            return Ok(());
        }
        if recorded.is_some() && jump.is_none() {
            root.remove_jump().await?;
            let mut state = self.lock();
            (state.recorded, state.sources.jump) = (None, None);
        }
        if let (true, Some(trusted)) = (is_due, trusted) {
            root.record_trusted(&trusted).await?;
            self.lock().written = Some(running);
        }
        Ok(())
    }
}

impl State {
    /// Explains in one sentence why the clock is not trusted, and the fix.
    fn reason(&self, wall: DateTime<Utc>) -> String {
        match &self.unread {
            Some(why) => format!(
                "what is recorded of the time cannot be read: {why}; nothing is deleted until it can be read or `ebbtide \
                 clock confirm` replaces it"
            ),
            None => explain(self.verdict, wall, &self.sources),
        }
    }

    /// Returns the time that the clock should show after a jump: the last trusted time plus the
    /// time elapsed since. In a process that never trusted its clock, the one that the record of
    /// the jump expects.
    fn expected(&self, running: Duration) -> Option<DateTime<Utc>> {
        match self.trusted {
            Some((at, then)) => {
                at.checked_add_signed(TimeDelta::from_std(running.saturating_sub(then)).ok()?)
            }
            None => self.sources.jump.as_ref().map(|jump| jump.expected),
        }
    }

    /// Returns the object store's time now: its last reading plus the time elapsed since.
    fn store_now(&self, running: Duration) -> Option<DateTime<Utc>> {
        let (time, asked) = self.store?;
        let passed = TimeDelta::from_std(running.saturating_sub(asked)).unwrap_or(TimeDelta::MAX);
        time.checked_add_signed(passed)
    }

    /// Applies the records of the root. A confirmation that is new to this process replaces the
    /// time that it trusted before.
    fn apply(&mut self, records: ClockRecords, wall: DateTime<Utc>) {
        let recorded = records.last_trusted();
        self.recorded_time = recorded;
        let known = self
            .sources
            .confirmation
            .as_ref()
            .map(|confirmed| &confirmed.id);
        let is_new = records.confirmation.as_ref().map(|confirmed| &confirmed.id) != known;
        self.sources.last_trusted = if is_new {
            recorded
        } else {
            self.sources.last_trusted.max(recorded)
        };
        if let Some(confirmed) = records.confirmation.as_ref().filter(|_| is_new)
            && (wall - confirmed.at).abs() <= FRESH_CONFIRMATION
        {
            self.guard.settle();
        }
        self.sources.confirmation = records.confirmation;
        self.sources.jump = records.jump;
    }
}

/// Updates a clock every `every`, until dropped, so that a jump is seen whether or not a sweep
/// runs.
pub async fn keep(clock: TrustedClock, every: Duration) {
    loop {
        clock.update(None).await;
        tokio::time::sleep(every).await;
    }
}

#[cfg(test)]
mod tests;
