//! Expiry: what is due goes, on time, and what is held stays.
//!
//! Promises that nothing goes before its deadline or while it is held, and that what is overdue is seen. What is due is
//! decided without I/O ([`select()`], [`overdue()`], [`ClockGuard`]); carrying it out is a commit a step.

mod carry_out;
mod error;
mod failures;
mod guard;
mod overdue;
mod product;
mod select;
mod share;
mod stale;
mod sweeper;
mod watch;

pub use carry_out::{By, Done};
pub use error::SweepError;
pub use guard::{ClockGuard, Verdict};
pub use overdue::{Counts, HORIZONS, Overdue, least_grace, overdue};
pub use product::{Ending, HeldBy, OpenProductError, Product};
pub use select::{Action, Bounds, Plan, Work, select};
pub use share::{Owned, Share, TAKEOVER};
pub use sweeper::{Parts, Planned, Round, Settings, Sweeper, run as sweep};
pub use watch::{HeldBoard, Watch, run as watch};

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
