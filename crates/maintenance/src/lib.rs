//! Expiry: due data is deleted on time, and held data is kept.
//!
//! No data is deleted before its deadline or while it is held, and overdue data is reported. What
//! is due is decided without I/O ([`select()`], [`overdue()`], [`ClockGuard`]); each step of
//! carrying it out is one commit. Segments whose deadlines are not near are merged into few large
//! ones ([`choose()`]).

mod bounded_cache;
mod carry_out;
mod change;
mod compact;
mod error;
mod failures;
mod guard;
mod overdue;
mod product;
mod select;
mod share;
mod sweeper;
mod time_sources;
mod trigger_review;
mod trusted;
mod watch;

pub use carry_out::{CommitContext, TaskOutcome};
pub use change::{
    Cohort, ColumnEffect, DeadlineMoves, Migration, MovedFields, PolicyEffects, ProductEffect,
    ProfileInputs, SegmentProfiles, StoredTerms, SurveyError, SurveyProgress, examine, lots,
    survey,
};
pub use compact::{
    Compaction, CompactionReport, CompactionRule, CompactionSettings, MergePlan, PlannedMerge,
    SOON, SegmentMerge, choose,
};
pub use error::SweepError;
pub use guard::{ClockGuard, ClockStatus};
pub use overdue::{HORIZONS, OverdueCounts, OverdueReport, least_grace, overdue, shortest};
pub use product::{EndPlan, OpenProductError, SweepHolds, SweptProduct};
pub use select::{PlanBounds, SweepAction, SweepPlan, Task, select};
pub use share::{OwnedPartitions, WorkShare};
pub use sweeper::{
    PlannedTask, Schedule, SweepReport, SweepSettings, Sweeper, SweeperDeps, run as sweep,
};
pub use time_sources::{ClockBounds, TimeSources, explain, judge};
pub use trusted::{TrustedClock, keep as keep_clock};
pub use watch::{OverdueWatch, ReviewCache, run as watch};

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
