use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::TrustedClock;
use crate::ClockStatus;
use ebbtide_base::clock::{Clock, ManualClock, SharedClock};
use ebbtide_base::health::{Component, Health};
use ebbtide_base::metrics::Metrics;
use ebbtide_config::SweepConfig;
use ebbtide_table::{ClockRecords, Confirmation, Root};

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

/// A root, and processes that use it in turn or concurrently.
struct ClockRoot {
    _folder: tempfile::TempDir,
    root: Root,
}

/// One process with a clock of its own.
struct Process {
    clock: Arc<ManualClock>,
    metrics: Metrics,
    health: Arc<Health>,
    guard: TrustedClock,
}

impl ClockRoot {
    fn new() -> ClockRoot {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::parse(folder.path().to_str().unwrap()).unwrap();
        ClockRoot {
            _folder: folder,
            root,
        }
    }

    /// Starts a process whose clock shows `at`.
    fn process(&self, at: DateTime<Utc>) -> Process {
        let (clock, metrics) = (Arc::new(ManualClock::at(at)), Metrics::new().unwrap());
        let shared = Arc::clone(&clock) as SharedClock;
        let health = Arc::new(Health::starting(Arc::clone(&shared)));
        health.over(&Component::Process);
        let guard = TrustedClock::with_records(
            shared,
            metrics.clone(),
            &SweepConfig::default(),
            &self.root,
        );
        let guard = guard.with_health(Arc::clone(&health));
        Process {
            clock,
            metrics,
            health,
            guard,
        }
    }

    async fn last_trusted(&self) -> Option<DateTime<Utc>> {
        ClockRecords::load(&self.root).await.unwrap().last_trusted()
    }

    async fn confirm(&self, at: DateTime<Utc>, newest_commit: Option<DateTime<Utc>>) {
        let id = at.to_rfc3339();
        let confirmation = Confirmation {
            id,
            at,
            by: None,
            newest_commit,
            ahead_of_store: None,
        };
        self.root.record_confirmation(&confirmation).await.unwrap();
    }
}

impl Process {
    async fn verdict(&self) -> ClockStatus {
        let verdict = self.guard.update(None).await;
        let trusted = verdict == ClockStatus::Trusted;
        assert_eq!(
            self.metrics.clock_trusted.get(),
            i64::from(trusted),
            "the metric says the same"
        );
        assert_eq!(
            self.health.readiness().ready,
            trusted,
            "the readiness says the same"
        );
        verdict
    }

    async fn after(&self, time: TimeDelta) -> ClockStatus {
        self.clock.advance(time.to_std().unwrap());
        self.verdict().await
    }

    async fn jump(&self, by: TimeDelta) -> ClockStatus {
        self.clock.set_wall(self.clock.now() + by);
        self.verdict().await
    }
}

#[tokio::test]
async fn first_look_far_from_the_last_trusted_time_is_not_trusted() {
    let place = ClockRoot::new();
    assert_eq!(place.process(noon()).verdict().await, ClockStatus::Trusted);
    assert_eq!(place.last_trusted().await, Some(noon()));
    for (off, expected) in [
        (TimeDelta::days(100), ClockStatus::Ahead),
        (TimeDelta::days(4), ClockStatus::Ahead),
        (TimeDelta::days(3650), ClockStatus::Ahead),
        (TimeDelta::days(-100), ClockStatus::BeforeTrusted),
        (TimeDelta::minutes(-10), ClockStatus::BeforeTrusted),
        (TimeDelta::minutes(-4), ClockStatus::Trusted),
    ] {
        let process = place.process(noon() + off);
        assert_eq!(process.verdict().await, expected, "{off}");
        assert_eq!(
            process.after(TimeDelta::seconds(30)).await,
            expected,
            "{off}: nothing settles by itself"
        );
        assert_eq!(
            place.last_trusted().await,
            Some(noon()),
            "{off}: an untrusted look records nothing"
        );
    }
    assert_eq!(
        place.process(noon() + TimeDelta::days(2)).verdict().await,
        ClockStatus::Trusted
    );
}

#[tokio::test]
async fn jump_stays_distrusted_over_restarts() {
    for (by, after_settling) in [
        (TimeDelta::days(2), ClockStatus::Trusted),
        (TimeDelta::hours(3), ClockStatus::Trusted),
        (TimeDelta::days(100), ClockStatus::Ahead),
        (TimeDelta::days(-100), ClockStatus::BeforeTrusted),
    ] {
        let place = ClockRoot::new();
        let process = place.process(noon());
        assert_eq!(process.verdict().await, ClockStatus::Trusted);
        assert_ne!(process.jump(by).await, ClockStatus::Trusted, "{by}");
        for minute in 1..=3 {
            let restarted = place.process(noon() + by + TimeDelta::minutes(minute));
            assert_ne!(restarted.verdict().await, ClockStatus::Trusted, "{by}");
        }
        let later = place.process(noon() + by + TimeDelta::minutes(11));
        assert_eq!(later.verdict().await, after_settling, "{by}");
        // Another machine, whose clock is right.
        let place = ClockRoot::new();
        let process = place.process(noon());
        process.verdict().await;
        process.jump(by).await;
        let right = place.process(noon() + TimeDelta::minutes(11));
        assert_eq!(right.verdict().await, ClockStatus::Trusted, "{by}");
    }
}

#[tokio::test]
async fn jump_beyond_the_bound_does_not_settle_in_the_process_that_saw_it() {
    let place = ClockRoot::new();
    let process = place.process(noon());
    process.verdict().await;
    assert_eq!(process.jump(TimeDelta::days(31)).await, ClockStatus::Ahead);
    assert_eq!(process.after(TimeDelta::hours(5)).await, ClockStatus::Ahead);
    assert!(
        !process.guard.may_ingest(),
        "new records would be taken for expired"
    );
    // The clock is corrected.
    assert_eq!(
        process.jump(TimeDelta::days(-31)).await,
        ClockStatus::Jumped
    );
    assert!(process.guard.may_ingest());
    assert_eq!(
        process.after(TimeDelta::minutes(11)).await,
        ClockStatus::Trusted
    );
    let records = ClockRecords::load(&place.root).await.unwrap();
    assert!(records.last_trusted().unwrap() < noon() + TimeDelta::days(1));
    assert_eq!(records.jump, None);
}

#[tokio::test]
async fn records_are_not_read_by_a_clock_that_jumped_far() {
    for (by, may_ingest) in [
        (TimeDelta::minutes(30), true),
        (TimeDelta::minutes(-30), true),
        (TimeDelta::hours(5), false),
        (TimeDelta::hours(60), false),
        (TimeDelta::hours(-60), false),
    ] {
        let place = ClockRoot::new();
        let process = place.process(noon());
        process.verdict().await;
        process.after(TimeDelta::hours(3)).await;
        assert_ne!(process.jump(by).await, ClockStatus::Trusted, "{by}");
        assert_eq!(process.guard.may_ingest(), may_ingest, "{by}");
        // The clock is corrected, and records are read immediately.
        process.jump(-by).await;
        assert!(process.guard.may_ingest(), "{by}");
    }
}

#[tokio::test]
async fn system_that_was_idle_for_months_waits_for_a_confirmation() {
    let place = ClockRoot::new();
    place.process(noon()).verdict().await;
    let later = noon() + TimeDelta::days(200);
    let process = place.process(later);
    assert_eq!(process.verdict().await, ClockStatus::Ahead);
    let reason = &process.health.readiness().troubles[0];
    assert_eq!(reason.part, "clock");
    assert!(
        reason.reason.starts_with("ahead: the clock shows "),
        "{reason:?}"
    );
    assert!(
        reason
            .reason
            .contains("200 days after the last trusted time"),
        "{reason:?}"
    );
    assert!(
        reason.reason.contains("`ebbtide clock confirm`"),
        "{reason:?}"
    );

    place.confirm(later, None).await;
    assert_eq!(
        process.after(TimeDelta::seconds(10)).await,
        ClockStatus::Trusted,
        "the running process reads it"
    );
    assert!(process.guard.may_ingest());
    assert_eq!(
        place.process(later + TimeDelta::minutes(1)).verdict().await,
        ClockStatus::Trusted
    );
    // The confirmation was for that clock alone.
    assert_eq!(
        place.process(later + TimeDelta::days(200)).verdict().await,
        ClockStatus::Ahead
    );
}

#[tokio::test]
async fn confirmation_corrects_a_time_that_a_wrong_clock_left() {
    let place = ClockRoot::new();
    let wrong = noon() + TimeDelta::days(100);
    // The first process of all had a wrong clock, and its commits are dated by it.
    let poisoned = place.process(wrong);
    assert_eq!(
        poisoned.guard.update(Some(wrong)).await,
        ClockStatus::Trusted
    );
    let right = place.process(noon());
    assert_eq!(
        right.guard.update(Some(wrong)).await,
        ClockStatus::BeforeCommit
    );
    place.confirm(noon(), Some(wrong)).await;
    right.clock.advance(Duration::from_secs(10));
    assert_eq!(right.verdict().await, ClockStatus::Trusted);
    // The process with the wrong clock reads the confirmation with the next records, and does not
    // write its own time any more.
    assert_eq!(
        poisoned.after(TimeDelta::minutes(6)).await,
        ClockStatus::Ahead
    );
    assert!(place.last_trusted().await.unwrap() < noon() + TimeDelta::days(1));
    assert_eq!(
        place
            .process(noon() + TimeDelta::minutes(1))
            .verdict()
            .await,
        ClockStatus::Trusted
    );
}

#[tokio::test]
async fn records_that_cannot_be_read_are_no_reason_to_trust() {
    let place = ClockRoot::new();
    place.process(noon()).verdict().await;
    for damaged in ["", "{", "{\"at\": \"yesterday\"}"] {
        std::fs::write(place.root.folder().join("_clock/trusted.json"), damaged).unwrap();
        let process = place.process(noon());
        assert_eq!(process.verdict().await, ClockStatus::Unknown, "{damaged}");
        let reason = &process.health.readiness().troubles[0].reason;
        assert!(
            reason.starts_with("unknown: ") && reason.contains("_clock/trusted.json"),
            "{reason}"
        );
        let end =
            "; nothing is deleted until it can be read or `ebbtide clock confirm` replaces it";
        assert!(reason.ends_with(end), "{reason}");
        assert_eq!(process.guard.recorded_time(), None);
    }
    place.confirm(noon(), None).await;
    assert_eq!(place.process(noon()).verdict().await, ClockStatus::Trusted);
}

#[tokio::test]
async fn trusted_time_is_recorded_while_a_process_runs() {
    let place = ClockRoot::new();
    let process = place.process(noon());
    process.verdict().await;
    for _ in 0..40 {
        assert_eq!(
            process.after(TimeDelta::hours(6)).await,
            ClockStatus::Trusted
        );
    }
    let stopped = noon() + TimeDelta::days(10);
    assert_eq!(place.last_trusted().await, Some(stopped));
    assert_eq!(
        place.process(stopped + TimeDelta::days(2)).verdict().await,
        ClockStatus::Trusted
    );
}

#[tokio::test]
async fn command_that_sees_a_jump_is_not_trusted_again() {
    let place = ClockRoot::new();
    place.process(noon()).verdict().await;
    let clock = Arc::new(ManualClock::at(noon()));
    let shared = Arc::clone(&clock) as SharedClock;
    let guard = TrustedClock::for_command(
        shared,
        Metrics::new().unwrap(),
        &SweepConfig::default(),
        &place.root,
    );
    assert_eq!(guard.update(None).await, ClockStatus::Trusted);
    clock.set_wall(noon() + TimeDelta::hours(9));
    assert_eq!(guard.look(None), ClockStatus::Jumped);
    clock.advance(Duration::from_secs(3600));
    assert_eq!(guard.update(None).await, ClockStatus::Jumped);
}

#[tokio::test]
async fn recorded_time_is_that_of_the_root_and_not_of_the_look() {
    let place = ClockRoot::new();
    let shared = |at| Arc::new(ManualClock::at(at)) as SharedClock;
    let command = |at| {
        TrustedClock::for_command(
            shared(at),
            Metrics::new().unwrap(),
            &SweepConfig::default(),
            &place.root,
        )
    };
    let guard = command(noon());
    assert_eq!(
        (guard.consult(None).await, guard.recorded_time()),
        (ClockStatus::Trusted, None)
    );
    place.process(noon()).verdict().await;
    for (off, expected) in [
        (TimeDelta::hours(5), ClockStatus::Trusted),
        (TimeDelta::days(9), ClockStatus::Ahead),
        (TimeDelta::zero(), ClockStatus::Trusted),
    ] {
        let guard = command(noon() + off);
        assert_eq!(
            (guard.consult(None).await, guard.recorded_time()),
            (expected, Some(noon())),
            "{off}"
        );
    }
}
