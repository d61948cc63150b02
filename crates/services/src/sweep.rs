//! One sweep: deletes expired data, once, where no instance does it.

mod plan;
mod unlink;

use chrono::{DateTime, Utc};
use serde::Serialize;

use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::ProductKey;
use ebbtide_maintenance::{ClockStatus, PlanBounds, SweepError, SweepReport, Sweeper};
use ebbtide_table::{DeleteFailures, OpenError};

use crate::maintenance_setup::{MaintenanceSetup, MaintenanceSetupError, OpenSweeperError};
use unlink::{Unlinked, Unlinking};

pub use plan::{SweepPlanReport, TaskReport};

/// The data to delete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweepRequest {
    /// The only product to sweep.
    pub product: Option<ProductKey>,
    /// The time at which data was due. A time in the future can only be planned. Without it, now.
    pub until: Option<DateTime<Utc>>,
    /// The maximum number of pieces of work.
    pub steps: Option<usize>,
}

/// The result of a sweep.
#[derive(Debug, Serialize)]
pub struct SweepOutcome {
    /// The work that was done and is left.
    #[serde(flatten)]
    pub round: SweepReport,
    /// The number of replaced files that were deleted.
    pub unlinked: usize,
    /// The number of files that could not be deleted.
    pub undeleted: usize,
    /// The number of tables whose overdue files are unknown.
    pub unknown_tables: usize,
    /// The reason why the clock is not trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The files that could not be deleted.
    #[serde(skip)]
    pub failures: DeleteFailures,
}

impl SweepOutcome {
    /// Returns true if a piece of work or the deletion of a file failed.
    #[must_use]
    pub fn has_failures(&self) -> bool {
        self.round.failed > 0 || self.unknown_tables > 0 || !self.failures.is_empty()
    }
}

/// The reason why nothing could be swept.
#[derive(Debug, thiserror::Error)]
pub enum RunSweepError {
    /// The configuration, the policy or the root cannot be used.
    #[error(transparent)]
    Setup(#[from] MaintenanceSetupError),
    /// The time is in the future.
    #[error(
        "--until is in the future: nothing is deleted before it is due; --dry-run shows what would be deleted"
    )]
    Future,
    /// A table cannot be swept.
    #[error(transparent)]
    Open(#[from] OpenSweeperError),
    /// A table cannot be opened.
    #[error(transparent)]
    Table(#[from] OpenError),
    /// The work could not be planned.
    #[error(transparent)]
    Sweep(#[from] SweepError),
}

/// The number of pieces of work that a plan lists. They are not done, so it is higher than that of
/// a sweep.
const LISTED_WORKS: usize = 10_000;

/// Returns the work that a sweep would do. Changes nothing.
pub async fn plan(
    setup: &MaintenanceSetup,
    request: &SweepRequest,
    clock: &SharedClock,
) -> Result<SweepPlanReport, RunSweepError> {
    let root = setup.root(None).await?;
    let bounds = PlanBounds {
        works: LISTED_WORKS,
        ..PlanBounds::default()
    };
    let (mut sweeper, _) = setup
        .sweeper(root, request.product.as_ref(), clock, bounds)
        .await?;
    let until = request.until.unwrap_or_else(|| clock.now());
    let (tasks, more) = sweeper.plan(until).await?;
    Ok(SweepPlanReport {
        works: tasks.iter().map(TaskReport::new).collect(),
        more,
    })
}

/// Deletes expired data, and then the files that were replaced long enough ago. `progress` is called
/// with the number of pieces of work that are done while more is due.
pub async fn sweep(
    setup: &MaintenanceSetup,
    request: &SweepRequest,
    clock: &SharedClock,
    progress: impl FnMut(u64),
) -> Result<SweepOutcome, RunSweepError> {
    if request.until.is_some_and(|until| until > clock.now()) {
        return Err(RunSweepError::Future);
    }
    let root = setup.root(Some(clock.now())).await?;
    let (mut sweeper, guard) = setup
        .sweeper(
            root.clone(),
            request.product.as_ref(),
            clock,
            PlanBounds::default(),
        )
        .await?;
    guard.update(sweeper.newest_commit()).await;
    let mut round = rounds(&mut sweeper, request, progress).await;
    let mut unlinked = Unlinked::default();
    // A clock that is not trusted for deadlines is not trusted for the readers' grace either.
    match sweeper.look_at_clock() {
        ClockStatus::Trusted => {
            let unlinking = Unlinking {
                setup,
                root: &root,
                clock,
                only: request.product.as_ref(),
            };
            unlinked = unlinking.unlink().await?;
        }
        verdict => round.clock = Some(verdict.as_str()),
    }
    guard.update(None).await;
    Ok(SweepOutcome {
        reason: round.clock.map(|_| guard.reason()),
        round,
        unlinked: unlinked.files,
        undeleted: unlinked.failures.count,
        unknown_tables: unlinked.unknown,
        failures: unlinked.failures,
    })
}

/// Runs rounds until nothing due is left, the steps are used up or a round makes no progress.
async fn rounds(
    sweeper: &mut Sweeper,
    request: &SweepRequest,
    mut progress: impl FnMut(u64),
) -> SweepReport {
    let mut all = SweepReport::default();
    loop {
        let left = request.steps.map_or(usize::MAX, |steps| {
            steps.saturating_sub(usize::try_from(all.works).unwrap_or(steps))
        });
        let round = sweeper.round(request.until, left).await;
        all.add(&round);
        if round.works > 0 && all.more {
            progress(all.works);
        }
        let nowhere = round.works == 0 && round.stale == 0;
        if !round.more || nowhere || round.clock.is_some() || left == 0 {
            return all;
        }
    }
}
