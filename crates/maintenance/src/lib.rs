//! Expiry: due data is deleted on time, and held data is kept.
//!
//! No data is deleted before its deadline or while it is held, and overdue data is reported.
//! Decisions take the state of a product and a time ([`SweepView`], [`select()`], [`overdue()`],
//! [`ClockGuard`]) and do no I/O. [`SweptProduct`] carries them out; each step is one commit.
//! Segments whose deadlines are not near are merged into few large ones ([`choose()`]).
//!
//! | module | subject |
//! |---|---|
//! | `expire` | due data: the plan, dropped columns, ended records, held rows split off |
//! | `migrate` | the tags and columns of records of earlier policies |
//! | `triggers` | the tags of records whose trigger came |
//! | `compact` | merges |
//! | `watch` | counts of overdue data |
//! | `clock` | the guard of the clock |
//! | `review` | the results of earlier checks of each segment, shared by all of these |
//! | `product` | one table, its state, and the view that decisions use |
//! | `sweeper` | rounds over all tables |

mod action;
mod bounded_cache;
mod clock;
mod commit;
mod compact;
mod error;
mod execute;
mod expire;
mod migrate;
mod plan;
mod product;
mod record_rules;
mod review;
mod segment_action;
mod sweeper;
mod task;
mod triggers;
mod watch;

pub use action::SweepAction;
pub use clock::guard::{ClockGuard, ClockStatus};
pub use clock::time_sources::{ClockBounds, TimeSources, check_clock, explain};
pub use clock::trusted::{TrustedClock, keep as keep_clock};
pub use commit::{CommitContext, TaskOutcome};
pub use compact::choose::{CompactionRule, MergePlan, SegmentMerge, choose};
pub use compact::{Compaction, CompactionReport, CompactionSettings, PlannedMerge, SOON};
pub use error::SweepError;
pub use expire::drop::DropColumns;
pub use expire::due::select;
pub use expire::end::EndRecords;
pub use migrate::apply::MigratePolicy;
pub use migrate::cohorts::read_cohorts;
pub use migrate::effect::{Cohort, ColumnEffect, DeadlineMoves, MovedFields, ProductEffect};
pub use migrate::migration::{Migration, ProfileInputs, SegmentProfiles, StoredTerms};
pub use migrate::survey::{PolicyEffects, SurveyError, SurveyProgress, examine, survey};
pub use plan::PlanRequest;
pub use product::end_plan::EndPlan;
pub use product::holds::SweepHolds;
pub use product::view::SweepView;
pub use product::{OpenProductError, SweptProduct};
pub use review::ReviewCache;
pub use segment_action::SegmentAction;
pub use sweeper::share::{OwnedPartitions, WorkShare};
pub use sweeper::{
    PlannedTask, Schedule, SweepReport, SweepSettings, Sweeper, SweeperDeps, run as sweep,
};
pub use task::{PlanBounds, SweepPlan, Task};
pub use triggers::apply::ApplyTriggers;
pub use watch::overdue::{HORIZONS, OverdueCounts, OverdueReport, least_grace, overdue, shortest};
pub use watch::{OverdueWatch, OverdueWatchDeps, run as watch};

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
