//! Expiry: what is due goes, on time, and what is held stays.
//!
//! Promises that nothing goes before its deadline or while it is held, and that what is overdue is seen. What is due is
//! decided without I/O ([`select()`], [`overdue()`], [`ClockGuard`]); carrying it out is a commit a step. What is not due for
//! long is made few files of many ([`choose()`]).

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

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
