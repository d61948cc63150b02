//! Expiry: due data is deleted on time, and held data is kept.
//!
//! No data is deleted before its deadline or while it is held, and overdue data is reported. What is due is decided
//! without I/O ([`select()`], [`overdue()`], [`ClockGuard`]); each step of carrying it out is one commit. Segments
//! whose deadlines are not near are merged into few large ones ([`choose()`]).

mod carry_out;
mod change;
mod compact;
mod error;
mod failures;
mod guard;
mod memo;
mod overdue;
mod product;
mod select;
mod share;
mod stale;
mod sweeper;
mod time_sources;
mod trusted;
mod watch;

pub use carry_out::{By, Done};
pub use change::{
    Answer, ColumnEffect, Effect, Effects, Lot, MovedFields, Movement, Need, Passage, Progress, Promised, SurveyError,
    examine, lots, survey,
};
pub use compact::{Compacted, Compacting, Compaction, Merge, Merges, PlannedMerge, Rule, SOON, choose};
pub use error::SweepError;
pub use guard::{ClockGuard, Verdict};
pub use overdue::{Counts, HORIZONS, Overdue, least_grace, overdue, shortest};
pub use product::{Ending, HeldBy, OpenProductError, Product};
pub use select::{Action, Bounds, Plan, Work, select};
pub use share::{Owned, Share};
pub use sweeper::{Parts, Planned, Rhythm, Round, Settings, Sweeper, run as sweep};
pub use time_sources::{ClockBounds, TimeSources, explain, judge};
pub use trusted::{TrustedClock, keep as keep_clock};
pub use watch::{HeldBoard, Watch, run as watch};

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
